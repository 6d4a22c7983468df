"""Replays: every data frame of a capture arrives, on its channel, in order; REST answers fit the stream."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from emulator import halves
from emulator.ledger import read_rows
from emulator.reading import read
from emulator.run import Options
from tapeline.captures import Kind, read_capture
from tapeline.errors import CaptureError
from tests.emulator.checkers import BinanceChecker, KrakenChecker
from tests.emulator.client import Client, Running, running, subscribe

SMALL = {
    "kraken": "kraken/btcusd_v2_resync_20260801",
    "coinbase": "coinbase/exchange_l3_0_20160312",
    "deribit": "deribit/20210405",
    "binance_spot": "binance_spot/ten_symbols_20210405",
    "binance_usdm": "binance_usdm/five_symbols_20210405",
}


def _data(path: Path, venue: str) -> tuple[list[bytes], list[str]]:
    """The data frames of a capture and their channels."""
    entries = read(list(read_capture(path)), halves.session(venue)).entries
    kept = [(entry.frame.data, entry.channel) for entry in entries if entry.channel and entry.frame.kind is Kind.RECV]
    return [data for data, _ in kept], [name for _, name in kept]


async def _finished(emulator: Running, client: Client, count: int) -> list[bytes]:
    """The data frames a client got, after the replay's end."""
    await client.until(lambda: emulator.emulator.over, 30)
    await client.until(lambda: len(client.frames) >= count)
    return client.frames


@pytest.mark.parametrize("venue", list(SMALL))
async def test_every_data_frame_arrives_in_order(recordings: Path, venue: str) -> None:
    """At full speed a client of all channels gets exactly the capture's data frames, and the ledger says the same."""
    path = recordings / f"{SMALL[venue]}.jsonl.zst"
    expected, names = _data(path, venue)
    async with running(Options((venue,), capture=path, speed=0)) as emulator:
        served = emulator.emulator.channels()[venue]
        assert set(served) == set(names)
        client = await emulator.connect(venue, *subscribe(venue, served))
        frames = await _finished(emulator, client, len(expected))
        wanted = set(expected)
        assert [frame for frame in frames if frame in wanted] == expected
        assert emulator.sent(venue) == Counter(names)


async def test_only_subscribed_channels_are_sent(recordings: Path) -> None:
    """A client of one stream gets that stream, whole, and nothing else; a second one gets its own replay."""
    path = recordings / f"{SMALL['binance_spot']}.jsonl.zst"
    expected, names = _data(path, "binance_spot")
    own = [data for data, name in zip(expected, names, strict=True) if name == "zilusdt@bookTicker"]
    async with running(Options(("binance_spot",), capture=path, speed=0)) as emulator:
        for _ in range(2):
            client = await emulator.connect("binance_spot", *subscribe("binance_spot", ["zilusdt@bookTicker"]))
            await client.enough(len(own) + 1)
            assert client.frames[1:] == own


async def test_speed_follows_the_recorded_times(recordings: Path) -> None:
    """At a hundred times its speed a capture of about a minute takes the time it should."""
    path = recordings / f"{SMALL['kraken']}.jsonl.zst"
    times = [frame.ts for frame in read_capture(path) if frame.kind is Kind.RECV]
    spent = (times[-1] - times[0]) / 1e9
    loop = asyncio.get_running_loop()
    async with running(Options(("kraken",), capture=path, speed=spent / 1.5)) as emulator:
        client = await emulator.connect("kraken", *subscribe("kraken", ["book.BTC/USD"]))
        await client.until(lambda: any(b'"type":"snapshot"' in frame for frame in client.frames))
        begun = loop.time()
        await _finished(emulator, client, 301)
        assert 1.0 < loop.time() - begun < 2.5


async def test_captured_snapshot_joins_and_a_later_one_is_computed(recordings: Path) -> None:
    """The first REST answer is the capture's own, the next is the book as it stands; both join the deltas."""
    path = recordings / f"{SMALL['binance_usdm']}.jsonl.zst"
    url = "binance_usdm/fapi.binance.com/fapi/v1/depth?symbol=BATUSDT&limit=1000"
    captured = [f.data for f in read_capture(path) if f.kind is Kind.HTTP and "symbol=BATUSDT" in (f.url or "")]
    async with running(Options(("binance_usdm",), capture=path, speed=0)) as emulator:
        client = await emulator.connect("binance_usdm", *subscribe("binance_usdm", ["batusdt@depth@100ms"]))
        first = await emulator.get(url)
        assert first.content == captured[0]
        await client.until(lambda: emulator.emulator.over)
        second = (await emulator.get(url)).json()
    deltas = [message["data"] for message in client.messages()[1:]]
    assert second["lastUpdateId"] == int(deltas[-1]["u"])
    whole = BinanceChecker(futures=True)
    whole.snapshot(json.loads(first.content))
    for data in deltas:
        if int(data["u"]) >= whole.last:
            whole.take("batusdt@depth", data)
    assert whole.book is not None
    fresh = BinanceChecker(futures=True)
    fresh.snapshot(second)
    assert fresh.book is not None
    assert (fresh.book.bids, fresh.book.asks) == (whole.book.bids, whole.book.asks)


async def test_snapshot_request_is_held_back_until_its_place(recordings: Path) -> None:
    """An early request waits for the stream to come to the captured answer."""
    path = recordings / f"{SMALL['binance_spot']}.jsonl.zst"
    async with running(Options(("binance_spot",), capture=path, speed=4)) as emulator:
        client = await emulator.connect("binance_spot", *subscribe("binance_spot", ["manausdt@depth@100ms"]))
        body = (await emulator.get("binance_spot/api.binance.com/api/v3/depth?symbol=MANAUSDT&limit=5000")).json()
        last = max((int(message["data"]["u"]) for message in client.messages()[1:]), default=0)
        assert body["lastUpdateId"] >= 267008302
        assert last >= 267008298


async def test_resubscription_begins_with_a_computed_snapshot(recordings: Path) -> None:
    """Unsubscribe and subscribe in a running Kraken replay: the new snapshot's checksum and all that follow hold."""
    path = recordings / "kraken/btcusd_v2_20260802.jsonl.zst"
    asked: dict[str, Any] = {"channel": "book", "symbol": ["BTC/USD"], "depth": 25}
    async with running(Options(("kraken",), capture=path, speed=60)) as emulator:
        client = await emulator.connect("kraken", {"method": "subscribe", "params": asked})
        await client.enough(400)
        client.send({"method": "unsubscribe", "params": asked})
        client.send({"method": "subscribe", "params": asked})
        await client.enough(len(client.frames) + 300)
        messages = client.messages()
    books = [message for message in messages if message.get("channel") == "book"]
    assert sum(message["type"] == "snapshot" for message in books) == 2
    checker = KrakenChecker(25)
    for message in books:
        checker.take(message)


async def test_level3_snapshot_is_the_captures_own(recordings: Path) -> None:
    """Coinbase: the captured order book is answered, and its sequence is right before the stream's."""
    path = recordings / f"{SMALL['coinbase']}.jsonl.zst"
    async with running(Options(("coinbase",), capture=path, speed=0)) as emulator:
        client = await emulator.connect("coinbase", *subscribe("coinbase", ["full.BTC-USD"]))
        body = (await emulator.get("coinbase/api.exchange.coinbase.com/products/BTC-USD/book?level=3")).json()
        await client.enough(100)
    assert body["sequence"] + 1 == int(client.messages()[1]["sequence"])


async def test_full_ledger_names_every_payload(recordings: Path, tmp_path: Path) -> None:
    """With a rows ledger each payload sent has a row with its channel, length and CRC32."""
    import zlib

    path = recordings / f"{SMALL['deribit']}.jsonl.zst"
    expected, names = _data(path, "deribit")
    ledger = tmp_path / "sent.rows"
    async with running(Options(("deribit",), capture=path, speed=0, ledger=ledger)) as emulator:
        served = emulator.emulator.channels()["deribit"]
        client = await emulator.connect("deribit", *subscribe("deribit", served))
        await _finished(emulator, client, len(expected))
    rows = read_rows(ledger)
    table = json.loads((tmp_path / "sent.json").read_bytes())["channels"]
    assert [table[number]["channel"] for number in rows["channel"]] == names
    assert rows["crc"].tolist() == [zlib.crc32(data) for data in expected]
    assert rows["length"].tolist() == [len(data) for data in expected]


async def test_captures_of_one_channel_follow_each_other(recordings: Path) -> None:
    """A folder with two captures of one Kraken book plays them in order of time; other venues' captures are left out."""
    # By its stamps the one named first in the alphabet is the earlier.
    first, _ = _data(recordings / "kraken/btcusd_v2_20260802.jsonl.zst", "kraken")
    second, _ = _data(recordings / "kraken/btcusd_v2_resync_20260801.jsonl.zst", "kraken")
    async with running(Options(("kraken", "coinbase"), captures=recordings, speed=0)) as emulator:
        client = await emulator.connect("kraken", *subscribe("kraken", ["book.BTC/USD"]))
        await client.until(lambda: emulator.sent("kraken").get("book.BTC/USD", 0) == len(first) + len(second))
        await client.until(lambda: len(client.frames) >= len(first) + len(second) + 2)
        assert [frame for frame in client.frames if b'"channel":"book","type"' in frame] == first + second
        assert emulator.emulator.channels()["coinbase"] == ["full.BTC-USD"]


async def test_venue_without_a_capture_has_no_channels(tmp_path: Path) -> None:
    """In a folder that holds one venue's captures the others are named with nothing to serve."""
    source = Path(__file__).parent.parent / "fixtures" / "captures" / "kraken.jsonl.zst"
    (tmp_path / source.name).write_bytes(source.read_bytes())
    async with running(Options(("kraken", "deribit"), captures=tmp_path, speed=0)) as emulator:
        channels = emulator.emulator.channels()
        assert channels["deribit"] == []
        assert "book.BTC/USD" in channels["kraken"]
        assert (await emulator.get("deribit/www.deribit.com/api/v2/public/get_instruments")).status_code == 404


def test_unreadable_capture_is_one_clear_error(tmp_path: Path) -> None:
    """A cut or foreign file is refused with its name."""
    from emulator.run import Emulator

    path = tmp_path / "cut.jsonl.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd\x00")
    with pytest.raises(CaptureError, match=r"cut\.jsonl\.zst"):
        Emulator(Options(("kraken",), capture=path))


async def test_broken_frames_of_a_capture_are_replayed_too(tmp_path: Path) -> None:
    """A frame cut short, one that is no JSON and an unknown kind are sent in their places; control frames are not."""
    whole = list(read_capture(Path(__file__).parent.parent / "fixtures" / "captures" / "deribit.jsonl.zst"))
    lines = [{"t": f.ts, "k": f.kind.value, "c": "0", "d": f.data.decode(), "u": f.url} for f in whole]
    for place, text in ((60, '{"jsonrpc":"2.0","meth'), (70, "pong"), (80, '{"jsonrpc":"2.0","method":"new"}')):
        lines.insert(place, {**lines[place], "k": "recv", "d": text})
    path = tmp_path / "broken.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    async with running(Options(("deribit",), capture=path, speed=0)) as emulator:
        served = emulator.emulator.channels()["deribit"]
        assert "_unknown" not in served
        client = await emulator.connect("deribit", *subscribe("deribit", served))
        await client.until(lambda: emulator.emulator.over)
        await client.until(lambda: len(client.frames) == 1 + sum(emulator.sent("deribit").values()))
        assert emulator.sent("deribit")["_unknown"] == 3
        assert client.frames.count(b"pong") == 1
        data = [line["d"] for line in lines if line["k"] == "recv"]
        assert [frame.decode() for frame in client.frames[1:]] == data[1:]


async def test_resubscription_where_the_capture_lacks_a_message(recordings: Path, tmp_path: Path) -> None:
    """The computed snapshot is one that the capture's own checksums confirm, so the book is right from there on."""
    whole = list(read_capture(recordings / "kraken/btcusd_v2_20260802.jsonl.zst"))
    books = [n for n, frame in enumerate(whole) if frame.data.startswith(b'{"channel":"book","type":"update"')]
    lines = [{"t": f.ts, "k": f.kind.value, "c": "0", "d": f.data.decode(), "u": f.url} for f in whole]
    del lines[books[290]]
    path = tmp_path / "holed.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    asked: dict[str, Any] = {"channel": "book", "symbol": ["BTC/USD"], "depth": 25}
    async with running(Options(("kraken",), capture=path, speed=40)) as emulator:
        client = await emulator.connect("kraken", {"method": "subscribe", "params": asked})
        await client.enough(294)
        client.send({"method": "unsubscribe", "params": asked})
        client.send({"method": "subscribe", "params": asked})
        await client.until(lambda: sum(b'"type":"snapshot"' in frame for frame in client.frames) == 2)
        again = max(n for n, frame in enumerate(client.frames) if b'"type":"snapshot"' in frame)
        await client.enough(again + 200)
        messages = client.messages()[again:]
    checker = KrakenChecker(25)
    for message in messages:
        if message.get("channel") == "book":
            checker.take(message)
    assert checker.checked > 150
