"""Binance's FIX market data by hand: inherited fields, sides that are not told again, parts of updates, what came later."""

from __future__ import annotations

from pathlib import Path

import simplefix
from databento_dbn import InstrumentDefMsg, MBOMsg, MBP1Msg, TradeMsg

from tests.support.told import Told, told

URL = "tls://fix-md.binance.com:9000"
NOW = 1_767_225_600_000_000_000
"""2026: sides are told, updates come whole."""
PARTED = 1_750_000_000_000_000_000
"""June 2025: large updates come in parts."""
FIRST = 1_737_100_000_000_000_000
"""January 2025: sides are not told."""
TIME = "20260101-00:00:00.123456"
Group = tuple[tuple[int, object], ...]


def fix(kind: str, *pairs: tuple[int, object]) -> str:
    """A message of the venue."""
    made = simplefix.FixMessage()
    for tag, value in ((8, "FIX.4.4"), (35, kind), (34, 7), (49, "SPOT"), (52, TIME), (56, "US"), *pairs):
        made.append_pair(tag, value)
    return str(made.encode().decode())


def update(channel: str, *entries: Group, after: Group = ()) -> str:
    """An X message."""
    return fix("X", (262, channel), (268, len(entries)), *(pair for entry in entries for pair in entry), *after)


def level(action: int, side: int, price: str, size: str = "", *more: tuple[int, object]) -> Group:
    """An entry of a book."""
    return ((279, action), (270, price), *(((271, size),) if size else ()), (269, side), *more)


def snapshot(last: int, *entries: Group, channel: str = "ABCUSDT-book") -> str:
    """A W message."""
    flat = (pair for entry in entries for pair in entry)
    return fix("W", (262, channel), (55, "ABCUSDT"), (25044, last), (268, len(entries)), *flat)


def row(side: int, price: str, size: str) -> Group:
    """An entry of a snapshot."""
    return ((269, side), (270, price), (271, size))


def ids(first: int, last: int) -> Group:
    """What the first entry of an update says for all."""
    return ((55, "ABCUSDT"), (25043, first), (25044, last))


def run(folder: Path, *said: str, at: int = NOW) -> Told:
    """What becomes of messages."""
    return told("binance_fix", URL, said, folder, at)


TWO = (row(0, "10.00", "5"), row(1, "10.10", "7"))


def test_ids_and_symbol_that_only_the_first_entry_tells_hold_for_all(tmp_path: Path) -> None:
    """One update of three entries, one of them a delete without a size; the chain is whole."""
    heard = run(
        tmp_path,
        snapshot(100, *TWO),
        update(
            "ABCUSDT-book",
            level(0, 0, "9.90", "4", *ids(101, 103)),
            level(2, 0, "10.00"),
            level(1, 1, "10.10", "8"),
        ),
        update("ABCUSDT-book", level(1, 1, "10.10", "9", *ids(104, 104))),
    )
    assert heard.account.links == {"ok": 2, "broken": 0}
    assert heard.account.rejected == {}
    last = [record for record in heard.of(MBOMsg) if record.sequence == 103]
    assert [(str(r.action), str(r.side), r.price) for r in last] == [
        ("A", "B", 9_900_000_000),
        ("C", "B", 10_000_000_000),
        ("M", "A", 10_100_000_000),
    ]


def test_a_hole_in_the_update_ids_breaks_the_chain(tmp_path: Path) -> None:
    """25043 is not one more than the last 25044."""
    heard = run(tmp_path, snapshot(100, *TWO), update("ABCUSDT-book", level(1, 0, "9.90", "4", *ids(103, 104))))
    assert heard.account.links["broken"] == 1


def test_a_snapshot_without_entries_is_an_empty_book(tmp_path: Path) -> None:
    """268=0 clears."""
    heard = run(tmp_path, snapshot(100, *TWO), snapshot(0))
    assert str(heard.of(MBOMsg)[-1].action) == "R"
    assert heard.account.rejected == {}


def test_a_side_that_an_update_does_not_tell_is_unchanged_and_one_deleted_is_gone(tmp_path: Path) -> None:
    """The ticker's X names what has changed; a delete leaves nothing at its price."""
    channel = "ABCUSDT-top"
    heard = run(
        tmp_path,
        snapshot(5, *TWO, channel=channel),
        update(channel, level(1, 1, "10.20", "3", (55, "ABCUSDT"), (25044, 6))),
        update(channel, level(2, 0, "10.00", "", (55, "ABCUSDT"), (25044, 7))),
    )
    quotes = [(r.levels[0].bid_px, r.levels[0].bid_sz > 0, r.levels[0].ask_px, r.sequence) for r in heard.of(MBP1Msg)]
    assert quotes == [
        (10_000_000_000, True, 10_100_000_000, 5),
        (10_000_000_000, True, 10_200_000_000, 6),
        (10_000_000_000, False, 10_200_000_000, 7),
    ]


def deal(number: int, *more: tuple[int, object], symbol: bool = True) -> Group:
    """A trade."""
    named = ((55, "ABCUSDT"),) if symbol else ()
    return ((279, 0), (270, "10.05"), (271, "0.5"), (269, 2), *named, (60, TIME), (1003, number), *more)


def test_trades_bear_their_own_time_id_and_aggressor(tmp_path: Path) -> None:
    """2446: 1 bought, 2 sold; two trades in a message share the symbol."""
    heard = run(tmp_path, update("ABCUSDT-trade", deal(67, (2446, 1)), deal(68, (2446, 2), symbol=False)))
    trades = heard.of(TradeMsg)
    assert [(r.sequence, str(r.side), r.price) for r in trades] == [
        (67, "B", 10_050_000_000),
        (68, "A", 10_050_000_000),
    ]
    assert trades[0].ts_event == NOW + 123_456_000
    assert heard.account.links == {"ok": 2, "broken": 0}


def test_until_february_2025_trades_have_no_side(tmp_path: Path) -> None:
    """2446 was not there: the record says that nothing is known."""
    heard = run(tmp_path, update("ABCUSDT-trade", deal(67)), at=FIRST)
    assert [str(record.side) for record in heard.of(TradeMsg)] == ["N"]
    assert run(tmp_path, update("ABCUSDT-trade", deal(67)), at=NOW).account.rejected == {"missing_field": 1}


def test_until_december_2025_updates_come_in_parts(tmp_path: Path) -> None:
    """893=N has the ids of the whole: they count once, with the last part."""
    heard = run(
        tmp_path,
        snapshot(100, *TWO),
        update("ABCUSDT-book", level(0, 0, "9.90", "4", *ids(101, 103)), after=((893, "N"),)),
        update("ABCUSDT-book", level(0, 0, "9.80", "4", *ids(101, 103)), after=((893, "Y"),)),
        update("ABCUSDT-book", level(0, 0, "9.70", "4", *ids(104, 104))),
        at=PARTED,
    )
    assert heard.account.links == {"ok": 2, "broken": 0}
    added = {record.price for record in heard.of(MBOMsg) if str(record.action) == "A"}
    assert {9_900_000_000, 9_800_000_000, 9_700_000_000} <= added


def test_an_instrument_list_gives_steps_and_leaves_out_what_is_not_told(tmp_path: Path) -> None:
    """Since October 2025 filters may be missing."""
    first = ((55, "ABCUSDT"), (15, "EUR"), (562, "0.001"), (1140, "900"), (25039, "0.001"), (969, "0.01"))
    listed = fix("y", (320, "instruments"), (146, 2), *first, (55, "DEFBTC"), (15, "BTC"))
    heard = run(tmp_path, listed)
    defined = {record.raw_symbol: record for record in heard.of(InstrumentDefMsg)}
    assert defined["ABCUSDT"].min_price_increment == 10_000_000
    assert defined["ABCUSDT"].currency == "EUR"
    assert "DEFBTC" in defined
    assert heard.account.rejected == {}


def test_damage_is_rejected_with_its_reason(tmp_path: Path) -> None:
    """A wrong checksum, a count that is not the number of entries, an update without its price."""
    good = update("ABCUSDT-trade", deal(67, (2446, 1)))
    wrong = good[:-4] + f"{(int(good[-4:-1]) + 1) % 256:03d}\x01"
    assert run(tmp_path, wrong).account.rejected
    miscounted = fix("X", (262, "ABCUSDT-trade"), (268, 2), *deal(67, (2446, 1)))
    assert run(tmp_path, miscounted).account.rejected
    assert run(tmp_path, good).account.rejected == {}
