"""Staying connected: heartbeats, silence, staleness, back-off, rotation, gates."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tapeline.spec.routing import Match
from tapeline.spec.session import (
    Budget,
    Carrier,
    ClientPing,
    CloseAction,
    CloseRule,
    Endpoint,
    Gate,
    Lifetime,
    Reconnect,
    ServerPing,
    Trigger,
)
from tests.session_manager.desk import Close, Connect, Desk, Fetch, Ping

DEPTH, TRADE = "btcusdt@depth@100ms", "btcusdt@trade"


def test_deribit_sets_its_heartbeat_before_subscribing() -> None:
    """The opening is sent first and its answer awaited."""
    desk = Desk("deribit", ["quote.A"])
    desk.open()
    assert desk.texts() == ['{"jsonrpc":"2.0","id":1,"method":"public/set_heartbeat","params":{"interval":30}}']
    desk.frame('{"jsonrpc":"2.0","id":1,"result":"ok","usIn":1,"usOut":2,"usDiff":1,"testnet":false}')
    assert desk.commands()[0].channels == ("quote.A",)


def test_a_missing_opening_answer_costs_the_connection() -> None:
    """An opening that is not answered in time is no opening."""
    desk = Desk("deribit", ["quote.A"])
    connection = desk.open()
    desk.wait(10.1)
    assert Close(connection, "opening timeout") in desk.of(Close)


def test_deribit_test_requests_are_answered() -> None:
    """The venue asks, the client answers at once; the answer's answer is known."""
    desk = Desk("deribit", ["quote.A"])
    desk.open()
    desk.frame('{"jsonrpc":"2.0","id":1,"result":"ok"}')
    desk.frame('{"jsonrpc":"2.0","id":2,"result":["quote.A"]}')
    assert desk.frame('{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}')
    assert desk.texts()[-1] == '{"jsonrpc":"2.0","id":3,"method":"public/test","params":{}}'
    assert desk.frame('{"jsonrpc":"2.0","id":3,"result":{"version":"1.2.26"},"usIn":1}')
    assert desk.frame('{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"heartbeat"}}')


def test_an_answer_to_a_ping_goes_before_what_waits() -> None:
    """Heartbeats do not queue behind subscriptions."""
    desk = Desk("deribit", [f"quote.I{n}" for n in range(450)])
    desk.open()
    desk.frame('{"jsonrpc":"2.0","id":1,"result":"ok"}')
    assert len(desk.texts()) == 3
    desk.frame('{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}')
    desk.wait(1.1)
    assert "public/test" in desk.texts()[3]


def test_kraken_is_pinged() -> None:
    """Every thirty seconds; the pong is known and keeps the connection."""
    desk = Desk("kraken", ["book.BTC/USD"], lifetime=Lifetime())
    desk.open()
    desk.seen("book.BTC/USD")
    desk.wait(30.1)
    assert desk.texts()[-1] == '{"method":"ping","req_id":2}'
    assert desk.frame('{"method":"pong","req_id":2,"time_in":"x","time_out":"y"}')
    desk.wait(15.0)
    assert not desk.of(Close)


def test_a_missing_pong_costs_the_connection() -> None:
    """Data does not stand for a pong where the venue owes one."""
    desk = Desk("kraken", ["book.BTC/USD"])
    connection = desk.open()
    for _ in range(41):
        desk.seen("book.BTC/USD")
        desk.wait(1.0)
    assert desk.of(Close) == [Close(connection, "pong timeout")]


def test_kraken_heartbeats_are_known_and_count_as_life() -> None:
    """A quiet market with heartbeats is alive; without, it is not."""
    desk = Desk("kraken", ["trade.BTC/USD"], client_pings=())
    connection = desk.open()
    desk.seen("trade.BTC/USD")
    for _ in range(60):
        assert desk.frame('{"channel":"heartbeat"}')
        desk.wait(1.0)
    assert not desk.of(Close)
    desk.wait(30.1)
    assert desk.of(Close) == [Close(connection, "silent")]


def test_a_ping_on_silence_waits_for_silence() -> None:
    """A bare word, sent only when nothing came; any frame or the right word answers it."""
    ping = ClientPing("ping", 5.0, 3.0, Trigger.SILENCE, Carrier.TEXT, pong=(Match("", ("pong",)),))
    desk = Desk("kraken", ["trade.BTC/USD"], client_pings=(ping,), lifetime=Lifetime())
    connection = desk.open()
    for _ in range(8):
        desk.seen("trade.BTC/USD")
        desk.wait(1.0)
    assert "ping" not in desk.texts()
    desk.wait(4.5)
    assert desk.texts()[-1] == "ping"
    assert desk.frame("pong")
    desk.wait(5.5)
    assert desk.texts().count("ping") == 2
    desk.wait(3.5)
    assert desk.of(Close) == [Close(connection, "pong timeout")]


def test_protocol_pings_can_be_the_clients() -> None:
    """A protocol ping awaits a protocol pong."""
    ping = ClientPing("", 5.0, 2.0, carrier=Carrier.PROTOCOL)
    desk = Desk("kraken", ["trade.BTC/USD"], client_pings=(ping,), lifetime=Lifetime())
    connection = desk.open()
    desk.seen("trade.BTC/USD")
    desk.wait(5.1)
    assert desk.of(Ping) == [Ping(connection)]
    desk.session.ponged(connection)
    desk.wait(4.0)
    assert not desk.of(Close)
    desk.wait(4.0)
    assert desk.of(Close) == [Close(connection, "pong timeout")]


def test_a_reply_echoes_what_the_ping_says() -> None:
    """A venue that wants its number back gets it."""
    pings = (ServerPing(Carrier.JSON, (Match("ping"),), '{"pong":${=ping}}'),)
    desk = Desk("kraken", ["trade.BTC/USD"], server_pings=pings)
    desk.open()
    assert desk.frame('{"ping":1492420473027}')
    assert desk.texts()[-1] == '{"pong":1492420473027}'


def test_back_off_grows_with_jitter_and_starts_anew() -> None:
    """Delays double up to the bound, are never all alike, and start anew after a connection that lasted."""
    desk = Desk("binance_spot", [TRADE], reconnect=Reconnect(first=1.0, longest=8.0, stable=30.0))
    desk.start()
    delays = []
    for _ in range(8):
        before = desk.now
        desk.close(desk.of(Connect)[-1].connection, 0, "refused")
        count = len(desk.of(Connect))
        while len(desk.of(Connect)) == count:
            desk.wait(0.01)
        delays.append(desk.now - before)
    for delay, bound in zip(delays, (1, 2, 4, 8, 8, 8, 8, 8), strict=True):
        assert bound / 4 <= delay <= bound + 0.05
    assert len({round(delay, 2) for delay in delays[3:]}) > 1
    connection = desk.of(Connect)[-1].connection
    desk.connect(connection)
    desk.seen(TRADE, connection=connection)
    desk.wait(31.0)
    desk.close(connection)
    assert desk.session.deadline(desk.now) - desk.now <= 1.0


def test_attempts_keep_the_venues_budget() -> None:
    """No more attempts in the window than the venue bears, whatever the back-off says."""
    desk = Desk("binance_spot", [TRADE], reconnect=Reconnect(first=0.001, longest=0.001, budget=Budget(5, 60.0)))
    desk.start()
    for _ in range(30):
        if len(desk.of(Connect)) and desk.session.lines[0].stage.value == "connecting":
            desk.close(desk.of(Connect)[-1].connection, 0, "refused")
        desk.wait(1.0)
    # The last one is kept for connections that have not failed so often.
    assert len(desk.of(Connect)) == 4
    desk.wait(35.0)
    assert len(desk.of(Connect)) > 4


def test_alternatives_are_tried_after_failures() -> None:
    """A second address stands in for the first."""
    desk = Desk("binance_spot", [TRADE])
    desk.start()
    desk.close(0, 0, "refused")
    desk.wait(2.0)
    assert [connect.url for connect in desk.of(Connect)][1] == "wss://data-stream.binance.vision/stream"


def test_an_attempt_that_hangs_is_given_up() -> None:
    """A handshake without an end is ended."""
    desk = Desk("binance_spot", [TRADE])
    desk.start()
    desk.wait(11.5)
    assert desk.of(Close) == [Close(0, "connect timeout")]


@pytest.mark.parametrize(("action", "least", "most"), [(CloseAction.NOW, 0.0, 0.01), (CloseAction.WAIT, 600.0, 600.1)])
def test_close_codes_have_meanings(action: CloseAction, least: float, most: float) -> None:
    """A close code says when to come back."""
    desk = Desk("binance_spot", [TRADE], closes=(CloseRule((4001,), action, 600.0),), reconnect=Reconnect())
    connection = desk.open()
    desk.close(connection, 4001)
    began = desk.now
    while len(desk.of(Connect)) == 1:
        desk.wait(0.005 if most < 1 else 10.0)
        assert desk.now - began <= most + 10
    assert least <= desk.now - began


def test_a_fatal_close_is_the_end() -> None:
    """A venue that says never again is believed."""
    desk = Desk("binance_spot", [TRADE], closes=(CloseRule((4999,), CloseAction.FATAL),))
    connection = desk.open()
    desk.close(connection, 4999)
    desk.wait(1000.0)
    assert len(desk.of(Connect)) == 1


def test_the_stream_hears_of_up_and_down() -> None:
    """Connections are numbered from 0 in each epoch; each says when it is up and why it went down."""
    desk = Desk("binance_spot", [TRADE])
    desk.open()
    desk.close(0, 1006, "gone")
    desk.wait(1.0)
    desk.connect(1)
    assert desk.session_events() == [
        {"event": "up", "connection": 0, "reason": ""},
        {"event": "down", "connection": 0, "reason": "closed 1006 gone"},
        {"event": "up", "connection": 1, "reason": ""},
    ]


def test_everything_is_subscribed_again() -> None:
    """A new connection asks for all channels, refused ones too."""
    desk = Desk("binance_spot", [TRADE])
    desk.open()
    desk.frame('{"error":{"code":2,"msg":"no"},"id":1}')
    desk.close(0)
    desk.wait(1.0)
    desk.connect(1)
    assert [asked.channels for asked in desk.commands()] == [(TRADE,), (TRADE,)]


def test_a_stale_channel_is_subscribed_anew() -> None:
    """One silent channel among lively ones is told of and renewed; the others are left alone."""
    desk = Desk("kraken", ["book.BTC/USD", "book.ETH/USD"], client_pings=())
    desk.open()
    desk.seen("book.BTC/USD", "book.ETH/USD")
    for _ in range(122):
        desk.seen("book.ETH/USD")
        desk.wait(1.0)
    assert [event for event in desk.session_events() if event["event"] == "stale"] == [
        {"event": "stale", "connection": 0, "reason": "cadence", "channel": "book.BTC/USD"}
    ]
    assert desk.commands()[-1].channels == ("book.BTC/USD",)
    assert desk.commands()[-1].operation.value == "unsubscribe"
    assert not desk.of(Close)


def test_a_connection_whose_channels_are_all_stale_is_made_anew() -> None:
    """Heartbeats alone do not make a feed."""
    desk = Desk("kraken", ["book.BTC/USD", "book.ETH/USD"], client_pings=())
    connection = desk.open()
    desk.seen("book.BTC/USD", "book.ETH/USD")
    for _ in range(122):
        desk.frame('{"channel":"heartbeat"}')
        desk.wait(1.0)
    assert desk.of(Close) == [Close(connection, "stale")]


def test_a_connection_is_replaced_before_its_age_ends() -> None:
    """The next connection is subscribed before the old one is closed."""
    desk = Desk("binance_spot", [TRADE], lifetime=Lifetime(max_age=100.0, overlap=10.0), server_pings=())
    desk.open()
    desk.frame('{"result":null,"id":1}')
    desk.wait(90.5)
    assert len(desk.of(Connect)) == 2
    desk.connect(1)
    assert not desk.of(Close)
    desk.frame('{"result":null,"id":1}', connection=1)
    desk.wait(0.1)
    assert not desk.of(Close)
    desk.seen(TRADE, connection=1)
    desk.drain(0)
    assert desk.of(Close) == [Close(0, "rotated")]
    assert len(desk.session.lines) == 1
    # Nothing was lost with it: the stream hears of no connection that went down.
    assert [event["event"] for event in desk.session_events()] == ["up", "up"]


def test_rotation_keeps_the_successors_snapshot() -> None:
    """The snapshot the new connection has asked for survives the end of the old one."""
    desk = Desk("binance_spot", [DEPTH], lifetime=Lifetime(max_age=100.0, overlap=10.0), server_pings=())
    desk.open()
    desk.seen(DEPTH)
    desk.answer(desk.of(Fetch)[0].key)
    desk.wait(50.0)
    desk.seen(DEPTH)
    desk.wait(40.5)
    desk.connect(1)
    desk.frame('{"result":null,"id":1}', connection=1)
    desk.seen(DEPTH, connection=1)
    desk.drain(0)
    assert desk.of(Close) == [Close(0, "rotated")]
    assert len(desk.of(Fetch)) == 2
    desk.answer(desk.of(Fetch)[1].key, b"[2]")
    assert desk.payloads(DEPTH) == [b"{}", b"[2]"]


def test_a_notice_rotates_early() -> None:
    """A venue that says it will shut down is left in time."""
    desk = Desk("binance_spot", [TRADE])
    desk.open()
    desk.frame('{"result":null,"id":1}')
    assert desk.frame('{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}')
    desk.wait(0.1)
    assert len(desk.of(Connect)) == 2


def test_a_gate_holds_the_first_message() -> None:
    """Nothing is sent before the venue's welcome, and not before the delay it wants."""
    spec = Desk("kraken", []).spec
    endpoint: Endpoint = replace(spec.endpoints[0], gate=Gate((Match("channel", ("status",)),), delay=1.0))
    rules = tuple(rule for rule in spec.rules if rule.name != "status")
    desk = Desk("kraken", ["book.BTC/USD"], endpoints=(endpoint,), rules=rules)
    desk.open()
    desk.wait(2.0)
    assert not desk.texts()
    assert desk.frame('{"channel":"status","type":"update","data":[]}')
    desk.wait(0.1)
    assert desk.commands()


def test_a_gate_that_stays_shut_costs_the_connection() -> None:
    """A welcome that never comes is waited for only so long."""
    spec = Desk("kraken", []).spec
    endpoint = replace(spec.endpoints[0], gate=Gate((Match("type", ("welcome",)),), timeout=3.0))
    desk = Desk("kraken", ["book.BTC/USD"], endpoints=(endpoint,))
    connection = desk.open()
    desk.wait(3.1)
    assert desk.of(Close) == [Close(connection, "gate timeout")]
