//! What must hold whatever bytes come in; shared by the property tests and the fuzz targets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

use tapeline_kernel::coalesce::Coalescer;
use tapeline_kernel::decimal::Dec;
use tapeline_kernel::decode::Decoder;
use tapeline_kernel::json::{self, Columns, Found, Tree};
use tapeline_kernel::normalize::{Normalizer, Sink, SIDECAR_BYTES};
use tapeline_kernel::router::Router;
use tapeline_kernel::rows;
use tapeline_kernel::time::{self, TimeUnit};
use tapeline_kernel::wire::{self, BatchView, BatchWriter, Response};

const MEANING: &[u8] = include_bytes!("../specs/meaning.json");
const ROUTING: &[u8] = include_bytes!("../specs/routing.json");

/// Everything a route can ask for beside its frame's own text.
const APART: &[u8] = br#"{"routes":[
    {"channel":"{@0}","when":[],"words":[],"cursor":"-1.0"},
    {"channel":"a.{t}","when":[{"path":"s","equals":[],"absent":false,"like":["b*","?"]}],"words":[],
        "endpoints":["one"],"cursor":"n"},
    {"channel":"{t}","when":[],"words":[],"cursor":"d.0.s"}],"schemas":[],
    "decoder":{"is":"Inflate","compression":"zlib","largest":1000}}"#;

/// What decoders may make of a frame in these tests.
const LARGEST: usize = 100_000;
const INFLATES: [&str; 3] = ["gzip", "zlib", "raw deflate"];
const PROTOBUF: &[u8] = br#"{"is":"Protobuf","root":"A","messages":[{"name":"A","fields":[
    {"number":1,"name":"t\"","kind":"text","message":"","repeated":false},
    {"number":2,"name":"n","kind":"integer","message":"","repeated":false},
    {"number":3,"name":"z","kind":"zigzag","message":"","repeated":true},
    {"number":4,"name":"a","kind":"message","message":"A","repeated":false},
    {"number":5,"name":"as","kind":"message","message":"A","repeated":true},
    {"number":6,"name":"ts","kind":"text","message":"","repeated":true}]}]}"#;
const HOOKS: [&[u8]; 1] = [br#"{"is":"Hook","name":"fix_md","parameters":[]}"#];

/// Channels of the meaning in `specs/meaning.json`, and the kernel's own.
pub const CHANNELS: [(&str, &str); 22] = [
    ("trade.A", "TRADES"),
    ("quote.A", "MBP_1"),
    ("stream.A", "MBO"),
    ("stream.DEEP", "MBO"),
    ("asked.A", "MBO"),
    ("back.A", "MBO"),
    ("sided.A", "MBO"),
    ("order.A", "MBO"),
    ("top.A", "MBP_10"),
    ("stats.A", "STATISTICS"),
    ("bar.A", "OHLCV_1M"),
    ("instruments", "DEFINITION"),
    ("_session", "STATUS"),
    ("_unknown", ""),
    ("trade.OLD", "TRADES"),
    ("nonsense", "NONSENSE"),
    ("page.A", "TRADES"),
    ("sampled.A", "MBO"),
    ("carried.A", "MBP_1"),
    ("signed.A", "MBO"),
    ("raw.A", "MBO"),
    ("text.A", "MBO"),
];

/// Response bytes are read to the end or refused.
pub fn wire(bytes: &[u8]) {
    let split = rows::split(bytes, 1, 0, 1_000_000_000);
    let Ok(Response::Batch(batch)) = Response::parse(bytes) else { return };
    let payloads: Vec<_> = batch.payloads().to_vec();
    let runs = split.iter().flat_map(|found| &found.segments).flat_map(|segment| &segment.runs);
    assert!(runs.map(|run| run.payloads).sum::<u64>() <= payloads.len() as u64);
    assert_eq!(payloads.len(), batch.len());
    assert!(payloads.iter().all(|payload| (payload.channel as usize) < batch.channels.len()));
    // What was read can be written and read again.
    let mut writer = BatchWriter::new(batch.provider, batch.instance, batch.epoch);
    for (name, schema) in &batch.channels {
        writer.channel(name, schema);
    }
    for payload in &payloads {
        writer.payload(payload.channel, payload.ts_recv, payload.connection, payload.data);
    }
    let Some((_, _, bytes)) = writer.finish(|head, body| [head, body].concat()) else { return };
    let Ok(Response::Batch(again)) = Response::parse(&bytes) else { panic!("own bytes refused") };
    assert_eq!(again.channels, batch.channels);
    assert!(again.payloads() == payloads);
}

/// Columns are refused, or are payloads of which each lies within the data.
pub fn columns(bytes: &[u8]) {
    let count = usize::from(bytes.first().copied().unwrap_or(0) % 4);
    let mut rest = bytes;
    let mut taken = |length: usize| {
        let (head, tail) = rest.split_at(length.min(rest.len()));
        rest = tail;
        head
    };
    let (channel, ts_recv, connection) = (taken(4 * count), taken(8 * count), taken(8 * count));
    let places = taken(8 * count);
    let chunks =
        [wire::Chunk { offsets: taken(8 * (count + 1)), data: bytes }, wire::Chunk { offsets: bytes, data: bytes }];
    let columns = wire::Columns { channel, ts_recv, connection, places, chunks: &chunks };
    if let Ok(offsets) = wire::laid_out(&chunks, places) {
        let rows = places.len() / 8;
        assert_eq!(offsets.len(), 8 * (rows + 1));
        let mut end = [0; 8];
        end.copy_from_slice(&offsets[8 * rows..]);
        let mut data = vec![0; usize::try_from(u64::from_le_bytes(end)).expect("a few chunks' worth")];
        wire::gather(&chunks, places, &mut data);
    }
    let Ok(batch) = BatchView::of_columns(1, 1, CHANNELS.to_vec(), &columns) else { return };
    assert_eq!(batch.len(), count);
    let mut normalizer = Normalizer::new(MEANING, "P", "PRIMARY", Sink::Dbn).expect("the spec compiles");
    let masks = normalizer.touched(&batch, 64).expect("64 are allowed");
    assert_eq!(masks.len(), CHANNELS.len());
    assert_eq!(normalizer.batch(&batch).payloads, count);
}

/// A number is refused or written again as the same number.
pub fn decimal(bytes: &[u8]) {
    let Ok(number) = Dec::parse(bytes) else { return };
    let mut text = Vec::new();
    number.write_text(&mut text);
    assert_eq!(Dec::parse(&text), Ok(number));
    let trimmed = number.trimmed();
    for scale in [0, 1, 9, 18, 19, 20, 255] {
        let (exact, same) = (number.to_scale(scale), trimmed.to_scale(scale));
        if exact.is_ok() {
            assert_eq!(exact, same);
        }
    }
}

/// A time is refused, not given, or some nanosecond after 1970.
pub fn times(bytes: &[u8]) {
    let numbers = [TimeUnit::Seconds, TimeUnit::Millis, TimeUnit::Micros, TimeUnit::Nanos];
    for unit in numbers.into_iter().chain([TimeUnit::Iso, TimeUnit::ByDigits]) {
        assert_ne!(unit.parse(bytes), Ok(Some(0)));
    }
    let _ = std::str::from_utf8(bytes).map(time::instant);
}

/// A payload the scanner takes is JSON, and what it finds lies within.
pub fn scan(bytes: &[u8]) {
    let mut tree = Tree::default();
    let paths = ["", "a", "a.b", "d.0.s", "d.-1", "0", "-2.a", "a.1.b", "t"];
    let slots: Vec<u16> = paths.iter().map(|path| tree.slot(path)).collect();
    tree.rows("b", Columns::Places);
    tree.rows("b", Columns::Text);
    tree.rows("0", Columns::Places);
    tree.rows("d.rows", Columns::Keys(vec![b"p"[..].into(), b"q"[..].into()]));
    let mut found = Found::default();
    for goal in [0, 0b10, 0b111] {
        let scanned = tree.scan_until(bytes, &mut found, goal);
        if goal == 0 && scanned.is_ok() {
            assert!(serde_json::from_slice::<&serde_json::value::RawValue>(bytes).is_ok());
        }
        for slot in &slots {
            let value = found.slots[usize::from(*slot)];
            let text = value.of(bytes);
            assert!(value.start <= value.end && value.end as usize <= bytes.len());
            let _ = json::unescape(text);
            let _ = json::items(text);
        }
    }
}

/// A frame is refused, passes as it is, or becomes JSON of a bounded size, and the same again.
pub fn decode(bytes: &[u8]) {
    let passes = |text: &[u8]| std::ptr::eq(text, bytes);
    for name in INFLATES {
        let spec = format!(r#"{{"is":"Inflate","compression":"{name}","largest":{LARGEST}}}"#);
        let mut decoder = Decoder::from_json(spec.as_bytes()).expect("the spec compiles");
        let first = decoder.decode(bytes).map(<[u8]>::to_vec);
        let again = decoder.decode(bytes);
        assert!(again.is_ok_and(passes) || first.as_ref().map_or(true, |text| text.len() <= LARGEST));
        assert_eq!(first.as_deref(), again.as_deref());
    }
    for spec in std::iter::once(PROTOBUF).chain(HOOKS) {
        let mut decoder = Decoder::from_json(spec).expect("the spec compiles");
        let first = decoder.decode(bytes).map(<[u8]>::to_vec);
        let again = decoder.decode(bytes);
        assert_eq!(first.as_deref(), again.as_deref());
        if let Ok(text) = again {
            assert!(passes(text) || serde_json::from_slice::<&serde_json::value::RawValue>(text).is_ok());
        }
    }
}

/// Every frame (a line) is either left or in the batch as it was.
pub fn route(bytes: &[u8]) {
    routed(Router::new(ROUTING, "P", "I", 1).expect("the spec compiles"), bytes);
    routed(Router::new(APART, "P", "I", 1).expect("the spec compiles"), bytes);
}

fn routed(mut router: Router, bytes: &[u8]) {
    let mut taken = Vec::new();
    for (place, frame) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let connection = place as u32 % 5;
        match frame.first() {
            Some(b'!') => router.connected(connection, "one"),
            Some(b'+') => router.learn(connection, &String::from_utf8_lossy(&frame[1..]), "key"),
            Some(b'-') => router.forget(connection, std::str::from_utf8(&frame[1..]).ok()),
            _ => {}
        }
        if router.push(connection, place as u64, frame).is_some() {
            taken.push(frame);
        }
        let _ = router.cursor("key");
        if place % 7 == 6 {
            check_batch(&mut router, &mut taken);
        }
    }
    check_batch(&mut router, &mut taken);
}

fn check_batch(router: &mut Router, taken: &mut Vec<&[u8]>) {
    match router.take(|head, body| [head, body].concat()) {
        None => assert!(taken.is_empty()),
        Some((first, last, bytes)) => {
            assert_eq!(last + 1 - first, taken.len() as u64);
            let Ok(Response::Batch(batch)) = Response::parse(&bytes) else { panic!("own bytes refused") };
            assert!(batch.payloads().iter().map(|payload| payload.data).eq(taken.drain(..)));
            assert!(batch.channels.iter().all(|(name, _)| !name.is_empty()));
        }
    }
}

/// Payloads go through both sinks, a flush and a restore; each line is a channel's letter and a payload, an empty line
/// ends a batch.
pub fn normalize(bytes: &[u8]) {
    let open = |sink| Normalizer::new(MEANING, "P", "PRIMARY", sink).expect("the spec compiles");
    let mut normalizers = [open(Sink::Resp), open(Sink::Dbn)];
    let mut writer = BatchWriter::new("P", "PRIMARY", 1);
    let mut ts_recv = 1_700_000_000_000_000_000;
    for (name, schema) in CHANNELS {
        writer.channel(name, schema);
    }
    for line in bytes.split(|&byte| byte == b'\n') {
        if let Some((letter, payload)) = line.split_first() {
            ts_recv += 1_000;
            let channel = letter.wrapping_sub(b'0') % CHANNELS.len() as u8;
            writer.payload(u32::from(channel), ts_recv, 0, payload);
            continue;
        }
        feed(&mut writer, &mut normalizers);
    }
    feed(&mut writer, &mut normalizers);
    let (flushed, commands) = normalizers[0].flush(true);
    let fields = check_commands(&flushed, commands);
    let mut next = open(Sink::Resp);
    next.restore(&fields);
    let mut both = [next, open(Sink::Dbn)];
    writer.channel(CHANNELS[4].0, CHANNELS[4].1);
    writer.payload(0, ts_recv + 1, 0, br#"{"t":"d","U":1,"u":2,"pu":0,"b":[["1","1"]],"a":[]}"#);
    feed(&mut writer, &mut both);
}

/// Two streams, as rows that are cut anywhere and as rows made of a byte each, become one that has every row once.
pub fn coalesce(bytes: &[u8]) {
    let piece = usize::from(bytes.first().copied().unwrap_or(0) % 40) + 1;
    let (one, two) = bytes.split_at(bytes.len() / 2);
    coalesced(one, two, piece);
    let mut sides = [String::new(), String::new()];
    let mut ts_recv = 0;
    for (sequence, byte) in bytes.iter().enumerate() {
        ts_recv += [0, 1, 999_999_999, 30_000_000_001][usize::from(byte >> 6)];
        let (side, content) = (usize::from(byte & 1), (byte >> 1) & 3);
        let late = i64::from((byte >> 3) & 3);
        sides[side] += &format!("1\t{sequence}\t{side}\t{}\ttext\t{content}\n", ts_recv + late);
    }
    let rows = coalesced(sides[0].as_bytes(), sides[1].as_bytes(), piece);
    assert_eq!(rows, bytes.len());
}

/// How many rows came in, after checking that each came out once.
fn coalesced(one: &[u8], two: &[u8], piece: usize) -> usize {
    let made = Coalescer::new(br#"{"routes":[{"channel":"{@0}"}]}"#, br#"{"mappings":[]}"#, 30_000_000_000, 2);
    let mut coalescer = made.expect("the spec compiles");
    let mut chunks = [one.chunks(piece), two.chunks(piece)];
    let (mut rows, mut order) = (0, i64::MIN);
    loop {
        while let Some(merged) = coalescer.take(piece * 10) {
            rows += merged.seen.iter().map(|seen| seen.count_ones() as usize).sum::<usize>();
            let orders = merged.order.chunks(8).map(|word| i64::from_le_bytes(word.try_into().expect("eight bytes")));
            for next in orders {
                assert!(order <= next);
                order = next;
            }
            assert_eq!(merged.offsets.len(), 8 * (merged.len() + 1));
            assert_eq!(merged.offsets[8 * merged.len()..], (merged.data.len() as u64).to_le_bytes());
        }
        let needs = coalescer.needs();
        if needs == 0 {
            break;
        }
        for (side, chunks) in chunks.iter_mut().enumerate().filter(|(side, _)| needs & 1 << side != 0) {
            match chunks.next() {
                Some(chunk) => {
                    coalescer.feed(side, chunk).expect("the side goes on");
                    if chunk[0] == b'~' {
                        let _ = coalescer.boundary(side);
                    }
                }
                None => drop(coalescer.end(side)),
            }
        }
    }
    assert!(coalescer.take(1).is_none() && coalescer.feed(0, b"").is_err());
    rows
}

/// Checkpoint fields (lines of name, `=`, value) are taken or refused.
pub fn restore(bytes: &[u8]) {
    let mut normalizer = Normalizer::new(MEANING, "P", "PRIMARY", Sink::Resp).expect("the spec compiles");
    let halves = |line: &[u8]| {
        let at = line.iter().position(|&byte| byte == b'=').unwrap_or(line.len());
        (line[..at].to_vec(), line.get(at + 1..).unwrap_or_default().to_vec())
    };
    let fields: Vec<_> = bytes.split(|&byte| byte == b'\n').map(halves).collect();
    normalizer.restore(&fields);
    let (flushed, commands) = normalizer.flush(true);
    check_commands(&flushed, commands);
}

fn feed(writer: &mut BatchWriter, normalizers: &mut [Normalizer; 2]) {
    let Some((first, last, bytes)) = writer.finish(|head, body| [head, body].concat()) else { return };
    for (name, schema) in CHANNELS {
        writer.channel(name, schema);
    }
    let [resp, dbn] = normalizers;
    if let Ok(Response::Batch(batch)) = Response::parse(&bytes) {
        let masks = dbn.touched(&batch, 3).expect("three are allowed");
        assert!(masks.len() == batch.channels.len() && masks.iter().all(|mask| *mask < 8));
    }
    let output = resp.normalize(&bytes).expect("own bytes are read");
    assert_eq!((output.first, output.last), (first, last));
    check_commands(&output.data, output.commands);
    let output = dbn.normalize(&bytes).expect("own bytes are read");
    assert_eq!(output.sidecar.len(), output.records * SIDECAR_BYTES);
    let (mut at, mut records) = (0, 0);
    while at < output.data.len() {
        let length = 4 * usize::from(output.data[at]);
        assert!(length >= 40, "a record of {length} bytes");
        at += length;
        records += 1;
    }
    assert_eq!((at, records), (output.data.len(), output.records));
}

/// Reads RESP commands; gives the pairs of every HSET.
fn check_commands(bytes: &[u8], commands: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
    let (mut rest, mut read, mut pairs) = (bytes, 0, Vec::new());
    while !rest.is_empty() {
        let count = number(&mut rest, b'*');
        let words: Vec<&[u8]> = (0..count).map(|_| bulk(&mut rest)).collect();
        if words[0] == b"HSET" {
            pairs.extend(words[2..].chunks(2).map(|pair| (pair[0].to_vec(), pair[1].to_vec())));
        }
        read += 1;
    }
    assert_eq!(read, commands);
    pairs
}

fn number(rest: &mut &[u8], sign: u8) -> usize {
    let (head, after) = rest.split_first().expect("a sign");
    assert_eq!(*head, sign);
    let end = after.windows(2).position(|two| two == b"\r\n").expect("a line end");
    *rest = &after[end + 2..];
    std::str::from_utf8(&after[..end]).expect("digits").parse().expect("a number")
}

fn bulk<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let length = number(rest, b'$');
    let (word, after) = rest.split_at(length);
    *rest = after.strip_prefix(b"\r\n").expect("a line end");
    word
}
