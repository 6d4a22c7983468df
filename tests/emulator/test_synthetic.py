"""What synthetic venues say is true: ids, links, checksums, orders and snapshots, checked slowly and independently."""

from __future__ import annotations

import asyncio
import json
import time
from decimal import Decimal
from typing import Any

import pytest

from emulator.reel import Reel
from emulator.run import Options
from emulator.venue import Ask, Asked, emulation
from tests.emulator.checkers import BinanceChecker, Book, CoinbaseChecker, DeribitChecker, KrakenChecker
from tests.emulator.client import Client, running, subscribe

ENOUGH = 12_000
"""Frames: more than two turns of the loop."""


async def _collect(client: Client, count: int) -> list[Any]:
    await client.enough(count)
    assert client.transport is not None
    client.transport.underlying_transport.pause_reading()
    return client.messages()


@pytest.mark.parametrize(
    ("venue", "path", "symbol"),
    [
        ("binance_spot", "api.binance.com/api/v3", "ETHUSDT"),
        ("binance_usdm", "fapi.binance.com/fapi/v1", "ETHUSDT"),
        ("binance_coinm", "dapi.binance.com/dapi/v1", "ETHUSD_PERP"),
    ],
)
async def test_binance_book_joins_and_agrees_with_its_top(venue: str, path: str, symbol: str) -> None:
    """Deltas link, the REST snapshot joins them by the venue's rule, and the book's top is the bookTicker's."""
    async with running(Options((venue,), rate=20_000)) as emulator:
        streams = [f"{symbol.lower()}@{kind}" for kind in ("depth@100ms", "bookTicker", "trade")]
        client = await emulator.connect(venue, *subscribe(venue, streams))
        await client.enough(500)
        body = (await emulator.get(f"{venue}/{path}/depth?symbol={symbol}&limit=1000")).json()
        messages = await _collect(client, ENOUGH)
    assert messages[0] == {"result": None, "id": "1"}
    checker = BinanceChecker(futures=venue != "binance_spot")
    for message in messages[1:300]:
        checker.take(message["stream"], message["data"])
    checker.snapshot(body)
    for message in messages[300:]:
        checker.take(message["stream"], message["data"])
    assert checker.applied > 1000
    assert checker.compared > 1000


async def test_binance_instruments_fit_the_stream() -> None:
    """Prices and sizes are whole multiples of the steps in exchangeInfo."""
    async with running(Options(("binance_spot",), rate=20_000)) as emulator:
        listed = (await emulator.get("binance_spot/api.binance.com/api/v3/exchangeInfo")).json()["symbols"]
        names = [entry["symbol"] for entry in listed]
        client = await emulator.connect(
            "binance_spot", *subscribe("binance_spot", [f"{n.lower()}@trade" for n in names])
        )
        messages = await _collect(client, 500)
    steps = {
        entry["symbol"]: {f["filterType"]: Decimal(f.get("tickSize") or f.get("stepSize")) for f in entry["filters"]}
        for entry in listed
    }
    for message in messages[1:]:
        trade = message["data"]
        assert Decimal(trade["p"]) % steps[trade["s"]]["PRICE_FILTER"] == 0
        assert Decimal(trade["q"]) % steps[trade["s"]]["LOT_SIZE"] == 0
    assert {message["data"]["s"] for message in messages[1:]} == set(names)


@pytest.mark.parametrize("depth", [10, 25])
async def test_kraken_checksums_hold_at_any_depth(depth: int) -> None:
    """Every book message's CRC32 fits a client's book that truncates as the venue tells."""
    asked = {"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USD", "SOL/USD"], "depth": depth}}
    async with running(Options(("kraken",), rate=20_000)) as emulator:
        client = await emulator.connect("kraken", asked)
        messages = await _collect(client, 3000)
    assert messages[0]["channel"] == "status"
    assert messages[1]["result"] == {"channel": "book", "depth": str(depth), "snapshot": True, "symbol": "BTC/USD"}
    checkers = {"BTC/USD": KrakenChecker(depth), "SOL/USD": KrakenChecker(depth)}
    for message in messages:
        if message.get("channel") == "book":
            checkers[message["data"][0]["symbol"]].take(message)
    assert all(checker.checked > 1000 for checker in checkers.values())


async def test_kraken_trades_ticker_and_instruments() -> None:
    """Trade ids rise by one, tops are not crossed, the instrument snapshot lists every symbol."""
    channels = ["trade.ETH/USD", "ticker.ETH/USD", "instrument"]
    async with running(Options(("kraken",), rate=20_000)) as emulator:
        client = await emulator.connect("kraken", *subscribe("kraken", channels))
        messages = await _collect(client, 3000)
    ids = [int(m["data"][0]["trade_id"]) for m in messages if m.get("channel") == "trade"]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert len(ids) > 500
    tops = [m["data"][0] for m in messages if m.get("channel") == "ticker"]
    assert all(Decimal(top["bid"]) < Decimal(top["ask"]) for top in tops)
    pairs = next(m for m in messages if m.get("channel") == "instrument")["data"]["pairs"]
    assert {pair["symbol"] for pair in pairs} >= {"BTC/USD", "ETH/USD"}


async def test_deribit_changes_link_and_actions_fit() -> None:
    """prev_change_id is the last change_id; new, change and delete fit the book; trade_seq rises by one."""
    names = [f"{kind}.ETH-PERPETUAL.raw" for kind in ("book", "trades", "ticker")] + ["quote.ETH-PERPETUAL"]
    async with running(Options(("deribit",), rate=20_000)) as emulator:
        client = await emulator.connect("deribit", *subscribe("deribit", names))
        messages = await _collect(client, ENOUGH)
    assert messages[0]["result"] == names
    checker = DeribitChecker()
    for message in messages[1:]:
        checker.take(message["params"])
    assert checker.changes > 1000


async def test_coinbase_orders_live_and_die_in_sequence() -> None:
    """Full: sequence +1, no order twice, matches at the best price; the level 3 snapshot joins."""
    async with running(Options(("coinbase",), rate=20_000)) as emulator:
        client = await emulator.connect("coinbase", *subscribe("coinbase", ["full.BTC-USD"]))
        await client.enough(700)
        body = (await emulator.get("coinbase/api.exchange.coinbase.com/products/BTC-USD/book?level=3")).json()
        messages = await _collect(client, 8000)
    checker = CoinbaseChecker()
    last = checker.snapshot(body)
    assert messages[0]["type"] == "subscriptions"
    numbers = [int(message["sequence"]) for message in messages[1:]]
    assert numbers[0] <= last < numbers[-1]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    # What was received before the snapshot and matters after it.
    checker.known = {
        m.get("order_id", "") for m in messages[1:] if int(m["sequence"]) <= last and m["type"] == "received"
    }
    for message in messages[1:]:
        if int(message["sequence"]) > last:
            checker.take(message)
    assert checker.events > 1000


def test_coinbase_levels_and_ticker_are_those_of_the_orders() -> None:
    """At the end of each turn level2's book is the sum of the orders; every ticker shows the best orders left."""
    venue = emulation("coinbase")
    assert venue is not None
    synth = venue.synth()
    channels = ["full.ETH-USD", "ticker.ETH-USD", "level2.ETH-USD"]
    reel = Reel([line for name in channels for line in synth.lines(name, 0)], channels, synth.clock)
    now = time.time_ns()
    checker = CoinbaseChecker()
    checker.snapshot(json.loads(synth.answer(Ask(Asked.SNAPSHOT, "ETH-USD"), 0, 0, now) or b""))
    [opening] = synth.opening("level2.ETH-USD", 0, 0, 0, now)
    book = checker.level2
    for bid, key in ((True, "bids"), (False, "asks")):
        for price, size in json.loads(opening)[key]:
            book.set(bid, price, size)
    tickers = 0
    for turn in range(2):
        for payload in reel.play(turn, 0, reel.count, now).payloads():
            message = json.loads(payload)
            if message["type"] == "l2update":
                for side, price, size in message["changes"]:
                    book.set(side == "buy", price, size)
            elif message["type"] == "ticker":
                bids, asks = checker.levels()
                assert Decimal(message["best_bid"]) == max(bids)
                assert Decimal(message["best_ask"]) == min(asks)
                assert Decimal(message["best_bid_size"]) == bids[max(bids)]
                tickers += 1
            else:
                checker.take(message)
        bids, asks = checker.levels()
        assert {price: Decimal(size) for price, size in book.bids.items()} == bids
        assert {price: Decimal(size) for price, size in book.asks.items()} == asks
    assert tickers > 100


@pytest.mark.parametrize("venue", ["binance_spot", "binance_usdm", "bybit", "kraken", "coinbase", "deribit", "okx"])
async def test_late_subscriber_gets_a_book_that_fits_what_follows(venue: str) -> None:
    """A second client that comes in the middle of a turn has a book from its first message on."""
    books = {
        "binance_spot": "btcusdt@depth@100ms",
        "binance_usdm": "btcusdt@depth@100ms",
        "bybit": "orderbook.200.ETHUSDT",
        "okx": "books.ETH-USDT",
        "kraken": "book.BTC/USD",
        "coinbase": "level2.SOL-USD",
        "deribit": "book.BTC-PERPETUAL.100ms",
    }
    async with running(Options((venue,), rate=5_000)) as emulator:
        first = await emulator.connect(venue, *subscribe(venue, [books[venue]]))
        await first.enough(300)
        second = await emulator.connect(venue, *subscribe(venue, [books[venue]]))
        await second.enough(300)
        _check_late(venue, second.messages())


def _check_late(venue: str, messages: list[Any]) -> None:
    if venue == "kraken":
        checker = KrakenChecker()
        for message in messages:
            if message.get("channel") == "book":
                checker.take(message)
        assert checker.checked > 250
    elif venue == "deribit":
        deribit = DeribitChecker()
        for message in messages[1:]:
            deribit.take(message["params"])
        assert deribit.changes > 250
    elif venue == "bybit":
        ids = [int(message["data"]["u"]) for message in messages if "topic" in message]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
    elif venue == "okx":
        books = [message["data"][0] for message in messages if "action" in message]
        assert [int(one["prevSeqId"]) for one in books] == [-1, *(int(one["seqId"]) for one in books[:-1])]
    elif venue == "coinbase":
        assert messages[1]["type"] == "snapshot"
        assert all(message["type"] == "l2update" for message in messages[2:])
    else:
        binance = BinanceChecker(futures=venue == "binance_usdm")
        for message in messages[1:]:
            binance.take(message["stream"], message["data"])


async def test_okx_books_link_and_agree_with_their_top() -> None:
    """Each update names the one before, the snapshot comes first, and the book's top is `bbo-tbt`'s of that sequence."""
    async with running(Options(("okx",), rate=20_000)) as emulator:
        asked = subscribe("okx", ["books.BTC-USDT-SWAP", "bbo-tbt.BTC-USDT-SWAP", "trades-all.BTC-USDT-SWAP"])
        client = await emulator.connect("okx", *asked)
        messages = await _collect(client, 3000)
    refused = [message for message in messages if message.get("event") == "error"]
    assert [(one["code"], one["id"]) for one in refused] == [("60018", "1")]  # of the other socket
    book, last, compared = Book(), None, 0
    tops: dict[int, list[list[str]]] = {}
    for message in messages:
        for data in message.get("data", ()):
            if message["arg"]["channel"] == "bbo-tbt":
                tops[int(data["seqId"])] = [data["bids"][0], data["asks"][0]]
                continue
            assert int(data["prevSeqId"]) == (-1 if message["action"] == "snapshot" else last)
            last = int(data["seqId"])
            for bid, key in ((True, "bids"), (False, "asks")):
                for price, size, *_ in data[key]:
                    book.set(bid, price, size)
            book.check()
            if last in tops:
                best, other = tops[last]
                assert book.best() == tuple(Decimal(text) for text in (*best[:2], *other[:2]))
                compared += 1
    assert compared > 100


@pytest.mark.parametrize("product", ["spot", "linear"])
async def test_bybit_books_count_and_agree_with_their_top(product: str) -> None:
    """A snapshot first, then `u` by one; where the engine's sequence is the top's too, so is the best of the book."""
    topics = ["orderbook.50.BTCUSDT", "orderbook.1.BTCUSDT", "tickers.BTCUSDT", "publicTrade.NOWHERE"]
    async with running(Options(("bybit",), rate=20_000)) as emulator:
        asked = [
            *subscribe("bybit", topics[:3]),
            {"req_id": "2", "op": "subscribe", "args": topics[3:]},
            {"op": "ping"},
        ]
        client = await emulator.connect("bybit", *asked, path=f"stream.bybit.com/v5/public/{product}")
        messages = await _collect(client, 3000)
    said = {message.get("req_id"): message for message in messages if "op" in message}
    assert (said["1"]["success"], said["2"]["success"], said[""]["ret_msg"]) == (True, False, "pong")
    book, last, compared = Book(), 0, 0
    tops: dict[int, dict[str, Any]] = {}
    for message in messages:
        if message.get("topic") == topics[1]:
            tops[int(message["data"]["seq"])] = message["data"]
        elif message.get("topic") == topics[0]:
            data = message["data"]
            assert message["type"] == ("delta" if last else "snapshot")
            assert not last or int(data["u"]) == last + 1
            last = int(data["u"])
            for bid, key in ((True, "b"), (False, "a")):
                for price, size in data[key]:
                    book.set(bid, price, size)
            book.check()
            if (top := tops.get(int(data["seq"]))) is not None:
                assert book.best() == tuple(Decimal(text) for text in (*top["b"][0], *top["a"][0]))
                compared += 1
    assert compared > 100


async def test_rate_is_kept_without_drift() -> None:
    """Over some seconds the payloads sent are those the rate asks for."""
    async with running(Options(("kraken",), rate=8_000)) as emulator:
        client = await emulator.connect("kraken", *subscribe("kraken", ["ticker.BTC/USD", "trade.BTC/USD"]))
        await client.enough(100)
        begun, count = time.monotonic(), sum(emulator.sent("kraken").values())
        await client.enough(100 + 16_000)
        sent, spent = sum(emulator.sent("kraken").values()) - count, time.monotonic() - begun
    assert abs(sent / spent - 8_000) < 800


async def test_slow_client_gets_everything_later() -> None:
    """A client that stops reading holds back its own stream only, and loses nothing."""
    async with running(Options(("binance_spot",))) as emulator:
        slow = await emulator.connect("binance_spot", *subscribe("binance_spot", ["btcusdt@trade"]))
        await slow.enough(100)
        assert slow.transport is not None
        slow.transport.underlying_transport.pause_reading()
        other = await emulator.connect("binance_spot", *subscribe("binance_spot", ["ethusdt@trade"]))
        await other.enough(50_000)
        held = emulator.sent("binance_spot")["btcusdt@trade"]
        await asyncio.sleep(0.1)
        assert emulator.sent("binance_spot")["btcusdt@trade"] == held
        slow.transport.underlying_transport.resume_reading()
        await slow.until(lambda: len(slow.frames) > held + 10_000)
        numbers = [int(message["data"]["t"]) for message in slow.messages()[1:]]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_two_clients_at_a_rate_see_the_same_market() -> None:
    """What two connections get of the same place is the same to the byte, times included."""
    async with running(Options(("binance_spot",), rate=4_000)) as emulator:
        message = subscribe("binance_spot", ["btcusdt@trade"])
        first = await emulator.connect("binance_spot", *message)
        await first.enough(50)
        second = await emulator.connect("binance_spot", *message)
        await second.enough(500)
        both = [{json.loads(frame)["data"]["t"]: frame for frame in one.frames[1:]} for one in (first, second)]
    common = both[0].keys() & both[1].keys()
    assert len(common) > 400
    assert all(both[0][number] == both[1][number] for number in common)
