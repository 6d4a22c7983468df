"""Follows one provider's raw stream and keeps the object store up with it; durable positions, bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from tapeline_kernel import BatchError

from batch_processor.archive import Archive, Written
from batch_processor.split import split
from batch_processor.window import Cut, Cutter, GapRecord, Window
from tapeline.errors import AwayError, LostError, RefusedError, TapelineError
from tapeline.process import Backoff, cancel, first_of
from tapeline.stream import Position, StreamClient
from tapeline.telemetry import Level, count, event

SUBSCRIBER = "batch_processor"
HOLD_MS = 50
"""Nothing here is in a hurry, and a message costs the same however much is in it."""
_STOP_SECONDS = 15.0
_TELL_SECONDS = 5.0
_WAITED_SECONDS = 0.0003
_NAP_SECONDS = 0.025

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Limits:
    """Where windows are cut, and how many bytes of rows may wait for the store."""

    span_ns: int
    max_bytes: int

    @property
    def buffer_bytes(self) -> int:
        """One window that is being written, one that waits and the open one."""
        return 3 * self.max_bytes


class Collector:
    """The cold path of one provider and instance."""

    def __init__(self, client: StreamClient, archive: Archive, provider: str, limits: Limits) -> None:
        self._client = client
        self._archive = archive
        self._provider = provider
        self._limits = limits
        self._cuts: asyncio.Queue[Cut] = asyncio.Queue()
        self._waiting_bytes = 0
        self._told_behind = -_TELL_SECONDS
        self._room = asyncio.Event()
        self._room.set()
        self._cutter: Cutter | None = None
        self._durable: Position | None = None
        self._counts = {"payloads": 0, "batches": 0, "objects": 0, "object_bytes": 0, "durable": 0, "covered": 0}
        self._gaps = 0
        self._trouble = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Collects until `stop` is set, then writes what is open; raises what trying again cannot mend."""
        starting = asyncio.create_task(self._start())
        try:
            await first_of(stop, starting)
        finally:
            await cancel(starting)
        if self._cutter is not None:
            await self._collect(stop, self._cutter)

    async def _start(self) -> None:
        self._durable = await self._patiently(self._archive.progress, give_up=RefusedError)
        self._cutter = Cutter(self._limits.max_bytes, self._durable)

    async def _collect(self, stop: asyncio.Event, cutter: Cutter) -> None:
        reader = asyncio.create_task(self._follow(cutter))
        writer = asyncio.create_task(self._write_all())
        try:
            await first_of(stop, reader, writer)
            await cancel(reader)
            self._queue(cutter.cut())
            await self._finish(writer)
        finally:
            await cancel(reader, writer)

    def stats(self) -> dict[str, object]:
        """Running totals and positions, for the stats line."""
        taken = self._cutter.position if self._cutter else None
        buffered = self._waiting_bytes + (self._cutter.open_bytes if self._cutter else 0)
        positions = {"position": str(taken or "0:0"), "durable_position": str(self._durable or "0:0")}
        return {
            **self._counts,
            "gaps": self._gaps,
            "store_trouble": self._trouble,
            "buffered_bytes": buffered,
            **positions,
        }

    async def _follow(self, cutter: Cutter) -> None:
        backoff = Backoff()
        while True:
            try:
                await self._read(cutter, backoff)
                reason = "stream ended"
            except (AwayError, LostError) as error:
                reason = str(error)
            wait = backoff.next()
            event("stream_away", Level.WARNING, provider=self._provider, reason=reason, retry_seconds=round(wait, 3))
            await asyncio.sleep(wait)

    async def _read(self, cutter: Cutter, backoff: Backoff) -> None:
        clock = asyncio.get_running_loop().time
        done = clock()
        responses = self._client.subscribe(
            self._provider, SUBSCRIBER, cutter.position, HOLD_MS, instance=self._archive.instance
        )
        async for response in responses:
            waited = clock() - done
            backoff.reset()
            self._take(cutter, response)
            await self._room.wait()
            if waited > _WAITED_SECONDS:
                # Nobody waits for us: what comes meanwhile is read in one go, at half the cost of waking up for each.
                await asyncio.sleep(_NAP_SECONDS)
            done = clock()

    def _take(self, cutter: Cutter, response: bytes) -> None:
        try:
            found = split(response, cutter.position, self._limits.span_ns)
        except BatchError as error:
            # Its payloads, if it had any, will be seen to be missing by the next batch.
            event("bad_batch", Level.ERROR, provider=self._provider, reason=str(error), bytes=len(response))
            return
        self._counts["batches"] += 1
        self._counts["payloads"] += sum(run.payloads for segment in found.segments for run in segment.runs)
        self._queue(cutter.take(found))
        if self._waiting_bytes + cutter.open_bytes >= self._limits.buffer_bytes:
            if self._room.is_set():
                self._tell_behind()
            self._room.clear()

    def _tell_behind(self) -> None:
        count("store_behind", provider=self._provider)
        now = asyncio.get_running_loop().time()
        if now - self._told_behind > _TELL_SECONDS:
            self._told_behind = now
            event("waiting_for_store", Level.WARNING, provider=self._provider, buffered_bytes=self._waiting_bytes)

    def _queue(self, cuts: list[Cut]) -> None:
        for cut in cuts:
            if isinstance(cut, Window):
                self._waiting_bytes += cut.size
            self._cuts.put_nowait(cut)

    async def _write_all(self) -> None:
        while True:
            cut = await self._cuts.get()
            written = await self._patiently(partial(self._archive.write, cut))
            self._note(cut, written)
            self._cuts.task_done()

    def _note(self, cut: Cut, written: Written) -> None:
        if isinstance(cut, GapRecord):
            self._gaps += written.gaps
            if written.gaps:
                event("gap", Level.ERROR, provider=self._provider, epoch=cut.epoch, first=cut.first, last=cut.last, reason=cut.reason)  # fmt: skip
        else:
            self._waiting_bytes -= cut.size
            self._room.set()
        if cut.last:
            self._durable = Position(cut.epoch, cut.last)
        for name, value in (("objects", written.objects), ("object_bytes", written.object_bytes),
                            ("durable", written.payloads), ("covered", written.covered)):  # fmt: skip
            self._counts[name] += value

    async def _patiently(self, ask: Callable[[], _Answer], give_up: type[TapelineError] | None = None) -> _Answer:
        """Asks the store until it answers; `give_up` is what to raise rather than try again."""
        backoff = Backoff(0.2, 10.0)
        while True:
            try:
                answer = await asyncio.to_thread(ask)
            except TapelineError as error:
                if give_up and isinstance(error, give_up):
                    raise
                wait = backoff.next()
                self._trouble = str(error)
                # Refused or away, the payloads wait in the ring: where an operator mends it in time nothing is lost.
                name = "store_refuses" if isinstance(error, RefusedError) else "store_away"
                event(name, Level.WARNING, provider=self._provider, reason=str(error), retry_seconds=round(wait, 3))  # fmt: skip
            else:
                self._trouble = ""
                return answer
            await asyncio.sleep(wait)

    async def _finish(self, writer: asyncio.Task[None]) -> None:
        """Waits for what is queued, but not for ever: what is not written is in the ring, and the progress says so."""
        drained = asyncio.ensure_future(self._cuts.join())
        await asyncio.wait({drained, writer}, timeout=_STOP_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not drained.done():
            drained.cancel()
            event("stopped_before_written", Level.WARNING, provider=self._provider, durable_position=str(self._durable))
        if writer.done():
            writer.result()
