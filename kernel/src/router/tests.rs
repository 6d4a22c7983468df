//! The router over frames of real shapes.

use super::*;
use crate::wire::Response;

const KRAKEN: &str = r#"{"is":"Routing","routes":[
    {"is":"Route","channel":"{channel}.{data.0.symbol}","when":[
        {"is":"Match","path":"channel","equals":["book","trade"],"absent":false}],"words":[]},
    {"is":"Route","channel":"{channel}","when":[
        {"is":"Match","path":"channel","equals":["instrument"],"absent":false}],"words":[]}],
    "schemas":[{"is":"ChannelSchema","glob":"book.*","schema":"MBO"},
        {"is":"ChannelSchema","glob":"instrument","schema":"DEFINITION"}]}"#;

fn router(routing: &str) -> Router {
    Router::new(routing.as_bytes(), "P", "I", 1).unwrap()
}

fn routing(routes: &str) -> String {
    format!(r#"{{"routes":[{routes}],"schemas":[{{"glob":"*","schema":"TRADES"}}]}}"#)
}

/// The channel of each frame, as the batch has it.
fn channels(router: &mut Router, frames: &[&str]) -> Vec<Option<String>> {
    let taken: Vec<bool> = frames.iter().map(|frame| router.push(0, 1, frame.as_bytes()).is_some()).collect();
    let bytes = router.take(|head, body| [head, body].concat()).map_or(Vec::new(), |(_, _, bytes)| bytes);
    let Ok(Response::Batch(batch)) = Response::parse(&bytes) else { return vec![None; frames.len()] };
    let mut payloads = batch.payloads().iter();
    let name = |taken| {
        let payload = if taken { payloads.next() } else { None };
        payload.map(|payload| batch.channels[payload.channel as usize].0.to_owned())
    };
    taken.into_iter().map(name).collect()
}

#[test]
fn frames_go_to_the_first_route_that_fits() {
    let mut router = router(KRAKEN);
    let book = r#"{"channel":"book","type":"update","data":[{"symbol":"BTC\/USD","bids":[]}]}"#;
    let trade = r#"{"data":[{"symbol":"BTC/USD"}],"channel":"trade"}"#;
    let instrument = r#"{"channel":"instrument","data":{"assets":[]}}"#;
    let control = r#"{"method":"subscribe","result":{"channel":"book"},"success":true}"#;
    let heartbeat = r#"{"channel":"heartbeat"}"#;
    let frames = [book, trade, book, instrument, control, heartbeat, book, instrument, instrument, trade, "pong", ""];
    let found = channels(&mut router, &frames);
    let found: Vec<&str> = found.iter().map(|name| name.as_deref().unwrap_or("-")).collect();
    let (b, t, i) = ("book.BTC/USD", "trade.BTC/USD", "instrument");
    assert_eq!(found, [b, t, b, i, "-", "-", b, i, i, t, "-", "-"]);
}

#[test]
fn schemas_come_from_the_first_glob_that_fits() {
    let mut router = router(KRAKEN);
    router.push(0, 1, br#"{"channel":"book","data":[{"symbol":"A"}]}"#).unwrap();
    router.push(0, 1, br#"{"channel":"trade","data":[{"symbol":"A"}]}"#).unwrap();
    router.inject("_session", "STATUS", 5, 3, b"{}");
    let (first, last, bytes) = router.take(|head, body| [head, body].concat()).unwrap();
    assert_eq!((first, last), (1, 3));
    let Response::Batch(batch) = Response::parse(&bytes).unwrap() else { panic!("a gap") };
    assert_eq!(batch.channels, [("book.A", "MBO"), ("trade.A", ""), ("_session", "STATUS")]);
}

#[test]
fn an_injected_payload_shares_the_channel_of_routed_ones() {
    let mut router = router(KRAKEN);
    for _ in 0..2 {
        router.push(0, 1, br#"{"channel":"book","data":[{"symbol":"A"}]}"#).unwrap();
        router.inject("book.A", "MBO", 2, 0, b"{}");
        let (_, _, bytes) = router.take(|head, body| [head, body].concat()).unwrap();
        let Response::Batch(batch) = Response::parse(&bytes).unwrap() else { panic!("a gap") };
        assert_eq!((batch.channels.as_slice(), batch.len()), (&[("book.A", "MBO")][..], 2));
    }
}

#[test]
fn a_frame_cut_short_behind_what_names_it_stays_on_its_channel_whatever_came_before() {
    let cut = r#"{"channel":"book","data":[{"symbol":"A","bids":[[1,"#;
    let other = r#"{"channel":"instrument","data":{}}"#;
    let mut router = router(KRAKEN);
    let found = channels(&mut router, &[cut, other, cut, cut, &cut[..30]]);
    let (a, i) = (Some("book.A".to_owned()), Some("instrument".to_owned()));
    assert_eq!(found, [a.clone(), i, a.clone(), a, None]);
}

#[test]
fn words_replace_whole_values_and_conditions_turn_round() {
    let routing = routing(
        r#"{"channel":"{type}.{id}","when":[{"path":"error","equals":[],"absent":true},
            {"path":"type","equals":["bye"],"absent":true}],"words":[["l2update","level2"]]}"#,
    );
    let mut router = router(&routing);
    let frames = [
        r#"{"type":"l2update","id":5}"#,
        r#"{"type":"l2update","id":5,"error":"x"}"#,
        r#"{"type":"bye","id":5}"#,
        r#"{"type":"l2updates","id":true,"error":null}"#,
        r#"{"type":"l2update","id":null}"#,
        r#"{"type":"l2update","id":{}}"#,
        r#"{"type":"l2update","id":"l2update"}"#,
    ];
    let found = channels(&mut router, &frames);
    let found: Vec<&str> = found.iter().map(|name| name.as_deref().unwrap_or("-")).collect();
    assert_eq!(found, ["level2.5", "-", "-", "l2updates.true", "-", "-", "level2.level2"]);
}

#[test]
fn a_condition_that_comes_last_does_not_stop_early_frames_for_good() {
    let routing = routing(
        r#"{"channel":"a.{id}","when":[{"path":"z","equals":["1"],"absent":true}],"words":[]},
            {"channel":"b.{id}","when":[],"words":[]}"#,
    );
    let mut router = router(&routing);
    let found = channels(&mut router, &[r#"{"id":1,"z":1}"#, r#"{"id":1,"z":2}"#, r#"{"id":1}"#, r#"{"id":2,"z":1}"#]);
    assert_eq!(found.into_iter().flatten().collect::<Vec<_>>(), ["b.1", "a.1", "a.1", "b.2"]);
}

#[test]
fn names_that_cannot_be_names_are_not_taken() {
    let routing = routing(r#"{"channel":"{s}","when":[],"words":[]}"#);
    let long = format!(r#"{{"s":"{}"}}"#, "x".repeat(MAX_NAME + 1));
    let found = channels(&mut router(&routing), &[r#"{"s":""}"#, &long, r#"{"s":"a\nb"}"#, r#"{"s":"\u00e9"}"#]);
    assert_eq!(found, [None, None, None, Some("é".to_owned())]);
    assert_eq!(router(&routing).push(0, 1, b"{\"s\":\"\xff\"}"), None);
}

#[test]
fn channels_without_end_are_forgotten_between_batches() {
    let mut router = router(&routing(r#"{"channel":"{s}","when":[],"words":[]}"#));
    for number in 0..=MAX_CHANNELS {
        router.push(0, 1, format!(r#"{{"s":{number}}}"#).as_bytes()).unwrap();
    }
    router.take(|_, _| ()).unwrap();
    assert_eq!((router.channels.all.len(), router.seen.len()), (0, 0));
    assert!(router.push(0, 1, br#"{"s":1}"#).is_some());
}

#[test]
fn specs_that_do_not_compile_name_the_place() {
    for (routing, place) in [
        ("", "routing: EOF"),
        (r#"{"routes":[]}"#, "schemas"),
        (&routing(r#"{"channel":"","when":[],"words":[]}"#), "routes[0]: channel \"\": it is empty"),
        (&routing(r#"{"channel":"a{b","when":[],"words":[]}"#), "not closed"),
        (&routing(r#"{"channel":"a}b","when":[],"words":[]}"#), "not opened"),
        (&routing(r#"{"channel":"{}","when":[],"words":[]}"#), "one path each"),
    ] {
        let error = Router::new(routing.as_bytes(), "P", "I", 1).unwrap_err();
        assert!(error.0.contains(place), "{error}");
    }
}
