"""The live table of `tapeline up`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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

    def row(self, venue: str, instance: str, now: float, received: Mapping[str, Any], gaps: int, rejects: int) -> Row:
        """The row since the last call for the same venue and instance; `now` in seconds, monotonic."""
        payloads, records = int(received.get("payloads", 0)), int(received.get("records", 0))
        then, payloads_then, records_then = self._before.get((venue, instance), (now, payloads, records))
        self._before[venue, instance] = (now, payloads, records)
        span = now - then
        lag = received.get("lag", {})
        return Row(
            venue,
            instance,
            (payloads - payloads_then) / span if span > 0 else 0.0,
            (records - records_then) / span if span > 0 else 0.0,
            lag.get("p50"),
            lag.get("p99"),
            gaps,
            rejects,
        )


def table(rows: list[Row], title: str) -> Table:
    """The table as it is shown."""
    out = Table(title=title, title_justify="left")
    out.add_column("venue")
    out.add_column("instance")
    for name in ("payloads/s", "records/s", "lag p50", "lag p99", "gaps", "rejects"):
        out.add_column(name, justify="right")
    for row in rows:
        out.add_row(
            row.venue,
            row.instance,
            f"{row.payloads:,.0f}",
            f"{row.records:,.0f}",
            delay(row.lag_p50),
            delay(row.lag_p99),
            f"{row.gaps:,}",
            f"{row.rejects:,}",
        )
    return out


def delay(micros: float | None) -> str:
    """A delay as a person reads it."""
    if micros is None:
        return "–"
    if micros < 1000:
        return f"{micros:.0f} µs"
    return f"{micros / 1000:.1f} ms" if micros < 1_000_000 else f"{micros / 1_000_000:.1f} s"
