"""`python -m benchmarks.cold.compare`: the same trades read through our tables and through the usual alternatives, in one run.

A synthetic day of trades goes through post-process; the others are made of what it published. Each task is done in a new
process, several times over, and every answer is held against sums of whole numbers over the text of the CSV files.
"""

from __future__ import annotations

import argparse
import decimal
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cold import truth_of_trades
from benchmarks.cold.postprocessing import How, process
from benchmarks.cold.results import FOLDER, Reader, Readers, Task, here, load, save
from benchmarks.cold.synthetic_day import DAY, fill
from benchmarks.cold.task import ReaderError, one, several
from benchmarks.cold.truth_of_trades import Truth
from tapeline.errors import TapelineError
from tapeline.offline.lake import Lake
from tapeline.offline.tables import all_tables
from tapeline.offline.views import connect

NAUTILUS = "nautilus_trader==1.221.0"
"""The last one for Python 3.11."""

_RUNS = 3
_HOUR = 3_600_000_000_000
_MINUTES_OF_HOUR = 60
_PROVIDER, _SYMBOL = "BINANCE_SPOT", "BTCUSDT"
_CSV = ("exchange", "symbol", "timestamp", "local_timestamp", "id", "side", "price", "amount")


@dataclass(frozen=True, slots=True)
class Way:
    """A reader, where its files are, and its interpreter."""

    name: str
    module: str
    place: Path
    disk: Path
    columns: int
    note: str = ""
    python: str = sys.executable
    lots: bool = False
    """Whether its sizes are whole lots, so that only counts and average prices can be compared."""


def main(argv: Sequence[str] | None = None) -> int:
    """Compares; 1 where a reader found something else than there is."""
    parser = argparse.ArgumentParser(prog="compare", description=__doc__)
    parser.add_argument("--trades", type=int, default=5_000_000, metavar="N")
    parser.add_argument("--work", type=Path, metavar="DIR", help="where to work (default: a temporary folder)")
    parser.add_argument(
        "--nautilus", metavar="PYTHON", help=f"an interpreter that has {NAUTILUS} (default: an environment is made)"
    )
    parser.add_argument(
        "--results", type=Path, default=FOLDER, metavar="DIR", help="where the figures go (default: benchmarks/results)"
    )
    args = parser.parse_args(argv)
    told = here()
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        try:
            readers = _measure(Path(folder), args.trades, args.nautilus, told)
        except TapelineError as error:
            print(f"compare: {error}", file=sys.stderr)
            return 1
    cold = load(args.results)
    cold.readers = readers
    _say(f"written to {save(cold, args.results).name}")
    return 0 if all(task.agrees for reader in readers.readers for task in reader.tasks.values()) else 1


def _measure(home: Path, trades: int, nautilus: str | None, told: dict[str, str]) -> Readers:
    made = fill(home / "store", 2 * trades, threshold=600.0, trades_only=True)
    _say(f"made {made.payloads:,} trades in {made.seconds:.0f} s")
    spent = process(DAY, home / "store", home, How("local", os.cpu_count() or 1))
    _say(f"post-process took {spent.seconds:.0f} s")
    shutil.rmtree(home / "store")
    _write_csv(home)
    truth = truth_of_trades.read(home / "plain", _PROVIDER, _SYMBOL)
    python = nautilus or _environment(home / "environment")
    catalog = {"place": str(home / "catalog"), "csv": str(home / "plain")}
    written = one(python, "nautilus_catalog", "write", catalog)
    _say(f"CSV files and a Nautilus catalogue written, the latter in {written['seconds']:.0f} s")
    readers = [_reader(way, truth) for way in _ways(home, python)]
    count = sum(sums.trades for sums in truth.sums.values())
    return Readers(told, count, len(truth.sums), f"{_SYMBOL} of {_PROVIDER}", _RUNS, readers)


def _ways(home: Path, nautilus: str) -> list[Way]:
    tables, dbn, plain, packed, catalog = (
        home / name for name in ("lake/trades", "lake/dbn/schema=trades", "plain", "packed", "catalog")
    )
    columns, fields, named = len(all_tables()["trades"].columns), len(all_tables()["trades"].fields), len(_CSV)
    whole = "all records of a provider are decoded for any question; sizes are whole lots, so turnover is in lots"
    objects = f"{NAUTILUS.replace('==', ' ')}; its API gives lists of objects, of which the raw integers are summed, exact as ours"
    return [
        Way("our Parquet, DuckDB", "lake_duckdb", home, tables, columns),
        Way("our Parquet, pandas", "lake_pandas", home, tables, columns),
        Way("our DBN, Databento's client", "dbn_databento", home, dbn, fields, whole, lots=True),
        Way("CSV, pandas", "csv_pandas", plain, plain, named),
        Way("CSV in gzip, pandas", "csv_pandas", packed, packed, named),
        Way("Nautilus catalogue", "nautilus_catalog", catalog, catalog, 6, objects, python=nautilus),
    ]


def _write_csv(home: Path) -> None:
    """A file of each symbol, as history is usually sold; numbers as short as the venue writes them at most."""
    short = "rtrim(rtrim(CAST({0} AS VARCHAR), '0'), '.')"
    columns = (
        "provider", "raw_symbol", "ts_event", "ts_recv", "coalesce(venue_id, ordinal)",
        "CASE side WHEN 'B' THEN 'buy' ELSE 'sell' END", short.format("price"), short.format("size"),
    )  # fmt: skip
    chosen = ", ".join(f'{column} AS "{name}"' for column, name in zip(columns, _CSV, strict=True))
    (home / "plain").mkdir()
    (home / "packed").mkdir()
    connection = connect(Lake.under(home))
    for provider, symbol in connection.execute("SELECT DISTINCT provider, raw_symbol FROM trades").fetchall():
        where = f"provider = '{provider}' AND raw_symbol = '{symbol}' ORDER BY ordinal"
        path = home / "plain" / f"{provider}_{symbol}.csv"
        connection.execute(f"COPY (SELECT {chosen} FROM trades WHERE {where}) TO '{path}' (FORMAT csv, HEADER)")
        with path.open("rb") as plain, gzip.open(home / "packed" / f"{path.name}.gz", "wb", 6) as packed:
            shutil.copyfileobj(plain, packed, 1 << 20)


def _environment(folder: Path) -> str:
    """An interpreter with Nautilus, in an environment of its own."""
    _say(f"making an environment with {NAUTILUS}")
    python = folder / "bin/python"
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", NAUTILUS],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ReaderError(f"no environment with {NAUTILUS}: {done.stderr.strip()[-500:]}")
    return str(python)


def _reader(way: Way, truth: Truth) -> Reader:
    hour = sorted(truth.hours)[len(truth.hours) // 2]
    one = {"place": str(way.place), "provider": _PROVIDER, "symbol": _SYMBOL}
    given: dict[str, dict[str, Any]] = {
        "vwap": {"place": str(way.place)},
        "hour": {**one, "begin": hour * _HOUR, "end": (hour + 1) * _HOUR},
        "bars": one,
    }
    tasks = {}
    for name, arguments in given.items():
        told = several(way.python, way.module, name, arguments, _RUNS)
        agrees, off = _held(way, name, told["answer"], truth, hour)
        tasks[name] = Task(told["seconds"], told["cpu_seconds"], told["peak_bytes"], agrees, off)
        _say(f"{way.name}, {name}: {tasks[name].seconds:.3f} s{'' if agrees else ', DIFFERS'}")
    disk = sum(file.stat().st_size for file in way.disk.rglob("*") if file.is_file())
    return Reader(way.name, disk, way.columns, tasks, way.note)


def _held(way: Way, task: str, answer: Any, truth: Truth, hour: int) -> tuple[bool, str]:
    """Whether an answer is right, and how far the turnovers of the symbols are off, of the worst of them."""
    with decimal.localcontext(prec=60):
        if task == "hour":
            return truth_of_trades.holds(truth.hours[hour], answer, lots=way.lots), ""
        if task == "bars":
            return _bars_hold(way, answer, truth), ""
        right = answer.keys() == truth.sums.keys() and all(
            truth_of_trades.holds(sums, answer[name], lots=way.lots) for name, sums in truth.sums.items()
        )
        if not right or way.lots:
            return right, "-"
        worst = max(truth_of_trades.off(sums, answer[name]) for name, sums in truth.sums.items())
        return True, f"{worst:.2g}" if worst else ""


def _bars_hold(way: Way, answer: list[list[str]], truth: Truth) -> bool:
    if [int(minute) for minute, *_ in answer] != sorted(truth.minutes):
        return False
    for minute, _, high, low, _, volume in answer:
        told = (high, low) if way.lots else (high, low, volume)
        right = truth.minutes[int(minute)]
        for text, value in zip(told, right, strict=False):
            if not truth_of_trades.near(decimal.Decimal(text), decimal.Decimal(value).scaleb(-truth_of_trades.PLACES)):
                return False
    return True


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
