"""One WebSocket client: its conversation, its stream, and what faults do to both."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import cast

from emulator import wire
from emulator.faults import Command, Target
from emulator.reel import Block, block
from emulator.served import Served
from emulator.synthfeed import SynthFeed
from emulator.venue import Act, Dialogue, Hang, Say, Subscribe, Unsubscribe
from tapeline import telemetry
from tapeline.spec.session import Carrier

_QUIET = 0.2
"""A stream starts when no channel was added for so long."""
_REST = 0.02
_PONG_WITHIN = 60.0
_WRITE_AHEAD = 512 * 1024
_numbers = itertools.count()

OnSent = Callable[["Connection", Block, int], None]
"""Told of every block written: the connection, the block, ns since the epoch."""


class Connection(asyncio.Protocol):
    """A client after the handshake. `pace` is how long the sender rests when nothing is due, in seconds."""

    def __init__(self, served: Served, dialogue: Dialogue, pace: float, on_sent: OnSent) -> None:
        self.number = next(_numbers)
        self.served, self._dialogue, self._pace, self._on_sent = served, dialogue, pace, on_sent
        self.feed = served.source.feed()
        self._frames = wire.ClientFrames()
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._writable = asyncio.Event()
        self._writable.set()
        self._changed = asyncio.Event()
        self._moved = asyncio.Event()
        self._added_at = 0.0
        self._said_at = self._loop.time()
        self._stalled_until = 0.0
        self._ponged = self._loop.time()
        self._tasks: list[asyncio.Task[None]] = []
        self.gone = asyncio.Event()
        """Set when the TCP connection has ended."""

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greets and begins to send."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_WRITE_AHEAD)
        self.served.connections.append(self)
        self._act(self._dialogue.greet(self.served.clock()))
        self._tasks = [self._loop.create_task(self._stream()), self._loop.create_task(self._tick())]

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the client."""
        self._transport = None
        self.gone.set()
        self._writable.set()
        if self in self.served.connections:
            self.served.connections.remove(self)
        for task in self._tasks:
            task.cancel()

    def pause_writing(self) -> None:
        """TCP pushes back."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """TCP takes again."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """What the client sends."""
        try:
            messages = self._frames.feed(data)
        except wire.WireError as error:
            telemetry.event("client_protocol", telemetry.Level.WARNING, venue=self.served.name, reason=str(error))
            self._close(1002, str(error))
            return
        for message in messages:
            self._hear(message)

    # the conversation

    def _hear(self, message: wire.Incoming) -> None:
        if message.opcode is wire.Opcode.PING:
            self._write(wire.frame(message.payload, wire.Opcode.PONG))
        elif message.opcode is wire.Opcode.PONG:
            self._ponged = self._loop.time()
        elif message.opcode is wire.Opcode.CLOSE:
            self._close(1000)
        elif not self._stalled:
            self._act(self._dialogue.hear(message.payload, self.served.clock()))

    def _act(self, acts: list[Act]) -> None:
        for act in self._disturbed(acts):
            if isinstance(act, Say):
                self._write(wire.frame(act.payload))
                self.served.tally.control += 1
            elif isinstance(act, Subscribe):
                self._subscribe(act)
            elif isinstance(act, Unsubscribe):
                self._changed.set()
                self.feed.remove(act.channel)
            elif isinstance(act, Hang):
                self._close(act.code, act.reason)

    def _disturbed(self, acts: list[Act]) -> list[Act]:
        """The acts with faults of subscribing done to them."""
        wanted = [act for act in acts if isinstance(act, Subscribe)]
        for act in wanted if self.served.faults.waits(Target.SUBSCRIPTION) else ():
            fault = self.served.faults.hit(Target.SUBSCRIPTION, act.channel)
            if fault is None:
                continue
            if fault.fault == "data_before_ack":
                acts = [*wanted, *(other for other in acts if not isinstance(other, Subscribe))]
            else:
                acts = [other for other in acts if other is not act]
            if fault.fault == "refuse":
                acts = [other for other in acts if not isinstance(other, Say)]
        return acts

    def _subscribe(self, act: Subscribe) -> None:
        now_ns = self.served.clock()
        begin = self.feed.add(act.channel, act.depth, now_ns)
        if begin:
            self._send(block([(self.served.shelf.index(act.channel), payload) for payload in begin]), now_ns)
        self._added_at = self._loop.time()
        self._changed.set()

    async def _tick(self) -> None:
        """Each second: what the venue says by itself, and protocol pings."""
        every = max((p.every for p in self.served.session.server_pings if p.carrier is Carrier.PROTOCOL), default=0.0)
        pinged = self._ponged = self._loop.time()
        while self._transport is not None:
            await asyncio.sleep(1.0)
            if self._stalled:
                continue
            now = self._loop.time()
            self._act(self._dialogue.tick(self.served.clock(), now - self._said_at))
            if every and now - pinged >= every:
                pinged = now
                self._write(wire.frame(b"%d" % self.served.clock(), wire.Opcode.PING))
            if every and pinged - self._ponged > _PONG_WITHIN:
                self._close(1008, "Pong timeout")

    # the stream

    async def _stream(self) -> None:
        while self._transport is not None and not self.served.over:
            if not self.feed.channels or not self._quiet():
                self._changed.clear()
                await self._pause(_QUIET)
                continue
            self.feed.start(self.served.clock())
            await self._writable.wait()
            if self._stalled:
                await asyncio.sleep(min(self._stalled_until - self._loop.time(), 0.05))
                continue
            now_ns = self.served.clock()
            taken = self.feed.take(now_ns)
            self.served.source.passed(self.feed)
            if taken is not None:
                self._send(self._struck(taken), now_ns)
                # Others have their turn; at a rate the pace decides.
                await asyncio.sleep(0)
            elif self.feed.finished:
                self._changed.clear()
                await self._pause(1.0)
            else:
                await self._rest()

    async def _rest(self) -> None:
        """Until something may be due: a synthetic market's pacer says when, a replay has to look."""
        if isinstance(self.feed, SynthFeed):
            self._moved.clear()
            # Without a rate there is no pacer.
            late = self._loop.call_later(_REST, self._moved.set)
            await self._moved.wait()
            late.cancel()
        else:
            await asyncio.sleep(self._pace)

    def nudge(self) -> None:
        """The market has moved."""
        self._moved.set()

    def _quiet(self) -> bool:
        # A running stream goes on while channels are added.
        return self.feed.started or self._loop.time() - self._added_at >= _QUIET

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
            await asyncio.sleep(max(self._added_at + _QUIET - self._loop.time(), 0))
        except TimeoutError:
            pass

    def _struck(self, taken: Block) -> Block:
        if not self.served.faults.waits(Target.FRAMES):
            return taken
        frames = list(zip(taken.channels.tolist(), taken.payloads(), strict=True))
        return block(self.served.faults.frames(frames, self.served.tally.names))

    def _send(self, sent: Block, now_ns: int) -> None:
        if self._transport is not None and sent.count:
            self._write(sent.data)
            self._on_sent(self, sent, now_ns)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._stalled:
            self._said_at = self._loop.time()
            self._transport.write(data)

    # faults

    @property
    def _stalled(self) -> bool:
        return self._loop.time() < self._stalled_until

    def strike(self, command: Command) -> None:
        """Does a fault of the connection."""
        if command.fault == "close":
            self.abort()
        elif command.fault == "close_code":
            self._close(command.code, command.reason)
        elif command.fault == "drop_silently":
            self._stalled_until = float("inf")
        elif command.fault == "stall":
            self._stalled_until = self._loop.time() + command.seconds

    def carries(self, glob: str) -> bool:
        """Whether a channel that fits is subscribed."""
        return any(fnmatchcase(channel, glob) for channel in self.feed.channels)

    def hang_up(self) -> None:
        """The emulator stops."""
        self._close(1001, "going away")

    def abort(self) -> None:
        """Ends the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def _close(self, code: int, reason: str = "") -> None:
        if self._transport is not None:
            self._transport.write(wire.close_frame(code, reason))
            self._transport.close()
