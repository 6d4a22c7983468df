"""The channels of one connection: asked for, granted, refused, silent, subscribed anew for a fresh book."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from session_manager.session.actions import Report
from session_manager.session.calls import Calls, Verdict
from session_manager.session.outbox import Letter, Outbox
from tapeline.spec.session import ErrorRule, Resync, Session, Severity
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
    """Unsubscribed, to be subscribed anew."""
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


@dataclass(frozen=True, slots=True)
class Listener:
    """Whom to tell: a snapshot is needed, or no more; a fresh book has been subscribed (or will not be)."""

    snapshot: Callable[[float, Channel], None]
    abandoned: Callable[[str], None]
    renewed: Callable[[float, str, bool], None]


class Subscriptions:
    """All channels of one connection."""

    def __init__(
        self,
        session: Session,
        channels: Sequence[Channel],
        outbox: Outbox,
        number: Callable[[], int],
        listener: Listener,
        reports: Callable[[Report], None],
    ) -> None:
        self._session = session
        self._outbox = outbox
        self._number = number
        self._listener = listener
        self._report = reports
        self._calls = Calls(session)
        self._later: list[tuple[float, tuple[str, ...]]] = []
        self.states = {known.id: State(known) for known in channels}

    @property
    def settled(self) -> bool:
        """Whether every channel is granted or refused."""
        return all(state.status in (Status.ACTIVE, Status.REFUSED) for state in self.states.values())

    @property
    def answered(self) -> bool:
        """Whether no answer is outstanding."""
        return not self._calls.flights

    def reset(self, now: float) -> None:
        """The connection is gone: everything is wanted again."""
        self._calls = Calls(self._session)
        self._later.clear()
        for state in self.states.values():
            if state.anew:
                self._listener.renewed(now, state.known.id, False)
            if state.known.family.resync is Resync.REQUEST:
                # It would join a stream that is no more.
                self._listener.abandoned(state.known.id)
            state.status, state.fresh, state.anew = Status.WANTED, True, False

    def ask(self, now: float) -> None:
        """Subscribes what is wanted and not waiting for a second try."""
        waiting = {channel for _, some in self._later for channel in some}
        self._call(
            Operation.SUBSCRIBE, [i for i, s in self.states.items() if s.status is Status.WANTED and i not in waiting]
        )

    def leave(self) -> bool:
        """Unsubscribes everything (the end); whether there was anything."""
        active = [i for i, s in self.states.items() if s.status is Status.ACTIVE]
        self._call(Operation.UNSUBSCRIBE, active)
        return bool(active)

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
        if state.fresh and state.status in (Status.ASKED, Status.ACTIVE):
            self._want_snapshot(now, state)

    def answer(self, now: float, value: Json) -> bool:
        """Whether a frame answers a call; then it is applied."""
        verdict = self._calls.answer(value)
        if verdict is not None:
            self._apply(now, verdict)
        return verdict is not None

    def error(self, now: float, rule: ErrorRule, value: Json) -> None:
        """An error that concerns calls."""
        concerned = self._calls.concerned(rule, value, [state.known for state in self.states.values()])
        reason = text_of(at(value, rule.reason)) if rule.reason else rule.name
        if concerned is None:
            self._report(Report("venue_error", Level.WARNING, {"rule": rule.name, "reason": reason}))
            return
        flight, channels = concerned
        if flight.call.operation is Operation.UNSUBSCRIBE or rule.severity is Severity.ACCEPT:
            # What cannot be unsubscribed is not subscribed.
            self._apply(now, Verdict(flight.call.operation, channels))
        elif rule.severity is Severity.RETRY:
            self._later.append((now + rule.wait, channels))
            for channel in channels:
                self.states[channel].status = Status.WANTED
            self._report(Report("subscribe_retried", Level.WARNING, {"channels": channels, "reason": reason}))
        else:
            self._refuse(now, channels, reason)

    def renew(self, channel: str) -> bool:
        """Subscribes a channel anew for a fresh book; False where that is not possible now."""
        state = self.states.get(channel)
        if state is None or state.anew or state.status is not Status.ACTIVE:
            return False
        state.anew = state.fresh = True
        if state.known.family.resync is Resync.SUBSCRIBE:
            self._call(Operation.SUBSCRIBE, [channel])
        else:
            state.status = Status.LEAVING
            self._call(Operation.UNSUBSCRIBE, [channel])
        return True

    @property
    def watching(self) -> bool:
        """Whether the first data of some channel is of interest."""
        return any(state.status is Status.ASKED for state in self.states.values()) or bool(self._without_snapshot())

    def tick(self, now: float) -> None:
        """Second tries, and snapshots of channels that are granted but have nothing to say."""
        due = [some for at_, some in self._later if at_ <= now]
        if due:
            self._later = [(at_, some) for at_, some in self._later if at_ > now]
            self._call(Operation.SUBSCRIBE, [channel for some in due for channel in some])
        for state in self._without_snapshot():
            if state.last + _SNAPSHOT_WITHOUT_DATA <= now:
                self._want_snapshot(now, state)

    def overdue(self, now: float) -> tuple[str, ...]:
        """Channels of a call whose answer has not come in time."""
        flight = self._calls.overdue(now)
        return tuple(flight.open) if flight else ()

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
        fresh = min((state.last + _SNAPSHOT_WITHOUT_DATA for state in self._without_snapshot()), default=_NEVER)
        return min(self._calls.deadline(), later, fresh)

    def _without_snapshot(self) -> list[State]:
        return [
            state
            for state in self.states.values()
            if state.fresh and state.status is Status.ACTIVE and state.known.family.resync is Resync.REQUEST
        ]

    def _want_snapshot(self, now: float, state: State) -> None:
        state.fresh = False
        if state.known.family.resync is Resync.REQUEST:
            self._listener.snapshot(now, state.known)

    def _call(self, operation: Operation, channels: Sequence[str]) -> None:
        known = [self.states[channel].known for channel in channels]
        for made in calls(self._session, operation, known, self._number):
            self._outbox.put(Letter(made.text, made))
        if operation is Operation.SUBSCRIBE:
            for channel in channels:
                self.states[channel].status = Status.ASKED

    def _apply(self, now: float, verdict: Verdict) -> None:
        again = []
        for channel in verdict.granted:
            state = self.states[channel]
            state.last = now
            if verdict.operation is Operation.SUBSCRIBE:
                state.status = Status.ACTIVE
                if state.anew:
                    state.anew = False
                    self._listener.renewed(now, channel, True)
            elif state.anew:
                again.append(channel)
            else:
                state.status = Status.WANTED
        if again:
            self._call(Operation.SUBSCRIBE, again)
        if verdict.refused:
            self._refuse(now, verdict.refused, "not among the accepted")

    def _refuse(self, now: float, channels: Sequence[str], reason: str) -> None:
        for channel in channels:
            state = self.states[channel]
            state.status = Status.REFUSED
            if state.anew:
                state.anew = False
                self._listener.renewed(now, channel, False)
            self._report(Report("channel_refused", Level.ERROR, {"channel": channel, "reason": reason}))
