"""A whole venue's session: its lines, its REST requests, resyncs and rotations. Time is passed in, in seconds."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from dataclasses import dataclass

from session_manager.session.actions import Action, Report
from session_manager.session.budget import Allowance, Backoff
from session_manager.session.line import Line, Shared, Stage
from session_manager.session.plan import Plan
from session_manager.session.rest import RestDesk
from session_manager.session.subscriptions import Listener
from tapeline.spec.session import Request, Resync, Session
from tapeline.spec.subscribe import Channel, pieces
from tapeline.telemetry import Level

_INSTRUMENT_PATIENCE = 5.0
_RESYNC_CALM = 10.0
_RESYNC_FIRST = 0.25
_RESYNC_LONGEST = 30.0
_NEVER = float("inf")


@dataclass(slots=True)
class _Resync:
    reason: str
    due: float
    started: bool = False


@dataclass(slots=True)
class _Calm:
    ended: float
    streak: int


class VenueSession:
    """Takes what happened and gives what is to be done."""

    def __init__(self, session: Session, plan: Plan, chance: random.Random) -> None:
        self._session = session
        self._plan = plan
        self._requests = {request.name: request for request in session.requests}
        self._desk = RestDesk(session)
        self._out: list[Action] = []
        budget = (session.reconnect.budget,) if session.reconnect.budget else ()
        self._shared = Shared(
            session, self._out, itertools.count(), Allowance(budget), lambda: Backoff(session.reconnect, chance)
        )
        self._listener = Listener(self._snapshot, self._abandoned, self._renewed)
        self.lines: list[Line] = []
        self._successors: dict[Line, Line] = {}
        self._by_connection: dict[int, Line] = {}
        self._homes = {known.id: shard for shard in plan.shards for known in shard.channels}
        self._resyncs: dict[str, _Resync] = {}
        self._calm: dict[str, _Calm] = {}
        self._connect_at = _NEVER
        self._stopping = False
        self._gone = 0

    def start(self, now: float) -> list[Action]:
        """Asks for the instruments; connects when they are there, or have failed once, or take too long."""
        for channel, reason in self._plan.left_out:
            self._out.append(Report("channel_left_out", Level.WARNING, {"channel": channel, "reason": reason}))
        for name in self._plan.requests:
            request = self._requests[name]
            self._desk.ask(now, request, request.channel, {}, self._any_connection)
        self._connect_at = now + _INSTRUMENT_PATIENCE
        return self.tick(now)

    def connected(self, now: float, connection: int) -> list[Action]:
        """A connection stands."""
        if (line := self._line(connection)) is not None:
            line.connected(now)
        return self._done(now)

    def closed(self, now: float, connection: int, code: int, reason: str) -> list[Action]:
        """A connection has ended or could not be made (code 0)."""
        if (line := self._line(connection)) is not None:
            line.closed(now, code, reason)
        return self._done(now)

    def heard(self, now: float, connection: int) -> None:
        """Frames of any kind came over a connection."""
        if (line := self._line(connection)) is not None:
            line.heard(now)

    def ponged(self, connection: int) -> None:
        """A protocol pong came."""
        if (line := self._line(connection)) is not None:
            line.protocol_pong()

    def frame(self, now: float, connection: int, payload: bytes) -> tuple[bool, list[Action]]:
        """A frame that no route takes: whether it is known, and what to do."""
        line = self._line(connection)
        known = line is None or line.frame(now, payload)
        return known, self._done(now)

    def seen(self, now: float, channels: Iterable[str]) -> list[Action]:
        """Channels that have just had data."""
        for channel in channels:
            shard = self._homes.get(channel)
            for line in self.lines:
                if line.shard is shard and line.up:
                    line.seen(now, channel)
        return self._done(now)

    def answered(self, now: float, key: int, status: int, retry_after: float, body: bytes) -> list[Action]:
        """An HTTP answer."""
        self._out += self._desk.answered(now, key, status, retry_after, body)
        return self._done(now)

    def unanswered(self, now: float, key: int, reason: str) -> list[Action]:
        """No HTTP answer."""
        self._out += self._desk.unanswered(now, key, reason)
        return self._done(now)

    def request_resync(self, now: float, channel: str, reason: str) -> tuple[bool, list[Action]]:
        """Whether a fresh book of the channel will come; False while one is under way or the channel has none."""
        shard = self._homes.get(channel)
        family = next((k.family for k in shard.channels if k.id == channel), None) if shard else None
        if family is None or family.resync is Resync.NONE or channel in self._resyncs or self._stopping:
            return False, []
        if family.resync is Resync.REQUEST and (family.snapshot, channel) in self._desk.jobs:
            return False, []
        calm = self._calm.get(channel)
        delay = 0.0
        if calm is not None and now - calm.ended < _RESYNC_CALM:
            # A book that breaks again at once would otherwise be fetched in a circle.
            delay = min(_RESYNC_LONGEST, _RESYNC_FIRST * 2**calm.streak)
        self._resyncs[channel] = _Resync(reason, now + delay)
        self._out.append(Report("resync_requested", Level.INFO, {"channel": channel, "reason": reason, "delay": delay}))
        return True, self.tick(now)

    def stop(self, now: float) -> list[Action]:
        """Unsubscribes and closes everything."""
        self._stopping = True
        for line in self.lines:
            line.stop(now)
        return self._done(now)

    @property
    def reconnects(self) -> int:
        """Connections lost so far."""
        return self._gone + sum(line.reconnects for line in self.lines)

    @property
    def watching(self) -> bool:
        """Whether the first data of some channel should be told at once; else now and then is enough."""
        return any(line.up and line.subscriptions.watching for line in self.lines)

    @property
    def stopped(self) -> bool:
        """Whether everything is closed."""
        return self._stopping and all(line.stage is Stage.STOPPED for line in self.lines)

    def tick(self, now: float) -> list[Action]:
        """Whatever time alone brings."""
        if not self._stopping:
            self._open_lines(now)
            self._start_resyncs(now)
            self._rotate(now)
            self._out += self._desk.tick(now)
        for line in list(self.lines):
            line.tick(now)
        return self._done(now)

    def deadline(self, now: float) -> float:
        """When `tick` is due next."""
        resyncs = (resync.due for resync in self._resyncs.values() if not resync.started)
        lines = (line.deadline(now) for line in self.lines)
        return min(itertools.chain((self._connect_at, self._desk.deadline()), resyncs, lines))

    def _done(self, now: float) -> list[Action]:
        if not self._stopping:
            # What the event has made due goes out with it.
            self._open_lines(now)
            self._out += self._desk.tick(now)
        self._finish_requests(now)
        actions = self._out[:]
        self._out.clear()
        self._by_connection = {line.connection: line for line in self.lines}
        return actions

    def _open_lines(self, now: float) -> None:
        waiting = self._desk.pending(self._session.instruments)
        if self._connect_at == _NEVER or (self._connect_at > now and waiting):
            return
        self._connect_at = _NEVER
        self.lines = [Line(self._shared, shard, self._listener) for shard in self._plan.shards]
        for line in self.lines:
            line.tick(now)

    def _rotate(self, now: float) -> None:
        for line in list(self.lines):
            if line.retiring and line not in self._successors and line.stage is Stage.LIVE:
                heir = Line(self._shared, line.shard, self._listener)
                self._successors[line] = heir
                self.lines.append(heir)
                self._out.append(Report("rotation_started", Level.INFO, {"connection": line.connection}))
        for old, heir in list(self._successors.items()):
            if heir.stage is Stage.LIVE and heir.subscriptions.settled:
                if old.stage is not Stage.STOPPED:
                    old.end(now, "rotated")
                self.lines.remove(old)
                self._gone += old.reconnects
                del self._successors[old]

    def _start_resyncs(self, now: float) -> None:
        for channel, resync in list(self._resyncs.items()):
            if resync.started or resync.due > now:
                continue
            resync.started = self._start_resync(now, channel)
            if not resync.started:
                # The connection is down or the channel not granted: its next subscription brings a fresh book.
                del self._resyncs[channel]

    def _start_resync(self, now: float, channel: str) -> bool:
        line = next(
            (line for line in self.lines if channel in line.subscriptions.states and line.stage is Stage.LIVE), None
        )
        if line is None:
            return False
        known = line.subscriptions.states[channel].known
        if known.family.resync is Resync.REQUEST:
            return self._ask_snapshot(now, known)
        if known.family.resync is Resync.RECONNECT:
            line.drop(now, "resync", 0.0)
            return False
        return line.renew(now, channel)

    def _snapshot(self, now: float, known: Channel) -> None:
        self._ask_snapshot(now, known)

    def _abandoned(self, channel: str) -> None:
        # In a rotation the heir has asked for its own.
        if sum(line.up and channel in line.subscriptions.states for line in self.lines) == 0:
            self._desk.drop(channel)

    def _ask_snapshot(self, now: float, known: Channel) -> bool:
        request: Request = self._requests[known.family.snapshot]
        return self._desk.ask(now, request, known.id, pieces(known), lambda: self._connection_of(known.id))

    def _renewed(self, now: float, channel: str, fresh: bool) -> None:
        if self._resyncs.pop(channel, None) is not None:
            self._note_end(now, channel)

    def _finish_requests(self, now: float) -> None:
        for channel, resync in list(self._resyncs.items()):
            shard = self._homes[channel]
            known = next(known for known in shard.channels if known.id == channel)
            by_request = known.family.resync is Resync.REQUEST
            if by_request and resync.started and (known.family.snapshot, channel) not in self._desk.jobs:
                del self._resyncs[channel]
                self._note_end(now, channel)

    def _note_end(self, now: float, channel: str) -> None:
        last = self._calm.get(channel)
        streak = last.streak + 1 if last is not None and now - last.ended < _RESYNC_CALM else 0
        self._calm[channel] = _Calm(now, streak)

    def _line(self, connection: int) -> Line | None:
        line = self._by_connection.get(connection)
        return line if line is not None and line.connection == connection and line.stage is not Stage.WAITING else None

    def _connection_of(self, channel: str) -> int:
        line = next((line for line in self.lines if channel in line.subscriptions.states), None)
        return max(0, line.connection) if line is not None else 0

    def _any_connection(self) -> int:
        return 0
