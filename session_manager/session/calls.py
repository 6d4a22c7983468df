"""Subscribe and unsubscribe messages under way, and which of them an answer answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tapeline.spec.session import Accepted, AckBy, ErrorRule, Scope, Session
from tapeline.spec.subscribe import Call, Channel, Operation, argument
from tapeline.spec.template import Json, at, fill, fits, number_of, text_of


@dataclass(slots=True)
class Flight:
    """A message that has been sent and is not answered in full."""

    call: Call
    open: dict[str, None]
    deadline: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer says of some channels."""

    operation: Operation
    granted: tuple[str, ...]
    refused: tuple[str, ...] = ()


class Calls:
    """The calls of one connection that wait for an answer."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._ack = session.subscription.ack
        self.flights: dict[int, Flight] = {}
        self._numbers: set[int] = set()

    def sent(self, now: float, call: Call) -> Verdict | None:
        """Notes a sent message; a verdict at once where the venue does not answer."""
        if self._ack.by is AckBy.NONE:
            return Verdict(call.operation, call.channels)
        self._numbers.add(call.number)
        self.flights[call.number] = Flight(call, dict.fromkeys(call.channels), now + self._ack.timeout)
        return None

    def answer(self, value: Json) -> Verdict | None:
        """What a frame answers; None where it is no answer to anything open."""
        subscribed, unsubscribed = fits(value, self._ack.when), bool(self._ack.when_unsubscribed)
        unsubscribed = unsubscribed and fits(value, self._ack.when_unsubscribed)
        if not subscribed and not unsubscribed:
            return None
        match self._ack.by:
            case AckBy.ID:
                flight = self._by_id(value, self._ack.id)
                if flight is None:
                    # Data may have granted all of it before.
                    return Verdict(Operation.SUBSCRIBE, ()) if self._number(value) in self._numbers else None
                return self._whole(flight, value)
            case AckBy.CHANNEL:
                return self._by_channel(value, Operation.SUBSCRIBE if subscribed else Operation.UNSUBSCRIBE)
            case AckBy.STATE | AckBy.ORDER:
                flight = self._oldest()
                return self._whole(flight, value) if flight else None
            case AckBy.NONE:
                return None

    def data(self, channel: str) -> Verdict | None:
        """Data of a channel whose subscription is open counts as its grant (a venue may answer after data)."""
        for number, flight in self.flights.items():
            if flight.call.operation is Operation.SUBSCRIBE and channel in flight.open:
                if self._ack.by in (AckBy.STATE, AckBy.ORDER):
                    # The answer is still to come and must find its own call.
                    return None
                self._close(number, channel)
                return Verdict(Operation.SUBSCRIBE, (channel,))
        return None

    def concerned(
        self, rule: ErrorRule, value: Json, channels: Iterable[Channel]
    ) -> tuple[Flight, tuple[str, ...]] | None:
        """The call and the channels of it that an error concerns; they are no longer open."""
        flight: Flight | None = None
        if rule.scope is Scope.REQUEST:
            flight = self._by_id(value, rule.id)
            wanted = tuple(flight.open) if flight else ()
            text = fill(rule.argument, value) if rule.argument else None
            if text is not None:
                named = {known.id for known in channels if argument(known).strip('"') == text}
                wanted = tuple(channel for channel in wanted if channel in named)
        elif rule.scope is Scope.OLDEST:
            flight = self._oldest()
            wanted = tuple(flight.open) if flight else ()
        else:
            named_one = _first(rule.channels, value)
            flight = next((one for one in self.flights.values() if named_one in one.open), None)
            wanted = (named_one,) if named_one is not None and flight else ()
        if flight is None:
            return None
        for channel in wanted:
            self._close(flight.call.number, channel)
        return flight, wanted

    def overdue(self, now: float) -> Flight | None:
        """A call whose answer should have come."""
        return next((flight for flight in self.flights.values() if flight.deadline <= now), None)

    def deadline(self) -> float:
        """When the next answer is due."""
        return min((flight.deadline for flight in self.flights.values()), default=float("inf"))

    def _number(self, value: Json) -> int:
        return number_of(at(value, self._ack.id))

    def _by_id(self, value: Json, path: str) -> Flight | None:
        return self.flights.get(number_of(at(value, path)))

    def _oldest(self) -> Flight | None:
        return next(iter(self.flights.values()), None)

    def _whole(self, flight: Flight, value: Json) -> Verdict:
        self.flights.pop(flight.call.number, None)
        asked = tuple(flight.open)
        if self._ack.accepted is None or flight.call.operation is Operation.UNSUBSCRIBE:
            return Verdict(flight.call.operation, asked)
        listed = accepted(self._ack.accepted, value)
        granted = tuple(channel for channel in asked if channel in listed)
        return Verdict(flight.call.operation, granted, tuple(channel for channel in asked if channel not in listed))

    def _by_channel(self, value: Json, operation: Operation) -> Verdict | None:
        for template in self._ack.channels:
            channel = fill(template, value)
            for number, flight in self.flights.items():
                if channel is not None and flight.call.operation is operation and channel in flight.open:
                    self._close(number, channel)
                    return Verdict(operation, (channel,))
        # A second answer for what data has granted already is still an answer.
        known = any(fill(template, value) is not None for template in self._ack.channels)
        return Verdict(operation, ()) if known else None

    def _close(self, number: int, channel: str) -> None:
        flight = self.flights[number]
        flight.open.pop(channel, None)
        if not flight.open:
            del self.flights[number]


def accepted(rule: Accepted, value: Json) -> set[str]:
    """The channels an answer lists."""
    found: set[str] = set()
    words = dict(rule.words)
    entries = at(value, rule.path)
    for entry in entries if isinstance(entries, list) else ():
        inner = at(entry, rule.inner) if rule.inner else [None]
        for one in inner if isinstance(inner, list) else ():
            text = _entry(rule.channel, entry, one, words)
            if text is not None:
                found.add(text)
    return found


def _entry(template: str, entry: Json, inner: object, words: dict[str, str]) -> str | None:
    text = template.replace("{*}", text_of(inner))
    if "{.}" in text:
        whole = text_of(entry)
        text = text.replace("{.}", words.get(whole, whole))
    return fill(text.replace("{.", "{"), entry, words)


def _first(templates: tuple[str, ...], value: Json) -> str | None:
    return next((text for template in templates if (text := fill(template, value)) is not None), None)
