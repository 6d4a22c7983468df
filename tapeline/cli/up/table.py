"""The live table of `tapeline up`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """One venue and instance at one moment; rates are per second, lags in µs."""

    venue: str
    instance: str
    payloads: float
    records: float
    lag_p50: float | None
    lag_p99: float | None
    gaps: int
    rejects: int


class Rates:
    """Rows from the verifier's and the normalizers' running totals."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, str], tuple[float, int, int]] = {}
        self._rates: dict[tuple[str, str], tuple[float, float]] = {}

    def row(self, venue: str, instance: str, at: float, received: Mapping[str, Any], gaps: int, rejects: int) -> Row:
        """The row since the last totals of the same venue and instance; `at` is when these came, in seconds, monotonic."""
        key = (venue, instance)
        payloads, records = int(received.get("payloads", 0)), int(received.get("records", 0))
        then, payloads_then, records_then = self._before.get(key, (at, payloads, records))
        if at > then:
            self._rates[key] = ((payloads - payloads_then) / (at - then), (records - records_then) / (at - then))
        self._before[key] = (at, payloads, records)
        lag = received.get("lag", {})
        return Row(venue, instance, *self._rates.get(key, (0.0, 0.0)), lag.get("p50"), lag.get("p99"), gaps, rejects)


def plain_table(title: str, *headings: str) -> Table:
    """A table that fits a narrow terminal: the first heading is text, the others stand right."""
    out = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for place, heading in enumerate(headings):
        out.add_column(heading, justify="right" if place else "left", no_wrap=True)
    return out


def table(rows: list[Row], title: str) -> Table:
    """The table as it is shown."""
    out = plain_table(title, "venue", "instance", "payloads/s", "records/s", "lag p50", "p99", "gaps", "rejects")
    for row in rows:
        rates = (f"{row.payloads:,.0f}", f"{row.records:,.0f}", delay(row.lag_p50), delay(row.lag_p99))
        out.add_row(row.venue, row.instance, *rates, f"{row.gaps:,}", f"{row.rejects:,}")
    return out


def delay(micros: float | None) -> str:
    """A delay as a person reads it."""
    if micros is None:
        return "–"
    if micros < 1000:
        return f"{micros:.0f} µs"
    return f"{micros / 1000:.1f} ms" if micros < 1_000_000 else f"{micros / 1_000_000:.1f} s"
