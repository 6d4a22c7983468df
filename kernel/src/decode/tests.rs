//! Decoders over frames of real shapes, and over any bytes.

use std::io::Write;

use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;

use super::*;

const TEXT: &[u8] = br#"{"ch":"market.BTC-USD.depth","tick":{"mrid":1}}"#;

fn inflate(compression: &str, largest: usize) -> Decoder {
    let spec = format!(r#"{{"is":"Inflate","compression":"{compression}","largest":{largest}}}"#);
    Decoder::from_json(spec.as_bytes()).unwrap()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut to = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    to.write_all(text).unwrap();
    to.finish().unwrap()
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut to = ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    to.write_all(text).unwrap();
    to.finish().unwrap()
}

fn deflate(text: &[u8]) -> Vec<u8> {
    let mut to = DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    to.write_all(text).unwrap();
    to.finish().unwrap()
}

#[test]
fn every_compression_comes_back_as_text_and_json_passes() {
    for (name, packed) in [("gzip", gzip(TEXT)), ("zlib", zlib(TEXT)), ("raw deflate", deflate(TEXT))] {
        let mut decoder = inflate(name, 1 << 20);
        for _ in 0..3 {
            assert_eq!(decoder.decode(&packed), Ok(TEXT), "{name}");
            assert_eq!(decoder.decode(TEXT), Ok(TEXT), "{name}");
            assert_eq!(decoder.decode(b" \n[1] "), Ok(&b" \n[1] "[..]), "{name}");
        }
    }
}

#[test]
fn a_gzip_frame_is_all_its_members_and_nothing_more() {
    let mut decoder = inflate("gzip", 1 << 20);
    let (front, back) = TEXT.split_at(10);
    let mut frame = [gzip(front), gzip(b""), gzip(back)].concat();
    assert_eq!(decoder.decode(&frame), Ok(TEXT));
    for end in 0..frame.len() {
        // A cut between members leaves whole members, which none can tell from a frame that was meant so.
        let whole = [gzip(front).len(), gzip(front).len() + gzip(b"").len()].contains(&end);
        assert_eq!(decoder.decode(&frame[..end]).is_ok(), whole, "{end}");
    }
    frame.push(0);
    assert_eq!(decoder.decode(&frame), Err(Undecodable("bad_gzip")));
}

#[test]
fn a_gzip_header_may_carry_a_name_a_comment_more_and_its_own_check() {
    let plain = gzip(TEXT);
    let mut header = vec![0x1f, 0x8b, 8, EVERYTHING, 0, 0, 0, 0, 0, 255, 3, 0, b'a', 0, b'c'];
    header.extend_from_slice(b"name\0comment\0");
    let check = crc32fast::hash(&header) as u16;
    let mut frame = [&header, &check.to_le_bytes()[..], &plain[10..]].concat();
    let mut decoder = inflate("gzip", 1 << 20);
    assert_eq!(decoder.decode(&frame), Ok(TEXT));
    frame[16] ^= 1;
    assert_eq!(decoder.decode(&frame), Err(Undecodable("bad_gzip")));
}

const EVERYTHING: u8 = 0b1_1110;

#[test]
fn a_changed_check_or_size_is_told() {
    let mut decoder = inflate("gzip", 1 << 20);
    let frame = gzip(TEXT);
    for back in 1..=8 {
        let mut changed = frame.clone();
        let at = changed.len() - back;
        changed[at] ^= 0x10;
        assert_eq!(decoder.decode(&changed), Err(Undecodable("bad_gzip")));
    }
}

#[test]
fn what_a_frame_may_become_is_bounded_to_the_byte() {
    let text = vec![b' '; 100_000];
    for (name, packed) in [("gzip", gzip(&text)), ("zlib", zlib(&text)), ("raw deflate", deflate(&text))] {
        assert_eq!(inflate(name, text.len()).decode(&packed), Ok(&text[..]), "{name}");
        assert_eq!(inflate(name, text.len() - 1).decode(&packed), Err(TOO_LARGE), "{name}");
        assert_eq!(inflate(name, 0).decode(&packed), Err(TOO_LARGE), "{name}");
    }
    let twice = [gzip(&text), gzip(&text)].concat();
    assert_eq!(inflate("gzip", 2 * text.len() - 1).decode(&twice), Err(TOO_LARGE));
    assert_eq!(inflate("gzip", 2 * text.len()).decode(&twice).map(<[u8]>::len), Ok(2 * text.len()));
}

fn protobuf() -> Decoder {
    let field = |number: u32, name: &str, kind: &str, message: &str, repeated: bool| {
        let of = format!(r#""message":"{message}","repeated":{repeated}"#);
        format!(r#"{{"is":"ProtoField","number":{number},"name":"{name}","kind":"{kind}",{of}}}"#)
    };
    let message = |name: &str, fields: &[String]| {
        format!(r#"{{"is":"ProtoMessage","name":"{name}","fields":[{}]}}"#, fields.join(","))
    };
    let messages = [
        message(
            "Top",
            &[
                field(1, "channel", "text", "", false),
                field(2, "n", "integer", "", false),
                field(3, "z", "zigzag", "", false),
                field(4, "inner", "message", "Top", false),
                field(5, "rows", "message", "Row", true),
                field(6, "ids", "integer", "", true),
            ],
        ),
        message("Row", &[field(1, "p", "text", "", false)]),
    ];
    let spec = format!(r#"{{"is":"Protobuf","root":"Top","messages":[{}]}}"#, messages.join(","));
    Decoder::from_json(spec.as_bytes()).unwrap()
}

fn json(frame: &[u8]) -> Result<String, Undecodable> {
    protobuf().decode(frame).map(|text| String::from_utf8(text.to_vec()).unwrap())
}

#[test]
fn messages_become_objects_whatever_order_their_fields_come_in() {
    assert_eq!(json(b""), Ok(r#"{"rows":[],"ids":[]}"#.into()));
    let frame = b"\x2a\x03\x0a\x011\x32\x02\x01\x02\x0a\x01a\x10\x05\x30\x03\x2a\x00\x18\x03\x0a\x02\"\n\x10\x07";
    let expected = r#"{"channel":"\"\u000a","n":7,"z":-2,"rows":[{"p":"1"},{}],"ids":[1,2,3]}"#;
    assert_eq!(json(frame), Ok(expected.into()));
}

#[test]
fn a_message_in_pieces_is_one_message() {
    let frame = b"\x22\x05\x0a\x01a\x30\x01\x10\x09\x22\x04\x30\x02\x10\x01";
    assert_eq!(
        json(frame),
        Ok(r#"{"n":9,"inner":{"channel":"a","n":1,"rows":[],"ids":[1,2]},"rows":[],"ids":[]}"#.into())
    );
}

#[test]
fn what_the_schema_does_not_know_is_passed_over() {
    // Field 9 as varint, 8 bytes, text, group with a group in it, 4 bytes; field 1 as a number.
    let frame = b"\x48\x01\x4912345678\x4a\x01x\x4b\x53\x08\x01\x54\x4c\x4d1234\x08\x05\x10\x02";
    assert_eq!(json(frame), Ok(r#"{"n":2,"rows":[],"ids":[]}"#.into()));
}

#[test]
fn broken_messages_are_told() {
    for frame in [
        &b"\x0a\x05abc"[..],
        b"\x0a\x01\xff",
        b"\x10",
        b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
        b"\x00\x01",
        b"\x4b\x53\x4c",
        b"\x4c",
        b"\x4f",
        b"\x49\x01",
        b"\x32\x01\x80",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    ] {
        assert_eq!(json(frame), Err(Undecodable("bad_protobuf")), "{frame:?}");
    }
    let mut deep = Vec::new();
    for _ in 0..40 {
        let length = u8::try_from(deep.len()).unwrap();
        deep = [&[0x22, length], &deep[..]].concat();
    }
    assert_eq!(json(&deep), Err(Undecodable("too_deep")));
    assert_eq!(json(&[0x4b; 1000]), Err(Undecodable("too_deep")));
    assert_eq!(json(b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), Ok(r#"{"n":-1,"rows":[],"ids":[]}"#.into()));
    assert_eq!(json(b"{\"code\":0}"), Ok("{\"code\":0}".into()));
}

#[test]
fn specs_that_do_not_compile_are_told() {
    for (spec, words) in [
        (r#"{"is":"Hook","name":"nothing","parameters":[]}"#, "no hook is named \"nothing\""),
        (r#"{"is":"Inflate","compression":"lzma","largest":1}"#, "lzma"),
        (r#"{"is":"Protobuf","root":"A","messages":[]}"#, "no message is named \"A\""),
        (
            r#"{"is":"Protobuf","root":"A","messages":[{"name":"A","fields":[
                {"number":0,"name":"x","kind":"text","message":"","repeated":false}]}]}"#,
            "A.x",
        ),
    ] {
        let error = Decoder::from_json(spec.as_bytes()).unwrap_err();
        assert!(error.0.contains(words), "{error}");
    }
}

proptest! {
    #[test]
    fn whatever_is_packed_comes_back(text in proptest::collection::vec(any::<u8>(), 0..3000), again in 1..4usize) {
        // A letter in front, for what begins as JSON passes.
        let text = [b"x", &text[..].repeat(again)[..]].concat();
        let packed = [("gzip", gzip(&text)), ("zlib", zlib(&text)), ("raw deflate", deflate(&text))];
        for (name, packed) in packed {
            let mut decoder = inflate(name, 1 << 20);
            prop_assert_eq!(decoder.decode(&packed), Ok(&text[..]));
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for name in ["gzip", "zlib", "raw deflate"] {
            let mut decoder = inflate(name, 1000);
            prop_assert!(decoder.decode(&bytes).map_or(true, |text| text.len() <= 1000));
        }
        let mut decoder = protobuf();
        match decoder.decode(&bytes) {
            Ok(text) if matches!(bytes.first(), Some(b'{' | b'[')) => prop_assert_eq!(text, &bytes[..]),
            Ok(text) => prop_assert!(serde_json::from_slice::<serde_json::Value>(text).is_ok()),
            Err(_) => {}
        }
    }
}
