"""The channels of one connection: asked for, granted, refused, silent, subscribed anew, and given up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from session_manager.session.actions import Action, Forget, Learn, Report
from session_manager.session.calls import Calls, Verdict
from session_manager.session.outbox import Letter, Outbox
from tapeline.spec.session import Batch, ErrorRule, Resync, Session, Severity
from tapeline.spec.subscribe import Channel, Operation, calls
from tapeline.spec.template import Json, at, text_of
from tapeline.telemetry import Level

_SNAPSHOT_WITHOUT_DATA = 1.0
_NEVER = float("inf")


class Status(Enum):
    """Where a channel stands."""

    WANTED = "wanted"
    ASKED = "asked"
    ACTIVE = "active"
    LEAVING = "leaving"
    """Unsubscribed, not yet answered."""
    REFUSED = "refused"


@dataclass(slots=True)
class State:
    """One channel's."""

    known: Channel
    status: Status = Status.WANTED
    last: float = 0.0
    """When data came last, or the subscription was granted."""
    fresh: bool = True
    """Its snapshot has not been asked for since the subscription."""
    anew: bool = False
    """Being subscribed again for a fresh book."""
    gone: bool = False
    """No longer wanted; forgotten once the venue has let go of it."""
    flowing: bool = False
    """Data has come since the subscription."""
    key: str = ""
    reason: str = ""
    """Why it was refused."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Whom to tell: a subscription is about to be asked for; it is granted; a snapshot is needed, or no more; a renewal has ended."""

    asking: Callable[[Channel], None]
    granted: Callable[[float, Channel], None]
    snapshot: Callable[[float, Channel], None]
    abandoned: Callable[[str], None]
    renewed: Callable[[float, str, bool], None]


class Subscriptions:
    """All channels of one connection."""

    def __init__(
        self,
        session: Session,
        channels: Iterable[Channel],
        outbox: Outbox,
        number: Callable[[], int],
        listener: Listener,
        out: list[Action],
    ) -> None:
        self._session = session
        self._batch = session.subscription.batch
        self._outbox = outbox
        self._number = number
        self._listener = listener
        self._out = out
        self.connection = -1
        self.keys: dict[str, str] = {}
        self._calls = Calls(session, self.keys)
        self._later: list[tuple[float, tuple[str, ...]]] = []
        self.states = {known.id: State(known) for known in channels}
        self._waiting: set[str] = set()
        """Granted channels whose snapshot has not been asked for."""
        self._asked: set[str] = set()

    @property
    def settled(self) -> bool:
        """Whether every channel is granted or refused."""
        return all(state.status in (Status.ACTIVE, Status.REFUSED) for state in self.states.values())

    @property
    def answered(self) -> bool:
        """Whether no answer is outstanding."""
        return not self._calls.flights

    @property
    def watching(self) -> bool:
        """Whether the first data of some channel is of interest."""
        return bool(self._asked or self._waiting)

    def active(self, channel: str) -> bool:
        """Whether a channel is subscribed, as far as is known."""
        state = self.states.get(channel)
        return state is not None and state.status is Status.ACTIVE

    def reset(self, now: float, channels: Mapping[str, Channel]) -> None:
        """The connection is gone: all of `channels` is wanted again."""
        if self.keys:
            self._out.append(Forget(self.connection))
            self.keys.clear()
        self._calls = Calls(self._session, self.keys)
        self._later.clear()
        self._waiting.clear()
        self._asked.clear()
        before, self.states = self.states, {channel: State(known) for channel, known in channels.items()}
        for channel, state in before.items():
            if state.anew:
                self._listener.renewed(now, channel, False)
            # What was asked for would join a stream that is no more.
            self._listener.abandoned(channel)

    def ask(self, now: float) -> None:
        """Subscribes what is wanted and not waiting for a second try."""
        waiting = {channel for _, some in self._later for channel in some}
        wanted = [i for i, s in self.states.items() if s.status is Status.WANTED and i not in waiting]
        self._subscribe(wanted)
        if self._batch is Batch.URL:
            self._apply(now, Verdict(Operation.SUBSCRIBE, tuple(wanted)))

    def leave(self) -> bool:
        """Unsubscribes everything (the end); whether there was anything."""
        active = [i for i, s in self.states.items() if s.status is Status.ACTIVE] if self._leavable else []
        self._unsubscribe(active)
        return bool(active)

    def add(self, now: float, channels: Iterable[Channel], live: bool) -> None:
        """Takes further channels on, and subscribes them where the connection is `live`."""
        for known in channels:
            state = self.states.setdefault(known.id, State(known))
            if state.gone:
                # On its way out: once it is, it is subscribed again.
                state.gone, state.anew = False, state.status is Status.LEAVING
        if live:
            self.ask(now)

    def drop(self, channels: Iterable[str]) -> None:
        """Gives channels up: unsubscribed where they are subscribed, then forgotten."""
        leaving = []
        for channel in channels:
            state = self.states.get(channel)
            if state is None:
                continue
            self._listener.abandoned(channel)
            self._waiting.discard(channel)
            state.gone, state.anew = True, False
            if state.status is Status.ACTIVE:
                leaving.append(channel)
            elif state.status in (Status.WANTED, Status.REFUSED):
                self._forget(channel)
        if self._leavable:
            self._unsubscribe(leaving)
            return
        for channel in leaving:
            self._forget(channel)
        if leaving and self.states and self._batch is Batch.REPLACE:
            self._send(Operation.SUBSCRIBE, self._whole_set())

    def sent(self, now: float, letter: Letter) -> None:
        """A message has gone out."""
        if letter.call is not None and (verdict := self._calls.sent(now, letter.call)) is not None:
            self._apply(now, verdict)

    def seen(self, now: float, channel: str) -> None:
        """Data of a channel came."""
        state = self.states.get(channel)
        if state is None:
            return
        state.last = now
        if state.status is Status.ASKED and (verdict := self._calls.data(channel)) is not None:
            self._apply(now, verdict)
        if state.status in (Status.ASKED, Status.ACTIVE):
            state.flowing = True
            if state.fresh:
                self._want_snapshot(now, state)

    def answer(self, now: float, value: Json) -> bool:
        """Whether a frame answers a call; then it is applied."""
        verdict = self._calls.answer(value)
        if verdict is not None:
            self._apply(now, verdict)
        return verdict is not None

    def error(self, now: float, rule: ErrorRule, value: Json) -> bool:
        """An error that concerns calls; whether it does."""
        concerned = self._calls.concerned(rule, value, {i: state.known for i, state in self.states.items()})
        if concerned is None:
            return False
        flight, channels = concerned
        reason = text_of(at(value, rule.reason)) if rule.reason else rule.name
        if flight.call.operation is Operation.UNSUBSCRIBE or rule.severity is Severity.ACCEPT:
            # What cannot be unsubscribed is not subscribed.
            self._apply(now, Verdict(flight.call.operation, channels))
        elif rule.severity is Severity.RETRY:
            self._later.append((now + rule.wait, channels))
            for channel in channels:
                self._mark(channel, Status.WANTED, reason)
            self._report("subscribe_retried", Level.WARNING, channels=channels, reason=reason)
        else:
            self._refuse(now, channels, reason)
        return True

    def renew(self, channel: str) -> bool:
        """Subscribes a channel anew for a fresh book; False where that is not possible now."""
        state = self.states.get(channel)
        if state is None or state.anew or state.gone or state.status is not Status.ACTIVE or self._batch is Batch.URL:
            return False
        state.anew = state.fresh = True
        state.flowing = False
        if self._leavable and state.known.family.resync is not Resync.SUBSCRIBE:
            self._unsubscribe([channel])
        else:
            self._subscribe([channel])
        return True

    def tick(self, now: float) -> None:
        """Second tries, and snapshots of channels that are granted but have nothing to say."""
        due = [some for at_, some in self._later if at_ <= now]
        if due:
            self._later = [(at_, some) for at_, some in self._later if at_ > now]
            self._subscribe([one for some in due for one in some if one in self.states])
        for channel in list(self._waiting):
            state = self.states[channel]
            if state.last + _SNAPSHOT_WITHOUT_DATA <= now:
                self._want_snapshot(now, state)

    def overdue(self, now: float) -> tuple[str, ...]:
        """Channels of a subscription whose answer has not come in time.

        An unsubscription that is not answered costs nobody his connection: it counts as done.
        """
        while (flight := self._calls.overdue(now)) is not None:
            if flight.call.operation is Operation.SUBSCRIBE:
                return tuple(flight.open)
            self._report("unsubscribe_unanswered", Level.WARNING, channels=tuple(flight.open))
            self._apply(now, self._calls.given_up(flight))
        return ()

    def stale(self, now: float) -> tuple[list[str], bool]:
        """Channels silent for longer than their cadence, and whether these are all that have one."""
        timed = [s for s in self.states.values() if s.known.family.cadence and s.status is Status.ACTIVE]
        stale = [s for s in timed if s.last + s.known.family.cadence <= now]
        for state in stale:
            state.last = now
        return [state.known.id for state in stale], bool(stale) and len(stale) == len(timed)

    def deadline(self) -> float:
        """When `tick` or `overdue` may have something."""
        later = min((at_ for at_, _ in self._later), default=_NEVER)
        fresh = min((self.states[one].last + _SNAPSHOT_WITHOUT_DATA for one in self._waiting), default=_NEVER)
        return min(self._calls.deadline(), later, fresh)

    def _want_snapshot(self, now: float, state: State) -> None:
        state.fresh = False
        self._waiting.discard(state.known.id)
        if state.known.family.resync is Resync.REQUEST:
            self._listener.snapshot(now, state.known)

    @property
    def _leavable(self) -> bool:
        """Whether single channels can be unsubscribed."""
        return self._batch in (Batch.MANY, Batch.ONE) and bool(self._session.subscription.unsubscribe)

    def _subscribe(self, channels: Sequence[str]) -> None:
        if not channels:
            return
        for channel in channels:
            self._listener.asking(self.states[channel].known)
            self._mark(channel, Status.ASKED)
        self._send(Operation.SUBSCRIBE, self._whole_set() if self._batch is Batch.REPLACE else channels)

    def _unsubscribe(self, channels: Sequence[str]) -> None:
        for channel in channels:
            self._mark(channel, Status.LEAVING)
        self._send(Operation.UNSUBSCRIBE, channels)

    def _whole_set(self) -> list[str]:
        return [i for i, state in self.states.items() if state.status is not Status.REFUSED and not state.gone]

    def _send(self, operation: Operation, channels: Sequence[str]) -> None:
        known = [self.states[channel].known for channel in channels]
        keys = {channel: self.states[channel].key for channel in channels if self.states[channel].key}
        for made in calls(self._session, operation, known, self._number, keys):
            self._outbox.put(Letter(made.text, made))

    def _apply(self, now: float, verdict: Verdict) -> None:
        again, leaving = [], []
        for channel in verdict.granted:
            state = self.states.get(channel)
            if state is None:
                continue
            state.last = now
            if verdict.operation is Operation.SUBSCRIBE:
                self._grant(now, state, verdict.key if len(verdict.granted) == 1 else "")
                if state.gone:
                    leaving.append(channel)
                continue
            self._unlearn(state)
            if state.gone:
                self._forget(channel)
            elif state.anew:
                again.append(channel)
            else:
                self._mark(channel, Status.WANTED)
        self._subscribe(again)
        self._unsubscribe(leaving)
        if verdict.refused:
            self._refuse(now, verdict.refused, "not among the accepted")

    def _grant(self, now: float, state: State, key: str) -> None:
        channel = state.known.id
        if key and key != state.key:
            self._unlearn(state)
            state.key = key
            self.keys[key] = channel
            self._out.append(Learn(self.connection, key, channel))
        first = state.status is Status.ASKED
        self._mark(channel, Status.ACTIVE)
        if state.fresh and state.known.family.resync is Resync.REQUEST and not state.gone:
            self._waiting.add(channel)
        if state.anew:
            state.anew = False
            self._listener.renewed(now, channel, True)
        if first and not state.gone:
            self._listener.granted(now, state.known)

    def _refuse(self, now: float, channels: Sequence[str], reason: str) -> None:
        for channel in channels:
            state = self.states.get(channel)
            if state is None:
                continue
            self._mark(channel, Status.REFUSED, reason)
            state.reason = reason
            self._waiting.discard(channel)
            if state.anew:
                state.anew = False
                self._listener.renewed(now, channel, False)
            self._report("channel_refused", Level.ERROR, channel=channel, reason=reason)
            if state.gone:
                self._forget(channel)

    def _mark(self, channel: str, status: Status, reason: str = "") -> None:
        state = self.states.get(channel)
        if state is None:
            return
        state.status, state.reason = status, reason
        if status is Status.ASKED:
            self._asked.add(channel)
            state.flowing = False
        else:
            self._asked.discard(channel)

    def _unlearn(self, state: State) -> None:
        if state.key:
            self.keys.pop(state.key, None)
            self._out.append(Forget(self.connection, state.key))
            state.key = ""

    def _forget(self, channel: str) -> None:
        self._unlearn(self.states[channel])
        self._asked.discard(channel)
        self._waiting.discard(channel)
        del self.states[channel]

    def _report(self, name: str, level: Level, **fields: object) -> None:
        self._out.append(Report(name, level, fields))
