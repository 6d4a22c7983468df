"""One WebSocket client: its conversation, its stream, and what faults do to both."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import cast

import numpy as np

from emulator import wire
from emulator.dialogue import ping_text
from emulator.faults import Command, Target
from emulator.hands import ConnectionHands
from emulator.ledger import MADE, OWN
from emulator.live import LiveFeed, Places
from emulator.personal import Own
from emulator.reel import Block, Frame, block
from emulator.served import Served
from emulator.subscribing import Later, disturbed, said_of
from emulator.synthfeed import SynthFeed
from emulator.venue import Act, Carrier, Dialogue, Hang, Reply, Say, Subscribe, Unsubscribe
from tapeline import telemetry
from tapeline.spec.session import Carrier as Beat
from tapeline.spec.session import Severity

_QUIET = 0.2
"""A stream starts when no channel was added for so long."""
_REST = 0.02
_PONG_WITHIN = 60.0
_EARLY = 0.005
_TOKEN_OVER = 1008
_ECHO_WITHIN = 5.0
_ANY = "*"
_WRITE_AHEAD = 512 * 1024
_numbers = itertools.count()

OnSent = Callable[["Connection", Block, int, int], None]
"""Told of every block written but a live market's: the connection, the block, ns since the epoch, `OWN`, `MADE` or 0."""
_NONE: Places = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Guest:
    """Who has come: the party it belongs to, and until when it may stay (s since the epoch; 0: for ever)."""

    party: int = 0
    name: str = ""
    until: float = 0.0


class Connection(asyncio.Protocol):
    """A client after the handshake. `pace` is how long the sender rests when nothing is due, in seconds."""

    def __init__(
        self,
        served: Served,
        dialogue: Dialogue,
        pace: float,
        on_sent: OnSent,
        guest: Guest | None = None,
        carrier: Carrier | None = None,
    ) -> None:
        self._carrier = carrier
        self.number = next(_numbers)
        self.guest = guest or Guest()
        self.party = self.guest.party
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
        self._stalled = False
        self._ponged = self._loop.time()
        self._tasks: list[asyncio.Task[None]] = []
        self._own = Own()
        self._hands = ConnectionHands(served, self.feed, self._own)
        self._held: list[bytes] = []
        self._later: list[wire.Incoming] = []
        self._mute = self._paused = False
        self._echo = ""
        self._idle_limit = 0.0
        self._opened_at = self._heard_at = self._loop.time()
        self._left: deque[tuple[int, int]] = deque()
        self._written = 0
        self.sure_until = 0
        """Until when (ns) all that a live market sent has certainly left."""
        self.gone = asyncio.Event()
        """Set when the TCP connection has ended."""

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greets and begins to send."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_WRITE_AHEAD)
        self.served.connections.append(self)
        self._act(self._dialogue.greet(self.served.clock()))
        self._tasks = [self._loop.create_task(self._tick())]
        if not isinstance(self.feed, LiveFeed):
            self._tasks.append(self._loop.create_task(self._stream()))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the client."""
        if isinstance(self.feed, LiveFeed) and self._transport is not None:
            end = {"connection": self.number, "party": self.guest.name, "sure_until": self.sure_until}
            self.served.tally.ends.append({**end, "ended": self.served.clock()})
        self._transport = None
        if self._carrier is not None:
            self._carrier.lost()
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
            if self._carrier is not None:
                messages = [wire.Incoming(wire.Opcode.TEXT, message) for message in self._carrier.take(data)]
            else:
                messages = self._frames.feed(data)
        except ValueError as error:
            telemetry.event("client_protocol", telemetry.Level.WARNING, venue=self.served.name, reason=str(error))
            self._close(1002, str(error))
            return
        for message in messages:
            self._hear(message)

    # the conversation

    def _hear(self, message: wire.Incoming) -> None:
        if self._stalled:
            # Underway for as long as the stall lasts.
            self._later.append(message)
            return
        self._heard_at = self._loop.time()
        if self._echo and (self._echo == _ANY or self._echo.encode() in message.payload):
            self._echo = ""
        if message.opcode is wire.Opcode.PING:
            self._write(wire.frame(message.payload, wire.Opcode.PONG))
        elif message.opcode is wire.Opcode.PONG:
            self._ponged = self._loop.time()
        elif message.opcode is wire.Opcode.CLOSE:
            self._close(1000)
        else:
            self._act(self._dialogue.hear(message.payload, self.served.clock()))

    def _act(self, acts: list[Act]) -> None:
        for act in self._disturbed(acts):
            if isinstance(act, Later):
                self._loop.call_later(act.seconds, self._act, [act.act])
            elif isinstance(act, Say):
                self._write(self._said(Say(self._own.text(act.payload), act.plain)))
                self.served.tally.control += 1
            elif isinstance(act, Subscribe):
                self._subscribe(act)
            elif isinstance(act, Reply):
                self._tasks = [task for task in self._tasks if not task.done()]
                self._tasks.append(self._loop.create_task(self._reply(act)))
            elif isinstance(act, Unsubscribe):
                self._changed.set()
                self.feed.remove(act.channel)
            elif isinstance(act, Hang):
                self._close(act.code, act.reason)

    def _disturbed(self, acts: list[Act]) -> Sequence[Act | Later]:
        """The acts with faults of subscribing done to them."""
        if not self.served.faults.waits(Target.SUBSCRIPTION):
            return acts
        return disturbed(acts, self.served.faults, self.guest.name, self.served.session)

    async def _reply(self, act: Reply) -> None:
        """A question over the socket."""
        answer = await self.served.answer(act.ask, self.feed, self.guest.name)
        if not self._mute:
            self._write(self._said(Say(answer.body)))

    def _subscribe(self, act: Subscribe) -> None:
        now_ns = self.served.clock()
        index, packing = self.served.shelf.index(act.channel), self.served.packing
        if any(fnmatchcase(act.channel, glob) for glob in self.served.ended):
            return
        self._own.keys[index] = act.key
        self._hands.shifts.pop(index, None)
        begin = self.feed.add(act.channel, act.depth, now_ns)
        if begin:
            frames = [Frame(index, packing.pack(payload), packing.opcode) for payload in begin]
            self._send(block(frames, personal=True), now_ns, OWN)
        if act.replayed:
            again = self.served.source.past(self.feed, act.channel, act.replayed, now_ns)
            self._send(block([Frame(index, p, packing.opcode) for p in again], personal=True), now_ns, MADE)
        self._added_at = self._loop.time()
        self._changed.set()

    async def _tick(self) -> None:
        """Each second: what the venue says by itself, and protocol pings."""
        every = max((p.every for p in self.served.session.server_pings if p.carrier is Beat.PROTOCOL), default=0.0)
        asked = pinged = self._ponged = self._loop.time()
        while self._transport is not None:
            await asyncio.sleep(1.0)
            if self._stalled:
                continue
            if self.guest.until and self.served.clock() / 1e9 > self.guest.until:
                self._close(_TOKEN_OVER, "token expired")
                return
            now = self._loop.time()
            if self._idle_limit and now - self._heard_at >= self._idle_limit:
                self._mute = True
            if self.served.max_age and now - self._opened_at >= self.served.max_age:
                self._close(1001, "too old")
                return
            self._act(self._dialogue.tick(self.served.clock(), now - self._said_at))
            if every and self._carrier is None and now - pinged >= every:
                pinged = now
                if self._ponged >= asked:
                    # The first that is not answered counts.
                    asked = now
                self._write(wire.frame(b"%d" % self.served.clock(), wire.Opcode.PING))
            if every and self._ponged < asked < now - _PONG_WITHIN:
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
            if self._stalled or self._paused:
                await asyncio.sleep(0.01)
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

    def deliver(self, part: Block, now_ns: int) -> Places | None:
        """A live market's next frames; the places of those that were sent unharmed (None: all)."""
        if self._transport is None or self._mute or self._paused or self._transport.is_closing():
            return _NONE
        sent: Places | None = None
        if self._hands.shifts or self.served.faults.waits(Target.FRAMES):
            part, sent = self._harmed(part, now_ns)
        if part.count:
            self._write(self._bytes(part))
            self._note(now_ns)
        return sent

    def _harmed(self, part: Block, now_ns: int) -> tuple[Block, Places | None]:
        """Frames struck by faults, and the places of those that are still what they were."""
        part = self._own.block(part)
        frames = part.frames()
        struck = self._strike(frames)
        if struck is frames:
            return part, None
        place_of = {id(frame): place for place, frame in enumerate(frames)}
        unharmed: dict[int, None] = {}
        made = []
        for frame in struck:
            place = place_of.get(id(frame))
            if place is None or place in unharmed:
                made.append(frame)
            else:
                unharmed[place] = None
        if made:
            self._on_sent(self, block(made), now_ns, MADE)
        return block(struck), np.array(sorted(unharmed), np.int64)

    def _note(self, now_ns: int) -> None:
        """Keeps book of what has left, and gives up a client that does not read."""
        transport = self._transport
        if transport is None:
            return
        waiting = transport.get_write_buffer_size()
        if not waiting:
            self._left.clear()
            self.sure_until = now_ns
            return
        self._left.append((self._written, now_ns))
        while self._left and self._left[0][0] <= self._written - waiting:
            self.sure_until = self._left.popleft()[1]
        if waiting > self.served.slow_bytes:
            self._slow(waiting)

    def _slow(self, waiting: int) -> None:
        telemetry.event("slow_client", telemetry.Level.WARNING, venue=self.served.name, waiting=waiting)
        self.served.tally.slow += 1
        self.abort()

    def _strike(self, frames: list[Frame]) -> list[Frame]:
        shifts = dict(self._hands.shifts)
        if shifts:
            frames = [self._hands.shifted(f, shifts[f.channel]) if f.channel in shifts else f for f in frames]
        return self.served.faults.frames(frames, self._hands, self.guest.name)

    def _struck(self, taken: Block) -> Block:
        if not self._hands.shifts and not self.served.faults.waits(Target.FRAMES):
            return taken
        return block(self._strike(self._own.block(taken).frames()))

    def _send(self, sent: Block, now_ns: int, kind: int = 0) -> None:
        if self._transport is not None and sent.count:
            self._write(self._bytes(sent))
            self._on_sent(self, sent, now_ns, kind)

    def _bytes(self, sent: Block) -> bytes:
        """Data as this connection gets it."""
        own = self._own.block(sent)
        return own.data if self._carrier is None else self._carrier.put(own.payloads())

    def _said(self, said: Say) -> bytes:
        return self.served.packing.say(said) if self._carrier is None else self._carrier.put([said.payload])

    def _write(self, data: bytes) -> None:
        if self._transport is None or self._mute:
            return
        if self._stalled:
            self._held.append(data)
            if sum(map(len, self._held)) > self.served.slow_bytes:
                self._slow(self.served.slow_bytes)
            return
        self._said_at = self._loop.time()
        self._written += len(data)
        self._transport.write(data)

    def _resume(self) -> None:
        """The stall is over (unless another goes on): all that was held back, in its order."""
        # A timer may ring a moment early.
        if self._loop.time() < self._stalled_until - _EARLY:
            return
        self._stalled = False
        held, self._held = self._held, []
        if held:
            self._write(b"".join(held))
        later, self._later = self._later, []
        for message in later:
            self._hear(message)

    # faults

    def strike(self, command: Command) -> None:
        """Does a fault of the connection, by its carrier's own way where that has one."""
        own = self._carrier.strike(command) if self._carrier is not None else None
        if own is None:
            self._suffer(command)
        else:
            self._act(own)

    def _suffer(self, command: Command) -> None:
        seconds = command.seconds
        match command.fault:
            case "close" if self._transport is not None:
                self._transport.close()
            case "close_code" | "ban":
                self._close(command.code, command.reason)
            case "token_expires":
                self._close(_TOKEN_OVER, "token expired")
            case "drop_silently":
                self._mute = True
            case "drop_when_idle":
                self._idle_limit = seconds
            case "stall":
                self._stalled_until = max(self._stalled_until, self._loop.time() + seconds)
                self._stalled = True
                self._loop.call_at(self._stalled_until, self._resume)
            case "notice":
                self._act([*said_of(self.served.session, Severity.ROTATE, Severity.RECONNECT)])
                self._loop.call_later(seconds, self._close, command.code, command.reason)
            case "maintenance":
                self._act([*said_of(self.served.session, Severity.PAUSE)])
                self._paused = True
                self._loop.call_later(seconds, self._over_again)
            case "ping":
                self._ping(seconds or _ECHO_WITHIN)
            case "end_of_life":
                for channel in [name for name in self.feed.channels if fnmatchcase(name, command.channel)]:
                    self.feed.remove(channel)

    def _over_again(self) -> None:
        """A maintenance is over."""
        self._paused = False
        self._act([*said_of(self.served.session, Severity.RESUME)])

    def _ping(self, seconds: float) -> None:
        """Pings as the venue does; the answer must echo it in time."""
        pings = self.served.session.server_pings
        spoken = next((ping for ping in pings if ping.carrier is not Beat.PROTOCOL), None)
        if spoken is None:
            self._echo = secrets.token_hex(8)
            self._write(wire.frame(self._echo.encode(), wire.Opcode.PING))
        else:
            number = self.served.clock() // 1_000_000
            self._echo = str(number) if "${=" in spoken.reply else _ANY
            self._act([Say(ping_text(spoken, number), plain=spoken.carrier is Beat.TEXT)])
        self._loop.call_later(seconds, self._echoed)

    def _echoed(self) -> None:
        if self._echo:
            self._close(1008, "ping not answered")

    def meant(self, command: Command) -> bool:
        """Whether a fault of connections is for this one: its party's, and it carries such a channel or none yet."""
        channels = self.feed.channels
        carries = not channels or any(fnmatchcase(channel, command.channel) for channel in channels)
        return carries and fnmatchcase(self.guest.name, command.party)

    def hang_up(self) -> None:
        """The emulator stops."""
        self._close(1001, "going away")

    def abort(self) -> None:
        """Ends the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def _close(self, code: int, reason: str = "") -> None:
        if self._transport is not None:
            bye = wire.close_frame(code, reason) if self._carrier is None else self._carrier.bye(reason)
            self._transport.write(bye)
            self._transport.close()
