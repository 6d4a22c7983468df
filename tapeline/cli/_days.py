"""Days as they are written on a command line."""

from __future__ import annotations

import re
from datetime import date

from tapeline.errors import UsageError


def day_of(text: str) -> date:
    """The UTC day of `2026-08-02`; raises UsageError."""
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise UsageError(f"{text!r} is no day; a day is written 2026-08-02")
