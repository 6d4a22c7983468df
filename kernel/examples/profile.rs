//! Runs a file of encoded responses through a normalizer, for a profiler: `profile MEANING.json PROVIDER BATCHES [ROUNDS]`.
//!
//! BATCHES holds `SubscribeResponse`s, each after its length as a little-endian u32.

use std::error::Error;
use std::time::Instant;

use tapeline_kernel::normalize::{Normalizer, Sink};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, meaning, provider, batches, rest @ ..] = arguments.as_slice() else {
        return Err("profile MEANING.json PROVIDER BATCHES [ROUNDS]".into());
    };
    let meaning = std::fs::read(meaning)?;
    let file = std::fs::read(batches)?;
    let rounds: u32 = rest.first().map_or(Ok(1), |rounds| rounds.parse())?;
    let mut responses = Vec::new();
    let mut left = file.as_slice();
    while let Some((length, tail)) = left.split_first_chunk::<4>() {
        let (response, tail) = tail.split_at(u32::from_le_bytes(*length) as usize);
        responses.push(response);
        left = tail;
    }
    for _ in 0..rounds {
        let mut normalizer = Normalizer::new(&meaning, provider, "PRIMARY", Sink::Resp)?;
        let start = Instant::now();
        let (mut payloads, mut records) = (0, 0);
        for response in &responses {
            let output = normalizer.normalize(response)?;
            payloads += output.payloads;
            records += output.records;
        }
        let spent = start.elapsed();
        println!(
            "{payloads} payloads, {records} records, {:.3} µs a payload",
            spent.as_secs_f64() * 1e6 / payloads as f64
        );
    }
    Ok(())
}
