"""The sessions of OKX and Bybit, as their own halves tell them: words on silence, notices, refusals, four sockets of one house."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.session_manager.desk import Close, Connect, Desk

BOOK, TRADES = "books.BTC-USDT", "trades.BTC-USDT"


def okx(*channels: str) -> tuple[Desk, int]:
    """OKX with some channels, connected; the connection's number."""
    desk = Desk("okx", list(channels))
    connection = desk.open()
    return desk, connection


def granted(desk: Desk, connection: int, event: str = "subscribe") -> None:
    """OKX grants what is asked for in the messages of now."""
    for text in desk.texts():
        message = json.loads(text) if text.startswith("{") else {}
        if message.get("op") == event:
            for arg in message["args"]:
                answer = {"id": message["id"], "event": event, "arg": arg, "connId": "a4d3ae55"}
                assert desk.frame(json.dumps(answer), connection)


def test_okx_is_asked_whether_it_lives_when_it_is_silent() -> None:
    """The word goes out before the venue's 30 s are over, not while data comes, and its answer keeps the connection."""
    desk, connection = okx(TRADES)
    granted(desk, connection)
    desk.clear()
    for _ in range(6):
        desk.wait(10.0)
        desk.seen(TRADES, connection=connection)
    assert desk.texts() == []
    desk.wait(21.0)
    assert desk.texts() == ["ping"]
    assert desk.frame("pong", connection)
    desk.wait(15.0)
    assert desk.of(Close) == []


def test_okx_that_does_not_answer_is_left_before_it_has_cut() -> None:
    """A silent drop is noticed: no pong, a new connection."""
    desk, connection = okx(TRADES)
    granted(desk, connection)
    desk.clear()
    desk.wait(29.0)
    assert [close.connection for close in desk.of(Close)] == [connection]
    desk.wait(60.0)
    assert desk.of(Connect)


def test_okx_may_ask_too() -> None:
    """Some have seen the venue send the word."""
    desk, connection = okx(TRADES)
    desk.clear()
    assert desk.frame("ping", connection)
    assert desk.texts() == ["pong"]


def test_a_notice_of_okx_brings_the_next_connection_before_the_end() -> None:
    """64008 comes a minute before an upgrade: the new connection has all its channels before the old one closes."""
    desk, connection = okx(TRADES)
    granted(desk, connection)
    desk.clear()
    notice = {"event": "notice", "code": "64008", "msg": "The connection will soon be closed.", "connId": "a4d3ae55"}
    assert desk.frame(json.dumps(notice), connection)
    desk.wait(0.1)
    (heir,) = desk.of(Connect)
    assert desk.of(Close) == []
    desk.connect(heir.connection)
    granted(desk, heir.connection)
    # The old one is unsubscribed and drained before it is closed.
    desk.wait(15.0)
    assert [close.connection for close in desk.of(Close)] == [connection]


def test_a_refusal_of_okx_costs_no_other_channel() -> None:
    """The error names the request, which holds one argument."""
    desk, connection = okx(TRADES, "trades.NO-SUCH")
    number = next(json.loads(text)["id"] for text in desk.texts() if "NO-SUCH" in text)
    error = {"event": "error", "code": "60018", "msg": "Wrong URL or channel", "connId": "a4d3ae55", "id": number}
    assert desk.frame(json.dumps(error), connection)
    assert [report["channel"] for report in desk.reports("channel_refused")] == ["trades.NO-SUCH"]


def test_channels_of_okx_go_to_their_own_socket() -> None:
    """Candles and single fills are business."""
    desk, _ = okx(TRADES, "trades-all.BTC-USDT", "candle1m.BTC-USDT")
    assert [connect.url for connect in desk.of(Connect)] == [
        "wss://ws.okx.com/ws/v5/public",
        "wss://ws.okx.com/ws/v5/business",
    ]


def test_a_book_of_okx_is_got_anew_by_a_new_subscription() -> None:
    """Unsubscribe, its answer, subscribe: the stream begins with a snapshot."""
    desk, connection = okx(BOOK, TRADES)
    granted(desk, connection)
    desk.clear()
    assert desk.resync(BOOK)
    granted(desk, connection, "unsubscribe")
    asked = [(message["op"], message["args"]) for message in map(json.loads, desk.texts())]
    argument = [{"channel": "books", "instId": "BTC-USDT"}]
    assert asked == [("unsubscribe", argument), ("subscribe", argument)]


def test_deep_books_of_okx_are_spread_over_connections() -> None:
    """Thirty on one, and no more than three connections a second."""
    desk, _ = okx(*(f"books.C{number}-USDT" for number in range(100)))
    assert len(desk.of(Connect)) == 3
    desk.wait(1.01)
    assert len(desk.of(Connect)) == 4


@pytest.mark.parametrize(("code", "soon"), [(4004, True), (4008, False)])
def test_okx_says_by_code_how_soon_to_come_back(code: int, soon: bool) -> None:
    """Silence is no fault of ours; too many channels are."""
    desk, connection = okx(TRADES)
    desk.clear()
    desk.close(connection, code)
    desk.wait(1.0)
    assert bool(desk.of(Connect)) is soon


def bybit(*channels: str) -> tuple[Desk, dict[str, int]]:
    """Bybit with some channels, connected; connections by product."""
    desk = Desk("bybit", list(channels))
    desk.open()
    return desk, {connect.url.rsplit("/", 1)[1]: connect.connection for connect in desk.of(Connect)}


def sent(desk: Desk) -> list[dict[str, Any]]:
    """What was said, as JSON."""
    return [json.loads(text) for text in desk.texts()]


def test_products_of_bybit_have_sockets_of_their_own() -> None:
    """Topics go out without the product that stands before them in channel ids."""
    desk, places = bybit(
        "spot.publicTrade.BTCUSDT", "publicTrade.BTCUSDT", "inverse.tickers.BTCUSD", "option.publicTrade.BTC"
    )
    assert list(places) == ["spot", "inverse", "option", "linear"]
    topics = [message["args"] for message in sent(desk)]
    assert sorted(topics) == [["publicTrade.BTC"], ["publicTrade.BTCUSDT"], ["publicTrade.BTCUSDT"], ["tickers.BTCUSD"]]


@pytest.mark.parametrize(
    ("channel", "pong"),
    [
        ("publicTrade.BTCUSDT", '{"success":true,"ret_msg":"pong","conn_id":"a","req_id":"2","op":"ping"}'),
        ("option.publicTrade.BTC", '{"args":["1672916271846"],"op":"pong"}'),
    ],
)
def test_bybit_answers_pings_by_product(channel: str, pong: str) -> None:
    """Every 20 s whatever comes; either form keeps the connection, none ends it."""
    desk, places = bybit(channel)
    (connection,) = places.values()
    desk.seen(channel, connection=connection)
    desk.clear()
    desk.wait(21.0)
    assert [message["op"] for message in sent(desk)] == ["ping"]
    assert desk.frame(pong, connection)
    desk.wait(15.0)
    assert desk.of(Close) == []
    desk.wait(20.0)
    assert [close.connection for close in desk.of(Close)] == [connection]


def test_options_of_bybit_are_granted_without_a_number() -> None:
    """The answer lists topics; a channel without data is granted all the same."""
    desk, places = bybit("option.publicTrade.BTC")
    answer = {"success": True, "conn_id": "a", "data": {"failTopics": [], "successTopics": ["publicTrade.BTC"]}}
    assert desk.frame(json.dumps({**answer, "type": "COMMAND_RESP"}), places["option"])
    desk.clear()
    desk.wait(15.0)
    assert desk.reports("ack_timeout") == []


def test_a_topic_that_bybit_does_not_know_costs_no_other() -> None:
    """The error has the request's number; what is subscribed already counts as granted."""
    desk, places = bybit("publicTrade.BTCUSDT", "publicTrade.NOWHERE")
    for message in sent(desk):
        why = "handler not found" if "NOWHERE" in message["args"][0] else "already subscribed"
        text = {"success": False, "ret_msg": f"error:{why},topic:{message['args'][0]}", "req_id": message["req_id"]}
        assert desk.frame(json.dumps({**text, "op": "subscribe"}), places["linear"])
    assert [report["channel"] for report in desk.reports("channel_refused")] == ["publicTrade.NOWHERE"]
    desk.wait(15.0)
    assert desk.reports("ack_timeout") == []


def test_a_restart_of_bybits_full_book_ends_the_connection() -> None:
    """Nothing that was counted before holds: all is asked for anew."""
    desk, places = bybit("spot.orderbook.full.BTCUSDT")
    desk.clear()
    data = {"s": "BTCUSDT", "b": [], "a": [], "u": 1, "seq": 9}
    assert desk.frame(json.dumps({"topic": "orderbook.full.BTCUSDT", "type": "delta", "data": data}), places["spot"])
    assert [close.connection for close in desk.of(Close)] == [places["spot"]]
    desk.wait(40.0)
    assert desk.of(Connect)
