//! Paths found in payloads, and grammar refused.

use super::*;

#[test]
fn a_star_is_the_first_array_or_object_that_no_path_names() -> Result<(), JsonError> {
    let payload = r#"{"error":[],"result":{"n":1,"last":[7],"XXBTZUSD":[[1],[2]],"other":[3]}}"#;
    assert_eq!(
        find(&["result.*.1.0", "result.last.0", "result.*"], payload)?,
        ["Number 2", "Number 7", "Array [[1],[2]]"]
    );
    assert_eq!(find(&["result.*"], r#"{"result":{"last":"1"}}"#)?, ["Absent "]);
    Ok(())
}

#[test]
fn the_items_of_an_object_are_its_values() -> Result<(), JsonError> {
    let payload = br#"{ "a" : {"b":1} , "c":[2]}"#;
    let texts: Vec<&[u8]> = items(payload)?.into_iter().map(|(start, end)| &payload[start..end]).collect();
    assert_eq!(texts, [&br#"{"b":1}"#[..], b"[2]"]);
    assert_eq!(items(b"{}")?, []);
    assert!(items(br#"{"a"}"#).is_err() && items(b"7").is_err());
    Ok(())
}

fn find(paths: &[&str], payload: &str) -> Result<Vec<String>, JsonError> {
    let mut tree = Tree::default();
    let slots: Vec<u16> = paths.iter().map(|path| tree.slot(path)).collect();
    let mut found = Found::default();
    tree.scan(payload.as_bytes(), &mut found)?;
    Ok(slots
        .iter()
        .map(|slot| {
            let value = found.slots[usize::from(*slot)];
            format!("{:?} {}", value.kind, String::from_utf8_lossy(value.of(payload.as_bytes())))
        })
        .collect())
}

#[test]
fn finds_nested_values_and_keeps_their_text() {
    let payload = r#"{"stream":"a@b","data":{"p":"1.50","m":true,"q":[1,2.50,{"x":null}]} }"#;
    let found = find(&["stream", "data.p", "data.m", "data.q.1", "data.q.2.x", "data.q.-3", "no"], payload);
    assert_eq!(
        found,
        Ok(["Text a@b", "Text 1.50", "Bool true", "Number 2.50", "Null null", "Number 1", "Absent "]
            .map(String::from)
            .to_vec())
    );
}

#[test]
fn a_number_is_a_place_of_an_array_and_a_key_of_an_object() {
    let found = find(&["35", "trades.0.270", "0"], r#"{"35":"X","trades":[{"270":"1.5"}],"0":7}"#);
    assert_eq!(found, Ok(["Text X", "Text 1.5", "Number 7"].map(String::from).to_vec()));
    assert_eq!(find(&["0", "-1"], "[5,6]"), Ok(["Number 5", "Number 6"].map(String::from).to_vec()));
}

#[test]
fn broken_payloads_are_errors() {
    for payload in [
        "",
        "{",
        "{\"a\"",
        "{\"a\":}",
        "{\"a\":1,}",
        "[1 2]",
        "{\"a\":01}",
        "{\"a\":1}x",
        "\"\u{1}\"",
        "{\"a\":tru}",
        "{\"a\":-}",
        "{\"a\":1.}",
        "{\"a\":1e}",
        "[\"\\x\"]",
        "[\"\\u12g4\"]",
    ] {
        assert!(find(&["a"], payload).is_err(), "{payload:?}");
    }
    let deep = "[".repeat(100_000);
    assert_eq!(find(&["a"], &deep), Err(JsonError::TooDeep));
}

#[test]
fn agrees_with_serde_json_on_what_is_json() {
    use proptest::prelude::*;
    proptest!(|(text in r#"[\[\]{}:,"\\0-9a-z\.\-+eE tfn]{0,24}"#)| {
        let ours = find(&["a.b", "0"], &text).is_ok();
        let theirs = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
        prop_assert_eq!(ours, theirs);
    });
}

#[test]
fn rows_of_arrays_and_of_objects() {
    let mut tree = Tree::default();
    let pairs = tree.rows("b", Columns::Places);
    let objects = tree.rows("d.0.bids", Columns::Keys(vec![b"price"[..].into(), b"qty"[..].into()]));
    let payload = br#"{"b":[["1.0","2"],["3","4","x",5]],"d":[{"bids":[{"qty":0.50,"price":7}]}]}"#;
    let mut found = Found::default();
    assert_eq!(tree.scan(payload, &mut found), Ok(()));
    let text = |list: u16, row: usize, column: usize| {
        String::from_utf8_lossy(found.rows[usize::from(list)][row][column].of(payload)).into_owned()
    };
    assert_eq!((text(pairs, 1, 0), text(pairs, 1, 1), text(pairs, 1, 2)), ("3".into(), "4".into(), "x".into()));
    assert_eq!((text(objects, 0, 0), text(objects, 0, 1)), ("7".into(), "0.50".into()));
}

#[test]
fn stops_at_the_goal() {
    let mut tree = Tree::default();
    let slot = tree.slot("stream");
    let mut found = Found::default();
    assert_eq!(tree.scan_until(br#"{"stream":"x","data":{"bro"#, &mut found, 1 << slot), Ok(()));
    assert_eq!(found.slots[usize::from(slot)].kind, Kind::Text);
}
