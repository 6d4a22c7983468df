"""FIX from end to end over real sockets: the emulator's acceptor, the session manager, the kernel, and the book they end in."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from unittest.mock import patch

import databento_dbn
import pytest
from tapeline_kernel import Normalizer

from emulator.faults import parse
from emulator.fix.acceptor import Rules, Seats
from emulator.reel import Id
from emulator.run import Emulator, Options
from emulator.synth.market import ASK, BID, Depth
from emulator.venues.binance_fix import VENUE, BinanceFix, BinanceFixSynth
from session_manager.provider import Provider, Running
from session_manager.session.subscriptions import Status
from tapeline import venues
from tapeline.errors import VenueError
from tapeline.ingest.v1.ingest_pb2 import SubscribeResponse
from tapeline.offline.final_book import FinalBook
from tapeline.spec.encode import encode
from tapeline.spec.session import Session
from tests.session_manager.fake_venue import until

BOOK, TOP, TRADE = "BTCUSDT-book", "BTCUSDT-top", "BTCUSDT-trade"
ALL = (BOOK, TOP, TRADE, "instruments")


class Bench:
    """An emulated venue and a provider that talks to it."""

    def __init__(self, emulator: Emulator, provider: Provider) -> None:
        self.emulator, self.provider = emulator, provider

    def strike(self, fault: str, **more: object) -> None:
        """Does a fault to every connection."""
        _, read = parse(json.dumps({"fault": fault, **more}).encode())
        for connection in self.emulator.venues["binance_fix"].connections:
            connection.strike(read)

    def batches(self) -> list[bytes]:
        """What the ring holds."""
        cursor, _ = self.provider.ring.open("test", None)
        found = []
        while (item := self.provider.ring.read(cursor)) is not None:
            found.append(item.data)  # type: ignore[union-attr]  # nothing is lost here
        self.provider.ring.release(cursor)
        return found

    def count(self, channel: str) -> int:
        """Payloads of a channel so far."""
        found = 0
        for batch in (SubscribeResponse.FromString(data).batch for data in self.batches()):
            names = [known.name for known in batch.channels]
            found += sum(names[payload.channel] == channel for payload in batch.payloads)
        return found

    def status(self, channel: str) -> Status | None:
        """Where a subscription stands."""
        states = (line.subscriptions.states.get(channel) for line in self.provider.session.lines)
        return next((state.status for state in states if state is not None), None)


@asynccontextmanager
async def running(
    channels: Sequence[str] = ALL, spec: Session | None = None, rate: int = 600, venue: BinanceFix | None = None
) -> AsyncIterator[Bench]:
    """Emulator and provider in this process, over TCP."""
    with patch("emulator.venues.binance_fix.VENUE", venue or VENUE):
        emulator = Emulator(Options(venues=("binance_fix",), rate=rate))
        port = await emulator.start()
    loaded = venues.load("binance_fix")
    base = f"http://127.0.0.1:{port}"
    made = Running("binance_fix", loaded.provider, "PRIMARY", time.time_ns(), 64 << 20, 0.001, base)
    provider = Provider(spec or loaded.session, list(channels), made)
    provider.start()
    try:
        yield Bench(emulator, provider)
    finally:
        await provider.stop()
        await emulator.stop()


def normalised(batches: Sequence[bytes]) -> tuple[dict[str, dict[str, int]], list[databento_dbn.DBNRecord]]:
    """The kernel's counters, and all records."""
    loaded = venues.load("binance_fix")
    kernel = Normalizer(encode(loaded.meaning), loaded.provider, "PRIMARY", "dbn")
    decoder = databento_dbn.DBNDecoder(has_metadata=False)
    records: list[databento_dbn.DBNRecord] = []
    for batch in batches:
        decoder.write(kernel.normalize(batch).data)
        records += [record for record in decoder.decode() if not isinstance(record, databento_dbn.Metadata)]
    return kernel.counters(), records


def built(records: Sequence[databento_dbn.DBNRecord], symbol: str = "BTCUSDT") -> tuple[FinalBook, int]:
    """The book the records describe, and the last update id in it (low 32 bits)."""
    book, last, wanted = FinalBook(), 0, None
    for record in records:
        if isinstance(record, databento_dbn.InstrumentDefMsg) and record.raw_symbol == symbol:
            wanted = record.instrument_id
            book.define(record)
        elif isinstance(record, databento_dbn.MBOMsg) and wanted in (None, record.instrument_id):
            wanted = record.instrument_id
            book.apply(record)
            last = record.sequence
    return book, last


def true_book(last: int, symbol: str = "BTCUSDT") -> tuple[list[tuple[Decimal, Decimal]], ...]:
    """The emulator's own book after the depth event that ends in this id (low 32 bits), bids and asks."""
    market = BinanceFixSynth(VENUE._listings)._market.symbols[symbol]
    events = [event for event in market.events if isinstance(event, Depth)]
    start = Id(market.updates, market.updates.start)
    for turn in range(200):
        for place, id_ in [(0, start), *((event.place + 1, event.last) for event in events)]:
            if id_.at(turn) & 0xFFFFFFFF == last:
                ladder, _ = market.published(place)
                made = (market.listing.price, market.listing.quantity)
                return tuple(
                    [(Decimal(made[0](price)), Decimal(made[1](size))) for price, size in ladder.levels(side)]
                    for side in (BID, ASK)
                )
    raise AssertionError(f"no depth event ends in {last}")


def agrees(records: Sequence[databento_dbn.DBNRecord]) -> bool:
    """Whether the book built from records is the emulator's."""
    book, last = built(records)
    ours = tuple([(Decimal(p), Decimal(s)) for p, s in book.side(bids)] for bids in (True, False))
    return ours == true_book(last) and bool(ours[0])


async def test_the_book_built_from_fix_messages_is_the_venues() -> None:
    """Logon, instrument list, W and X: no rejects, no broken link, and level for level the emulator's book."""
    async with running() as bench:
        await until(lambda: bench.count(BOOK) > 60 and bench.count(TOP) > 100 and bench.count(TRADE) > 60)
    counters, records = normalised(bench.batches())
    assert counters["rejected"] == {}
    assert counters["links"]["broken"] == 0
    assert counters["links"]["ok"] > 100
    assert agrees(records)
    assert {type(record).__name__ for record in records} >= {"MBOMsg", "TradeMsg", "MBP1Msg", "InstrumentDefMsg"}
    quotes = [record.levels[0] for record in records if isinstance(record, databento_dbn.MBP1Msg)]
    assert all(quote.bid_sz and quote.ask_sz and quote.bid_px < quote.ask_px for quote in quotes)


async def test_payloads_are_whole_fix_messages_as_they_came() -> None:
    """Every byte from 8= to 10=, with the numbers of this session."""
    async with running((TRADE,)) as bench:
        await until(lambda: bench.count(TRADE) > 5)
    raw = [
        payload.data
        for batch in (SubscribeResponse.FromString(data).batch for data in bench.batches())
        for payload in batch.payloads
        if batch.channels[payload.channel].name == TRADE
    ]
    assert all(data.startswith(b"8=FIX.4.4\x019=") and data[-7:-4] == b"10=" for data in raw)
    assert all(sum(data[:-7]) % 256 == int(data[-4:-1]) for data in raw)


@pytest.mark.parametrize(
    ("fault", "more"),
    [
        ("close", {}),
        ("fix_logout", {"reason": "bye"}),
        ("fix_ahead", {"count": 3}),
        ("fix_behind", {}),
        ("fix_garble", {}),
    ],
)
async def test_a_session_that_ends_is_made_anew_and_the_book_is_right_again(
    fault: str, more: dict[str, object]
) -> None:
    """TCP gone, logout, numbers too high or low, a wrong checksum (found as a missing number): all end in the venue's book."""
    spec = venues.load("binance_fix").session
    quick = replace(spec, reconnect=replace(spec.reconnect, first=0.02))
    async with running((BOOK, "instruments"), quick) as bench:
        await until(lambda: bench.count(BOOK) > 20)
        bench.strike(fault, **more)
        await until(lambda: bench.provider.session.reconnects == 1)
        await until(lambda: bench.status(BOOK) is Status.ACTIVE)
        before = bench.count(BOOK)
        await until(lambda: bench.count(BOOK) > before + 20)
    counters, records = normalised(bench.batches())
    assert counters["rejected"] == {}
    assert agrees(records)


def resending(heartbeat: int = 30) -> tuple[Session, BinanceFix]:
    """Both ends with resend requests, which Binance has not."""
    spec = venues.load("binance_fix").session
    place = spec.endpoints[0]
    assert place.fix is not None
    fix = replace(place.fix, resend=True, heartbeat=heartbeat)
    venue = BinanceFix(VENUE._listings)
    venue._rules, venue._seats = Rules(fix, venue._rules.signed, (1, 60)), Seats()
    return replace(spec, endpoints=(replace(place, fix=fix),)), venue


async def test_a_gap_fill_keeps_the_session_and_has_the_books_asked_for_anew() -> None:
    """Numbers are missing, asked for, filled: no reconnect, but doubt and a fresh W."""
    spec, venue = resending()
    async with running((BOOK, "instruments"), spec, venue=venue) as bench:
        await until(lambda: bench.count(BOOK) > 20)
        bench.strike("fix_ahead", count=4)
        await until(lambda: b"\x0135=W\x01" in b"".join(bench.batches()[-400:]) and _snapshots(bench) == 2)
        before = bench.count(BOOK)
        await until(lambda: bench.count(BOOK) > before + 20)
        assert bench.provider.session.reconnects == 0
    counters, records = normalised(bench.batches())
    assert counters["rejected"] == {}
    assert agrees(records)


def _snapshots(bench: Bench) -> int:
    return b"".join(bench.batches()).count(b"\x0135=W\x01")


async def test_a_test_request_of_the_venue_is_answered_in_time() -> None:
    """The venue asks; the session goes on past the time it gives."""
    spec, venue = resending(heartbeat=1)
    async with running((BOOK,), spec, venue=venue) as bench:
        await until(lambda: bench.count(BOOK) > 5)
        bench.strike("ping")
        await asyncio.sleep(0)
        acceptor = bench.emulator.venues["binance_fix"].connections[0]._carrier
        await until(lambda: not acceptor._test)  # type: ignore[union-attr]
        assert bench.provider.session.reconnects == 0


async def test_a_venue_that_goes_mute_is_asked_and_then_left() -> None:
    """Heartbeat and a fifth of silence, a test request, one more heartbeat: then a new session."""
    spec, venue = resending(heartbeat=1)
    quick = replace(spec, reconnect=replace(spec.reconnect, first=0.02))
    async with running((BOOK,), quick, venue=venue) as bench:
        await until(lambda: bench.count(BOOK) > 5)
        bench.strike("drop_silently")
        await until(lambda: bench.provider.session.reconnects == 1)
        before = bench.count(BOOK)
        await until(lambda: bench.count(BOOK) > before + 5)


async def test_news_of_maintenance_opens_the_next_session_before_this_one_ends() -> None:
    """B: overlap, then the old session logs out; nothing is lost and nothing reconnects in haste."""
    async with running((BOOK, TRADE, "instruments")) as bench:
        await until(lambda: bench.count(TRADE) > 20)
        bench.strike("notice", seconds=30)
        await until(lambda: len(bench.emulator.venues["binance_fix"].connections) == 2)
        await until(lambda: len(bench.emulator.venues["binance_fix"].connections) == 1)
        before = bench.count(BOOK)
        await until(lambda: bench.count(BOOK) > before + 20)
    counters, records = normalised(bench.batches())
    assert counters["rejected"] == {}
    assert agrees(records)


async def test_an_unknown_symbol_is_refused_and_the_others_go_on() -> None:
    """A Reject names a message by number; the channel it asked for is refused."""
    async with running((BOOK, "NOSUCH-book")) as bench:
        await until(lambda: bench.status("NOSUCH-book") is Status.REFUSED)
        await until(lambda: bench.count(BOOK) > 10)
        assert bench.status(BOOK) is Status.ACTIVE
        assert bench.provider.session.reconnects == 0


async def test_a_channel_resubscribed_begins_with_a_fresh_snapshot() -> None:
    """263=2, its proof by a test request, 263=1 under the same id."""
    async with running((BOOK, "instruments")) as bench:
        await until(lambda: bench.count(BOOK) > 10)
        assert bench.provider.request_resync(BOOK, "test")
        await until(lambda: _snapshots(bench) == 2)
        before = bench.count(BOOK)
        await until(lambda: bench.count(BOOK) > before + 10)
    counters, records = normalised(bench.batches())
    assert counters["rejected"] == {}
    assert agrees(records)


async def test_stopping_logs_out() -> None:
    """The SenderCompID is left free, not locked as after a connection that just ends."""
    venue = BinanceFix(VENUE._listings)
    async with running((TRADE,), venue=venue) as bench:
        await until(lambda: bench.count(TRADE) > 5)
        assert len(venue._seats.taken) == 1
        await bench.provider.stop()
        await until(lambda: not bench.emulator.venues["binance_fix"].connections)
    assert not venue._seats.taken
    assert not venue._seats.locked


async def test_a_wrong_signature_is_no_session(capfd: pytest.CaptureFixture[str]) -> None:
    """The venue's reject is the reason of the failed attempt."""
    with patch("session_manager.signers.ed25519.signature_of", lambda *_: "AAAA"):
        async with running((TRADE,)) as bench:
            await until(lambda: bench.provider.session.reconnects >= 1)
            assert not bench.provider.session.lines[0].up
    assert "logon refused: Signature verification failed." in capfd.readouterr().err


async def test_without_secrets_nothing_is_tried(capfd: pytest.CaptureFixture[str]) -> None:
    """The signer's reason is told, and the venue hears nothing."""

    def refused(*_: object) -> dict[str, str]:
        raise VenueError("no such key")

    with patch("session_manager.provider.sign", refused):
        async with running((TRADE,)) as bench:
            await until(lambda: bench.provider.session.reconnects >= 1)
            assert not bench.emulator.venues["binance_fix"].connections
    assert "no such key" in capfd.readouterr().err
