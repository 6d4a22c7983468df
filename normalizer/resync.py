"""Asks the session manager for fresh snapshots: one request for each channel at a time, again until it is answered."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from tapeline.errors import TapelineError
from tapeline.process import Backoff
from tapeline.telemetry import Level, count, event

_AT_ONCE = 4


class Asks(Protocol):
    """What can be asked for a snapshot: the raw stream's client."""

    async def request_resync(self, provider: str, channel: str, reason: str) -> bool:
        """Whether it will come."""


@dataclass(slots=True)
class _Wanted:
    reason: str
    backoff: Backoff
    symbols: set[str] = field(default_factory=set)


class Resyncs:
    """The snapshots that one provider's books are waiting for."""

    def __init__(self, client: Asks, provider: str, first_retry: float = 5.0, longest_retry: float = 60.0) -> None:
        self._client = client
        self._provider = provider
        self._retry = (first_retry, longest_retry)
        self._wanted: dict[str, _Wanted] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)

    @property
    def waiting(self) -> int:
        """How many channels wait for a snapshot."""
        return len(self._wanted)

    def want(self, channel: str, symbol: str, reason: str, patience: float = 0.0) -> None:
        """A book needs a snapshot; asked for after so many seconds, unless its channel has been already."""
        wanted = self._wanted.get(channel)
        if wanted is None:
            wanted = self._wanted[channel] = _Wanted(reason, Backoff(*self._retry))
            self._tasks[channel] = asyncio.create_task(self._ask(channel, wanted, patience))
        wanted.symbols.add(symbol)

    def answered(self, channel: str, symbol: str) -> None:
        """A book has its snapshot."""
        wanted = self._wanted.get(channel)
        if wanted is None:
            return
        wanted.symbols.discard(symbol)
        if not wanted.symbols:
            del self._wanted[channel]
            self._tasks.pop(channel).cancel()

    async def close(self) -> None:
        """Asks no more."""
        tasks = list(self._tasks.values())
        self._wanted.clear()
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, channel: str, wanted: _Wanted, patience: float) -> None:
        await asyncio.sleep(patience)
        while True:
            async with self._slots:
                await self._ask_once(channel, wanted.reason)
            await asyncio.sleep(wanted.backoff.next())

    async def _ask_once(self, channel: str, reason: str) -> None:
        try:
            accepted = await self._client.request_resync(self._provider, channel, reason)
        except TapelineError as error:
            count("resync_requests", provider=self._provider, answer="failed")
            event("resync_failed", Level.WARNING, provider=self._provider, channel=channel, reason=str(error))
            return
        count("resync_requests", provider=self._provider, answer="accepted" if accepted else "declined")
