"""When history is published: by the time it was received, at a speed, against a clock that never jumps."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from tapeline.errors import UsageError

MAX = 0.0
"""The speed that waits for nothing."""

_FASTEST = 1e9


class Clock(Protocol):
    """Passes time; ns."""

    def now(self) -> int:
        """A time that never falls."""

    async def until(self, at: int, stop: asyncio.Event) -> None:
        """Waits for a time, or until `stop` is set."""


class MonotonicClock:
    """The machine's."""

    def now(self) -> int:
        """See Clock."""
        return time.monotonic_ns()

    async def until(self, at: int, stop: asyncio.Event) -> None:
        """See Clock."""
        wait = (at - time.monotonic_ns()) / 1e9
        if wait <= 0:
            return
        try:
            async with asyncio.timeout(wait):
                await stop.wait()
        except TimeoutError:
            return


class Schedule:
    """Each moment's time is reckoned from the first one's, so that no delay adds to another."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._began = 0
        self._first = 0
        self.begun = False

    def begin(self, when: int, now: int) -> None:
        """The first moment of history is now."""
        self._first, self._began, self.begun = when, now, True

    def at(self, when: int) -> int:
        """When on the clock a moment of history is due; at MAX the beginning."""
        if self._speed == MAX:
            return self._began
        return self._began + round((when - self._first) / self._speed)

    def reached(self, now: int) -> int:
        """The latest moment of history that is due by now."""
        return self._first + int((now - self._began) * self._speed)


def speed_of(text: str) -> float:
    """A speed as people give it: a number above 0, or 0 or `max`; raises UsageError."""
    if text == "max":
        return MAX
    try:
        speed = float(text)
    except ValueError:
        speed = -1.0
    if not 0 <= speed <= _FASTEST:
        raise UsageError(f"--speed {text!r} is not allowed; allowed: a number from 0 to 1e9, 0 or max for no waiting")
    return speed
