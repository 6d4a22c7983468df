//! Measures the router on frames from a text file, one a line: `route_bench ROUTING.json FRAMES.txt [ROUNDS]`.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::time::Instant;

use tapeline_kernel::router::Router;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: route_bench ROUTING.json FRAMES.txt [ROUNDS]";
    let routing = std::fs::read(arguments.next().ok_or(usage)?)?;
    let text = std::fs::read(arguments.next().ok_or(usage)?)?;
    let rounds: u32 = arguments.next().map_or(Ok(5), |rounds| rounds.parse())?;
    let frames: Vec<&[u8]> = text.split(|&byte| byte == b'\n').filter(|frame| !frame.is_empty()).collect();
    let mut router = Router::new(&routing, "BENCH", "PRIMARY", 1)?;
    let mut best = f64::INFINITY;
    let (mut taken, mut bytes) = (0usize, 0usize);
    for _ in 0..rounds {
        (taken, bytes) = (0, 0);
        let start = Instant::now();
        for (place, frame) in frames.iter().enumerate() {
            taken += usize::from(router.push(0, place as u64 + 1, frame).is_some());
            if router.open_bytes() > 100_000 {
                bytes += router.take(|head, body| head.len() + body.len()).map_or(0, |(_, _, bytes)| bytes);
            }
        }
        bytes += router.take(|head, body| head.len() + body.len()).map_or(0, |(_, _, bytes)| bytes);
        best = best.min(start.elapsed().as_secs_f64());
    }
    let each = best * 1e9 / frames.len() as f64;
    println!("{} frames, {taken} routed, {bytes} bytes: {each:.0} ns a frame, best of {rounds}", frames.len());
    Ok(())
}
