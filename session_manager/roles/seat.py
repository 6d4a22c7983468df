"""One provider's place in a process: a session runs in it while the process has a role, and nothing does while it stands by."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from weakref import WeakKeyDictionary

from session_manager.provider import Provider
from session_manager.ring import Ring

_DRAIN_SECONDS, _LOST_DRAIN_SECONDS = 8.0, 2.0
"""How long subscribers may take to read what the ring holds at the end; less where another process has the role already."""


class Seat:
    """`make` starts nothing: it makes the session of an instance. `doubtful` says, at a monotonic time in seconds, whether
    the role may be another's by now; while it may, nothing that is received is passed on.
    """

    def __init__(
        self, provider: str, make: Callable[[str], Provider], doubtful: Callable[[float], bool] = lambda _now: False
    ) -> None:
        self.provider = provider
        self.instance = ""
        """PRIMARY or REPLICA; empty while it stands by."""
        self.running: Provider | None = None
        self._last: dict[str, object] = {}
        self._make = make
        self._doubtful = doubtful
        self._confirmed = 0
        self._lost: WeakKeyDictionary[Ring, int] = WeakKeyDictionary()
        self.news = asyncio.Event()
        """Set at the next change; then there is another one."""

    @property
    def ring(self) -> Ring | None:
        """The batches of the session that runs."""
        return self.running.ring if self.running is not None else None

    def begin(self, instance: str) -> None:
        """Starts a session as this instance."""
        self._confirmed = 0
        self.running = self._make(instance)
        self.instance = instance
        self.running.start()
        self.tell()

    async def end(self, *, lost: bool) -> None:
        """Ends the session; where the role is `lost`, what came since it was last confirmed is not passed on."""
        ending = self.running
        if ending is None:
            return
        if lost:
            self._lost[ending.ring] = self._confirmed
        self.tell()
        await ending.stop()
        self._last = ending.stats()
        await _drained(ending.ring, _LOST_DRAIN_SECONDS if lost else _DRAIN_SECONDS)
        self.running = None
        self.instance = ""
        self.tell()

    def stats(self) -> dict[str, object]:
        """What the session tells, or the last one told at its end; and as which instance it runs."""
        told = self.running.stats() if self.running is not None else self._last
        return {"instance": self.instance, **told}

    def tell(self) -> None:
        """Wakes all who wait for a change."""
        self.news.set()
        self.news = asyncio.Event()

    @property
    def last_sequence(self) -> int:
        """The newest sequence of the session that runs."""
        return self.running.ring.last_sequence if self.running is not None else 0

    def confirm(self, sequence: int) -> None:
        """The role was ours when this sequence had come."""
        self._confirmed = sequence
        self.tell()

    async def trusted(self, ring: Ring, sequence: int) -> bool:
        """Waits while it is in doubt whether a ring may be passed on up to a sequence; False where it may not."""
        while self.ring is ring and ring not in self._lost and self._doubts(sequence):
            await self.news.wait()
        return sequence <= self._lost.get(ring, sequence)

    def _doubts(self, sequence: int) -> bool:
        return sequence > self._confirmed and self._doubtful(time.monotonic())

    def request_resync(self, channel: str, reason: str) -> bool:
        """Whether a fresh book of the channel will come."""
        return self.running is not None and self.running.request_resync(channel, reason)


async def _drained(ring: Ring, seconds: float) -> None:
    """Waits until all subscribers have taken what they may, but not for long."""
    end = time.monotonic() + seconds
    while ring.cursors and time.monotonic() < end:  # noqa: ASYNC110 - a ring's cursors have no event, and this is rare
        await asyncio.sleep(0.01)
