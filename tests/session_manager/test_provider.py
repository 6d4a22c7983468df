"""The shell over real sockets: a venue in the test, the kernel's router, the ring."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
import uvloop

from session_manager.halves import load
from session_manager.provider import Provider, Running
from tapeline.ingest.v1 import ingest_pb2
from tapeline.spec.subscribe import Command
from tests.session_manager.fake_venue import FakeVenue, until

DEPTH, TRADE = "btcusdt@depth@100ms", "btcusdt@trade"
TRADES = '{"stream":"btcusdt@trade","data":{"e":"trade","t":%d}}'


def _ack(asked: Command) -> list[str]:
    return [f'{{"result":null,"id":{asked.number}}}']


@asynccontextmanager
async def _running(
    venue: FakeVenue, channels: list[str], name: str = "binance_spot", linger: float = 0.001
) -> AsyncIterator[Provider]:
    running = Running(name, name.upper(), "PRIMARY", time.time_ns(), 64 << 20, linger, venue.base)
    provider = Provider(load(name), channels, running)
    provider.start()
    try:
        yield provider
    finally:
        await provider.stop()


def payloads(provider: Provider) -> list[tuple[int, str, int, int, bytes]]:
    """All payloads in the ring: sequence, channel, connection, stamp, bytes."""
    cursor, _ = provider.ring.open("test", None)
    found = []
    while (item := provider.ring.read(cursor)) is not None:
        batch = ingest_pb2.SubscribeResponse.FromString(item.data).batch  # type: ignore[union-attr]  # nothing is lost here
        for place, one in enumerate(batch.payloads):
            name = batch.channels[one.channel].name
            found.append((batch.first_sequence + place, name, one.connection, one.ts_recv, one.data))
    provider.ring.release(cursor)
    return found


def _of(provider: Provider, channel: str) -> list[bytes]:
    return [payload for _, name, _, _, payload in payloads(provider) if name == channel]


async def test_frames_snapshots_and_lists_become_one_stream() -> None:
    """Instruments, connection event, deltas, snapshot: in order of receipt, stamps strictly rising."""
    async with FakeVenue(load("binance_spot"), _ack) as venue:
        venue.http = {"exchangeInfo": (200, b'{"symbols":[]}'), "depth?symbol=BTCUSDT": (200, b'{"lastUpdateId":1}')}
        async with _running(venue, [DEPTH, "exchangeInfo"]) as provider:
            await until(lambda: venue.commands)
            await venue.send('{"stream":"btcusdt@depth@100ms","data":{"u":1}}')
            await until(lambda: len(payloads(provider)) == 4)
            found = payloads(provider)
    assert [name for _, name, _, _, _ in found] == ["exchangeInfo", "_session", DEPTH, DEPTH]
    assert [place for place, *_ in found] == [1, 2, 3, 4]
    stamps = [stamp for _, _, _, stamp, _ in found]
    assert stamps == sorted(set(stamps))
    assert venue.paths == ["/binance_spot/stream.binance.com/stream"]
    assert venue.requests[0] == "/binance_spot/api.binance.com/api/v3/exchangeInfo"


async def test_every_frame_arrives_once_and_in_order() -> None:
    """Ten thousand frames of many sizes, sent as fast as it goes."""
    async with FakeVenue(load("binance_spot"), _ack) as venue, _running(venue, [TRADE]) as provider:
        await until(lambda: venue.commands)
        sent = [f'{{"stream":"btcusdt@trade","data":{{"t":{n},"x":"{"y" * (n % 300)}"}}}}' for n in range(10_000)]
        await venue.send(*sent)
        await until(lambda: provider.payloads >= 10_001)
        assert [payload.decode() for payload in _of(provider, TRADE)] == sent
        stamps = [stamp for _, _, _, stamp, _ in payloads(provider)]
    assert stamps == sorted(set(stamps))


async def test_pings_are_echoed_and_count_as_life() -> None:
    """A protocol ping is answered with its own payload."""
    async with FakeVenue(load("binance_spot"), _ack) as venue, _running(venue, [TRADE]) as provider:
        await until(lambda: venue.commands)
        await venue.clients[0].ping(b"1691")
        await until(lambda: venue.pongs)
        assert venue.pongs == [b"1691"]
        assert (provider.stats()["channels_active"], provider.stats()["channels_refused"]) == (1, 0)
        assert provider.control_frames == 2


async def test_unknown_frames_are_kept_and_counted() -> None:
    """What no rule takes is passed on raw: short, long, broken, binary."""
    strange = ['{"surprise":1}', "word", '{"stream":"btcusdt@tr', '{"surprise":"' + "x" * 400 + '"}']
    async with FakeVenue(load("binance_spot"), _ack) as venue, _running(venue, [TRADE]) as provider:
        await until(lambda: venue.commands)
        await venue.send(*strange)
        await venue.clients[0].send_bytes(b"\x00\x01binary")
        await until(lambda: provider.unknown_frames == 5)
        await until(lambda: len(_of(provider, "_unknown")) == 5)
        assert _of(provider, "_unknown") == [*(text.encode() for text in strange), b"\x00\x01binary"]


async def test_a_large_frame_passes() -> None:
    """Five megabytes in one frame, as Coinbase sends its first book."""
    async with FakeVenue(load("binance_spot"), _ack) as venue, _running(venue, [TRADE]) as provider:
        await until(lambda: venue.commands)
        await venue.send('{"stream":"btcusdt@trade","data":"' + "x" * 5_000_000 + '"}')
        await until(lambda: len(_of(provider, TRADE)) == 1)
        assert len(_of(provider, TRADE)[0]) > 5_000_000


@pytest.mark.parametrize("rude", [False, True])
async def test_a_lost_connection_is_made_anew(rude: bool) -> None:
    """With and without a close frame; the new one has the next number and subscribes everything."""
    async with FakeVenue(load("binance_spot"), _ack) as venue, _running(venue, [TRADE]) as provider:
        await until(lambda: venue.commands)
        await venue.send(TRADES % 1)
        if rude:
            assert venue.clients[0]._writer is not None
            venue.clients[0]._writer.transport.abort()
        else:
            await venue.clients[0].close(code=4009, message=b"too much")
        await until(lambda: len(venue.commands) == 2)
        await venue.send(TRADES % 2)
        await until(lambda: len(_of(provider, TRADE)) == 2)
        events = [msgspec.json.decode(payload) for payload in _of(provider, "_session")]
        assert [(event["event"], event["connection"]) for event in events] == [("up", 0), ("down", 0), ("up", 1)]
        assert (events[1]["reason"] == "closed 4009 too much") is not rude
        assert provider.stats()["reconnects"] == 1


async def test_a_venue_that_is_away_is_tried_again() -> None:
    """A refused connection is no end."""
    async with FakeVenue(load("binance_spot"), _ack) as venue:
        await venue._runner.cleanup()
        async with _running(venue, [TRADE]) as provider:
            await until(lambda: provider.session.reconnects >= 2)
            assert provider.stats()["connections_up"] == 0


async def test_a_resync_brings_one_more_snapshot() -> None:
    """One at a time; it rides on the channel of the deltas."""
    async with FakeVenue(load("binance_spot"), _ack) as venue:
        venue.http = {"depth": (200, b'{"lastUpdateId":1}')}
        async with _running(venue, [DEPTH]) as provider:
            await until(lambda: len(_of(provider, DEPTH)) == 1)
            venue.http = {"depth": (200, b'{"lastUpdateId":2}')}
            assert provider.request_resync(DEPTH, "link")
            assert not provider.request_resync(DEPTH, "link")
            assert not provider.request_resync("nonsense", "link")
            await until(lambda: len(_of(provider, DEPTH)) == 2)
            assert _of(provider, DEPTH)[1] == b'{"lastUpdateId":2}'


async def test_an_idle_stream_is_passed_on_at_once_and_a_busy_one_by_the_linger() -> None:
    """With a linger of a second the first frame does not wait; what comes right after it waits together."""
    async with FakeVenue(load("binance_spot"), _ack) as venue, _running(venue, [TRADE], linger=1.0) as provider:
        await until(lambda: venue.commands)
        await until(lambda: provider._linger_timer is None and provider._loop.time() > provider._next_take)
        batches = provider.ring._end
        began = time.monotonic()
        await venue.send(TRADES % 1)
        await until(lambda: provider.ring._end == batches + 1)
        assert time.monotonic() - began < 0.5
        for n in range(2, 12):
            await venue.send(TRADES % n)
        await until(lambda: provider.payloads == 12)
        assert provider.ring._end == batches + 2


def test_time_goes_on_after_many_events() -> None:
    """On the loop that the process runs on, whose handles are not asyncio's, repeated resyncs are all done in the end."""
    uvloop.run(_many_resyncs())


async def _many_resyncs() -> None:
    async with FakeVenue(load("binance_spot"), _ack) as venue:
        venue.http = {"depth": (200, b'{"lastUpdateId":1}')}
        channels = [f"s{n}@depth" for n in range(20)]
        async with _running(venue, channels) as provider:
            for _ in range(2):
                await until(
                    lambda: all(provider.request_resync(one, "link") for one in channels if _idle(provider, one))
                )
                await until(lambda: all(_idle(provider, one) for one in channels))
            assert provider.stats()["reconnects"] == 0


def _idle(provider: Provider, channel: str) -> bool:
    return channel not in provider.session._resyncs and ("depth", channel) not in provider.session._desk.jobs


async def test_full_takes_the_matches_of_its_symbols_only() -> None:
    """Coinbase: a match looks alike in two channels; what is subscribed decides."""
    spec = load("coinbase")
    async with FakeVenue(spec, lambda _: ['{"type":"subscriptions","channels":[]}']) as venue:
        venue.http = {"book": (200, b'{"sequence":1,"bids":[],"asks":[]}')}
        async with _running(venue, ["full.BTC-USD", "matches.ETH-USD"], "coinbase") as provider:
            await until(lambda: len(venue.commands) == 2)
            await venue.send('{"type":"match","product_id":"BTC-USD"}', '{"type":"match","product_id":"ETH-USD"}')
            await until(lambda: len(_of(provider, "full.BTC-USD")) >= 1 and _of(provider, "matches.ETH-USD"))
            assert _of(provider, "full.BTC-USD")[0] == b'{"type":"match","product_id":"BTC-USD"}'


async def test_stopping_is_clean() -> None:
    """Unsubscribed, the last frames and the farewell in the ring, the ring ended."""
    async with FakeVenue(load("binance_spot"), _ack) as venue:
        async with _running(venue, [TRADE]) as provider:
            await until(lambda: venue.commands)
            await venue.send(TRADES % 1)
            await until(lambda: provider.payloads >= 2)
        assert [asked.operation.value for asked in venue.commands] == ["subscribe", "unsubscribe"]
        assert msgspec.json.decode(_of(provider, "_session")[-1])["reason"] == "stopped"
        cursor, _ = provider.ring.open("late", None)
        while provider.ring.read(cursor):
            pass
        assert not await provider.ring.wait(cursor)
