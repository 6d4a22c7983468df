"""A whole venue's session: its lines, its requests, polls, resyncs and rotations. Time is passed in, in seconds."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Sequence

from session_manager.session.actions import Action, Report
from session_manager.session.backfill import Backfills
from session_manager.session.budget import Allowance, Backoff
from session_manager.session.desk import Desk
from session_manager.session.handover import Handovers
from session_manager.session.line import Line
from session_manager.session.plan import Plan, Shard, check_room, place, select
from session_manager.session.poll import Polls
from session_manager.session.resync import Resyncs
from session_manager.session.shared import Shared, Stage
from session_manager.session.subscriptions import Listener
from tapeline.spec.session import Resync, Session
from tapeline.spec.subscribe import Channel, pieces
from tapeline.telemetry import Level

_INSTRUMENT_PATIENCE = 5.0
_NEVER = float("inf")


class VenueSession:
    """Takes what happened and gives what is to be done. `cursor` tells how far a channel's data has come (empty: not known)."""

    def __init__(
        self, session: Session, plan: Plan, chance: random.Random, cursor: Callable[[str], str] = lambda _: ""
    ) -> None:
        self._session = session
        self._plan = plan
        self._requests = {request.name: request for request in session.requests}
        self._asked_for = list(plan.requests)
        self._out: list[Action] = []
        self._desk = Desk(session, self._out, self._carrier)
        budget = (session.reconnect.budget,) if session.reconnect.budget else ()
        connections = itertools.count()
        self._backfills = Backfills(self._requests, self._desk, cursor, self._connection_of)
        listener = Listener(
            self._backfills.asking, self._backfills.granted, self._snapshot, self._abandoned, self._renewed
        )
        self._shared = Shared(
            session,
            self._out,
            connections,
            Allowance(budget, reserve=0.25),
            lambda: Backoff(session.reconnect, chance),
            self._desk,
            listener,
            chance,
        )
        self._shards = list(plan.shards)
        self._homes: dict[str, Shard] = {channel: shard for shard in plan.shards for channel in shard.channels}
        self._lines: dict[Shard, list[Line]] = {}
        self._by_connection: dict[int, Line] = {}
        self._handovers = Handovers(session, self._open, self._out)
        self._resyncs = Resyncs(self._begin_resync)
        self._poll_connection = next(connections) if plan.polled else -1
        self._polls = Polls(self._requests, self._desk, self._out, chance, self._polled_on)
        self._polled = list(plan.polled)
        self._connect_at = _NEVER
        self._started = self._stopping = False
        self._gone = 0

    # What happened.

    def start(self, now: float) -> list[Action]:
        """Asks for the instruments; connects when they are there, or have failed once, or take too long."""
        self._leave_out(self._plan.left_out)
        self._ask_for(now, self._plan.requests)
        self._connect_at = now + _INSTRUMENT_PATIENCE
        return self.tick(now)

    def signed(self, now: float, connection: int, variables: dict[str, str]) -> list[Action]:
        """A signer has given its variables."""
        if (line := self._line(connection)) is not None:
            line.signed(now, variables)
        return self._done(now)

    def unsigned(self, now: float, connection: int, reason: str) -> list[Action]:
        """A signer could not."""
        if (line := self._line(connection)) is not None:
            line.unsigned(now, reason)
        return self._done(now)

    def connected(self, now: float, connection: int) -> list[Action]:
        """A connection stands."""
        if (line := self._line(connection)) is not None:
            line.connected(now)
        return self._done(now)

    def closed(self, now: float, connection: int, code: int, reason: str, retry_after: float = 0.0) -> list[Action]:
        """A connection has ended or could not be made (code 0)."""
        if (line := self._line(connection)) is not None:
            line.closed(now, code, reason, retry_after)
        return self._done(now)

    def heard(self, now: float, connection: int) -> None:
        """Frames of any kind came over a connection."""
        if (line := self._line(connection)) is not None:
            line.heard(now)

    def ponged(self, connection: int) -> None:
        """A protocol pong came."""
        if (line := self._line(connection)) is not None:
            line.protocol_pong()

    def frame(self, now: float, connection: int, payload: bytes, raw: bytes | None = None) -> tuple[bool, list[Action]]:
        """A frame that no route takes, decoded, and as it came (`raw`, where that differs): whether it is known, and what to do."""
        line = self._line(connection)
        known = line is None or line.frame(now, payload, payload if raw is None else raw)
        return known, self._done(now)

    def seen(self, now: float, channels: Iterable[str], connection: int | None = None) -> list[Action]:
        """Channels that have just had data; `connection` is whose, and must be told while `overlapping`."""
        for channel in channels:
            shard = self._homes.get(channel)
            for line in self._lines.get(shard, ()) if shard is not None else ():
                if line.up and connection in (None, line.connection):
                    line.seen(now, channel)
        return self._done(now)

    def answered(self, now: float, key: int, status: int, retry_after: float, body: bytes) -> list[Action]:
        """An HTTP answer."""
        self._desk.answered(now, key, status, retry_after, body)
        return self._done(now)

    def unanswered(self, now: float, key: int, reason: str) -> list[Action]:
        """No HTTP answer."""
        self._desk.unanswered(now, key, reason)
        return self._done(now)

    def request_resync(self, now: float, channel: str, reason: str) -> tuple[bool, list[Action]]:
        """Whether a fresh book of the channel will come; False while one is under way or the channel has none."""
        known = self._known(channel)
        if known is None or known.family.resync is Resync.NONE or channel in self._resyncs or self._stopping:
            return False, []
        if known.family.resync is Resync.REQUEST and (known.family.snapshot, channel) in self._desk.jobs:
            return False, []
        delay = self._resyncs.want(now, channel)
        self._out.append(Report("resync_requested", Level.INFO, {"channel": channel, "reason": reason, "delay": delay}))
        return True, self.tick(now)

    def reconcile(self, now: float, channels: Sequence[str]) -> list[Action]:
        """Brings what is subscribed to these channels; what stays is not touched.

        Raises UsageError, and changes nothing, where the venue's limits leave no room for them.
        """
        wanted = select(self._session, channels)
        check_room(self._session, self._shards, wanted.subscribed)
        self._leave_out(wanted.left_out)
        self._reconcile_rest(now, wanted.requests, wanted.polled)
        dropped = [channel for channel in self._homes if channel not in wanted.subscribed]
        changes: dict[Shard, tuple[list[Channel], list[str]]] = {}
        for channel in dropped:
            shard = self._homes.pop(channel)
            del shard.channels[channel]
            changes.setdefault(shard, ([], []))[1].append(channel)
            self._resyncs.forget(channel)
            self._backfills.forget(channel)
        added = [known for channel, known in wanted.subscribed.items() if channel not in self._homes]
        place(self._session, self._shards, added)
        places = {channel: shard for shard in self._shards for channel in shard.channels}
        for known in added:
            self._homes[known.id] = places[known.id]
            changes.setdefault(places[known.id], ([], []))[0].append(known)
        for shard, (more, less) in changes.items():
            if self._started and shard not in self._lines:
                self._open(shard)
            for line in self._lines.get(shard, ()):
                line.change(now, more, less)
        return self.tick(now)

    def stop(self, now: float) -> list[Action]:
        """Unsubscribes and closes everything."""
        self._stopping = True
        self._polls.stop()
        for line in self.lines:
            line.stop(now)
        return self._done(now)

    # What there is to know.

    @property
    def lines(self) -> list[Line]:
        """All connections, in all their stages."""
        return [line for lines in self._lines.values() for line in lines]

    @property
    def polls(self) -> Polls:
        """The polled channels."""
        return self._polls

    @property
    def reconnects(self) -> int:
        """Connections lost so far."""
        return self._gone + sum(line.reconnects for line in self.lines)

    @property
    def overlapping(self) -> bool:
        """Whether some channels are carried by two connections at once, so that it matters whose data it is."""
        return bool(self._handovers)

    @property
    def watching(self) -> bool:
        """Whether the first data of some channel should be told at once; else now and then is enough."""
        return bool(self._handovers) or any(line.up and line.subscriptions.watching for line in self.lines)

    @property
    def stopped(self) -> bool:
        """Whether everything is closed."""
        return self._stopping and all(line.stage is Stage.STOPPED for line in self.lines)

    def tick(self, now: float) -> list[Action]:
        """Whatever time alone brings."""
        for line in self.lines:
            line.tick(now)
        return self._done(now)

    def deadline(self, now: float) -> float:
        """When `tick` is due next."""
        lines = (line.deadline(now) for line in self.lines)
        if self._stopping:
            # Nothing else is begun any more.
            return min(lines, default=_NEVER)
        rest = (
            self._connect_at,
            self._desk.deadline(),
            self._polls.deadline(),
            self._resyncs.deadline(),
            self._handovers.deadline(),
        )
        return min(itertools.chain(rest, lines))

    # What is to be done.

    def _done(self, now: float) -> list[Action]:
        if not self._stopping:
            # What the event has made due goes out with it.
            self._open_lines(now)
            self._resyncs.tick(now)
            self._gone += self._handovers.tick(now, self._lines)
            self._close_empty(now)
            self._polls.tick(now)
            self._desk.tick(now)
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
        self._started = True
        self._polls.add(now, self._polled)
        for shard in self._shards:
            self._open(shard).tick(now)

    def _open(self, shard: Shard) -> Line:
        line = Line(self._shared, shard)
        self._lines.setdefault(shard, []).append(line)
        return line

    def _close_empty(self, now: float) -> None:
        for shard in [shard for shard in self._shards if not shard.channels]:
            lines = self._lines.get(shard, [])
            for line in lines:
                if not line.subscriptions.states or line.stage is not Stage.LIVE:
                    # What was unsubscribed has been answered.
                    line.end(now, "empty", told=False)
            if all(line.stage is Stage.STOPPED for line in lines):
                self._gone += sum(line.reconnects for line in lines)
                self._lines.pop(shard, None)
                self._shards.remove(shard)

    def _ask_for(self, now: float, names: Iterable[str]) -> None:
        for name in names:
            request = self._requests[name]
            self._desk.ask(now, request, request.channel, {}, lambda: 0)

    def _reconcile_rest(self, now: float, requests: Sequence[str], polled: dict[str, Channel]) -> None:
        for name in [name for name in self._asked_for if name not in requests]:
            self._desk.drop(self._requests[name].channel, name)
        self._ask_for(now, [name for name in requests if name not in self._asked_for])
        self._asked_for = list(requests)
        if polled and self._poll_connection < 0:
            self._poll_connection = next(self._shared.connections)
        self._polls.drop([channel for channel in self._polls.channels if channel not in polled])
        self._polled = list(polled.values())
        if self._started:
            self._polls.add(now, self._polled)

    def _leave_out(self, left_out: Iterable[tuple[str, str]]) -> None:
        for channel, reason in left_out:
            self._out.append(Report("channel_left_out", Level.WARNING, {"channel": channel, "reason": reason}))

    def _begin_resync(self, now: float, channel: str) -> bool:
        """Starts one; False where the connection is down or the channel not granted: its next subscription brings a fresh book."""
        line, known = self._carrier(channel), self._known(channel)
        if line is None or known is None:
            return False
        match known.family.resync:
            case Resync.REQUEST:
                return self._ask_snapshot(now, known)
            case Resync.RECONNECT:
                line.drop(now, "resync", 0.0)
                return False
            case _:
                return line.renew(now, channel)

    def _snapshot(self, now: float, known: Channel) -> None:
        self._ask_snapshot(now, known)

    def _abandoned(self, channel: str) -> None:
        # In a rotation the heir has asked for its own.
        shard = self._homes.get(channel)
        lines = self._lines.get(shard, []) if shard is not None else []
        if not any(line.up and channel in line.subscriptions.states for line in lines):
            self._desk.drop(channel)

    def _ask_snapshot(self, now: float, known: Channel) -> bool:
        request = self._requests[known.family.snapshot]
        return self._desk.ask(now, request, known.id, pieces(known), lambda: self._connection_of(known.id))

    def _renewed(self, now: float, channel: str, fresh: bool) -> None:
        self._resyncs.end(now, channel)

    def _finish_requests(self, now: float) -> None:
        for channel in self._resyncs.started():
            known = self._known(channel)
            by_request = known is not None and known.family.resync is Resync.REQUEST
            if known is not None and by_request and (known.family.snapshot, channel) not in self._desk.jobs:
                self._resyncs.end(now, channel)

    def _known(self, channel: str) -> Channel | None:
        shard = self._homes.get(channel)
        return shard.channels.get(channel) if shard is not None else None

    def _line(self, connection: int) -> Line | None:
        line = self._by_connection.get(connection)
        return line if line is not None and line.connection == connection and line.stage is not Stage.WAITING else None

    def _carrier(self, channel: str) -> Line | None:
        """The connection that carries a channel; in an overlap the newer one, as soon as it does."""
        shard = self._homes.get(channel)
        lines = self._lines.get(shard, []) if shard is not None else [] if channel in self._polls else self.lines
        live = [line for line in lines if line.stage is Stage.LIVE]
        if shard is None:
            return live[0] if live else None
        return next((line for line in reversed(live) if line.subscriptions.active(channel)), None)

    def _connection_of(self, channel: str) -> int:
        carrier = self._carrier(channel)
        shard = self._homes.get(channel)
        lines = self._lines.get(shard, []) if shard is not None else []
        line = carrier or (lines[-1] if lines else None)
        return max(0, line.connection) if line is not None else 0

    def _polled_on(self) -> int:
        return self._poll_connection
