//! Hostile frames, and the exact numbers of real ones, are in `tests/kernel/test_ethereum.py`; here is what no input may do.

#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

const POOL: &str = "0x88e6a0c2ddd26feeb64f039a2c41296fcb3f5640";
const HASH: &str = "0xf41b2a06635c8e55044610e90261feda7d093d7a443ebb98298bbac6e4f61c59";

fn hook() -> Box<dyn Hook> {
    let pool = (POOL.to_string(), "v3 USDC-WETH USDC 6 WETH 18 15 2".to_string());
    make(&[("overlap".to_string(), "12".to_string()), pool]).unwrap()
}

fn decoded(frame: &str) -> Option<String> {
    let mut out = Vec::new();
    let made = hook().decode(frame.as_bytes(), &mut out).unwrap();
    made.then(|| String::from_utf8(out).unwrap())
}

fn log(amounts: &str) -> String {
    format!(
        "{{\"address\":\"{POOL}\",\"topics\":[\"{SWAP_V3}\"],\"data\":\"0x{amounts}{}\",\"blockNumber\":\"0x137b559\",\
         \"blockHash\":\"{HASH}\",\"logIndex\":\"0x28\",\"removed\":false}}",
        "0".repeat(192)
    )
}

fn push(log: &str) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"method\":\"eth_subscription\",\"params\":{{\"subscription\":\"0x1\",\"result\":{log}}}}}"
    )
}

#[test]
fn what_is_not_of_logs_or_heads_passes() {
    for frame in [
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0x9cef478923ff08bf67fde6c64013158d\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32005,\"message\":\"query returned more than 10000 results\"}}",
        "{\"id\":1,\"result\":[1,2]}",
        "{\"method\":\"eth_subscription\",\"params\":{\"subscription\":\"0x1\",\"result\":{\"syncing\":true}}}",
        "[1]",
        "",
        "{\"id\":",
    ] {
        assert_eq!(decoded(frame), None, "{frame}");
    }
}

#[test]
fn parameters_that_describe_no_pool_are_refused() {
    for (name, value) in [
        ("overlap", "-1"),
        ("0x88", "v3 USDC-WETH USDC 6 WETH 18 15 2"),
        (POOL, "v4 USDC-WETH USDC 6 WETH 18 15 2"),
        (POOL, "v3 USDC\"WETH USDC 6 WETH 18 15 2"),
        (POOL, "v3 USDC-WETH USDC 6 WETH 18 3 2"),
        (POOL, "v3 USDC-WETH USDC 6 WETH 18 15 7"),
        (POOL, "v3 USDC-WETH USDC 6 WETH 18 15"),
    ] {
        assert!(make(&[(name.to_string(), value.to_string())]).is_err(), "{name} {value}");
    }
}

#[test]
fn a_swap_that_has_no_price_says_why() {
    let two = format!("{:0>64}{:0>64}", "1", "2");
    assert!(decoded(&push(&log(&two))).unwrap().contains("\"odd\":\"swap without a counterpart\""));
    let none = format!("{:0>64}{:0>64}", "0", "2");
    assert!(decoded(&push(&log(&none))).unwrap().contains("\"odd\":\"swap of nothing\""));
}

proptest! {
    #[test]
    fn any_amounts_come_to_json(amounts in "[0-9a-f]{128}") {
        let text = decoded(&push(&log(&amounts))).unwrap();
        prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
    }

    #[test]
    fn damaged_frames_are_told_apart_without_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut frame = push(&log(&"7f".repeat(64))).into_bytes();
        let at = at.index(frame.len());
        if cut {
            frame.truncate(at);
        } else {
            frame[at] = byte;
        }
        let mut out = Vec::new();
        if hook().decode(&frame, &mut out) == Ok(true) {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok());
        }
    }

    #[test]
    fn anything_may_come(frame in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = hook().decode(&frame, &mut Vec::new());
    }
}
