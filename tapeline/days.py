"""UTC days and the nanoseconds they are made of."""

from __future__ import annotations

from datetime import date

DAY_NS = 86_400_000_000_000
_EPOCH = date(1970, 1, 1).toordinal()


def day_of(ns: int) -> date:
    """The UTC day of a time in ns since the Unix epoch."""
    return date.fromordinal(_EPOCH + ns // DAY_NS)


def day_span(day: date) -> tuple[int, int]:
    """The first ns of a UTC day, and of the next."""
    begin = (day.toordinal() - _EPOCH) * DAY_NS
    return begin, begin + DAY_NS
