//! No bytes from outside make the kernel panic: arbitrary ones, and real shapes that were damaged on the way.

#![allow(clippy::unwrap_used)]

mod hostile;

use std::io::Write;

use flate2::write::GzEncoder;
use flate2::Compression;
use proptest::prelude::*;
use tapeline_kernel::wire::BatchWriter;

const PAYLOADS: &str = include_str!("specs/payloads.txt");

const NUMBERS: [&str; 12] = [
    "0",
    "-1",
    "1e400",
    "1e-300",
    "9223372036854775807",
    "18446744073709551616",
    "0.000000000000000000000001",
    "null",
    "true",
    "\"\"",
    "[]",
    "{}",
];

/// What can happen to a line between a venue and us.
#[derive(Debug, Clone)]
enum Damage {
    None,
    Cut(usize),
    Byte(usize, u8),
    Remove(usize, usize),
    Number(usize, usize),
    EndBatch,
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => Just(Damage::None),
        1 => any::<usize>().prop_map(Damage::Cut),
        2 => (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        1 => (any::<usize>(), 1..20usize).prop_map(|(at, count)| Damage::Remove(at, count)),
        3 => (any::<usize>(), 0..NUMBERS.len()).prop_map(|(at, number)| Damage::Number(at, number)),
        1 => Just(Damage::EndBatch),
    ]
}

/// Lines of `payloads.txt` in any order, any number of times, damaged.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let count = PAYLOADS.lines().count();
    proptest::collection::vec((0..count, damage()), 1..60).prop_map(|picks| {
        let lines: Vec<&str> = PAYLOADS.lines().collect();
        picks.into_iter().flat_map(|(line, damage)| damaged(lines[line].as_bytes(), damage)).collect()
    })
}

fn damaged(line: &[u8], damage: Damage) -> Vec<u8> {
    let mut line = line.to_vec();
    match damage {
        Damage::None => {}
        Damage::Cut(at) => line.truncate(1 + at % line.len()),
        Damage::Byte(at, byte) => {
            let at = at % line.len();
            line[at] = byte;
        }
        Damage::Remove(at, count) => {
            let at = at % line.len();
            line.drain(at..line.len().min(at + count));
        }
        Damage::Number(at, number) => {
            let digits: Vec<usize> = (1..line.len()).filter(|&place| line[place].is_ascii_digit()).collect();
            if let Some(&at) = digits.get(at % digits.len().max(1)) {
                line.splice(at..=at, NUMBERS[number].bytes());
            }
        }
        Damage::EndBatch => line.push(b'\n'),
    }
    line.push(b'\n');
    line
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        hostile::wire(&bytes);
        hostile::decimal(&bytes);
        hostile::times(&bytes);
        hostile::scan(&bytes);
        hostile::decode(&bytes);
        hostile::route(&bytes);
        hostile::normalize(&bytes);
        hostile::restore(&bytes);
        hostile::coalesce(&bytes);
        hostile::columns(&bytes);
    }

    #[test]
    fn anything_like_json(text in r#"[\[\]{}:,"\\0-9a-dst\.\-+eE\n]{0,60}"#) {
        hostile::scan(text.as_bytes());
        hostile::route(text.as_bytes());
        hostile::normalize(text.as_bytes());
    }

    #[test]
    fn damaged_gzip(
        text in proptest::collection::vec(any::<u8>(), 0..300),
        at in any::<usize>(),
        byte in any::<u8>(),
        end in any::<usize>(),
    ) {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&text).unwrap();
        let mut frame = packed.finish().unwrap();
        let at = at % frame.len();
        frame[at] ^= byte;
        hostile::decode(&frame);
        hostile::decode(&frame[..end % frame.len()]);
        hostile::decode(&frame[10.min(frame.len())..]);
    }

    #[test]
    fn anything_like_protobuf(fields in proptest::collection::vec((0u8..64, proptest::collection::vec(0u8..130, 0..9)), 0..12)) {
        let frame: Vec<u8> = fields.into_iter().flat_map(|(tag, mut rest)| {
            if tag & 7 == 2 {
                rest.insert(0, rest.len() as u8);
            }
            rest.insert(0, tag);
            rest
        }).collect();
        hostile::decode(&frame);
    }

    #[test]
    fn anything_like_a_number(text in r"-?[0-9]{0,25}\.?[0-9]{0,25}([eE][-+]?[0-9]{0,22})?") {
        hostile::decimal(text.as_bytes());
        hostile::times(text.as_bytes());
    }

    #[test]
    fn anything_like_rows(rows in proptest::collection::vec(r"[0-9]{0,3}\t[0-9]{1,20}\t[0-9]\t[0-9]{1,20}\t(text|base64|x)\t[A-D=]{0,4}\n|~|\n", 0..40)) {
        hostile::coalesce(rows.concat().as_bytes());
    }

    #[test]
    fn anything_like_columns(words in proptest::collection::vec(0u8..30, 4..16), data in proptest::collection::vec(any::<u8>(), 0..40)) {
        // The last ones are places in the second chunk.
        let words = words.iter().flat_map(|word| (u64::from(*word) + u64::from(word / 28) * ((1 << 32) - 28)).to_le_bytes());
        hostile::columns(&words.chain(data).collect::<Vec<u8>>());
    }

    #[test]
    fn damaged_payloads(lines in lines()) {
        hostile::normalize(&lines);
        hostile::route(&lines);
        for line in lines.split(|&byte| byte == b'\n') {
            hostile::scan(line);
        }
    }

    #[test]
    fn damaged_batches(data in proptest::collection::vec(any::<u8>(), 0..200), at in any::<usize>(), byte in any::<u8>()) {
        let mut writer = BatchWriter::new("P", "PRIMARY", 1);
        let channel = writer.channel("trade.A", "TRADES");
        writer.payload(channel, 1, 2, &data);
        writer.payload(channel, 2, 2, b"{}");
        let (_, _, mut bytes) = writer.finish(|head, body| [head, body].concat()).unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        hostile::wire(&bytes);
        hostile::wire(&bytes[..at]);
    }

    #[test]
    fn damaged_checkpoints(
        name in "(position|published|book|channel|instrument|[a-z]{1,8})(:[a-zA-Z.]{1,8})?(:[A-Z_]{1,6})?",
        value in r#"[0-9:]{0,20}|[\[\]{}:,"0-9a-z\.\-]{0,80}"#,
    ) {
        hostile::restore(format!("{name}={value}\nposition=1:5").as_bytes());
    }
}
