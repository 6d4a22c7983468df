//! What the hook makes of messages, of other messages, and of damage.

use proptest::prelude::*;
use serde_json::{json, Value};

use super::FixMd;

/// A whole message from a body written with `|`.
fn message(body: &str) -> Vec<u8> {
    whole(body.replace('|', "\u{1}").as_bytes())
}

fn whole(body: &[u8]) -> Vec<u8> {
    let mut made = format!("8=FIX.4.4\u{1}9={}\u{1}", body.len()).into_bytes();
    made.extend_from_slice(body);
    let sum = made.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    made.extend_from_slice(format!("10={sum:03}\u{1}").as_bytes());
    made
}

fn hook(parameters: &[(&str, &str)]) -> FixMd {
    let owned: Vec<_> = parameters.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect();
    FixMd::new(&owned).unwrap()
}

fn binance() -> FixMd {
    hook(&[("first", "25043"), ("last", "25044")])
}

fn decoded(hook: &FixMd, frame: &[u8]) -> Result<Value, &'static str> {
    let mut out = Vec::new();
    hook.write(frame, &mut out)?;
    Ok(serde_json::from_slice(&out).unwrap())
}

#[test]
fn symbol_and_ids_are_inherited_and_books_grouped() {
    let frame = message(
        "35=X|34=7|49=SPOT|52=20260102-03:04:05.678901|56=ME|262=q|268=5|\
         279=0|270=10.50|271=2|269=0|55=AAABBB|25043=5|25044=9|279=2|270=11|269=1|279=1|270=10.25|271=4|269=0|\
         279=0|270=7|271=1|269=0|55=CCCDDD|25043=1|25044=1|279=0|270=12|271=3|269=1|55=AAABBB|25043=5|25044=9|",
    );
    let value = decoded(&binance(), &frame).unwrap();
    assert_eq!(value["8"], "FIX.4.4");
    assert_eq!(value["35"], "X");
    assert_eq!(value["262"], "q");
    assert_eq!(value["sent"], "2026-01-02T03:04:05.678901Z");
    assert_eq!(
        value["books"],
        json!([
            {"symbol": "AAABBB", "first": "5", "last": "9",
             "bids": [["10.50", "2"], ["10.25", "4"]], "asks": [["11", "0"], ["12", "3"]]},
            {"symbol": "CCCDDD", "first": "1", "last": "1", "bids": [["7", "1"]], "asks": []},
        ])
    );
    assert_eq!(value["trades"], json!([]));
}

#[test]
fn trades_keep_their_fields_and_what_stands_after_the_group_is_the_messages() {
    let frame = message(
        "35=X|34=8|262=t|268=2|279=0|270=1.0|271=3|269=2|55=AAABBB|60=20260102-03:04:05|1003=67|2446=1|\
         279=0|270=1.1|271=4|269=2|1003=68|893=N|",
    );
    let value = decoded(&binance(), &frame).unwrap();
    assert_eq!(value["893"], "N");
    assert_eq!(value["books"], json!([]));
    assert_eq!(value["trades"][0]["time"], "2026-01-02T03:04:05Z");
    assert_eq!(value["trades"][1]["symbol"], "AAABBB");
    assert_eq!(value["trades"][1]["1003"], "68");
    assert_eq!(value["trades"][1].get("893"), None);
    assert_eq!(value["trades"][1].get("time"), None);
}

#[test]
fn a_snapshot_without_entries_is_an_empty_book() {
    let value = decoded(&binance(), &message("35=W|34=3|262=q|55=AAABBB|25044=12|268=0|")).unwrap();
    assert_eq!(value["books"], json!([{"symbol": "AAABBB", "last": "12", "bids": [], "asks": []}]));
}

#[test]
fn entries_keyed_by_id_are_orders() {
    let body = "35=X|34=3|262=q|268=4|279=0|269=0|278=1|55=E/U|270=1.3|271=5|279=1|269=1|278=7|280=2|270=1.4|271=6|\
                279=2|269=1|278=9|279=2|278=4|";
    let value = decoded(&hook(&[("key", "id")]), &message(body)).unwrap();
    let orders = json!([["1", "1.3", "5"], ["2", "0", "-1"], ["7", "1.4", "-6"], ["9", "0", "-1"], ["4", "0", "1"]]);
    assert_eq!(value["books"], json!([{"symbol": "E/U", "orders": orders}]));
}

#[test]
fn a_full_refresh_names_its_instrument_by_security_id_and_its_time_in_two_fields() {
    let body =
        "35=W|34=8|262=q|48=4001|22=8|268=2|269=0|270=1.39|271=45|272=20140313|273=16:59:27.683|269=1|270=1.4|271=2|";
    let value = decoded(&hook(&[]), &message(body)).unwrap();
    let book =
        json!({"symbol": "4001", "time": "2014-03-13T16:59:27.683Z", "bids": [["1.39", "45"]], "asks": [["1.4", "2"]]});
    assert_eq!(value["books"], json!([book]));
}

#[test]
fn an_instrument_list_is_an_array() {
    let value = decoded(&binance(), &message("35=y|320=all|146=2|55=A|15=U|969=0.01|55=B|15=V|")).unwrap();
    let both = json!([{"symbol": "A", "55": "A", "15": "U", "969": "0.01"}, {"symbol": "B", "55": "B", "15": "V"}]);
    assert_eq!(value["instruments"], both);
}

#[test]
fn other_entry_types_are_kept_apart() {
    let value = decoded(&hook(&[]), &message("35=W|55=A|268=2|269=7|270=9|269=0|270=8|271=1|")).unwrap();
    assert_eq!(value["others"][0]["269"], "7");
    assert_eq!(value["books"][0]["bids"], json!([["8", "1"]]));
}

#[test]
fn control_messages_are_their_fields() {
    let value = decoded(&binance(), &message("35=3|34=5|45=2|372=V|373=5|58=say \"no\" \\ now|")).unwrap();
    assert_eq!(value["58"], "say \"no\" \\ now");
    assert_eq!(value["45"], "2");
    assert_eq!(value.get("books"), None);
}

#[test]
fn data_fields_may_hold_separators() {
    let value = decoded(&binance(), &whole(b"35=A\x0195=5\x0196=a\x01=1\xff\x01108=30\x01")).unwrap();
    assert_eq!(value["108"], "30");
    assert_eq!(value["96"], "a\u{1}=1\u{fffd}");
}

#[test]
fn damage_is_refused_with_its_reason() {
    let good = message("35=W|55=A|268=1|269=0|270=8|271=1|");
    let changed = |at: usize, byte: u8| {
        let mut bad = good.clone();
        bad[at] = byte;
        bad
    };
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"".to_vec(), "fix_begin"),
        (b"{}".to_vec(), "fix_begin"),
        (good[..good.len() - 1].to_vec(), "fix_length"),
        (changed(17, b'7'), "fix_checksum"),
        (changed(good.len() - 2, b'x'), "fix_checksum"),
        (message("55=A|35=W|"), "fix_type"),
        (message("35=W|55=A|268=2|269=0|270=8|271=1|"), "fix_group"),
        (message("35=W|55=A|268=x|269=0|270=8|271=1|"), "fix_group"),
        (message("35=W|55=|268=0|"), "fix_field"),
        (message("35=W|5x=1|268=0|"), "fix_tag"),
        (message("35=X|268=1|279=0|269=0|55=A|271=1|"), "fix_price"),
        (message("35=X|268=1|279=1|269=0|55=A|270=1|"), "fix_price"),
        (message("35=X|268=1|279=2|269=0|55=A|"), "fix_price"),
        (message("35=X|268=1|279=7|269=0|55=A|270=1|271=1|"), "fix_update_action"),
        (message("35=X|268=1|279=1|278=5|270=1|271=1|"), "fix_entry_type"),
        (message("35=X|268=1|279=0|269=0|55=A|270=1|271=-1|"), "fix_size"),
    ];
    for (frame, reason) in cases {
        assert_eq!(decoded(&binance(), &frame).unwrap_err(), reason, "{}", String::from_utf8_lossy(&frame));
    }
    let unkeyed = message("35=X|268=1|279=0|269=0|55=A|270=1|271=1|");
    assert_eq!(decoded(&hook(&[("key", "id")]), &unkeyed).unwrap_err(), "fix_entry_id");
}

#[test]
fn what_the_hook_cannot_do_is_refused_at_start() {
    for (name, value) in [("key", "position"), ("key", "size"), ("first", "x"), ("last", "0"), ("depth", "5")] {
        assert!(FixMd::new(&[(name.to_string(), value.to_string())]).is_err(), "{name}={value}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_become_json(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut out = Vec::new();
        if binance().write(&bytes, &mut out).is_ok() {
            serde_json::from_slice::<Value>(&out).unwrap();
        }
    }

    #[test]
    fn any_body_that_proves_itself_is_refused_or_becomes_json(
        pairs in proptest::collection::vec(("[0-9]{1,3}", "[ -~]{0,9}"), 1..30),
        count in 0u8..4,
    ) {
        let mut body = format!("35=X|268={count}|");
        for (tag, value) in &pairs {
            body.push_str(&format!("{tag}={value}|"));
        }
        let mut out = Vec::new();
        if hook(&[("key", "id")]).write(&message(&body), &mut out).is_ok() {
            serde_json::from_slice::<Value>(&out).unwrap();
        }
    }
}
