"""What a unit holds is bounded by `TAPELINE_TASK_MEMORY_BYTES`, however much goes through it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.cold.synthetic_day import DAY, fill
from postprocess.codes import Texts
from postprocess.spool import Spool

REPOSITORY = Path(__file__).resolve().parents[2]
MEMORY_BYTES = 8 << 20
_BATCH = 1000
_SYMBOLS = 40

UNIT = """
import sys
from datetime import date
from pathlib import Path

from postprocess import parquet
from postprocess.day import DayRun, Places
from postprocess.work import run_unit

# Row groups are of one size for all days; these are full with the smaller one already.
parquet.GROUP_ROWS, parquet.LARGE_ROWS = 8192, 2048
store, lake, memory = sys.argv[1:]
run = DayRun(date.fromisoformat("{day}"), Places(store, lake), int(memory), ["BINANCE_SPOT"])
(unit,) = run.begin(run.steps())
print(run_unit(unit).encode().decode())
"""


@pytest.mark.timeout(300)
def test_four_times_the_payloads_take_hardly_more_memory(tmp_path: Path) -> None:
    """In a process of its own, rows of four times what a unit may hold make it only a little larger."""
    peaks, rows = [], []
    for times in (1, 4):
        place = tmp_path / str(times)
        fill(place / "store", 300_000 * times, minutes=4 * times)
        done = subprocess.run(
            [sys.executable, "-c", UNIT.format(day=DAY), str(place / "store"), str(place / "lake"), str(MEMORY_BYTES)],
            capture_output=True, text=True, check=True, cwd=REPOSITORY,
        )  # fmt: skip
        report = json.loads(done.stdout)
        assert not report["failed"]
        peaks.append(report["peak_rss_bytes"])
        rows.append(report["counts"]["records"])
    assert rows[1] > 3.5 * rows[0]
    # 200,000 rows more, of some 300 bytes each, would be 60 MB more if they were held but once.
    assert peaks[1] - peaks[0] < 40 << 20, peaks


def test_rows_leave_a_spool_in_order_and_a_few_at_a_time() -> None:
    """Of three hundred runs only pieces are in memory while they are read back; they leave by text, then as they came."""
    texts = Texts()
    codes = np.array([texts.code(f"S{(number * 7) % _SYMBOLS:02d}") for number in range(_SYMBOLS)])
    spool = Spool(texts, 1 << 20)
    random = np.random.default_rng(1)
    keys = []
    for number in range(300):
        chosen = codes[random.integers(0, _SYMBOLS, _BATCH)].astype(codes.dtype)
        keys.append(chosen)
        first = number * _BATCH
        rows = {
            "ordinal": np.arange(first, first + _BATCH),
            "filling": pa.array([b"%0200d" % row for row in range(first, first + _BATCH)]),
        }
        spool.add(pa.table(rows), chosen)
        spool.spill()
    assert spool.bytes == 0
    before = pa.total_allocated_bytes()
    held, ordinals = 0, []
    for piece in spool.sorted():
        held = max(held, pa.total_allocated_bytes() - before)
        ordinals.append(piece.column("ordinal").to_numpy())
    found = np.concatenate(ordinals)
    ranks = texts.ranks()[np.concatenate(keys)]
    assert (found == np.lexsort((np.arange(len(ranks)), ranks))).all()
    assert held < 12 << 20, held
