"""Faults as commands: each does what it says, to what it is aimed at, and nothing else."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import pytest

from emulator.faults import FRAME_FAULTS, Target, parse
from emulator.packing import Packing, Plain
from emulator.reel import Frame
from emulator.run import Options
from emulator.shapes import Shapes
from tapeline.errors import UsageError
from tests.emulator.client import Client, Running, running, subscribe

RATE = 3_000


async def _trades(emulator: Running) -> Client:
    client = await emulator.connect("binance_spot", *subscribe("binance_spot", ["btcusdt@trade"]))
    await client.enough(20)
    return client


def _ids(client: Client) -> list[int]:
    return [int(json.loads(frame)["data"]["t"]) for frame in client.frames[1:]]


async def test_gap_leaves_out_so_many_frames() -> None:
    """Three frames of the channel are missing, wherever they were; the count says so."""
    async with running(Options(("binance_spot",), rate=RATE)) as emulator:
        client = await _trades(emulator)
        answer = await emulator.fault("binance_spot", fault="gap", channel="*@trade", count=3, after=5)
        assert answer.json() == {"armed": "gap"}
        await client.enough(len(client.frames) + 60)
        ids = _ids(client)
        missing = set(range(ids[0], ids[-1] + 1)) - set(ids)
        assert len(missing) == 3
        assert emulator.emulator.ledger.tallies["binance_spot"].faults == {"gap": 3}


async def test_duplicate_and_reorder() -> None:
    """One frame comes twice; two neighbours of a channel change places."""
    async with running(Options(("binance_spot",), rate=RATE)) as emulator:
        client = await _trades(emulator)
        await emulator.fault("binance_spot", fault="duplicate", channel="*@trade")
        await client.until(lambda: len(_ids(client)) > len(set(_ids(client))))
        ids = _ids(client)
        assert len(ids) == len(set(ids)) + 1
        both = await emulator.connect(
            "binance_spot", *subscribe("binance_spot", ["ethusdt@trade", "ethusdt@bookTicker"])
        )
        await both.enough(200)
        await emulator.fault("binance_spot", fault="reorder", channel="ethusdt@*", count=20)

        def swapped() -> bool:
            frames = [json.loads(frame)["data"] for frame in both.frames[1:]]
            numbers = [int(data["t"]) for data in frames if "t" in data]
            return numbers != sorted(numbers)

        await both.until(swapped)


@pytest.mark.parametrize("fault", ["truncate", "corrupt"])
async def test_payload_is_no_longer_json(fault: str) -> None:
    """Exactly one frame cannot be parsed; those around it can."""
    async with running(Options(("kraken",), rate=RATE)) as emulator:
        client = await emulator.connect("kraken", *subscribe("kraken", ["book.BTC/USD"]))
        await client.enough(20)
        await emulator.fault("kraken", fault=fault)

        def broken() -> int:
            return sum(not _is_json(frame) for frame in client.frames)

        await client.until(lambda: broken() == 1)
        await client.enough(len(client.frames) + 50)
        assert broken() == 1


def _is_json(frame: bytes) -> bool:
    try:
        json.loads(frame)
    except ValueError:
        return False
    return True


async def test_wrong_checksum_is_found_at_one_message() -> None:
    """One CRC32 does not hold, all others do."""
    from tests.emulator.checkers import KrakenChecker

    async with running(Options(("kraken",), rate=RATE)) as emulator:
        client = await emulator.connect("kraken", *subscribe("kraken", ["book.BTC/USD"]))
        await client.enough(20)
        await emulator.fault("kraken", fault="checksum", channel="book.*")
        await client.enough(len(client.frames) + 300)
    bad, checker = 0, KrakenChecker()
    for message in client.messages():
        if message.get("channel") == "book":
            try:
                checker.take(message)
            except AssertionError:
                bad += 1
    assert bad == 1


async def test_closing_with_and_without_a_frame() -> None:
    """close_code sends a close frame with that code; close just ends; the client may come again."""
    async with running(Options(("deribit",), rate=RATE)) as emulator:
        first = await emulator.connect("deribit", *subscribe("deribit", ["quote.BTC-PERPETUAL"]))
        await first.enough(10)
        await emulator.fault("deribit", fault="close_code", code=4000, reason="maintenance")
        await first.closed.wait()
        assert first.close_code == 4000
        second = await emulator.connect("deribit", *subscribe("deribit", ["quote.BTC-PERPETUAL"]))
        await second.enough(10)
        answer = await emulator.fault("deribit", fault="close")
        assert answer.json() == {"struck": "close", "connections": 1}
        await second.closed.wait()
        assert second.close_code is None


async def test_stall_holds_everything_back_and_goes_on() -> None:
    """For its time nothing is said, then all of it comes: nothing is lost."""
    async with running(Options(("binance_spot",), rate=RATE)) as emulator:
        client = await _trades(emulator)
        await emulator.fault("binance_spot", fault="stall", seconds=0.6)
        await asyncio.sleep(0.05)
        held = len(client.frames)
        await asyncio.sleep(0.3)
        assert len(client.frames) == held
        await client.enough(held + 200)
        ids = _ids(client)
        assert ids == list(range(ids[0], ids[0] + len(ids)))


async def test_rest_faults() -> None:
    """429 with Retry-After, an error with status 200, then a stale snapshot, then the truth."""
    url = "binance_spot/api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=5"
    async with running(Options(("binance_spot",), rate=RATE)) as emulator:
        client = await emulator.connect("binance_spot", *subscribe("binance_spot", ["btcusdt@depth@100ms"]))
        first = (await emulator.get(url)).json()["lastUpdateId"]
        await client.enough(100)
        await emulator.fault("binance_spot", fault="reject_rest", status=429, retry_after=7)
        refused = await emulator.get(url)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
        assert refused.json()["code"] == -1003
        await emulator.fault("binance_spot", fault="rest_error_200")
        assert "code" in (await emulator.get(url)).json()
        await emulator.fault("binance_spot", fault="stale_snapshot", behind=100_000)
        assert (await emulator.get(url)).json()["lastUpdateId"] <= first
        assert (await emulator.get(url)).json()["lastUpdateId"] > first


async def test_faults_of_subscribing() -> None:
    """A refused subscription gets neither ack nor data; an acknowledged one may still stay mute; data may come first."""
    trades, depth = ["btcusdt@trade"], ["btcusdt@depth@100ms"]
    async with running(Options(("binance_spot",), rate=RATE)) as emulator:
        await emulator.fault("binance_spot", fault="refuse", channel="*@trade")
        mute = await emulator.connect("binance_spot", *subscribe("binance_spot", trades))
        await emulator.fault("binance_spot", fault="ack_only", channel="*@depth*")
        acked = await emulator.connect("binance_spot", *subscribe("binance_spot", depth))
        heard = await emulator.connect("binance_spot", *subscribe("binance_spot", trades))
        await heard.enough(50)
        assert mute.frames == []
        assert [json.loads(frame) for frame in acked.frames] == [{"result": None, "id": 1}]
    async with running(Options(("kraken",), rate=RATE)) as emulator:
        await emulator.fault("kraken", fault="data_before_ack")
        early = await emulator.connect("kraken", *subscribe("kraken", ["book.BTC/USD"]))
        await early.enough(5)
        kinds = [(message.get("channel") or message.get("method")) for message in early.messages()]
        assert kinds[:3] == ["status", "book", "subscribe"]


class _Hands:
    """What faults may ask of a connection to Deribit that carries a book and trades."""

    def __init__(self) -> None:
        self.packing: Packing = Plain()
        self.shapes = Shapes("deribit")
        self.shifts: list[int] = []

    def name(self, channel: int) -> str:
        return ("book.BTC-PERPETUAL.100ms", "trades.BTC-PERPETUAL.100ms")[channel]

    def opening(self, channel: int) -> list[bytes]:
        return [_book(100, "snapshot")]

    def shift(self, channel: int, by: int) -> None:
        self.shifts.append(by)

    def shifted(self, frame: Frame, by: int) -> Frame:
        return frame


def _book(number: int, kind: str = "change") -> bytes:
    action = "new" if kind == "snapshot" else "change"
    data = {
        "type": kind,
        "timestamp": 1_795_000_000_000,
        "instrument_name": "BTC-PERPETUAL",
        "change_id": number,
        "prev_change_id": number - 1,
        "bids": [[action, 61000.5, 10.0], [action, 60999.5, 20.0]],
        "asks": [],
    }
    message = {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": "book", "data": data}}
    return json.dumps(message).encode()


def _trade(number: int) -> bytes:
    trade = {
        "trade_seq": number,
        "timestamp": 1_795_000_000_000,
        "instrument_name": "BTC-PERPETUAL",
        "price": 61000.5,
        "amount": 10.0,
        "direction": "buy",
    }
    message = {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": "trades", "data": [trade]}}
    return json.dumps(message).encode()


NOT_HERE = {
    "checksum",
    "checksum_zero",
    "checksum_absent",
    "zero_price",
    "year_one",
    "member_split",
    "stale_delta",
    "reorg",
}
"""Deribit has neither checksums nor compression nor ISO times nor blocks."""


@pytest.mark.parametrize("fault", sorted(FRAME_FAULTS))
def test_every_frame_fault_keeps_the_others(fault: str) -> None:
    """A fault of frames touches the frame it is given, may add some, and leaves the rest; or it does not apply."""
    frames = [Frame(0, _book(n)) if n % 2 else Frame(1, _trade(n)) for n in range(8)]
    struck = [FRAME_FAULTS[fault](list(frames), place, _Hands()) for place in (3, 4)]
    done = [(place, made) for place, made in zip((3, 4), struck, strict=True) if made is not None]
    assert bool(done) is (fault not in NOT_HERE)
    for place, made in done:
        assert made != frames
        rest = [frame for n, frame in enumerate(frames) if n not in (place, place + 2)]
        assert [frame for frame in made if frame in rest] == rest
        assert len(made) - len(frames) in (-1, 0, 1, 2)


def test_faults_of_ids_leave_a_chain_that_links() -> None:
    """An empty delta, a legal reset, a frame without change and a crossed book link like any other."""
    for fault in ("empty_delta", "no_change", "sequence_reset", "crossed"):
        hands = _Hands()
        frames = [Frame(0, _book(n)) for n in (100, 101)]
        struck = FRAME_FAULTS[fault](frames, 1, hands)
        assert struck is not None
        data = [json.loads(frame.payload)["params"]["data"] for frame in struck]
        for one, two in itertools.pairwise(data):
            assert two["prev_change_id"] == one["change_id"]
        assert sum(hands.shifts) == data[-1]["change_id"] - 101


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "fault command"),
        (b'{"fault":"gremlin"}', "unknown fault 'gremlin'"),
        (b'{"fault":"gap","often":1}', "often"),
    ],
)
async def test_wrong_commands_are_refused_with_a_reason(body: bytes, told: str) -> None:
    """Neither unknown faults nor unknown fields are taken."""
    with pytest.raises(UsageError, match=told):
        parse(body)
    assert parse(b'{"fault":"gap"}')[0] is Target.FRAMES
    async with running(Options(("kraken",), rate=RATE)) as emulator:
        answer = await emulator.fault("kraken", fault="gremlin")
        assert answer.status_code == 400
        assert "known: " in answer.json()["error"]


async def test_stats_are_told_over_http() -> None:
    """`/_tapeline/stats` gives the same totals as the stats lines."""
    async with running(Options(("kraken",), rate=RATE)) as emulator:
        client = await emulator.connect("kraken", *subscribe("kraken", ["trade.BTC/USD"]))
        await client.enough(20)
        told: dict[str, Any] = (await emulator.get("_tapeline/stats")).json()
    assert told["venues"]["kraken"]["channels"]["trade.BTC/USD"] > 0
