"""A second connection, to another node of a cluster: it listens, and takes over where the first one is lost."""

from __future__ import annotations

import asyncio
from collections import deque

from tapeline.consumer.wire import Push, Wire

_KEPT_NS = 3_000_000_000
"""How far apart two nodes may be: what is older than this, against what the first connection had, it has surely had."""
_WARM_NS = 1_000_000_000
"""For how long a new second connection must have listened before it can take over."""


class Spare:
    """What the second connection has heard of late; at most `limit` bytes of it."""

    def __init__(self, limit: int) -> None:
        self.wire: Wire | None = None
        self.url = ""
        """Where it listens."""
        self.main: Wire | None = None
        """The connection that it stands by for."""
        self.taken = asyncio.Event()
        """Set when it has taken over."""
        self._limit = limit
        self._heard: deque[tuple[int, int, list[Push]]] = deque()
        self._bytes = 0
        self._lost_ns = 0

    def take(self, pushes: list[Push], now_ns: int) -> None:
        """Keeps what came; lets go what the first connection has had too."""
        size = sum(len(push[-1]) for push in pushes)
        self._heard.append((now_ns, size, pushes))
        self._bytes += size
        had_ns = self.main.last_ns - _KEPT_NS if self.main is not None else 0
        while self._heard and (self._heard[0][0] < had_ns or self._bytes > self._limit):
            self._lost_ns, size, _ = self._heard.popleft()
            self._bytes -= size

    def begin(self, wire: Wire, url: str) -> None:
        """A new second connection stands; what came before it, it cannot tell."""
        self.wire, self.url = wire, url
        self.taken.clear()
        self._lost_ns = wire.last_ns - _KEPT_NS + _WARM_NS
        self._heard.clear()
        self._bytes = 0

    def promote(self) -> tuple[Wire, list[tuple[int, list[Push]]]] | None:
        """The connection and what it has heard, from before the first one's end on; None where it cannot take over."""
        wire, main = self.wire, self.main
        if wire is None or main is None or wire.closed.done() or self._lost_ns > main.last_ns - _KEPT_NS:
            return None
        heard = [(at, pushes) for at, _, pushes in self._heard]
        self.wire = None
        self.taken.set()
        self._heard.clear()
        self._bytes = 0
        return wire, heard
