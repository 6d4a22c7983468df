"""When a FIX session's numbers begin anew."""

from __future__ import annotations

_DAY_NS = 86_400 * 1_000_000_000
_MINUTE_NS = 60 * 1_000_000_000


def next_reset(schedule: str, clock_ns: int) -> int:
    """The next time, ns since the epoch, that a clock in UTC shows `HH:MM`; raises ValueError."""
    hour, _, minute = schedule.partition(":")
    if not (hour.isdigit() and minute.isdigit() and int(hour) < 24 and int(minute) < 60):
        raise ValueError(f"{schedule!r} is no HH:MM")
    of_day = (int(hour) * 60 + int(minute)) * _MINUTE_NS
    today = clock_ns - clock_ns % _DAY_NS + of_day
    return today if today > clock_ns else today + _DAY_NS
