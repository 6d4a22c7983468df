"""HTX by hand: gzip frames, ids past 64 bits, books asked for on the socket, empty sides that are null."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest
from databento_dbn import InstrumentDefMsg, MBOMsg, MBP1Msg, MBP10Msg, StatMsg, TradeMsg

from tapeline.offline.dbn_file import read_records
from tapeline.offline.loose_messages import LooseMessages, read_lines
from tapeline.offline.normalizing import Account, normalize_file
from tapeline.venues import load
from tests.support.told import START

MS = 1_780_000_000_000
SPOT, FEED, LINEAR = "wss://api.huobi.pro/ws", "wss://api.huobi.pro/feed", "wss://api.hbdm.com/linear-swap-ws"


def run(folder: Path, url: str, *said: object) -> tuple[Account, list[object]]:
    """What becomes of frames (gzip, as all are), bytes as they are, (client's,) messages and (URL, body) answers."""
    lines: list[dict[str, object]] = [{"t": START, "k": "connect", "c": "0", "u": url}]
    for place, item in enumerate(said, 1):
        line: dict[str, object] = {"t": START + place * 1_000_000, "c": "0"}
        if isinstance(item, tuple) and len(item) == 1:
            lines.append({**line, "k": "send", "d": json.dumps(item[0])})
        elif isinstance(item, tuple):
            lines.append({**line, "k": "http", "u": item[0], "d": json.dumps(item[1])})
        else:
            raw = item if isinstance(item, bytes) else gzip.compress(json.dumps(item).encode())
            lines.append({**line, "k": "recv", "b": base64.b64encode(raw).decode()})
    source, target = folder / "said.jsonl", folder / "said.dbn.zst"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    account = normalize_file(load("htx"), source, target)
    return account, list(read_records(target)) if account.records else []


def push(channel: str, **tick: object) -> dict[str, object]:
    """A push."""
    return {"ch": channel, "ts": MS + 1, "tick": tick}


def actions(records: list[object]) -> list[tuple[str, int]]:
    """Action and price of the book's records."""
    return [(str(r.action), r.price // 10**9) for r in records if isinstance(r, MBOMsg)]


def test_a_trades_own_id_is_taken_where_the_other_is_past_64_bits(tmp_path: Path) -> None:
    """Spot's `id` has 27 digits."""
    trade = {
        "id": 123140716701236887569077664,
        "ts": MS,
        "tradeId": 102357140867,
        "amount": 1.98e-4,
        "price": 58911.07,
        "direction": "sell",
    }
    account, records = run(tmp_path, SPOT, push("market.btcusdt.trade.detail", id=1, ts=MS, data=[trade]))
    assert account.rejected == {}
    (made,) = [r for r in records if isinstance(r, TradeMsg)]
    assert (str(made.side), made.sequence, made.price) == ("A", 102357140867 & 0xFFFFFFFF, 58_911_070_000_000)


def test_a_contracts_trades_count_contracts(tmp_path: Path) -> None:
    """`quantity` with its forty digits is not what is traded."""
    trade = {
        "amount": 6,
        "quantity": 2.2569881997133624986,
        "ts": MS,
        "id": 743774717120000,
        "price": 26.5841,
        "direction": "buy",
    }
    account, records = run(tmp_path, LINEAR, push("market.BTC-USDT.trade.detail", id=1, ts=MS, data=[trade]))
    assert account.rejected == {}
    assert len([r for r in records if isinstance(r, TradeMsg)]) == 1


def test_a_spot_book_is_asked_for_on_the_socket_and_joined(tmp_path: Path) -> None:
    """The delta whose predecessor is the snapshot follows it; what is older is dropped; a side may be missing."""
    channel = "market.btcusdt.mbp.150"
    book = {
        "id": "7",
        "rep": channel,
        "status": "ok",
        "ts": MS,
        "data": {"seqNum": 20, "bids": [[100, 1]], "asks": [[101, 2]]},
    }
    account, records = run(
        tmp_path,
        FEED,
        ({"sub": channel, "id": "1"},),
        {"id": "1", "subbed": channel, "ts": MS, "status": "ok"},
        push(channel, seqNum=20, prevSeqNum=15, bids=[[99, 1]]),
        push(channel, seqNum=25, prevSeqNum=20, bids=[[100, 0]], asks=None),
        ({"req": channel, "id": "7"},),
        book,
        push(channel, seqNum=31, prevSeqNum=25, asks=[[101, 5.33e-4]]),
    )
    assert account.rejected == {}
    assert account.links == {"ok": 2, "broken": 0}
    assert actions(records)[1:] == [("A", 100), ("A", 101), ("C", 100), ("M", 101)]


def test_a_contracts_book_counts_by_one_and_null_is_an_empty_side(tmp_path: Path) -> None:
    """A version left out is a gap."""
    channel = "market.BTC-USDT.depth.size_150.high_freq"
    told = {"ch": channel, "id": 1, "mrid": 1, "ts": MS}
    account, records = run(
        tmp_path,
        LINEAR,
        push(channel, **told, event="snapshot", version=5, bids=None, asks=[[101, 4]]),
        push(channel, **told, event="update", version=6, bids=[[100, 3]], asks=[]),
        push(channel, **told, event="update", version=8, bids=[], asks=[[101, 0]]),
    )
    assert account.rejected == {}
    assert account.links == {"ok": 1, "broken": 1}
    assert actions(records)[1:] == [("A", 101), ("A", 100), ("C", 101)]


def test_tops_of_spot_and_of_contracts_look_different(tmp_path: Path) -> None:
    """Single values, or pairs."""
    spot = push("market.btcusdt.bbo", seqId=5, ask=101, askSize=2, bid=100, bidSize=1, quoteTime=MS, symbol="btcusdt")
    swap = push(
        "market.BTC-USDT.bbo", mrid=9, id=1, bid=[100, 5], ask=[101, 6], ts=MS, version=9, ch="market.BTC-USDT.bbo"
    )
    account, records = run(tmp_path, SPOT, spot, swap)
    assert account.rejected == {}
    assert [r.levels[0].bid_px for r in records if isinstance(r, MBP1Msg)] == [100 * 10**9] * 2


def test_merged_depth_is_left_out_and_whole_depth_is_a_top_ten(tmp_path: Path) -> None:
    """step0 has the venue's own prices, step1 and on merge them."""
    sides = {"bids": [[100, 1]], "asks": [[101, 2]], "ts": MS, "version": 3}
    account, records = run(
        tmp_path, SPOT, push("market.btcusdt.depth.step0", **sides), push("market.btcusdt.depth.step1", **sides)
    )
    assert account.excluded == {"prices merged by the venue": 1}
    assert len([r for r in records if isinstance(r, MBP10Msg)]) == 1


def test_funding_and_open_interest(tmp_path: Path) -> None:
    """A notice, and a list asked for now and then."""
    notice = {
        "op": "notify", "topic": "public.BTC-USDT.funding_rate", "ts": MS,
        "data": [{"contract_code": "BTC-USDT", "funding_rate": "0.0001", "settlement_time": str(MS)}],
    }  # fmt: skip
    held = {"status": "ok", "data": [{"contract_code": "BTC-USDT", "volume": 288491.0}], "ts": MS}
    url = "https://api.hbdm.com/linear-swap-api/v1/swap_open_interest"
    account, records = run(tmp_path, "wss://api.hbdm.com/linear-swap-notification", notice, (url, held))
    assert account.rejected == {}
    assert [r.stat_type for r in records if isinstance(r, StatMsg)] == [20003, 20004, 20005]


def test_a_contract_is_worth_so_much(tmp_path: Path) -> None:
    """Numbers with eighteen places of zeros are read."""
    body = (
        '{"status":"ok","data":[{"symbol":"BTC","contract_code":"BTC-USD","contract_size":100.000000000000000000,'
        '"price_tick":0.100000000000000000,"delivery_time":""}]}'
    )
    url = "https://api.hbdm.com/swap-api/v1/swap_contract_info"
    account, records = run(tmp_path, "wss://api.hbdm.com/swap-ws", (url, json.loads(body, parse_float=float)))
    (made,) = [r for r in records if isinstance(r, InstrumentDefMsg)]
    assert account.rejected == {}
    assert (made.min_price_increment, made.contract_multiplier) == (100_000_000, 100)


@pytest.mark.parametrize("damage", ["cut", "tail"])
def test_a_damaged_frame_is_rejected_and_the_rest_goes_on(tmp_path: Path, damage: str) -> None:
    """A gzip stream that ends early, or has bytes behind it."""
    whole = gzip.compress(
        json.dumps(push("market.btcusdt.depth.step0", bids=[[100, 1]], asks=[[101, 1]], ts=MS, version=1)).encode()
    )
    account, records = run(tmp_path, SPOT, whole[:-9] if damage == "cut" else whole + b"x", whole)
    assert sum(account.rejected.values()) == 1
    assert len([r for r in records if isinstance(r, MBP10Msg)]) == 1


def test_every_single_message_gives_records_or_says_why_not(recordings: Path) -> None:
    """Each real line, alone."""
    reader = LooseMessages(load("htx"))
    outcomes = {line: reader.outcome(line) for line in read_lines(recordings / "single_messages" / "huobi.jsonl")}
    assert {line: told for line, told in outcomes.items() if told.how in ("rejected", "unknown")} == {}
