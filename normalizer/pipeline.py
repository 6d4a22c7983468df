"""One provider's hot path: raw stream in, kernel, Redis out; takes up where the last process left off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from tapeline_kernel import BatchError, Normalizer, Output

from normalizer.delays import Delays
from normalizer.findings import Findings
from normalizer.resync import Resyncs
from tapeline import redis_keys
from tapeline.errors import AwayError, LostError, RedisUnavailableError
from tapeline.process import Backoff, cancel, first_of
from tapeline.publish.address import RedisAddress, command, state
from tapeline.publish.publisher import Entry, Publisher
from tapeline.redis_place import RedisPlace
from tapeline.stream import Position, StreamClient
from tapeline.telemetry import Level, count, event

SUBSCRIBER = "normalizer"
_REDIS_START_SECONDS = 10.0
_DRAIN_SECONDS = 10.0
# Late-join keys and the checkpoint may take one part in twenty of the time, no more.
_FLUSH_SHARE = 20


# What a kernel says of a batch on which it failed itself; it is of no use after that.
_FAILED = "kernel failed"


class KernelFailedError(LostError):
    """The kernel broke on a batch, which no batch should make it do."""


class Pipeline:
    """Everything between one provider's raw stream and its channels."""

    def __init__(
        self, client: StreamClient, place: RedisPlace, make_kernel: Callable[[], Normalizer], provider: str,
        instance: str, buffer_bytes: int, flush_seconds: float,
    ) -> None:  # fmt: skip
        self._client = client
        self._place = place
        self._make_kernel = make_kernel
        self._kernel = make_kernel()
        self._poison: set[bytes] = set()
        self._provider = provider
        self._instance = instance
        self._cursor_key = redis_keys.cursor(provider, instance)
        self._checkpoint_key = redis_keys.checkpoint(provider, instance)
        self._flush_seconds = flush_seconds
        self._publisher = Publisher(self._address, provider, buffer_bytes, self._refresh_all)
        self._resyncs = Resyncs(client, provider)
        self._findings = Findings(provider, self._resyncs)
        self._delays = Delays()
        self._taken: Position | None = None
        self._published: Position | None = None
        self._payloads = 0
        self._records = 0
        self._batches = 0

    async def run(self, stop: asyncio.Event, started: asyncio.Event) -> None:
        """Normalizes until `stop` is set, then publishes what it has; sets `started` once Redis has been read."""
        starting = asyncio.create_task(self._restore())
        try:
            await first_of(stop, starting)
        finally:
            await cancel(starting)
        started.set()
        if stop.is_set():
            return
        tasks = [asyncio.create_task(work) for work in (self._publisher.run(), self._follow(), self._flush_for_ever())]
        publishing, *producing = tasks
        try:
            await first_of(stop, *tasks)
            await cancel(*producing)
            await self._finish()
        finally:
            await cancel(publishing, *producing)
            await self._resyncs.close()

    def stats(self) -> dict[str, object]:
        """Running totals, positions and delays since the last call, for the stats line."""
        counters: dict[str, object] = {**self._kernel.counters()}
        counters["records_by_schema"] = counters.pop("records", {})
        counters["payloads_by_use"] = counters.pop("payloads", {})
        return {
            **counters,
            "payloads": self._payloads,
            "records": self._records,
            "batches": self._batches,
            "lag_us": self._delays.drain(),
            "redis_buffered_bytes": self._publisher.buffered_bytes,
            "redis_connected": self._publisher.connected,
            "redis_commands": self._publisher.commands,
            "resyncs_waiting": self._resyncs.waiting,
            "position": str(self._taken or "0:0"),
            "published_position": str(self._publisher.published or "0:0"),
        }

    async def _restore(self) -> None:
        fields, cursor = await self._state()
        if cursor is not None:
            self._published = self._position(cursor)
            fields |= {b"published": cursor} if self._published else {}
        sequence = self._kernel.restore(fields) if fields else 0
        if sequence and (saved := self._position(fields.get(b"position", b""))):
            self._taken = Position(saved.epoch, sequence)
        event("restored", provider=self._provider, position=str(self._taken), published=str(self._published))

    def _position(self, text: bytes) -> Position | None:
        try:
            return Position.parse(text.decode())
        except ValueError:
            event("bad_position", Level.ERROR, provider=self._provider, text=text.decode(errors="backslashreplace"))
            return None

    async def _address(self) -> RedisAddress:
        """The server that has the feed's keys now; where Redis is one server, always that."""
        return RedisAddress.parse(await self._place.holding(self._cursor_key))

    async def _state(self) -> tuple[dict[bytes, bytes], bytes | None]:
        backoff = Backoff()
        end = time.monotonic() + _REDIS_START_SECONDS
        while True:
            try:
                return await state(self._place, self._checkpoint_key, self._cursor_key)
            except RedisUnavailableError as error:
                if time.monotonic() > end:
                    raise
                event("redis_away", Level.WARNING, provider=self._provider, reason=str(error))
            await asyncio.sleep(backoff.next())

    async def _follow(self) -> None:
        backoff = Backoff(0.05, 2.0)
        while True:
            try:
                async for response in self._subscribe():
                    backoff.reset()
                    self._take(response)
                    await self._publisher.room()
                reason = "stream ended"
            except KernelFailedError as error:
                reason = str(error)
                await self._begin_again()
            except (AwayError, LostError) as error:
                reason = str(error)
            wait = backoff.next()
            event("stream_away", Level.WARNING, provider=self._provider, reason=reason, retry_seconds=round(wait, 3))
            await asyncio.sleep(wait)

    def _subscribe(self) -> AsyncIterator[bytes]:
        return self._client.subscribe(self._provider, SUBSCRIBER, self._taken, instance=self._instance)

    async def _begin_again(self) -> None:
        """A kernel that failed once says nothing more: a new one takes over from the checkpoint."""
        await self._publisher.drain(_DRAIN_SECONDS)
        self._kernel = self._make_kernel()
        self._taken = None
        await self._restore()

    def _take(self, response: bytes) -> None:
        if self._poison and response in self._poison:
            return
        try:
            output = self._kernel.normalize(response)
        except BatchError as error:
            count("bad_batches", provider=self._provider)
            event("bad_batch", Level.ERROR, provider=self._provider, reason=str(error), bytes=len(response))
            if str(error).startswith(_FAILED):
                self._poison.add(response)
                raise KernelFailedError(str(error)) from None
            return
        self._batches += 1
        behind = 0
        if output.payloads:
            self._payloads += output.payloads
            self._records += output.records
            behind = time.time_ns() - output.oldest_ts_recv
            self._delays.add(behind, output.payloads)
        if output.last:
            self._publish(output, Position(output.epoch, output.last))
        for finding in output.events:
            self._findings.take(output.epoch, finding, behind)

    def _publish(self, output: Output, position: Position) -> None:
        self._taken = position
        done = self._published
        if done is not None and done.epoch == position.epoch and position.sequence <= done.sequence:
            # A restart goes over what was published already: the kernel is silent, and the cursor stays where it is.
            if not output.commands:
                return
            cursor = b""
        else:
            cursor = command("SET", self._cursor_key, str(position))
        self._publisher.offer(Entry(output.data, cursor, output.commands + bool(cursor), output.first, position))

    async def _flush_for_ever(self) -> None:
        pause = self._flush_seconds
        while True:
            await asyncio.sleep(pause)
            started = time.perf_counter()
            # While Redis is away there is nobody to refresh; the next connection refreshes everything.
            if self._publisher.connected:
                self._refresh(all_of_it=False)
            pause = max(self._flush_seconds, _FLUSH_SHARE * (time.perf_counter() - started))

    def _refresh_all(self) -> None:
        """What a Redis that has forgotten everything needs: all keys, and the cursor."""
        self._refresh(all_of_it=True)
        if position := self._cursor():
            self._publisher.offer(Entry(command("SET", self._cursor_key, str(position)), b"", 1))

    def _cursor(self) -> Position | None:
        """The cursor as it should be once all that was offered has gone out."""
        newest, done = self._publisher.newest, self._published
        if newest is None or (done is not None and done.epoch == newest.epoch and done.sequence > newest.sequence):
            return done
        return newest

    def _refresh(self, all_of_it: bool) -> None:
        data, commands = self._kernel.flush(all_of_it)
        if commands:
            self._publisher.offer(Entry(data, b"", commands))

    async def _finish(self) -> None:
        self._refresh(all_of_it=False)
        if not await self._publisher.drain(_DRAIN_SECONDS):
            event("stopped_before_published", Level.WARNING, provider=self._provider,
                  bytes=self._publisher.buffered_bytes, published=str(self._publisher.published))  # fmt: skip
        self._publisher.tell_dropped()
