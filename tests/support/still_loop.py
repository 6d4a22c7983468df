"""An event loop whose time stands still while there is anything to do, and leaps to the next timer where there is not."""

from __future__ import annotations

import asyncio
import selectors

_GRACE = 0.0005
"""What a byte may need from one socket of this machine to another, in real seconds."""


class _Selector(selectors.DefaultSelector):
    """Asks for what is there, and tells the loop how long it would have slept."""

    loop: StillLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if found or timeout == 0:
            return found
        found = super().select(_GRACE)
        if not found and timeout is not None:
            self.loop.leap(timeout)
        return found


class StillLoop(asyncio.SelectorEventLoop):
    """For tests that wait for minutes of a protocol in milliseconds, however slow the machine is."""

    def __init__(self) -> None:
        selector = _Selector()
        selector.loop = self
        self._now = 1000.0
        super().__init__(selector)

    def time(self) -> float:
        """Seconds of this loop's own time."""
        return self._now

    def leap(self, seconds: float) -> None:
        """Nothing happens for so long."""
        self._now += seconds
