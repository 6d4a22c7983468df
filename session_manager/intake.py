"""What all sockets of a provider have received since the last push: stamped, in order, at the least cost per frame."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import time_ns


class Intake:
    """Frames of one connection at a time; another connection's first frame pushes what is there.

    Stamps are ns since the Unix epoch and strictly rise, whatever the clock does.
    """

    __slots__ = ("_loop", "_push", "_scheduled", "_turn", "connection", "frames", "last", "stamps")

    def __init__(
        self,
        push: Callable[[int, list[int], list[bytes]], None],
        turn: Callable[[], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._push = push
        self._turn = turn
        self._loop = loop
        self._scheduled = False
        self.connection = -1
        self.last = 0
        self.stamps: list[int] = []
        self.frames: list[bytes] = []

    def begin(self, connection: int) -> None:
        """Called before the first frame of a run of one connection's frames."""
        if self.frames:
            self.push()
        self.connection = connection
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._end_of_turn)

    def stamp(self) -> int:
        """A receive time later than all before it."""
        now = time_ns()
        if now <= self.last:
            now = self.last + 1
        self.last = now
        return now

    def push(self) -> None:
        """Hands over what is there."""
        frames, stamps = self.frames, self.stamps
        if frames:
            self.frames, self.stamps = [], []
            connection, self.connection = self.connection, -1
            self._push(connection, stamps, frames)

    def _end_of_turn(self) -> None:
        self._scheduled = False
        self.push()
        self._turn()
