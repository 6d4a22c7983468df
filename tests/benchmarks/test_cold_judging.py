"""What the benchmarks of the cold path hold answers against: whole numbers off the text, and nothing wrong passes."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path

import pytest

from benchmarks.cold import truth_of_trades
from benchmarks.cold.results import Cold, Scale, Size, load, save
from benchmarks.cold.tree import run
from benchmarks.cold.truth_of_trades import PLACES, Sums

HEAD = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"


@pytest.fixture
def truth(tmp_path: Path) -> truth_of_trades.Truth:
    """Three trades in two minutes of one symbol, one of another."""
    minute = 60_000_000_000
    rows = [(0, "0.1", "3"), (1, "0.2", "0.5"), (minute, "0.15", "2")]
    text = "".join(f"X,A,{stamp},{stamp},1,buy,{price},{size}\n" for stamp, price, size in rows)
    (tmp_path / "X_A.csv").write_text(HEAD + text)
    (tmp_path / "X_B-C.csv").write_text(HEAD + "X,B-C,5,5,1,sell,7,1\n")
    return truth_of_trades.read(tmp_path, "X", "A")


def test_sums_are_exact_where_floats_are_not(truth: truth_of_trades.Truth) -> None:
    """Turnover 0.3 + 0.1 + 0.3; a float's sum of the same is near, and its distance is told."""
    sums = truth.sums["X/A"]
    assert (sums.trades, Decimal(sums.volume).scaleb(-PLACES)) == (3, Decimal("5.5"))
    assert Decimal(sums.turnover).scaleb(-2 * PLACES) == Decimal("0.7")
    told = ["3", "5.5", repr(0.7 + 1e-16)]
    assert truth_of_trades.holds(sums, told, lots=False)
    assert 0 < truth_of_trades.off(sums, told) < Decimal("1e-15")
    assert truth_of_trades.off(sums, ["3", "5.5", "0.7"]) == 0


@pytest.mark.parametrize("told", [["2", "5.5", "0.7"], ["3", "5.4", "0.7"], ["3", "5.5", "0.7000001"]])
def test_a_wrong_answer_is_told_from_a_rounded_one(truth: truth_of_trades.Truth, told: list[str]) -> None:
    """A trade too few, another volume, another turnover."""
    assert not truth_of_trades.holds(truth.sums["X/A"], told, lots=False)


def test_answers_in_lots_are_held_by_their_average_price(truth: truth_of_trades.Truth) -> None:
    """Whatever the lot is, turnover by volume is the same."""
    sums: Sums = truth.sums["X/A"]
    assert truth_of_trades.holds(sums, ["3", "55", "7"], lots=True)
    assert not truth_of_trades.holds(sums, ["3", "55", "7.01"], lots=True)


def test_hours_and_minutes_are_of_the_one_symbol(truth: truth_of_trades.Truth) -> None:
    """High, low and volume of each minute."""
    assert list(truth.hours) == [0]
    assert truth.hours[0].trades == 3
    shown = {minute: tuple(Decimal(one).scaleb(-PLACES) for one in bar) for minute, bar in truth.minutes.items()}
    assert shown == {
        0: (Decimal("0.2"), Decimal("0.1"), Decimal("3.5")),
        1: (Decimal("0.15"), Decimal("0.15"), Decimal(2)),
    }


def test_a_command_is_watched_with_all_it_starts(tmp_path: Path) -> None:
    """CPU and memory of a child's child count; its code and output are told."""
    inner = "held = bytearray(60 << 20); import time; spent = time.process_time() + 0.4\nwhile time.process_time() < spent: pass"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}], check=True); print('done'); sys.exit(3)"
    done = run([sys.executable, "-c", outer], {}, tmp_path / "log")
    assert (done.code, done.output) == (3, "done\n")
    assert done.cpu_seconds > 0.4
    assert done.peak_bytes > 60 << 20
    assert done.peak_each[0] > 60 << 20


def test_figures_are_kept_part_by_part(tmp_path: Path) -> None:
    """What is saved is read again, and stands on the page with its growth."""
    machine = {"cpu": "one", "cores": "2", "system": "Linux", "python": "3.11", "load": "0.0"}
    sizes = [
        Size(
            times, 1, rows, rows // 2, rows, 3, 1, 2, 3, {"trades": 4}, 5, 2, "local", 1.0, cpu, 6, [7], 1.0, 1.0, True
        )
        for times, rows, cpu in ((1, 1_000_000, 2.0), (4, 4_000_000, 12.0))
    ]
    page = save(Cold(scale=Scale(machine, sizes)), tmp_path).read_text()
    assert load(tmp_path) == Cold(scale=Scale(machine, sizes))
    assert "| 4× | 1 | 4,000,000 | 2,000,000 | 4,000,000 | 1 | 3.00 | 333,333 | 1.50 |" in page
