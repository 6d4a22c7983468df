//! What both sides have comes once; broken objects, what is a connection's own, and nothing made up.

use proptest::prelude::*;

use super::*;

const SECOND: i64 = 1_000_000_000;
const WINDOW: u64 = 30_000_000_000;
const ROUTING: &[u8] = br#"{"routes":[]}"#;
const MEANING: &[u8] = br#"{"mappings":[]}"#;

fn open(sides: usize) -> Coalescer {
    Coalescer::new(ROUTING, MEANING, WINDOW, sides).unwrap()
}

/// Messages a second apart, of which some never came.
fn stream(messages: &str, missing: &[usize], late: i64) -> Vec<u8> {
    let all = messages.chars().enumerate().filter(|(place, _)| !missing.contains(place));
    all.map(|(place, text)| format!("1\t{}\t4\t{}\ttext\t{text}\n", place + 1, place as i64 * SECOND + late))
        .collect::<String>()
        .into_bytes()
}

fn merge(first: &[u8], second: &[u8], piece: usize, limit: usize) -> Merged {
    let mut coalescer = open(2);
    let mut chunks = [first.chunks(piece), second.chunks(piece)];
    let mut all = Merged::default();
    loop {
        while let Some(merged) = coalescer.take(limit) {
            append(&mut all, &merged);
        }
        let needs = coalescer.needs();
        if needs == 0 {
            return all;
        }
        for (side, chunks) in chunks.iter_mut().enumerate() {
            if needs & 1 << side != 0 {
                match chunks.next() {
                    Some(chunk) => coalescer.feed(side, chunk).unwrap(),
                    None => coalescer.end(side).unwrap(),
                }
            }
        }
    }
}

fn append(all: &mut Merged, next: &Merged) {
    let before = all.data.len() as u64;
    if all.offsets.is_empty() {
        all.offsets.extend_from_slice(&0u64.to_le_bytes());
    }
    for end in next.offsets.chunks(8).skip(1) {
        let mut word = [0; 8];
        word.copy_from_slice(end);
        all.offsets.extend_from_slice(&(before + u64::from_le_bytes(word)).to_le_bytes());
    }
    for (to, from) in [
        (&mut all.side, &next.side),
        (&mut all.seen, &next.seen),
        (&mut all.epoch, &next.epoch),
        (&mut all.sequence, &next.sequence),
        (&mut all.connection, &next.connection),
        (&mut all.ts_recv, &next.ts_recv),
        (&mut all.order, &next.order),
        (&mut all.other_epoch, &next.other_epoch),
        (&mut all.other_sequence, &next.other_sequence),
        (&mut all.other_ts_recv, &next.other_ts_recv),
        (&mut all.data, &next.data),
    ] {
        to.extend_from_slice(from);
    }
}

fn numbers(column: &[u8]) -> Vec<i64> {
    let word = |bytes: &[u8]| bytes.try_into().map(i64::from_le_bytes).unwrap();
    column.chunks(8).map(word).collect()
}

fn text(merged: &Merged) -> &str {
    std::str::from_utf8(&merged.data).unwrap()
}

#[test]
fn what_both_have_comes_once_and_from_the_first() {
    let merged = merge(&stream("abc", &[], 0), &stream("abc", &[1], 5), 7, 100);
    assert_eq!((text(&merged), &merged.seen[..], &merged.side[..]), ("abc", &[3, 1, 3][..], &[0, 0, 0][..]));
    assert_eq!(numbers(&merged.other_sequence), [1, 0, 3]);
    assert_eq!(numbers(&merged.other_ts_recv), [5, 0, 2 * SECOND + 5]);
    assert_eq!(numbers(&merged.offsets), [0, 1, 2, 3]);
    assert_eq!(numbers(&merged.connection), [4, 4, 4]);
}

#[test]
fn a_quote_that_returns_is_not_taken_for_a_repeat() {
    for (one, two) in [(&[0][..], &[][..]), (&[][..], &[2][..])] {
        assert_eq!(text(&merge(&stream("xyx", one, 0), &stream("xyx", two, 3), 1000, 1)), "xyx");
    }
}

#[test]
fn one_side_waits_for_nothing() {
    let mut coalescer = open(1);
    coalescer.feed(0, &stream("aab", &[], 0)).unwrap();
    assert_eq!(
        coalescer.take(usize::MAX).map(|merged| (text(&merged).to_string(), merged.seen)),
        Some(("aab".into(), vec![1, 1, 1]))
    );
    assert_eq!((coalescer.needs(), coalescer.memory() < 10_000), (1, true));
    assert!(coalescer.feed(1, b"").is_err() && coalescer.feed(2, b"").is_err());
}

#[test]
fn a_broken_row_ends_its_object_and_no_other() {
    let wrongs: [(&[u8], &str); 8] = [
        (b"1\t2\n", "row 2: row has 2 of 6 columns"),
        (b"1\t2\t3\t4\ttext", "row 2: row is cut short"),
        (b"1\tx\t3\t4\ttext\ta\n", "row 2: \"x\" is no number of 63 bits"),
        (b"1\t\t3\t4\ttext\ta\n", "row 2: \"\" is no number of 63 bits"),
        (b"1\t2\t3\t9223372036854775808\ttext\ta\n", "row 2: \"9223372036854775808\" is no number of 63 bits"),
        (b"1\t2\t3\t4\tTEXT\ta\n", "row 2: encoding \"TEXT\" is not text or base64"),
        (b"1\t2\t3\t4\tbase64\tYQ=\n", "row 2: payload is not base64"),
        (b"1\t2\t3\t4\tbase64\tY=E=\n", "row 2: payload is not base64"),
    ];
    for (wrong, said) in wrongs {
        let mut coalescer = open(1);
        let rows = [b"1\t1\t0\t1\tbase64\tAAE=\n", wrong, b"\n1\t3\t0\t1\ttext\tnot read\n"].concat();
        let cut = if said.ends_with("short") { rows.len() - 24 } else { rows.len() };
        for byte in rows[..cut].chunks(1) {
            coalescer.feed(0, byte).unwrap();
        }
        assert_eq!(coalescer.boundary(0), Err(said.into()));
        coalescer.feed(0, b"1\t2\t0\t1\ttext\tz\n1\t2\t0\t1\ttext\tagain\n").unwrap();
        assert_eq!((coalescer.boundary(0), coalescer.end(0)), (Ok(()), Ok(())));
        let merged = coalescer.take(usize::MAX).unwrap();
        assert_eq!((&merged.data[..], coalescer.duplicates()), (&b"\0\x01z"[..], [1, 0]));
        assert_eq!((coalescer.take(1), coalescer.needs()), (None, 0));
    }
}

#[test]
fn what_is_a_connections_own_does_not_tell_messages_apart() {
    let routing = br#"{"routes":[{"channel":"{@0}"}]}"#;
    let meaning = br#"{"mappings":[{"counters":[{"path":"seq"},{"path":"2"}]}]}"#;
    let identity = Identity::new(routing, meaning).unwrap();
    let name = |payload: &str| String::from_utf8(identity.of(payload.as_bytes(), &mut Vec::new()).to_vec()).unwrap();
    assert_eq!(name(r#"[17, "te",5,[1, 2]]"#), r#""te",[1, 2]"#);
    assert_eq!(name(r#"["x","te","5"]"#), r#""x","te","5""#);
    assert_eq!(name(r#" { "seq" : 5, "a":{"seq":1}, "s\u0065q":7, "\u0062":2 } "#), r#"a:{"seq":1},b:2"#);
    for broken in [" [17,5]", "[17,5] x", "{\"seq\":5", "7", ""] {
        assert_eq!(name(broken), broken);
    }
}

#[test]
fn the_session_of_fix_does_not_tell_messages_apart() {
    let routing = br#"{"routes":[],"decoder":{"is":"Hook","name":"fix_md","parameters":[]}}"#;
    let identity = Identity::new(routing, MEANING).unwrap();
    let message = b"8=FIX.4.4\x019=99\x0135=X\x0134=5\x01262=A\x01268=1\x0110=000\x0110=1";
    assert_eq!(identity.of(message, &mut Vec::new()), b"35=X\x01262=A\x01268=1\x0110=1");
}

proptest! {
    #[test]
    fn nothing_is_made_up_and_nothing_doubled(
        messages in "[a-d]{0,40}",
        one in proptest::collection::vec(0usize..40, 0..10),
        two in proptest::collection::vec(0usize..40, 0..10),
        late in -3 * SECOND..3 * SECOND,
        piece in 1usize..60,
        limit in 1usize..600,
    ) {
        let late = late + 4 * SECOND;
        let (first, second) = (stream(&messages, &one, 4 * SECOND), stream(&messages, &two, late));
        let merged = merge(&first, &second, piece, limit);
        let rows = |side: usize| numbers(&merged.sequence).into_iter().zip(numbers(&merged.other_sequence)).zip(&merged.side)
            .map(move |((own, other), place)| if usize::from(*place) == side { own } else { other })
            .filter(|sequence| *sequence > 0).count();
        let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
        prop_assert_eq!((rows(0), rows(1)), (lines(&first), lines(&second)));
        prop_assert!(numbers(&merged.order).is_sorted());
        prop_assert_eq!(merge(&first, &second, usize::MAX, usize::MAX), merged);
    }
}
