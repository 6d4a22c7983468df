"""What each recording can prove, proved on our own DBN files: books, links, checksums, and nothing rejected."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from databento_dbn import MBOMsg, MBP1Msg

from tapeline.offline.dbn_file import read_records
from tapeline.offline.final_book import final_book
from tapeline.offline.normalizing import Account, normalize_file
from tapeline.venues import load

UNDEFINED = (1 << 63) - 1
LAST = 0x80
SNAPSHOT = 0x20

ACCOUNTS = {
    # Recording: payloads, links, checksums, instruments.
    "binance_spot/btcusdt_20240808": (41_249, 13_207, 0, 1),
    "binance_spot/ten_symbols_20210405": (11_367, 5_882, 0, 10),
    "binance_usdm/btcusdt_20240808": (93_954, 6_550, 0, 1),
    "binance_usdm/five_symbols_20210405": (8_426, 4_969, 0, 5),
    "binance_coinm/btcusd_perp_20240808": (48_270, 26_846, 0, 1),
    "bybit/v5_20250816": (347, 0, 0, 10),
    "okx/v5_20220227": (3_777, 0, 3_679, 10),
    "kraken/btcusd_v2_20260802": (2_104, 0, 2_052, 1),
    "kraken/btcusd_v2_resync_20260801": (377, 0, 301, 1),
    "coinbase/exchange_l3_0_20160312": (2_377, 2_376, 0, 1),
    "deribit/20210405": (461, 177, 0, 10),
}


@pytest.fixture(scope="module")
def made(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Account, Path]]:
    """Every recording through `tapeline normalize`."""
    folder = tmp_path_factory.mktemp("made")
    found = {}
    for name in ACCOUNTS:
        target = folder / f"{name.replace('/', '_')}.dbn.zst"
        account = normalize_file(load(name.partition("/")[0]), recordings / f"{name}.jsonl.zst", target)
        found[name] = (account, target)
    return found


@pytest.mark.parametrize("name", ACCOUNTS)
def test_nothing_is_rejected_broken_or_bad(made: dict[str, tuple[Account, Path]], name: str) -> None:
    """0 rejected, 0 broken links, 0 bad checksums; as many good ones as the recording holds, and every payload told of."""
    account, _ = made[name]
    payloads, links, checksums, instruments = ACCOUNTS[name]
    assert account.rejected == {}
    assert account.links == {"ok": links, "broken": 0}
    assert account.checksums == {"ok": checksums, "bad": 0}
    assert (account.payloads, account.instruments, account.resyncs) == (payloads, instruments, 0)
    assert account.excluded == {}


@pytest.mark.parametrize(
    ("name", "events"), [("binance_spot/btcusdt_20240808", 3_449), ("binance_usdm/btcusdt_20240808", 6_547)]
)
def test_binance_book_is_the_top_of_book(made: dict[str, tuple[Account, Path]], name: str, events: int) -> None:
    """At every depth event the best levels of our MBO are our MBP_1 of the largest update id that is not later."""
    quotes, tops = _quotes(made[name][1]), list(_tops(made[name][1]))
    ids = [quote[0] for quote in quotes]
    compared = 0
    for number, top in tops:
        place = bisect_right(ids, number)
        if place:
            compared += 1
            assert quotes[place - 1][1] == top, f"at update {number}"
    assert compared == events


def _quotes(path: Path) -> list[tuple[int, tuple[int, ...]]]:
    """Top of book by update id, as price and size of bid and ask."""
    found: list[tuple[int, tuple[int, ...]]] = []
    for record in read_records(path):
        if isinstance(record, MBP1Msg):
            (level,) = record.levels
            found.append((record.sequence, (level.bid_px, level.bid_sz, level.ask_px, level.ask_sz)))
    assert found == sorted(found, key=lambda item: item[0])
    return found


def _tops(path: Path) -> Iterator[tuple[int, tuple[int, ...]]]:
    """The best levels of the book after every message, from MBO records alone."""
    sides: dict[str, dict[int, int]] = {"B": {}, "A": {}}
    best: dict[str, int | None] = {"B": None, "A": None}
    for record in read_records(path):
        if not isinstance(record, MBOMsg):
            continue
        action, side, price = str(record.action), str(record.side), record.price
        if action == "R":
            sides, best = {"B": {}, "A": {}}, {"B": None, "A": None}
        elif action in ("A", "M"):
            sides[side][price] = record.size
            top = best[side]
            if top is None or (price > top if side == "B" else price < top):
                best[side] = price
        elif action == "C":
            sides[side].pop(price, None)
            if best[side] == price:
                best[side] = (max if side == "B" else min)(sides[side], default=None)
        if record.flags & LAST and not record.flags & SNAPSHOT:
            bid, ask = best["B"], best["A"]
            assert bid is not None
            assert ask is not None
            yield record.sequence, (bid, sides["B"][bid], ask, sides["A"][ask])


def test_coinbase_orders_give_the_expected_book(made: dict[str, tuple[Account, Path]], recordings: Path) -> None:
    """The 50 best levels of each side, added up from single orders, are the recording's own, exactly."""
    _, path = made["coinbase/exchange_l3_0_20160312"]
    text = (recordings / "coinbase" / "exchange_l3_0_20160312.expected_book.json").read_text()
    wanted = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    book = final_book(read_records(path), "BTC-USD")
    for name in ("bids", "asks"):
        best = [(Decimal(price), Decimal(size)) for price, size in book.side(name == "bids", 50)]
        assert best == [tuple(level) for level in wanted[name]]


def test_deribit_changes_follow_each_other(made: dict[str, tuple[Account, Path]]) -> None:
    """Every change names the one before it, on each of its books."""
    account, _ = made["deribit/20210405"]
    assert account.links["ok"] == 177
    assert "resync" not in account.events
