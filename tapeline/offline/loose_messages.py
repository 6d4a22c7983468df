"""Single messages without a connection or a request around them: what a venue's halves make of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tapeline_kernel import Normalizer, Router

from tapeline.days import DAY_NS
from tapeline.offline.control import ControlShapes
from tapeline.spec.encode import encode
from tapeline.spec.meaning import Mapping
from tapeline.venues import Venue

_BAD = ("rejected", "unknown")
_NOTHING = "nothing to tell"
"""The kernel's word for a payload that fits a message and holds none of its values: here, hardly that message."""
_UNDATED = 1_700_000_000_000_000_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one message: `how` is records, excluded, control, waiting, rejected or unknown; `why` its name or reason."""

    how: str
    why: str


class LooseMessages:
    """Reads messages one by one, each as if it were the first of its connection, at a date of each of the venue's mappings."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._stamps = sorted({_date_in(mapping) for mapping in venue.meaning.mappings}, reverse=True)
        self._stamp = self._stamps[0]
        self._routing = encode(venue.session.routing)
        self._meaning = encode(venue.meaning)
        self._shapes = ControlShapes(venue.session)

    def outcome(self, message: bytes) -> Outcome:
        """What the halves make of a message: as a frame, else as the answer to any of the venue's requests."""
        best = Outcome("unknown", "no route, rule or request")
        for stamp in self._stamps:
            self._stamp = stamp
            found = self._outcome(message)
            if found.how not in _BAD:
                return found
            best = found if found.how != "unknown" else best
        return best

    def _outcome(self, message: bytes) -> Outcome:
        best = Outcome("unknown", "no route, rule or request")
        for endpoint in ("", *(endpoint.name for endpoint in self._venue.session.endpoints)):
            found = self._as_frame(message, endpoint)
            if found is not None and found.how not in _BAD:
                return found
            best = found or best
        for channel, schema in self._answers():
            found = self._as_payload(message, channel, schema)
            if found.how not in _BAD:
                return found
        return best

    def _as_frame(self, message: bytes, endpoint: str) -> Outcome | None:
        router = Router(self._routing, self._venue.provider, "PRIMARY", 1)
        if endpoint:
            router.connected(0, endpoint)
        left, _ = router.push(0, (self._stamp,), (message,))
        if left:
            try:
                text = router.decode(message)
            except ValueError as error:
                return Outcome("rejected", str(error))
            name = self._shapes.name(text)
            return Outcome("control", name) if name is not None else None
        taken = router.take()
        assert taken is not None  # it was routed
        return self._normalized(taken[2])

    def _as_payload(self, message: bytes, channel: str, schema: str) -> Outcome:
        router = Router(self._routing, self._venue.provider, "PRIMARY", 1)
        router.inject(channel, schema, self._stamp, 0, message)
        taken = router.take()
        assert taken is not None  # it was put in
        return self._normalized(taken[2])

    def _answers(self) -> Iterator[tuple[str, str]]:
        """Channels that REST answers ride on: an instrument list's own, and one of each family with a book by request."""
        session = self._venue.session
        learned = any(route.channel.startswith("{@") for route in session.routing.routes)
        for request in session.requests:
            if request.channel and "${" not in request.channel:
                yield request.channel, request.schema.value
        for family in session.families:
            asked = family.snapshot or (family.poll.request if family.poll else "")
            answers = [request.schema.value for request in session.requests if request.name == asked]
            for pattern in family.patterns:
                # Where acks tell whose a frame is, a frame alone may be any family's.
                if answers or learned:
                    yield _example(pattern), "".join(answers)

    def _normalized(self, batch: bytes) -> Outcome:
        kernel = Normalizer(self._meaning, self._venue.provider, "PRIMARY", "dbn")
        output = kernel.normalize(batch)
        counters = kernel.counters()
        rejected = [reason for reason, number in counters.get("rejected", {}).items() if number]
        if rejected:
            return Outcome("rejected", rejected[0])
        excluded = [reason for reason, number in counters.get("excluded", {}).items() if number and reason != _NOTHING]
        if excluded:
            return Outcome("excluded", excluded[0])
        if output.records:
            return Outcome("records", str(output.records))
        books = counters.get("books", {})
        if books.get("buffered") or books.get("stale"):
            return Outcome("waiting", "no snapshot")
        return Outcome("rejected", "gives nothing")


def read_lines(path: Path) -> Iterator[bytes]:
    """The messages of a file that holds one a line."""
    for line in path.read_bytes().splitlines():
        if line.strip():
            yield line


def _date_in(mapping: Mapping) -> int:
    """A time, in ns, at which a mapping holds: today where that does."""
    text = mapping.until or ""
    if text:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000 - DAY_NS
    if mapping.since:
        return int(datetime.fromisoformat(mapping.since).replace(tzinfo=UTC).timestamp()) * 1_000_000_000 + DAY_NS
    return _UNDATED


def _example(pattern: str) -> str:
    """A channel id that fits a family's pattern."""
    text = pattern
    while "${" in text:
        before, _, rest = text.partition("${")
        name, _, after = rest.partition("}")
        text = before + ("SYMBOL" if name.startswith("symbol") else "1") + after
    return text
