"""Times as people and programs give them, and spans of time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from tapeline.errors import UsageError

_SECOND = 1_000_000_000
_DAY = 86_400 * _SECOND
_ISO = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?)?(Z|[+-]\d{2}:\d{2})?\Z", re.ASCII
)
_ALLOWED = "2026-08-02, 2026-08-02T14:30, 2026-08-02T14:30:05.25Z (UTC where no offset is given) or ns since 1970"


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` on, up to but without `end`; ns since the Unix epoch."""

    start: int
    end: int

    @staticmethod
    def parse(start: str, end: str) -> Span:
        """Reads both ends; raises UsageError."""
        span = Span(nanoseconds(start, "--from"), nanoseconds(end, "--to"))
        if span.end <= span.start:
            raise UsageError(f"--to {end} is not after --from {start}; --to itself is not part of the span")
        return span

    def days(self) -> Iterator[date]:
        """The UTC days that it touches."""
        for number in range(self.start // _DAY, (self.end - 1) // _DAY + 1):
            yield date(1970, 1, 1) + timedelta(days=number)


def nanoseconds(text: str, option: str) -> int:
    """Reads an ISO time, or a number, as ns since the Unix epoch; raises UsageError, which names the option."""
    refused = UsageError(f"{option} {text!r} is no time; allowed: {_ALLOWED}")
    if re.fullmatch(r"\d{11,19}", text, re.ASCII):
        return int(text)
    if (found := _ISO.match(text)) is None:
        raise refused
    day, hour, minute, second, fraction, zone = found.groups()
    written = f"{day}T{hour or '00'}:{minute or '00'}:{second or '00'}{zone if zone not in (None, 'Z') else '+00:00'}"
    try:
        whole = datetime.fromisoformat(written)
    except ValueError:
        raise refused from None
    seconds = (whole - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    if seconds < 0:
        raise refused
    return seconds * _SECOND + int((fraction or "").ljust(9, "0"))


def iso(ns: int) -> str:
    """UTC down to the nanosecond, as short as it is exact."""
    second, rest = divmod(ns, _SECOND)
    tail = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}{tail}Z"
