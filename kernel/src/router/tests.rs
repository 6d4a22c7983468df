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
        (&routing(r#"{"channel":"a.{@0}","when":[],"words":[]}"#), "a key stands alone"),
        (&routing(r#"{"channel":"{@}","when":[],"words":[]}"#), "a key stands alone"),
        (r#"{"routes":[],"schemas":[],"decoder":{"is":"Hook","name":"x","parameters":[]}}"#, "no hook is named"),
    ] {
        let error = Router::new(routing.as_bytes(), "P", "I", 1).unwrap_err();
        assert!(error.0.contains(place), "{error}");
    }
}

fn line(router: &mut Router, connection: u32, frames: &[&str]) -> Vec<Option<String>> {
    let taken: Vec<bool> = frames.iter().map(|frame| router.push(connection, 1, frame.as_bytes()).is_some()).collect();
    let bytes = router.take(|head, body| [head, body].concat()).map_or(Vec::new(), |(_, _, bytes)| bytes);
    let Ok(Response::Batch(batch)) = Response::parse(&bytes) else { return vec![None; frames.len()] };
    let mut names = batch.payloads().iter().map(|payload| batch.channels[payload.channel as usize].0.to_owned());
    taken.into_iter().map(|taken| if taken { names.next() } else { None }).collect()
}

fn some(names: &[&str]) -> Vec<Option<String>> {
    names.iter().map(|name| (*name != "-").then(|| (*name).to_owned())).collect()
}

#[test]
fn keys_name_channels_on_the_connection_that_learned_them_until_they_are_forgotten() {
    let routing = routing(r#"{"channel":"{@0}","when":[],"words":[]},{"channel":"{event}.x","when":[],"words":[]}"#);
    let mut router = router(&routing);
    assert!(router.stops());
    let frames = [r"[17,[1,2]]", r#"["a\u0062",1]"#, r#"{"event":"info"}"#, "[18]", "[17]"];
    assert_eq!(line(&mut router, 1, &frames), some(&["-", "-", "info.x", "-", "-"]));
    router.connected(1, "main");
    router.connected(2, "main");
    router.learn(1, "17", "book.A");
    router.learn(1, "ab", "book.B");
    router.learn(2, "17", "trades.C");
    assert_eq!(line(&mut router, 1, &frames), some(&["book.A", "book.B", "info.x", "-", "book.A"]));
    assert_eq!(line(&mut router, 2, &frames), some(&["trades.C", "-", "info.x", "-", "trades.C"]));
    assert_eq!(line(&mut router, 1, &["[17]"]), some(&["book.A"]));
    router.forget(1, Some("17"));
    assert_eq!(line(&mut router, 1, &frames), some(&["-", "book.B", "info.x", "-", "-"]));
    // A new connection with an old number knows nothing of the one before.
    router.connected(1, "main");
    assert_eq!(line(&mut router, 1, &frames[..2]), some(&["-", "-"]));
    router.learn(1, "17", "trades.C");
    assert_eq!(line(&mut router, 1, &["[17]"]), some(&["trades.C"]));
    router.forget(2, None);
    assert_eq!(line(&mut router, 2, &["[17]"]), some(&["-"]));
    assert_eq!(line(&mut router, 1, &["[17]"]), some(&["trades.C"]));
}

#[test]
fn learned_channels_and_cursors_outlive_channels_without_end() {
    let routing = routing(
        r#"{"channel":"{@0}","when":[],"words":[]},
            {"channel":"log.{a}","when":[],"words":[],"cursor":"n"},{"channel":"{s}","when":[],"words":[]}"#,
    );
    let mut router = router(&routing);
    router.learn(3, "7", "book.A");
    assert_eq!(line(&mut router, 3, &[r#"{"a":1,"n":55}"#]), some(&["log.1"]));
    for number in 0..=MAX_CHANNELS {
        router.push(3, 1, format!(r#"{{"s":{number}}}"#).as_bytes()).unwrap();
    }
    router.take(|_, _| ()).unwrap();
    assert_eq!((router.channels.all.len(), router.seen.len()), (2, 0));
    assert_eq!(router.cursor("log.1"), "55");
    assert_eq!(line(&mut router, 3, &["[7]", r#"{"a":1}"#]), some(&["book.A", "log.1"]));
}

#[test]
fn routes_hold_for_their_endpoints_only() {
    let routing = routing(
        r#"{"channel":"linear.{topic}","when":[],"words":[],"endpoints":["linear","inverse"]},
            {"channel":"spot.{topic}","when":[],"words":[],"endpoints":["spot"]},
            {"channel":"any.{other}","when":[],"words":[]}"#,
    );
    let mut router = router(&routing);
    for (connection, endpoint) in [(1, "linear"), (2, "spot"), (3, "inverse"), (4, "option")] {
        router.connected(connection, endpoint);
    }
    let frames = [r#"{"topic":"a"}"#, r#"{"other":"b"}"#, r#"{"topic":"a","other":"b"}"#];
    for _ in 0..2 {
        assert_eq!(line(&mut router, 1, &frames), some(&["linear.a", "any.b", "linear.a"]));
        assert_eq!(line(&mut router, 2, &frames), some(&["spot.a", "any.b", "spot.a"]));
        assert_eq!(line(&mut router, 3, &frames), some(&["linear.a", "any.b", "linear.a"]));
        assert_eq!(line(&mut router, 4, &frames), some(&["-", "any.b", "any.b"]));
        assert_eq!(line(&mut router, 9, &frames), some(&["-", "any.b", "any.b"]));
    }
    assert!(!router.stops());
}

#[test]
fn a_cursor_is_the_newest_value_wherever_it_stands_in_the_frame() {
    let routing = routing(
        r#"{"channel":"logs.{s}","when":[],"words":[],"cursor":"data.-1.n"},{"channel":"{t}","when":[],"words":[]}"#,
    );
    let mut router = router(&routing);
    let other = r#"{"t":"x","data":[{"n":"no"}]}"#;
    let frames = [
        other,
        r#"{"s":"A","data":[{"n":"0x1"},{"n":"0x2"}]}"#,
        r#"{"data":[{"n":7}],"s":"B"}"#,
        other,
        r#"{"s":"A","data":[{"n":"\u0030x3"}]}"#,
        other,
        r#"{"s":"B","data":[]}"#,
        r#"{"s":"B"}"#,
        r#"{"s":"C","data":[{"n":null}]}"#,
    ];
    assert_eq!(router.cursor("logs.A"), "");
    let names = ["x", "logs.A", "logs.B", "x", "logs.A", "x", "logs.B", "logs.B", "logs.C"];
    assert_eq!(line(&mut router, 0, &frames), some(&names));
    let cursors = ["logs.A", "logs.B", "logs.C", "x", "nothing"].map(|name| router.cursor(name));
    assert_eq!(cursors, ["0x3", "7", "", "", ""]);
}

#[test]
fn globs_accept_beside_whole_values() {
    let routing = routing(
        r#"{"channel":"a.{t}","when":[{"path":"t","equals":["one"],"absent":false,"like":["book*","?x"]}],"words":[]},
            {"channel":"b.{t}","when":[{"path":"t","equals":[],"absent":true,"like":["no*"]}],"words":[]}"#,
    );
    let mut router = router(&routing);
    let frames = ["one", "books5", r"bo\u006fk", "éx", "xx2", "nope", "n"].map(|word| format!(r#"{{"t":"{word}"}}"#));
    let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
    assert_eq!(line(&mut router, 0, &frames), some(&["a.one", "a.books5", "a.book", "a.éx", "b.xx2", "-", "b.n"]));
}

#[test]
fn frames_are_decoded_to_be_routed_and_kept_as_they_came() {
    use std::io::Write;
    let routing = r#"{"routes":[{"channel":"{ch}","when":[],"words":[]}],"schemas":[],
        "decoder":{"is":"Inflate","compression":"gzip","largest":1000}}"#;
    let mut router = router(routing);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(br#"{"ch":"a"}"#).unwrap();
    let packed = packed.finish().unwrap();
    assert_eq!(router.push(0, 1, &packed), Some(1));
    assert_eq!(router.push(0, 2, br#"{"ch":"b"}"#), Some(2));
    assert_eq!(router.push(0, 3, &packed[..packed.len() - 1]), None);
    assert_eq!(router.push(0, 4, b"pong"), None);
    let (_, _, bytes) = router.take(|head, body| [head, body].concat()).unwrap();
    let Response::Batch(batch) = Response::parse(&bytes).unwrap() else { panic!("a gap") };
    assert_eq!(batch.channels, [("a", ""), ("b", "")]);
    assert_eq!(batch.payloads()[0].data, packed);
    assert_eq!(router.decode(&packed), Ok(&br#"{"ch":"a"}"#[..]));
    assert_eq!(router.decode(b"pong"), Err(Undecodable("bad_gzip")));
}

#[test]
fn another_routing_loses_nothing() {
    let keyed = r#"{"channel":"{@k}","when":[],"words":[],"endpoints":["a"],"cursor":""}"#;
    let plain = r#"{"channel":"{c}","when":[],"words":[],"endpoints":[],"cursor":""}"#;
    let mut router = router(&routing(&[plain, keyed].join(",")));
    router.connected(0, "a");
    router.learn(0, "7", "seven");
    assert!(router.push(0, 1, br#"{"c":"one"}"#).is_some());
    let other = r#"{"channel":"other","when":[{"path":"b","equals":[],"absent":false,"like":[]}],"words":[],
        "endpoints":["b"],"cursor":""}"#;
    router.reroute(routing(&[other, keyed].join(",")).as_bytes()).unwrap();
    assert_eq!(router.push(0, 2, br#"{"c":"one"}"#), None);
    assert!(router.push(0, 3, br#"{"k":7}"#).is_some());
    router.connected(1, "b");
    assert!(router.push(1, 4, br#"{"b":1}"#).is_some());
    assert_eq!(router.push(0, 5, br#"{"b":1}"#), None);
    let bytes = router.take(|head, body| [head, body].concat()).unwrap().2;
    let Ok(Response::Batch(batch)) = Response::parse(&bytes) else { panic!("no batch") };
    let names = batch.payloads().iter().map(|payload| batch.channels[payload.channel as usize].0).collect::<Vec<_>>();
    assert_eq!(names, ["one", "seven", "other"]);
    assert!(router.reroute(b"{}").is_err());
}
