"""Subscribe and unsubscribe messages under way, and which of them an answer answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tapeline.spec.session import Accepted, AckBy, ErrorRule, Scope, Session
from tapeline.spec.subscribe import Call, Channel, Operation, argument
from tapeline.spec.template import ABSENT, Json, at, fill, fits, number_of, text_of


@dataclass(slots=True)
class Flight:
    """A message that has been sent and is not answered in full."""

    call: Call
    open: dict[str, None]
    deadline: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer says of some channels; `key` is what it names the one channel by from now on."""

    operation: Operation
    granted: tuple[str, ...]
    refused: tuple[str, ...] = ()
    key: str = ""


class Calls:
    """The calls of one connection that wait for an answer. `keys` are the channels by the keys learned so far."""

    def __init__(self, session: Session, keys: Mapping[str, str]) -> None:
        self._session = session
        self._ack = session.subscription.ack
        self._keys = keys
        self.flights: dict[int, Flight] = {}
        self._subscribing: dict[str, int] = {}
        self._numbers: set[int] = set()

    def sent(self, now: float, call: Call) -> Verdict | None:
        """Notes a sent message; a verdict at once where the venue does not answer."""
        if self._ack.by is AckBy.NONE:
            return Verdict(call.operation, call.channels)
        self._numbers.add(call.number)
        self.flights[call.number] = Flight(call, dict.fromkeys(call.channels), now + self._ack.timeout)
        if call.operation is Operation.SUBSCRIBE:
            self._subscribing.update(dict.fromkeys(call.channels, call.number))
        return None

    def answer(self, value: Json) -> Verdict | None:
        """What a frame answers; None where it is no answer to anything open."""
        verdict = self._answer(value)
        if verdict is None or not self._ack.key or verdict.operation is not Operation.SUBSCRIBE:
            return verdict
        found = at(value, self._ack.key)
        return verdict if found is ABSENT else replace(verdict, key=text_of(found))

    def data(self, channel: str) -> Verdict | None:
        """Data of a channel whose subscription is open counts as its grant (a venue may answer after data)."""
        number = self._subscribing.get(channel)
        if number is None or number not in self.flights:
            return None
        if self._ack.by in (AckBy.STATE, AckBy.ORDER):
            # The answer is still to come and must find its own call.
            return None
        self._close(number, channel)
        return Verdict(Operation.SUBSCRIBE, (channel,))

    def concerned(
        self, rule: ErrorRule, value: Json, channels: Mapping[str, Channel]
    ) -> tuple[Flight, tuple[str, ...]] | None:
        """The call and the channels of it that an error concerns; they are no longer open."""
        flight: Flight | None = None
        if rule.scope is Scope.REQUEST:
            flight = self._by_id(value, rule.id)
            wanted = self._named(rule, value, flight, channels) if flight else ()
        elif rule.scope is Scope.OLDEST:
            flight = self._oldest()
            wanted = self._named(rule, value, flight, channels) if flight else ()
        else:
            named_one = first(rule.channels, value, self._keys)
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

    def given_up(self, flight: Flight) -> Verdict:
        """A call whose answer is not waited for any more counts as granted."""
        self.flights.pop(flight.call.number, None)
        return Verdict(flight.call.operation, tuple(flight.open))

    def deadline(self) -> float:
        """When the next answer is due: they are all given the same time, so the oldest's."""
        oldest = self._oldest()
        return oldest.deadline if oldest else float("inf")

    def _answer(self, value: Json) -> Verdict | None:
        subscribed, unsubscribed = fits(value, self._ack.when), bool(self._ack.when_unsubscribed)
        unsubscribed = unsubscribed and fits(value, self._ack.when_unsubscribed)
        if not subscribed and not unsubscribed:
            return None
        match self._ack.by:
            case AckBy.ID:
                flight = self._by_id(value, self._ack.id)
                if flight is None:
                    # Data may have granted all of it before.
                    known = number_of(at(value, self._ack.id)) in self._numbers
                    return Verdict(Operation.SUBSCRIBE, ()) if known else None
                return self._whole(flight, value)
            case AckBy.CHANNEL:
                fitting = ((Operation.SUBSCRIBE, subscribed), (Operation.UNSUBSCRIBE, unsubscribed))
                return self._by_channel(value, [operation for operation, fits_it in fitting if fits_it])
            case AckBy.STATE | AckBy.ORDER:
                flight = self._oldest()
                return self._whole(flight, value) if flight else None
            case AckBy.NONE:
                return None

    def _named(self, rule: ErrorRule, value: Json, flight: Flight, channels: Mapping[str, Channel]) -> tuple[str, ...]:
        """Of a call's open channels those that an error names."""
        known = [channels[channel] for channel in flight.open if channel in channels]
        if rule.argument:
            text = fill(rule.argument, value)
            if text is not None:
                return tuple(one.id for one in known if argument(one).strip('"') == text)
        if rule.mentions:
            said = text_of(at(value, rule.mentions))
            mentioned = tuple(one.id for one in known if _mentions(said, argument(one).strip('"')))
            mentioned = mentioned or tuple(one.id for one in known if one.symbol and _mentions(said, one.symbol))
            if mentioned:
                return mentioned
        return tuple(flight.open)

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

    def _by_channel(self, value: Json, operations: list[Operation]) -> Verdict | None:
        named = [fill(template, value, keys=self._keys) for template in self._ack.channels]
        for channel in named:
            for number, flight in self.flights.items():
                if channel is not None and flight.call.operation in operations and channel in flight.open:
                    self._close(number, channel)
                    return Verdict(flight.call.operation, (channel,))
        # A second answer for what data has granted already is still an answer.
        return Verdict(operations[0], ()) if any(channel is not None for channel in named) else None

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
    if rule.separator and isinstance(entries, str):
        entries = [entry.strip() for entry in entries.split(rule.separator)]
    for entry in entries if isinstance(entries, list) else ():
        inner = at(entry, rule.inner) if rule.inner else [None]
        for one in inner if isinstance(inner, list) else ():
            text = _entry(rule.channel, entry, one, words)
            if text is not None:
                found.add(text)
    return found


def first(templates: Iterable[str], value: Json, keys: Mapping[str, str]) -> str | None:
    """What the first template that can be filled gives."""
    return next((text for template in templates if (text := fill(template, value, keys=keys)) is not None), None)


def _entry(template: str, entry: Json, inner: object, words: dict[str, str]) -> str | None:
    text = template.replace("{*}", text_of(inner))
    if "{.}" in text:
        whole = text_of(entry)
        text = text.replace("{.}", words.get(whole, whole))
    return fill(text.replace("{.", "{"), entry, words)


def _mentions(said: str, word: str) -> bool:
    """Whether a text holds a word that is no part of a longer one (BTC-USDT is not in BTC-USDT-SWAP)."""
    place = said.find(word) if word else -1
    while place >= 0:
        before, after = said[place - 1 : place], said[place + len(word) : place + len(word) + 1]
        if not any(one.isalnum() or one in ("-", "_", "@") for one in (before, after) if one):
            return True
        place = said.find(word, place + 1)
    return False
