"""A day of raw objects becomes tables and DBN files."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import databento
import pytest

from tapeline.offline.dbn_file import read_records
from tapeline.offline.final_book import final_book
from tapeline.offline.lake import Lake
from tapeline.offline.normalizing import normalize_file
from tapeline.venues import load
from tests.postprocess.raw_store import fill
from tests.postprocess.running import answer, make, records

KRAKEN_DAY = date(2026, 8, 2)
SPOT_DAY = date(2024, 8, 8)


@pytest.fixture(scope="module")
def kraken(recordings: Path) -> Path:
    return recordings / "kraken" / "btcusd_v2_20260802.jsonl.zst"


def test_an_empty_day_is_published_empty(tmp_path: Path) -> None:
    """No raw payloads is a finding: every table is there and has no rows."""
    (tmp_path / "store").mkdir()
    result = make(KRAKEN_DAY, tmp_path / "store", tmp_path / "lake")
    assert (result.payloads, result.versions) == (0, {})
    for table in (
        "raw_payloads",
        "trades",
        "mbo",
        "mbp_1",
        "mbp_10",
        "ohlcv_1m",
        "statistics",
        "status",
        "definitions",
    ):
        assert answer(tmp_path / "lake", f"SELECT count(*) FROM {table}") == [(0,)]


def test_one_instance_gives_the_live_bytes(tmp_path: Path, kraken: Path) -> None:
    """The day's DBN is what `normalize` makes of the same payloads, byte for byte."""
    fill(tmp_path / "store", "kraken", kraken)
    make(KRAKEN_DAY, tmp_path / "store", tmp_path / "lake")
    normalize_file(load("kraken"), kraken, tmp_path / "direct.dbn.zst")
    (mbo,) = (tmp_path / "lake" / "dbn" / "schema=mbo").rglob("*.dbn.zst")
    (definitions,) = (tmp_path / "lake" / "dbn" / "schema=definition").rglob("*.dbn.zst")
    whole = records(tmp_path / "direct.dbn.zst")
    size = len(records(definitions))
    assert whole[:size] == records(definitions)
    assert whole[size:] == records(mbo)


def test_two_instances_with_holes_give_the_whole_book(tmp_path: Path, kraken: Path) -> None:
    """Each lost what the other has: the canonical book is the whole capture's, and nothing comes twice."""
    fill(tmp_path / "store", "kraken", kraken, "PRIMARY", keep=lambda number: number % 7 != 0)
    fill(
        tmp_path / "store",
        "kraken",
        kraken,
        "REPLICA",
        keep=lambda number: number % 11 != 0 or number % 7 == 0,
        later=777,
    )
    result = make(KRAKEN_DAY, tmp_path / "store", tmp_path / "lake")
    fill(tmp_path / "whole", "kraken", kraken)
    whole = make(KRAKEN_DAY, tmp_path / "whole", tmp_path / "whole_lake")
    assert (result.payloads, result.records, result.rejected) == (whole.payloads, whole.records, 0)
    assert answer(tmp_path / "lake", "SELECT count(*) > 0, max(missing) FROM ledger_gaps") == [(True, 0)]
    assert result.gaps == 0
    counts = answer(tmp_path / "lake", "SELECT seen_by, count(*) FROM raw_payloads GROUP BY 1")
    seen: dict[str, int] = dict(counts)
    assert set(seen) == {"PRIMARY", "REPLICA", "both"}
    sums = answer(tmp_path / "lake", "SELECT sum(primary_only), sum(replica_only), sum(in_both) FROM ledger")
    assert sums == [(seen["PRIMARY"], seen["REPLICA"], seen["both"])]
    books = []
    for lake in ("lake", "whole_lake"):
        found = sorted((tmp_path / lake / "dbn").rglob("*.dbn.zst"))
        chained = [record for path in found for record in read_records(path)]
        books.append(final_book(chained, "BTC/USD"))
    assert books[0].side(True) == books[1].side(True)
    assert books[0].side(False) == books[1].side(False)


def test_tables_hold_exact_decimals(tmp_path: Path, recordings: Path) -> None:
    """Trades of the table are the venue's own text, at its own scale."""
    capture = recordings / "binance_spot" / "btcusdt_20240808.jsonl.zst"
    fill(tmp_path / "store", "binance_spot", capture, limit=3000)
    make(SPOT_DAY, tmp_path / "store", tmp_path / "lake")
    out = tmp_path / "lake"
    trades = answer(out, "SELECT price, size, side, raw_symbol, raw_sequence FROM trades ORDER BY raw_sequence")
    said = {
        sequence: json.loads(payload)["data"]
        for sequence, payload in answer(
            out, "SELECT raw_sequence, decode(payload) FROM raw_payloads WHERE schema = 'TRADES'"
        )
    }
    assert len(trades) == len(said) > 100
    for price, size, side, symbol, sequence in trades:
        message = said[sequence]
        assert (price, size) == (Decimal(message["p"]), Decimal(message["q"]))
        assert (side, symbol) == ("A" if message["m"] else "B", message["s"])
    quotes = answer(out, "SELECT bid_px_00, bid_sz_00, ask_px_00, ask_sz_00, raw_sequence FROM mbp_1")
    said = {
        sequence: json.loads(payload)["data"]
        for sequence, payload in answer(
            out, "SELECT raw_sequence, decode(payload) FROM raw_payloads WHERE schema = 'MBP_1'"
        )
    }
    assert quotes
    for *numbers, sequence in quotes:
        assert numbers == [Decimal(said[sequence][name]) for name in "bBaA"]
    # A quote is no order: the record's own price is undefined, and stays so.
    assert answer(out, "SELECT count(price), count(DISTINCT dbn_price) FROM mbp_1") == [(0, 1)]


def test_a_second_run_is_the_first_again(tmp_path: Path, kraken: Path) -> None:
    """Running again gives the same bytes, and what a reader sees is one version."""
    fill(tmp_path / "store", "kraken", kraken, limit=300)
    rows, manifests = [], []
    for out in (tmp_path / "lake", tmp_path / "again"):
        make(KRAKEN_DAY, tmp_path / "store", out)
        rows.append(answer(out, "SELECT * FROM mbo ORDER BY ALL"))
        (manifest,) = Lake.at(out).current()
        manifests.append({name: [part.sha256 for part in parts] for name, parts in manifest.tables.items()})
    assert rows[0] == rows[1] != []
    assert manifests[0] == manifests[1]


def test_a_run_that_dies_leaves_the_day_as_it_was(
    tmp_path: Path, kraken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is half made is not seen."""
    fill(tmp_path / "store", "kraken", kraken, limit=300)
    out = tmp_path / "lake"
    make(KRAKEN_DAY, tmp_path / "store", out)
    before = answer(out, "SELECT count(*) FROM mbo")
    fill(tmp_path / "store", "kraken", kraken, later=2_000_000_000, limit=300)
    monkeypatch.setattr("postprocess.files.UnitFiles.finish", _die)
    with pytest.raises(KeyboardInterrupt):
        make(KRAKEN_DAY, tmp_path / "store", out)
    assert answer(out, "SELECT count(*) FROM mbo") == before


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def test_deltas_that_waited_for_their_book_keep_their_own_origin(tmp_path: Path, recordings: Path) -> None:
    """A delta kept until the first snapshot is a row of its own payload, with its own time of receipt."""
    capture = recordings / "binance_usdm" / "five_symbols_20210405.jsonl.zst"
    fill(tmp_path / "store", "binance_usdm", capture, limit=4000)
    make(date(2021, 4, 5), tmp_path / "store", tmp_path / "lake")
    wrong = answer(
        tmp_path / "lake",
        "SELECT count(*) FROM mbo LEFT JOIN raw_payloads USING (raw_epoch, raw_sequence) "
        "WHERE mbo.ts_recv IS DISTINCT FROM raw_payloads.ts_recv AND mbo.flags & 32 = 0",
    )
    assert wrong == [(0,)]


@pytest.mark.filterwarnings("ignore::Warning")  # databento's own use of pandas
def test_a_schema_of_a_day_opens_with_databento(tmp_path: Path, kraken: Path) -> None:
    """Each schema has a file of its own, with its symbols, that the stock store takes as it is."""
    fill(tmp_path / "store", "kraken", kraken, limit=200)
    result = make(KRAKEN_DAY, tmp_path / "store", tmp_path / "lake")
    found = {}
    for path in (tmp_path / "lake" / "dbn").rglob("*.dbn.zst"):
        opened = databento.DBNStore.from_file(path)
        frame = opened.to_df()
        assert set(frame["symbol" if "symbol" in frame else "raw_symbol"]) == {"BTC/USD"}
        found[str(opened.schema)] = len(frame)
    assert set(found) == {"mbo", "definition"}
    assert sum(found.values()) == result.records


def test_counters_of_two_connections_are_no_holes_of_the_whole(tmp_path: Path, recordings: Path) -> None:
    """Bitfinex counts all frames of a connection: each instance's count has holes, what they make together has none."""
    capture = recordings / "bitfinex" / "20210405.jsonl.zst"
    fill(tmp_path / "store", "bitfinex", capture, "PRIMARY", keep=lambda number: number % 7 != 0)
    fill(tmp_path / "store", "bitfinex", capture, "REPLICA", keep=lambda number: number % 5 != 0, later=2_000_000)
    make(date(2021, 4, 5), tmp_path / "store", tmp_path / "lake")
    whole = normalize_file(load("bitfinex"), capture, tmp_path / "whole.dbn.zst")
    missing = whole.payloads // 35  # what both have lost
    [(records_of, doubtful)] = answer(tmp_path / "lake", "SELECT count(*), sum((flags & 4) // 4) FROM mbo")
    assert doubtful == 0
    assert whole.records["mbo"] - 2 * missing < records_of <= whole.records["mbo"]
