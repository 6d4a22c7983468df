//! The wire format against itself and against hostile bytes.

use super::writer::put_bytes;
use super::*;

fn joined(writer: &mut BatchWriter) -> (u64, u64, Vec<u8>) {
    writer.finish(|head, body| [head, body].concat()).unwrap()
}

fn batch(bytes: &[u8]) -> BatchView<'_> {
    match Response::parse(bytes).unwrap() {
        Response::Batch(batch) => batch,
        Response::Gap(_) => panic!("a gap"),
    }
}

#[test]
fn what_is_written_is_read_back() {
    let mut writer = BatchWriter::new("KRAKEN", "PRIMARY", 1_700_000_000_000_000_000);
    let long = vec![b'x'; 70_000];
    let first = writer.channel("book.BTC/USD", "MBO");
    let second = writer.channel("_session", "");
    assert_eq!((first, second), (0, 1));
    assert_eq!(writer.payload(first, 5, 0, b"{}"), 1);
    assert_eq!(writer.payload(second, u64::MAX, u32::MAX, &long), 2);
    assert_eq!(writer.payload(first, 0, 3, b""), 3);
    let (from, to, bytes) = joined(&mut writer);
    assert_eq!((from, to), (1, 3));
    let batch = batch(&bytes);
    assert_eq!((batch.provider, batch.instance), ("KRAKEN", "PRIMARY"));
    assert_eq!((batch.epoch, batch.first_sequence, batch.last_sequence()), (1_700_000_000_000_000_000, 1, 3));
    assert_eq!(batch.channels, [("book.BTC/USD", "MBO"), ("_session", "")]);
    let payloads: Vec<_> = batch.payloads().to_vec();
    assert_eq!(payloads[0], PayloadView { channel: 0, ts_recv: 5, connection: 0, data: b"{}" });
    assert_eq!(payloads[1], PayloadView { channel: 1, ts_recv: u64::MAX, connection: u32::MAX, data: &long });
    assert_eq!(payloads[2], PayloadView { channel: 0, ts_recv: 0, connection: 3, data: b"" });
}

#[test]
fn sequences_go_on_over_batches_and_channels_start_anew() {
    let mut writer = BatchWriter::new("P", "I", 1);
    assert!(writer.finish(|_, _| ()).is_none());
    let channel = writer.channel("a", "");
    writer.payload(channel, 1, 0, b"1");
    writer.payload(channel, 2, 0, b"2");
    joined(&mut writer);
    assert_eq!((writer.open_payloads(), writer.open_bytes(), writer.next_sequence()), (0, 0, 3));
    assert_eq!(writer.channel("b", ""), 0);
    assert_eq!(writer.payload(0, 3, 0, b"3"), 3);
    let (from, to, bytes) = joined(&mut writer);
    assert_eq!((from, to), (3, 3));
    assert_eq!(batch(&bytes).channels, [("b", "")]);
}

#[test]
fn fields_may_come_in_any_order_and_unknown_ones_are_skipped() {
    let mut body = Vec::new();
    put_bytes(&mut body, 6, &[0x08, 0x00, 0x22, 1, b'x']);
    body.extend_from_slice(&[9 << 3 | 5, 1, 2, 3, 4]); // fixed32
    body.extend_from_slice(&[10 << 3 | 3, 11 << 3, 7, 10 << 3 | 4]); // group
    put_bytes(&mut body, 5, &[0x0a, 1, b'c']);
    body.extend_from_slice(&[0x20, 9]);
    put_bytes(&mut body, 1, b"P");
    let mut bytes = vec![15 << 3, 1];
    put_bytes(&mut bytes, 1, &body);
    let batch = batch(&bytes);
    assert_eq!((batch.provider, batch.first_sequence, batch.len()), ("P", 9, 1));
    assert_eq!(batch.payloads()[0].data, b"x");
}

#[test]
fn a_gap_is_read() {
    let body = [&[0x0a, 1, b'P', 0x12, 1, b'I', 0x19][..], &7u64.to_le_bytes(), &[0x20, 0x80, 1, 0x28, 9]].concat();
    let mut bytes = Vec::new();
    put_bytes(&mut bytes, 2, &body);
    let Response::Gap(gap) = Response::parse(&bytes).unwrap() else { panic!("a batch") };
    let expected = GapView { provider: "P", instance: "I", epoch: 7, from_sequence: 128, to_sequence: 9 };
    assert_eq!(gap, expected);
}

#[test]
fn malformed_bytes_are_errors() {
    let response = |body: &[u8]| {
        let mut bytes = Vec::new();
        put_bytes(&mut bytes, 1, body);
        Response::parse(&bytes).map(|_| ()).unwrap_err()
    };
    assert_eq!(Response::parse(b"").map(|_| ()).unwrap_err(), WireError::Empty);
    assert_eq!(Response::parse(&[0x0a, 2, 0]).map(|_| ()).unwrap_err(), WireError::Truncated);
    assert_eq!(Response::parse(&[0x0a, 0, 0x12, 0]).map(|_| ()).unwrap_err(), WireError::Repeated);
    assert_eq!(response(&[0x32, 0]), WireError::Channel);
    assert_eq!(response(&[0x32, 2, 0x22, 5]), WireError::Truncated);
    assert_eq!(response(&[0x0a, 1, 0xff]), WireError::Text);
    assert_eq!(response(&[0x00, 0]), WireError::Tag);
    assert_eq!(response(&[0x0e, 0]), WireError::Tag);
    assert_eq!(response(&[0x0b, 0x14]), WireError::Tag);
    assert_eq!(response(&[0x0b]), WireError::Truncated);
    assert_eq!(response(&[0x0b; 300]), WireError::Depth);
    assert_eq!(response(&[0x20, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]), WireError::Varint);
    let last = [0x20, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0x2a, 0, 0x32, 0];
    assert_eq!(response(&last), WireError::Sequence);
}

#[test]
fn every_cut_of_a_batch_is_an_error() {
    let mut writer = BatchWriter::new("P", "I", 1);
    let channel = writer.channel("a", "MBO");
    writer.payload(channel, 1, 2, b"payload");
    let (_, _, bytes) = joined(&mut writer);
    for end in 0..bytes.len() {
        assert!(Response::parse(&bytes[..end]).is_err(), "cut at {end}");
    }
}
