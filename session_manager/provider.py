"""One venue, live: sockets and HTTP around the session logic, the kernel's router, and the ring it fills."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Coroutine
from dataclasses import dataclass

import msgspec
from tapeline_kernel import Router

from session_manager.addresses import Addresses
from session_manager.batch import ChannelReader
from session_manager.intake import Intake
from session_manager.rest_client import RestClient
from session_manager.ring import Batch, Ring
from session_manager.session.actions import (
    SESSION_CHANNEL,
    UNKNOWN_CHANNEL,
    Action,
    Close,
    Connect,
    Emit,
    Fetch,
    Forget,
    Learn,
    Ping,
    Report,
    Send,
    Sign,
)
from session_manager.session.plan import plan
from session_manager.session.subscriptions import Status
from session_manager.session.venue import VenueSession
from session_manager.signing import Signing, sign
from session_manager.transport import Transport, transport
from tapeline.errors import HandshakeError, TapelineError
from tapeline.schemas import Schema
from tapeline.spec.encode import encode
from tapeline.spec.session import Session
from tapeline.spec.subscribe import routing
from tapeline.telemetry import Level, count, event

_BATCH_BYTES = 1 << 20
"""A batch this large is taken without waiting for the linger."""
_LINGER_BYTES, _LONGEST_LINGER = 32 << 10, 4.0
"""A stream that fills its batches lingers longer, up to so many times the linger: each message to each subscriber costs."""
_SWEEP = 0.5
_LEAST_WAIT = 0.002
_LONGEST_WAIT = 60.0


@dataclass(frozen=True, slots=True)
class Running:
    """How a provider is run."""

    venue: str
    provider: str
    instance: str
    epoch: int
    ring_bytes: int
    linger: float
    endpoint_base: str | None


class Provider:
    """Owns everything of one venue; made and used on one event loop."""

    def __init__(self, session: Session, channels: list[str], running: Running) -> None:
        loop = self._loop = asyncio.get_running_loop()
        self.running = running
        self._spec = session
        self.ring = Ring(running.epoch, running.ring_bytes)
        self.router = Router(encode(routing(session, channels)), running.provider, running.instance, running.epoch)
        self.session = VenueSession(session, plan(session, channels), random.Random(running.epoch), self.router.cursor)
        self.payloads = self.bytes = self.control_frames = self.unknown_frames = 0
        self._addresses = Addresses(running.endpoint_base, running.venue)
        self._rest = RestClient(self._addresses.of, direct=running.endpoint_base is not None)
        self._intake = Intake(self._push, self._turn, loop)
        self._reader = ChannelReader()
        self._seen: set[str] = set()
        self._transports: dict[int, Transport] = {}
        self._endpoints = {endpoint.name: endpoint for endpoint in session.endpoints}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._linger_timer: asyncio.TimerHandle | None = None
        self._next_take = 0.0
        self._next_sweep = 0.0
        self._watching = True
        self._stopped = asyncio.Event()

    def start(self) -> None:
        """Begins to connect."""
        self._do(self.session.start(self._loop.time()))

    async def stop(self, patience: float = 3.0) -> None:
        """Unsubscribes, closes, and ends the ring once all is in it."""
        self._do(self.session.stop(self._loop.time()))
        try:
            await asyncio.wait_for(self._stopped.wait(), patience)
        except TimeoutError:
            event("stop_timeout", Level.WARNING, provider=self.running.provider)
        if self._timer is not None:
            self._timer.cancel()
        for one in list(self._transports.values()):
            one.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._rest.close()
        self._take()
        self.ring.close()

    def reconcile(self, channels: list[str]) -> None:
        """Brings what is subscribed to these channels, without touching what stays.

        Raises UsageError, and changes nothing, where the venue's limits leave no room for them.
        """
        actions = self.session.reconcile(self._loop.time(), channels)
        if self._spec.symbol_routes:
            self.router.reroute(encode(routing(self._spec, channels)))
        self._do(actions)

    def request_resync(self, channel: str, reason: str) -> bool:
        """Whether a fresh book of the channel will come."""
        accepted, actions = self.session.request_resync(self._loop.time(), channel, reason)
        self._do(actions)
        count("resync_requests", provider=self.running.provider, accepted=str(accepted).lower())
        return accepted

    def stats(self) -> dict[str, object]:
        """What the stats line says of this provider."""
        lines = self.session.lines
        statuses = [state.status for line in lines for state in line.subscriptions.states.values()]
        return {
            "payloads": self.payloads,
            "bytes": self.bytes,
            "connections_up": sum(line.up for line in lines),
            "channels_active": statuses.count(Status.ACTIVE) + self.session.polls.answered,
            "channels_refused": statuses.count(Status.REFUSED),
            "reconnects": self.session.reconnects,
            "control_frames": self.control_frames,
            "unknown_frames": self.unknown_frames,
            "ring_bytes": self.ring.bytes,
            "last_sequence": self.ring.last_sequence,
            "subscribers": {cursor.name: self.ring.lag(cursor) for cursor in self.ring.cursors},
        }

    # What transports tell.

    def on_connected(self, connection: int) -> None:
        """The connection stands."""
        self._do(self.session.connected(self._loop.time(), connection))

    def on_closed(self, connection: int, code: int, reason: str) -> None:
        """The connection has ended."""
        self._ended(connection, code, reason, 0.0)

    def _ended(self, connection: int, code: int, reason: str, retry_after: float) -> None:
        self._transports.pop(connection, None)
        # What came before the end is routed and understood by then.
        self._sweep(self._loop.time())
        self._do(self.session.closed(self._loop.time(), connection, code, reason, retry_after))
        self.router.forget(connection)

    def on_hole(self, connection: int, reason: str) -> None:
        """Messages of the connection came late or never: its books are doubtful, and asked for anew."""
        for state in ("down", "up"):
            payload = msgspec.json.encode({"event": state, "connection": connection, "reason": reason})
            self.router.inject(SESSION_CHANNEL, Schema.STATUS.value, self._intake.stamp(), connection, payload)
        line = next((line for line in self.session.lines if line.connection == connection), None)
        for channel in list(line.subscriptions.states) if line is not None else []:
            self.request_resync(channel, "hole")

    def on_heartbeat(self, connection: int, pong: bool) -> None:
        """A ping or pong of the carrier's own came."""
        self.control_frames += 1
        self.session.heard(self._loop.time(), connection)
        if pong:
            self.session.ponged(connection)

    # What arrives.

    def _push(self, connection: int, stamps: range, frames: list[bytes]) -> None:
        now = self._loop.time()
        left, done = self.router.push(connection, stamps, frames)
        self.session.heard(now, connection)
        for _, frame in left:
            self._control(now, connection, frame)
        while done < len(frames):
            # A frame may tell by what key those behind it name their channel, so it was understood first.
            stamps = self._intake.behind(stamps, done)
            left, done = self.router.push(connection, stamps, frames, done)
            for _, frame in left:
                self._control(now, connection, frame)
        if self.router.open_bytes >= _BATCH_BYTES:
            self._take()

    def _control(self, now: float, connection: int, frame: bytes) -> None:
        try:
            decoded = self.router.decode(frame)
        except ValueError as error:
            count("undecodable_frames", provider=self.running.provider, reason=str(error))
            decoded = frame
        known, actions = self.session.frame(now, connection, decoded, frame)
        if known:
            self.control_frames += 1
        else:
            self.unknown_frames += 1
            count("unknown_frames", provider=self.running.provider)
            # Its own stamp is older than those of the frames it came with, and stamps must rise.
            self.router.inject(UNKNOWN_CHANNEL, "", self._intake.stamp(), connection, frame)
        self._do(actions)

    def _turn(self) -> None:
        """The loop's turn is over: an idle stream is passed on at once, a busy one at most every linger."""
        if self._linger_timer is not None:
            return
        if self._loop.time() >= self._next_take:
            self._take()
        elif self.router.open_payloads:
            self._linger_timer = self._loop.call_at(self._next_take, self._linger_over)

    def _linger_over(self) -> None:
        self._linger_timer = None
        self._take()

    def _take(self) -> None:
        if self._linger_timer is not None:
            self._linger_timer.cancel()
            self._linger_timer = None
        taken = self.router.take()
        if taken is None:
            return
        first, last, data = taken
        now = self._loop.time()
        self._next_take = now + self.running.linger * min(max(len(data) / _LINGER_BYTES, 1.0), _LONGEST_LINGER)
        self.payloads += last - first + 1
        self.bytes += len(data)
        self.ring.append(Batch(first, last, data))
        self._note_seen(now, data)

    def _note_seen(self, now: float, data: bytes) -> None:
        if self.session.overlapping:
            for connection, channels in self._reader.by_connection(data).items():
                self._do(self.session.seen(now, channels, connection))
            return
        self._seen.update(self._reader.channels(data))
        if self._watching or now >= self._next_sweep:
            self._sweep(now)

    def _sweep(self, now: float) -> None:
        self._next_sweep = now + _SWEEP
        if self.session.overlapping:
            # From before the overlap: it must not be taken for the heir's.
            self._seen.clear()
        if self._seen:
            seen, self._seen = self._seen, set()
            self._do(self.session.seen(now, seen))
        self._watching = self.session.watching

    # What is to be done.

    def _do(self, actions: list[Action]) -> None:
        emitted = False
        for action in actions:
            emitted |= self._one(action)
        if actions:
            self._watching = self.session.watching
        self._arm()
        if emitted:
            self._turn()
        if self.session.stopped:
            self._stopped.set()

    def _one(self, action: Action) -> bool:
        match action:
            case Emit(channel, schema, connection, payload):
                self.router.inject(channel, schema, self._intake.stamp(), max(0, connection), payload)
                return True
            case Send(connection, text) if (carrier := self._transports.get(connection)) is not None:
                carrier.send(text)
            case Ping(connection) if (carrier := self._transports.get(connection)) is not None:
                carrier.ping()
            case Connect():
                self.router.connected(action.connection, action.endpoint)
                made = transport(self._endpoints[action.endpoint], action.connection, self._intake, self)
                self._transports[action.connection] = made
                self._spawn(self._connect(action, made))
            case Close():
                if (closing := self._transports.pop(action.connection, None)) is not None:
                    closing.close()
                    # After what the same read still holds.
                    self._loop.call_soon(self.router.forget, action.connection)
            case Learn(connection, key, channel):
                self.router.learn(connection, key, channel)
            case Forget(connection, key):
                self.router.forget(connection, key or None)
            case Sign():
                # After the actions that it came with.
                self._loop.call_soon(self._sign, action)
            case Fetch():
                self._spawn(self._fetch(action))
            case Report(name, level, fields):
                event(name, level, provider=self.running.provider, **fields)
        return False

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, action: Connect, made: Transport) -> None:
        try:
            await made.connect(self._addresses.of(action.url), action)
        except (OSError, TimeoutError, HandshakeError) as error:
            if self._transports.get(action.connection) is made:
                wait = error.retry_after if isinstance(error, HandshakeError) else 0.0
                self._ended(action.connection, 0, f"{type(error).__name__} {error}".strip(), wait)

    def _sign(self, action: Sign) -> None:
        now = self._loop.time()
        fix, emulated = self._endpoints[action.endpoint].fix, self.running.endpoint_base is not None
        signing = Signing(self.running.venue, action.endpoint, action.nonce, time.time_ns(), fix, emulated)
        try:
            variables = sign(action.signer, signing)
        except TapelineError as error:
            self._do(self.session.unsigned(now, action.connection, str(error)))
        else:
            self._do(self.session.signed(now, action.connection, variables))

    async def _fetch(self, action: Fetch) -> None:
        answer = await self._rest.fetch(action)
        now = self._loop.time()
        if answer.reason:
            self._do(self.session.unanswered(now, action.key, answer.reason))
        else:
            self._do(self.session.answered(now, action.key, answer.status, answer.retry_after, answer.body))

    def _arm(self) -> None:
        now = self._loop.time()
        at = max(self.session.deadline(now), now + _LEAST_WAIT)
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = min(at, now + _LONGEST_WAIT)
        self._timer = self._loop.call_at(self._timer_at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now = self._loop.time()
        try:
            self._sweep(now)
            self._do(self.session.tick(now))
        finally:
            # Whatever went wrong, time goes on.
            if self._timer is None:
                self._arm()
