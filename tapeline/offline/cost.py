"""What raw objects cost at several thresholds, and what only the ring holds meanwhile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from tapeline.offline.cost_prices import MONTH_DAYS, Prices
from tapeline.offline.cost_sample import DAY_SECONDS, Regrouped

_LISTED_AT_ONCE = 1000


class Load(Protocol):
    """What one provider and instance brings; per-second figures of payload time."""

    @property
    def channels(self) -> int:
        """How many have anything."""

    @property
    def payloads(self) -> Decimal:
        """A second."""

    @property
    def row_bytes(self) -> Decimal:
        """Of rows, before gzip, a second."""

    def regroup(self, threshold: Decimal, max_bytes: int) -> Regrouped:
        """A day at a threshold."""


@dataclass(frozen=True, slots=True)
class GivenLoad:
    """Rates that somebody states: payloads come at random times, to each channel as many."""

    channels: int
    payloads: Decimal
    row_bytes: Decimal
    ratio: Decimal
    """Bytes after gzip for one before it."""

    def regroup(self, threshold: Decimal, max_bytes: int) -> Regrouped:
        """See Load."""
        seconds = min(threshold, max_bytes / self.row_bytes)
        cuts = DAY_SECONDS / seconds
        busy = Decimal(-math.expm1(-float(self.payloads / self.channels * seconds)))
        return Regrouped(self.channels * busy * cuts, cuts, self.row_bytes * DAY_SECONDS * self.ratio, seconds)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the processes are set to, and how long raw objects are kept."""

    max_bytes: int
    """Of rows, between two cuts of a provider."""
    ring_bytes: int
    keep_days: int


@dataclass(frozen=True, slots=True)
class Line:
    """A threshold: a day's numbers and a month's money, of all providers and instances together."""

    threshold: Decimal
    objects: Decimal
    puts: Decimal
    """Objects and notes of the progress."""
    stored: Decimal
    ratio: Decimal
    """Bytes after gzip for one before it."""
    put_money: Decimal
    storage_money: Decimal
    nightly_money: Decimal
    """Listing and reading each object once a night."""
    risk_seconds: Decimal
    """Of the provider that is cut least often."""
    risk_payloads: Decimal
    risk_bytes: Decimal
    """Of rows."""
    beyond_ring: bool
    """Whether a ring reaches back less far than what a cut leaves to it."""

    @property
    def money(self) -> Decimal:
        """All of it."""
        return self.put_money + self.storage_money + self.nightly_money


def line(loads: Sequence[Load], threshold: Decimal, limits: Limits, prices: Prices) -> Line:
    """What a threshold comes to."""
    days = [load.regroup(threshold, limits.max_bytes) for load in loads]
    objects, puts = sum((day.objects for day in days), Decimal(0)), sum((day.objects + day.cuts for day in days), Decimal(0))  # fmt: skip
    stored = sum((day.stored for day in days), Decimal(0))
    # The folders down to the channels (instances, providers, schemas: few), then each channel's day, a thousand keys at a time.
    lists = 1 + sum(
        3 + load.channels * math.ceil(day.objects / load.channels / _LISTED_AT_ONCE)
        for load, day in zip(loads, days, strict=True)
    )
    left = [(load, min(day.seconds, threshold)) for load, day in zip(loads, days, strict=True)]
    return Line(
        threshold, objects, puts, stored,
        stored / (sum(load.row_bytes for load in loads) * DAY_SECONDS),
        prices.requests(puts), prices.kept(stored, limits.keep_days), prices.requests(Decimal(lists), objects),
        max(seconds for _, seconds in left),
        sum((load.payloads * seconds for load, seconds in left), Decimal(0)),
        sum((load.row_bytes * seconds for load, seconds in left), Decimal(0)),
        any(seconds > reach(load, limits) for load, seconds in left),
    )  # fmt: skip


def reach(load: Load, limits: Limits) -> Decimal:
    """How many seconds back a provider's ring reaches, taking a payload to be as large there as its row."""
    return limits.ring_bytes / load.row_bytes


def as_json(lines: Sequence[Line]) -> list[dict[str, object]]:
    """For machines: whole numbers a day, dollars a month as text."""
    return [
        {
            "threshold_seconds": float(one.threshold), "objects_per_day": round(one.objects), "puts_per_day": round(one.puts),
            "stored_bytes_per_day": round(one.stored), "gzip_ratio": round(float(one.ratio), 4),
            "put_usd_per_month": f"{one.put_money:.2f}", "storage_usd_per_month": f"{one.storage_money:.2f}",
            "nightly_usd_per_month": f"{one.nightly_money:.2f}", "usd_per_month": f"{one.money:.2f}",
            "at_risk_seconds": round(float(one.risk_seconds), 3), "at_risk_payloads": round(one.risk_payloads),
            "at_risk_bytes": round(one.risk_bytes), "beyond_ring": one.beyond_ring,
        }
        for one in lines
    ]  # fmt: skip


def as_table(lines: Sequence[Line], chosen: Decimal) -> list[str]:
    """For people: a line for each threshold, `>` at the one that is set, `!` where the ring does not reach."""
    heads = ("", "every", "objects/day", "PUTs/day", "stored/day", "gzip to", "PUT", "storage", "nightly", "a month", "at risk", "payloads", "bytes")  # fmt: skip
    rows = [
        (
            ">" if one.threshold == chosen else "", seconds_text(one.threshold), f"{one.objects:,.0f}", f"{one.puts:,.0f}",
            bytes_text(one.stored), f"{one.ratio * 100:.1f} %", _money(one.put_money), _money(one.storage_money),
            _money(one.nightly_money), _money(one.money), seconds_text(one.risk_seconds) + ("!" if one.beyond_ring else ""),
            f"{one.risk_payloads:,.0f}", bytes_text(one.risk_bytes),
        )
        for one in lines
    ]  # fmt: skip
    widths = [max(len(row[place]) for row in (heads, *rows)) for place in range(len(heads))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (heads, *rows)]  # fmt: skip


def seconds_text(seconds: Decimal) -> str:
    """`250 ms`, `10 s`, `5 min`, `1 h`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{_short(seconds / size)} {unit}"
    return f"{_short(seconds)} s"


def bytes_text(size: Decimal) -> str:
    """In decimal units."""
    for power, unit in ((4, "TB"), (3, "GB"), (2, "MB"), (1, "kB")):
        if size >= 1000**power:
            return f"{_short(size / 1000**power)} {unit}"
    return f"{size:.0f} B"


def month() -> str:
    """What a month is here."""
    return f"{MONTH_DAYS} days"


def _short(value: Decimal) -> str:
    text = f"{value:.0f}" if value >= 100 else f"{value:.1f}"
    return text.removesuffix(".0")


def _money(value: Decimal) -> str:
    return f"${value:,.2f}"
