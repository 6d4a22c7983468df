"""A day of real payloads with seeded losses through the post-process: the ledger is the seeded truth, number by number."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from tapeline.objectstore import open_store
from tapeline.offline.lake import Lake
from tapeline.offline.ledger_day import DayLedger, read_day
from tapeline.offline.views import connect
from tests.postprocess.running import make
from tests.postprocess.seeded_day import SeededDay, binance_breaks

DAY = date(2021, 4, 5)
CAPTURES = {
    "binance_spot": "ten_symbols_20210405",
    "binance_usdm": "five_symbols_20210405",
    "bitfinex": "20210405",
    "deribit": "20210405",
}
NAMES = ("primary_only", "replica_only", "in_both", "duplicates", "rejected")


@pytest.fixture(scope="module")
def seeded(recordings: Path) -> dict[str, SeededDay]:
    """Four venues; of two each message lost is lost by one instance only."""
    days = {}
    for number, (venue, capture) in enumerate(CAPTURES.items()):
        path = recordings / venue / f"{capture}.jsonl.zst"
        # One of them comes to lie across the end of an hour.
        shift = -2_256_000_000_000 if venue == "binance_usdm" else 0
        day = days[venue] = SeededDay.of(venue, path, shift, number)
        day.lose(seed=number, singles=0.01, runs=6, longest=15, apart=venue not in ("binance_spot", "binance_usdm"))
    spot = days["binance_spot"]
    spot.lost[0].add(0)
    trades = [place for place, message in enumerate(spot.messages) if "@aggTrade" in message.channel[0]]
    for lost in spot.lost:
        lost |= {trades[100], trades[200], trades[201]}
    tickers = [
        n for n, m in enumerate(spot.messages) if "@bookTicker" in m.channel[0] and n not in spot.lost[0] | spot.lost[1]
    ]
    spot.broken = {tickers[100]: (0, 1), tickers[300]: (0,), tickers[500]: (1,), tickers[501]: (0, 1)}
    return days


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, seeded: dict[str, SeededDay]) -> Path:
    """The day's tables."""
    folder = tmp_path_factory.mktemp("seeded")
    store = open_store(str(folder / "store"))
    for day in seeded.values():
        day.store(store, short=9 if day.provider == "BINANCE_USDM" else -1)
        day.record(store)
    result = make(DAY, folder / "store", folder / "lake")
    assert [problem.kind for problem in result.problems] == ["object"]
    assert sorted(result.versions) == sorted(day.provider for day in seeded.values())
    return folder / "lake"


@pytest.fixture(scope="module")
def ledger(lake: Path) -> DayLedger:
    return read_day(Lake.at(lake), DAY)


@pytest.mark.parametrize("venue", CAPTURES)
def test_every_count_of_every_channel_and_hour_is_the_truth(
    lake: Path, seeded: dict[str, SeededDay], venue: str
) -> None:
    """Who has what, what was there twice, what was rejected; hours that have nothing have no row."""
    day = seeded[venue]
    with connect(Lake.at(lake)) as tables:
        rows = tables.sql(
            f"SELECT channel, schema, hour, {', '.join(NAMES)} FROM ledger WHERE provider = $p AND channel <> '_stream'",
            params={"p": day.provider},
        ).fetchall()
    found = {row[:3]: {name: n for name, n in zip(NAMES, row[3:], strict=True) if n} for row in rows}
    assert found == day.hours()
    assert len({hour for _, _, hour in found}) == (2 if venue == "binance_usdm" else 1)
    total = sum((Counter(counts) for counts in found.values()), Counter[str]())
    assert day.rows == 2 * total["in_both"] + total["primary_only"] + total["replica_only"] + total["duplicates"]


@pytest.mark.parametrize("venue", CAPTURES)
def test_every_hole_has_its_exact_bounds_and_what_nobody_has(
    lake: Path, seeded: dict[str, SeededDay], venue: str
) -> None:
    """Filled ones too; the reason where a batch processor has told one."""
    day = seeded[venue]
    with connect(Lake.at(lake)) as tables:
        rows = tables.sql(
            "SELECT instance, raw_epoch, from_sequence, to_sequence, from_ts, to_ts, missing, reason FROM ledger_gaps "
            "WHERE provider = $p AND kind = 'raw' ORDER BY ALL",
            params={"p": day.provider},
        ).fetchall()
    assert rows == sorted(day.holes())
    assert any(hole[-2] for hole in rows) == (venue in ("binance_spot", "binance_usdm"))


@pytest.mark.parametrize("venue", ["binance_spot"])
def test_breaks_of_the_venues_ids_are_those_of_what_nobody_has(
    ledger: DayLedger, seeded: dict[str, SeededDay], venue: str
) -> None:
    """Ids, symbol and time of each, for books and for trades."""
    day = seeded[venue]
    found = [
        (gap.channel, gap.raw_symbol, gap.from_sequence, gap.to_sequence, gap.to_ts, gap.missing, gap.reason)
        for gap in ledger.gaps
        if gap.provider == day.provider and gap.kind == "venue"
    ]
    expected = binance_breaks(day)
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert {gap[-1] for gap in expected} == {"link", "trade id"}


def test_the_totals_are_the_sums_and_every_gap_left_is_listed(ledger: DayLedger, seeded: dict[str, SeededDay]) -> None:
    """Where each message lost is lost by one instance only there is no gap."""
    for day in seeded.values():
        total = ledger.providers()[day.provider]
        gaps = [gap for gap in ledger.gaps if gap.provider == day.provider]
        assert total.gaps == len(gaps)
        left = [hole for hole in day.holes() if hole[-2]]
        assert len([gap for gap in gaps if gap.kind == "raw"]) == len(left)
        if not left:
            assert gaps == []
    assert ledger.total.gaps == len(ledger.gaps)
    assert ledger.filled_count == sum(1 for day in seeded.values() for hole in day.holes() if not hole[-2])
