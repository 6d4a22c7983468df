"""Runs a day's units one after the other in this process, for tests that look at what comes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import zstandard

from postprocess.day import Places, Result, run_day
from postprocess.units import Report, Unit
from postprocess.work import run_unit
from tapeline.offline.lake import Lake
from tapeline.offline.views import connect

MEMORY_BYTES = 256 << 20


class Here:
    """An executor without processes."""

    def run(self, units: Sequence[Unit]) -> Iterator[Report]:
        return map(run_unit, units)


def make(day: date, store: Path | str, lake: Path | str) -> Result:
    """Makes a day's tables here and now."""
    return run_day(day, Places(str(store), str(lake)), Here(), MEMORY_BYTES)


def answer(out: Path, sql: str) -> list[tuple[Any, ...]]:
    """What DuckDB says of a lake."""
    with connect(Lake.at(out)) as connection:
        return connection.sql(sql).fetchall()


def records(path: Path) -> bytes:
    """A DBN file's records without its metadata."""
    data = zstandard.ZstdDecompressor().stream_reader(path.read_bytes(), read_across_frames=True).read()
    return data[8 + int.from_bytes(data[4:8], "little") :]
