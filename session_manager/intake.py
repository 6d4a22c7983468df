"""What a provider's sockets have received, on its way to the router: stamped in order, at the least cost per frame.

Frames that came in one read came at one time: the first of them is given the clock's, each of the others 2 ns more, so
that stamps strictly rise, whatever the clock does, and the odd places stay free for what is derived from a payload.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import time_ns

Push = Callable[[int, range, list[bytes]], None]
"""Takes a connection, the stamps (ns since the Unix epoch) and the frames of one read."""

_STEP = 2


class Intake:
    """Shared by all sockets of a provider."""

    def __init__(self, push: Push, turn: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
        self._push = push
        self._turn = turn
        self._loop = loop
        self._scheduled = False
        self._last = 0

    def stamp(self) -> int:
        """A receive time later than all before it."""
        self._last = max(time_ns(), self._last + _STEP)
        return self._last

    def push(self, connection: int, first: int, frames: list[bytes]) -> None:
        """Hands over what one read brought at `first` (ns), and empties the list."""
        start = max(first, self._last + _STEP)
        end = start + _STEP * len(frames)
        self._last = end - _STEP
        try:
            self._push(connection, range(start, end, _STEP), frames)
        finally:
            frames.clear()
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._end_of_turn)

    def behind(self, stamps: range, start: int) -> range:
        """The stamps of a read, moved from place `start` on behind all that was stamped since."""
        if not len(stamps) or self._last <= stamps[-1]:
            return stamps
        moved = self._last + _STEP - stamps[start]
        self._last = stamps[-1] + moved
        return range(stamps.start + moved, stamps.stop + moved, _STEP)

    def _end_of_turn(self) -> None:
        self._scheduled = False
        self._turn()
