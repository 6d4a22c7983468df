"""Subscribing: acks of every form, refusals, pacing, sharding, clean leaving."""

from __future__ import annotations

from dataclasses import replace

import pytest

from session_manager.session.plan import for_symbols, plan
from tapeline.errors import UsageError
from tapeline.spec.session import Budget, Pacing
from tapeline.spec.subscribe import Operation
from tests.session_manager.desk import Close, Connect, Desk, Fetch, Send

DEPTH, TRADE = "btcusdt@depth@100ms", "btcusdt@trade"
SUBSCRIPTIONS = '{"type":"subscriptions","channels":[%s]}'


def test_instruments_come_before_the_connection() -> None:
    """The instrument list is asked for first; the connection is opened once it has been answered."""
    desk = Desk("binance_spot", ["exchangeInfo", TRADE])
    desk.take(desk.session.start(desk.now))
    assert [fetch.url for fetch in desk.of(Fetch)] == ["https://api.binance.com/api/v3/exchangeInfo"]
    assert not desk.of(Connect)
    desk.answer(desk.of(Fetch)[0].key, b'{"symbols":[]}')
    assert desk.payloads("exchangeInfo") == [b'{"symbols":[]}']
    assert [connect.url for connect in desk.of(Connect)] == ["wss://stream.binance.com/stream"]


def test_a_failed_instrument_list_does_not_stop_the_stream() -> None:
    """A failure is reported, the connection opened nonetheless, the list asked for again."""
    desk = Desk("binance_spot", ["exchangeInfo", TRADE])
    desk.take(desk.session.start(desk.now))
    desk.answer(desk.of(Fetch)[0].key, status=500)
    assert desk.of(Connect)
    assert desk.reports("request_failed")[0]["reason"] == "status 500"
    desk.wait(1.5)
    assert len(desk.of(Fetch)) == 2


def test_a_slow_instrument_list_does_not_hold_the_stream() -> None:
    """After five seconds the connection is opened without it."""
    desk = Desk("binance_spot", ["exchangeInfo", TRADE])
    desk.take(desk.session.start(desk.now))
    desk.wait(4.9)
    assert not desk.of(Connect)
    desk.wait(0.2)
    assert desk.of(Connect)


def test_the_error_body_of_a_status_200_is_a_failure() -> None:
    """An answer that says it failed is not passed on as data."""
    desk = Desk("binance_spot", ["exchangeInfo", TRADE])
    desk.take(desk.session.start(desk.now))
    desk.answer(desk.of(Fetch)[0].key, b'{"code":-1003,"msg":"too much"}')
    assert desk.reports("request_failed")
    assert not desk.payloads("exchangeInfo")


def test_retry_after_holds_all_requests() -> None:
    """A venue that says when to come back is not asked anything before."""
    desk = Desk("binance_spot", ["exchangeInfo", DEPTH])
    desk.take(desk.session.start(desk.now))
    desk.answer(desk.of(Fetch)[0].key, status=429, retry_after=7.0)
    desk.connect(0)
    desk.seen(DEPTH)
    desk.wait(6.8)
    assert len(desk.of(Fetch)) == 1
    desk.wait(0.5)
    assert len(desk.of(Fetch)) == 3


def test_an_ack_by_id_grants_the_whole_message() -> None:
    """Binance answers a message by its number."""
    desk = Desk("binance_spot", [DEPTH, TRADE])
    desk.open()
    assert desk.texts() == [f'{{"method":"SUBSCRIBE","params":["{DEPTH}","{TRADE}"],"id":1}}']
    assert not desk.session.lines[0].subscriptions.settled
    assert desk.frame('{"result":null,"id":1}')
    assert desk.session.lines[0].subscriptions.settled


def test_a_number_never_asked_is_unknown() -> None:
    """An answer to nothing is not swallowed."""
    desk = Desk("binance_spot", [TRADE])
    desk.open()
    assert not desk.frame('{"result":null,"id":77}')
    assert not desk.frame('{"what":"is this"}')
    assert not desk.frame("bare words")


def test_an_error_refuses_the_message() -> None:
    """Binance's error refuses all channels of the message, each of which is reported."""
    desk = Desk("binance_spot", [DEPTH, TRADE])
    desk.open()
    assert desk.frame('{"error":{"code":2,"msg":"Invalid request"},"id":1}')
    assert [report["channel"] for report in desk.reports("channel_refused")] == [DEPTH, TRADE]
    assert desk.reports("channel_refused")[0]["reason"] == "Invalid request"


def test_an_accepted_list_is_compared() -> None:
    """Deribit lists what it accepted; what is missing was refused."""
    book, trades = "book.BTC-PERPETUAL.raw", "trades.BTC-PERPETUAL.raw"
    desk = Desk("deribit", [book, trades])
    desk.open()
    assert desk.frame('{"jsonrpc":"2.0","id":1,"result":"ok"}')
    assert desk.commands()[0].channels == (book, trades)
    assert desk.frame(f'{{"jsonrpc":"2.0","id":2,"result":["{trades}"]}}')
    assert [report["channel"] for report in desk.reports("channel_refused")] == [book]


def test_kraken_answers_each_symbol() -> None:
    """Every symbol has an answer of its own; a refused one leaves the others."""
    desk = Desk("kraken", ["book.BTC/USD", "book.NO/PE"])
    desk.open()
    ack = '{"method":"subscribe","result":{"channel":"book","depth":10,"snapshot":true,"symbol":"BTC/USD"},"success":true,"req_id":1}'
    assert desk.frame(ack)
    refusal = (
        '{"error":"Currency pair not supported NO/PE","method":"subscribe","req_id":1,"success":false,"symbol":"NO/PE"}'
    )
    assert desk.frame(refusal)
    assert [report["channel"] for report in desk.reports("channel_refused")] == ["book.NO/PE"]
    assert desk.session.lines[0].subscriptions.settled


def test_already_subscribed_is_a_grant() -> None:
    """An error that says the wish is fulfilled is one."""
    desk = Desk("kraken", ["book.BTC/USD"])
    desk.open()
    desk.frame('{"error":"Already subscribed","method":"subscribe","req_id":1,"success":false,"symbol":"BTC/USD"}')
    assert desk.session.lines[0].subscriptions.settled
    assert not desk.reports("channel_refused")


def test_a_state_answers_the_oldest_message() -> None:
    """Coinbase answers with all it has; under other names for the batched book."""
    desk = Desk("coinbase", ["matches.BTC-USD", "level2.BTC-USD"])
    desk.open()
    assert [asked.channels for asked in desk.commands()] == [("matches.BTC-USD",), ("level2.BTC-USD",)]
    matches = '{"name":"matches","product_ids":["BTC-USD"]}'
    desk.frame(SUBSCRIPTIONS % matches)
    assert not desk.session.lines[0].subscriptions.settled
    desk.frame(SUBSCRIPTIONS % (matches + ',{"name":"level2_50","product_ids":["BTC-USD"],"account_ids":null}'))
    assert desk.session.lines[0].subscriptions.settled
    assert not desk.reports("channel_refused")


def test_an_error_without_an_address_refuses_the_oldest_message() -> None:
    """Coinbase's error does not say what it is about: it answers in order."""
    desk = Desk("coinbase", ["matches.NO-PE", "ticker.BTC-USD"])
    desk.open()
    desk.frame('{"type":"error","message":"Failed to subscribe","reason":"NO-PE is not a valid product"}')
    desk.frame(SUBSCRIPTIONS % '{"name":"ticker","product_ids":["BTC-USD"]}')
    assert [report["channel"] for report in desk.reports("channel_refused")] == ["matches.NO-PE"]
    assert desk.session.lines[0].subscriptions.settled


def test_full_carries_the_matches() -> None:
    """The channel whose messages another one carries too is left out, and said so."""
    desk = Desk("coinbase", ["full.BTC-USD", "matches.BTC-USD", "matches.ETH-USD"])
    desk.open()
    assert [asked.channels for asked in desk.commands()] == [("full.BTC-USD",), ("matches.ETH-USD",)]
    assert desk.reports("channel_left_out") == [{"channel": "matches.BTC-USD", "reason": "contained in full.BTC-USD"}]


def test_data_before_the_ack_grants() -> None:
    """A channel that has data is subscribed, whatever is still to be answered."""
    desk = Desk("deribit", ["book.A.raw", "trades.A.raw"])
    desk.open()
    desk.frame('{"jsonrpc":"2.0","id":1,"result":"ok"}')
    desk.seen("book.A.raw", "trades.A.raw")
    assert desk.session.lines[0].subscriptions.settled
    assert desk.frame('{"jsonrpc":"2.0","id":2,"result":["book.A.raw","trades.A.raw"]}')


def test_rate_limited_messages_are_sent_again() -> None:
    """An error that asks to wait is obeyed."""
    desk = Desk("deribit", ["book.A.raw"])
    desk.open()
    desk.frame('{"jsonrpc":"2.0","id":1,"result":"ok"}')
    desk.frame('{"jsonrpc":"2.0","id":2,"error":{"code":10028,"message":"too_many_requests"}}')
    desk.wait(1.9)
    assert len(desk.commands()) == 1
    desk.wait(0.2)
    assert [asked.channels for asked in desk.commands()] == [("book.A.raw",)] * 2
    assert not desk.reports("channel_refused")


def test_an_unanswered_message_costs_the_connection() -> None:
    """Without an answer in time the connection is made anew, and says why."""
    desk = Desk("binance_spot", [TRADE])
    connection = desk.open()
    desk.wait(10.1)
    assert desk.reports("ack_timeout")
    assert desk.of(Close) == [Close(connection, "ack timeout")]
    desk.wait(1.0)
    assert len(desk.of(Connect)) == 2


def test_messages_keep_the_venues_pace() -> None:
    """No more messages in a second than the venue takes."""
    desk = Desk("coinbase", [f"ticker.C{n}-USD" for n in range(200)], pacing=Pacing((Budget(2, 1.0),)))
    desk.spec = replace(desk.spec)
    desk.open()
    assert len(desk.of(Send)) == 2
    desk.wait(0.9)
    assert len(desk.of(Send)) == 2
    desk.wait(0.2)
    assert len(desk.of(Send)) == 4


def test_channels_are_sharded_over_connections() -> None:
    """More channels than one connection carries open a second one; products on another path one of their own."""
    desk = Desk("deribit", [f"quote.I{n}" for n in range(501)])
    desk.open()
    assert len(desk.of(Connect)) == 2
    usdm = Desk("binance_usdm", [DEPTH, "btcusdt@markPrice@1s"])
    usdm.open()
    assert [connect.url for connect in usdm.of(Connect)] == [
        "wss://fstream.binance.com/public/stream",
        "wss://fstream.binance.com/market/stream",
    ]


def test_more_connections_than_the_venue_allows_are_refused() -> None:
    """A plan the venue would not bear is refused at start."""
    desk = Desk("deribit", [])
    with pytest.raises(UsageError, match="the venue allows 32"):
        plan(desk.spec, [f"quote.I{n}" for n in range(500 * 32 + 1)])


def test_unknown_channels_are_left_out_aloud() -> None:
    """A channel no family knows is reported and does not cost the others."""
    desk = Desk("kraken", ["book.BTC/USD", "nonsense"])
    desk.open()
    assert desk.reports("channel_left_out")[0]["channel"] == "nonsense"
    assert [asked.channels for asked in desk.commands()] == [("book.BTC/USD",)]


def test_symbols_become_channels() -> None:
    """Symbols, or the venue's own choice, give channel ids with the instrument channel."""
    spec = Desk("kraken", []).spec
    assert for_symbols(spec, ["XRP/USD"]) == ["instrument", "book.XRP/USD", "trade.XRP/USD", "ticker.XRP/USD"]
    assert "btcusdt@trade" in for_symbols(Desk("binance_spot", []).spec, ["BTCUSDT"])
    assert "book.BTC-PERPETUAL.100ms" in for_symbols(Desk("deribit", []).spec, [])


def test_stopping_unsubscribes_and_closes() -> None:
    """The end is clean: unsubscribe, wait for the answer a moment, close."""
    desk = Desk("binance_spot", [TRADE])
    connection = desk.open()
    desk.frame('{"result":null,"id":1}')
    desk.take(desk.session.stop(desk.now))
    assert desk.commands()[-1].operation is Operation.UNSUBSCRIBE
    assert not desk.session.stopped
    desk.frame('{"result":null,"id":2}')
    assert desk.session.stopped
    assert desk.of(Close) == [Close(connection, "stopped")]


def test_stopping_does_not_wait_long() -> None:
    """Without an answer it closes after a second."""
    desk = Desk("binance_spot", [TRADE])
    desk.open()
    desk.frame('{"result":null,"id":1}')
    desk.take(desk.session.stop(desk.now))
    desk.wait(1.1)
    assert desk.session.stopped
