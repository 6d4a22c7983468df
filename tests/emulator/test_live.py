"""A live market: one for all clients, moving by the clock, with a ledger that has each payload once and knows who got it."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from emulator.ledger import MADE, OWN, read_rows
from emulator.run import Options
from tests.emulator.client import HOSTS, Client, Running, running, subscribe

CHANNELS = ["btcusdt@depth@100ms", "btcusdt@trade", "btcusdt@bookTicker"]
RATE = 5_000


def _live(*venues: str, **more: Any) -> Options:
    return Options(venues, rate=RATE, live=True, **more)


async def _as(emulator: Running, party: str, channels: list[str] = CHANNELS) -> Client:
    client = await emulator.connect(
        f"_as/{party}/binance_spot", *subscribe("binance_spot", channels), path=HOSTS["binance_spot"]
    )
    await client.enough(50)
    return client


def _data(client: Client) -> list[bytes]:
    return [frame for frame in client.frames if b'"stream"' in frame]


def _crcs(frames: list[bytes]) -> Counter[int]:
    return Counter(zlib.crc32(frame) for frame in frames)


async def test_every_client_gets_the_same_bytes_and_who_is_away_misses_some() -> None:
    """Two clients' frames are one sequence; a third that went and came again lacks exactly what was sent meanwhile."""
    async with running(_live("binance_spot")) as emulator:
        first, second = await _as(emulator, "A"), await _as(emulator, "B")
        gone = await _as(emulator, "C")
        assert gone.transport is not None
        gone.transport.disconnect(graceful=False)
        await first.enough(len(first.frames) + 500)
        back = await _as(emulator, "C")
        await first.enough(len(first.frames) + 500)
    one, two = _data(first), _data(second)
    start = one.index(two[0])
    length = min(len(one) - start, len(two))
    assert length > 1000
    assert one[start : start + length] == two[:length]
    again = one.index(_data(back)[0])
    before = one.index(_data(gone)[-1])
    assert again - before > 300
    assert one[again : again + 50] == _data(back)[:50]


async def test_part_of_the_channels_is_the_same_stream_with_less_in_it() -> None:
    """A client of one channel gets what the others get of it."""
    async with running(_live("binance_spot")) as emulator:
        every = await _as(emulator, "A")
        some = await _as(emulator, "B", ["btcusdt@trade"])
        await some.enough(200)
    trades = [frame for frame in _data(every) if b"@trade" in frame]
    start = trades.index(_data(some)[0])
    length = min(len(trades) - start, len(_data(some)))
    assert trades[start : start + length] == _data(some)[:length]


async def test_ledger_has_each_payload_once_and_tells_who_got_it(tmp_path: Path) -> None:
    """Rows without a fault's or a subscription's mark are what the clients have, each once; the bits say which of them."""
    path = tmp_path / "sent.rows"
    async with running(_live("binance_spot", ledger=path)) as emulator:
        first, second = await _as(emulator, "A"), await _as(emulator, "B")
        await emulator.fault("binance_spot", fault="gap", party="B", count=7, after=10)
        await emulator.fault("binance_spot", fault="unknown_field", party="A", count=3, after=20)
        await first.enough(len(first.frames) + 800)
        emulator.emulator.venues["binance_spot"].over = True
        await emulator.emulator.stop()
        await first.closed.wait()
        await second.closed.wait()
    rows = read_rows(path)
    told = json.loads(path.with_suffix(".json").read_text())
    bits = {name: np.uint32(1 << told["parties"].index(name)) for name in ("A", "B")}
    market = rows[(rows["connection"] & np.uint32(OWN | MADE)) == 0]
    assert max(Counter(market["crc"].tolist()).values()) == 1
    for name, client in (("A", first), ("B", second)):
        got = rows[(rows["connection"] & bits[name]) != 0]
        assert Counter(got["crc"].tolist()) == _crcs(_data(client))
    both = market["connection"] == bits["A"] | bits["B"]
    after = np.flatnonzero(market["connection"] & bits["B"])[0]
    assert np.count_nonzero(~both[after:] & (market["connection"][after:] == bits["A"])) == 7
    assert np.count_nonzero(~both[after:] & (market["connection"][after:] == bits["B"])) == 3
    assert np.count_nonzero(rows["connection"] == np.uint32(MADE) | bits["A"]) == 3


async def test_stall_of_one_client_delays_it_alone_and_loses_nothing() -> None:
    """While one is held up the other goes on; then it gets all it was owed, in order."""
    async with running(_live("binance_spot")) as emulator:
        first, second = await _as(emulator, "A"), await _as(emulator, "B")
        await emulator.fault("binance_spot", fault="stall", party="B", seconds=0.4)
        await asyncio.sleep(0.05)
        held = len(second.frames)
        await first.enough(len(first.frames) + 500)
        assert len(second.frames) <= held + 5
        await second.enough(held + 800)
    one, two = _data(first), _data(second)
    start = one.index(two[0])
    length = min(len(one) - start, len(two))
    assert one[start : start + length] == two[:length]


async def test_client_that_does_not_read_is_given_up() -> None:
    """What waits for a client is bounded; beyond it the connection ends, and the others notice nothing."""
    async with running(_live("binance_spot", slow_bytes=200_000)) as emulator:
        first, second = await _as(emulator, "A"), await _as(emulator, "B")
        assert second.transport is not None
        second.transport.underlying_transport.pause_reading()
        tally = emulator.emulator.ledger.tallies["binance_spot"]
        await first.until(lambda: tally.slow == 1, seconds=40)
        count = len(first.frames)
        await first.enough(count + 100)
        second.transport.underlying_transport.resume_reading()


async def test_snapshot_is_of_the_present() -> None:
    """A REST snapshot asked for while the stream runs joins it: its id lies within what has just been sent."""
    url = "binance_spot/api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=5"
    async with running(_live("binance_spot")) as emulator:
        client = await _as(emulator, "A", ["btcusdt@depth@100ms"])
        before = json.loads(client.frames[-1])["data"]["u"]
        last = (await emulator.get(url)).json()["lastUpdateId"]
        await client.enough(len(client.frames) + 200)
        after = json.loads(client.frames[-1])["data"]["u"]
    assert before <= last < after


async def test_unsubscribed_channels_are_nobodys_loss() -> None:
    """What a client gave up by itself is not watched any more; what it lost with its connection is."""
    async with running(_live("binance_spot")) as emulator:
        client = await _as(emulator, "A")
        client.send({"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": 2})
        tally = emulator.emulator.ledger.tallies["binance_spot"]
        await client.until(lambda: any(b'"id":2' in frame for frame in client.frames))
        trades = tally.channels()["btcusdt@trade"]
        await client.enough(len(client.frames) + 300)
        assert tally.channels()["btcusdt@trade"] == trades
        assert tally.missed == 0
        assert client.transport is not None
        client.transport.disconnect(graceful=False)
        await client.until(lambda: tally.missed > 200)
