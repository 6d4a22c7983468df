"""Holes of an instance's raw stream: which sequences are in no object, why, and when that was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from postprocess.ledger.account import Broken
from postprocess.ledger.records import GapRecord, is_within
from postprocess.ledger.rows import Span
from postprocess.ledger.seen import Seen

NO_OBJECT = "no_object"
"""Nobody recorded why: an object was lost, or the store was changed by hand."""
BROKEN = "broken_object"
NEW_SESSION = "new_session"
"""A session ended, and nobody recorded that; what it had after its last payload is not known."""


@dataclass(slots=True)
class Hole:
    """A run of sequences, both ends inclusive, of one side; `last` is 0 where it is not known."""

    side: int
    epoch: int
    first: int
    last: int
    reason: str
    opened_ts: int | None = None
    """When the payload before it came, ns."""
    closed_ts: int | None = None
    """When the payload after it came, ns."""
    opened: int | None = None
    """The same by the first side's clock."""
    closed: int | None = None
    missing: int | None = None
    """How many of its messages neither side has; None where that is not known."""

    @property
    def size(self) -> int:
        """How many sequences; 0 where that is not known."""
        return self.last - self.first + 1 if self.last else 0

    @property
    def left(self) -> bool:
        """Whether something is missing that nobody has, as far as is known."""
        return self.missing is None or self.missing > 0


@dataclass(frozen=True, slots=True)
class Session:
    """What the units together saw of one session; `span` is None where nothing of it is of the day."""

    side: int
    epoch: int
    seen: Seen
    span: Span | None


def find_holes(
    day: date, sessions: Sequence[Session], records: Mapping[tuple[int, int], Sequence[GapRecord]],
    broken: Mapping[tuple[int, int], Sequence[Broken]],
) -> Iterator[Hole]:  # fmt: skip
    """Holes by side, epoch and sequence, without their times; records and broken objects are by side and epoch."""
    for place, session in enumerate(sessions):
        key = (session.side, session.epoch)
        after = sessions[place + 1] if place + 1 < len(sessions) and sessions[place + 1].side == session.side else None
        yield from _of_session(day, session, records.get(key, ()), broken.get(key, ()), after)


def _of_session(
    day: date, session: Session, records: Sequence[GapRecord], broken: Sequence[Broken], after: Session | None
) -> Iterator[Hole]:
    side, epoch, seen = session.side, session.epoch, session.seen
    known = [(record.first, record.last, record.reason) for record in records if record.last]
    known += [(found.first, found.last, BROKEN) for found in broken]
    ours = [(record.first, record.last) for record in records if record.last and record.is_of(day)]
    ours += [(found.first, found.last) for found in broken]
    if session.span is not None:
        # What the next day begins with tells what is missing before midnight.
        ours.append((session.span.first, (seen.following(session.span.last) or session.span.last + 1) - 1))
    if session.span is not None and is_within(epoch, day):
        # The session began on this day, and its sequences with 1.
        ours.append((1, 1))
    end = max((last for _, last in ours), default=0)
    if ours:
        for first, last in seen.runs(min(first for first, _ in ours), end):
            reasons = dict.fromkeys(why for begin, until, why in known if begin <= last and first <= until)
            yield Hole(side, epoch, first, last, ", ".join(reasons) or NO_OBJECT)
    ends = [record for record in records if not record.last]
    if ends and ends[0].is_of(day):
        yield Hole(side, epoch, max(ends[0].first, end + 1), 0, ends[0].reason)
    elif not ends and after is not None and _follows(session, after):
        yield Hole(side, epoch, end + 1, 0, NEW_SESSION)


def _follows(session: Session, after: Session) -> bool:
    """Whether one session ended before the next began; two that overlap are two processes under one name."""
    return session.span is not None and after.span is not None and after.span.first_ts > session.span.last_ts
