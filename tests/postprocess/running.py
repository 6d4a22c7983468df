"""Runs a day's units one after the other in this process, for tests that look at what comes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from postprocess.day import Places, Result, run_day
from postprocess.units import Report, Unit
from postprocess.work import run_unit

MEMORY_BYTES = 256 << 20


class Here:
    """An executor without processes."""

    def run(self, units: Sequence[Unit]) -> Iterator[Report]:
        return map(run_unit, units)


def make(day: date, store: Path | str, lake: Path | str) -> Result:
    """Makes a day's tables here and now."""
    return run_day(day, Places(str(store), str(lake)), Here(), MEMORY_BYTES)
