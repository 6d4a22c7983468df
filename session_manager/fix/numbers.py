"""Message numbers of a FIX session: the next of either side, and the holes in what the other side has sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Place(Enum):
    """Where a received number stands."""

    NEXT = "next"
    AHEAD = "ahead"
    """Numbers before it have not come."""
    LATE = "late"
    """It fills a hole."""
    BEHIND = "behind"
    """It has come already."""


@dataclass(slots=True)
class Numbers:
    """Both sides' counters; they outlive a connection where the venue's session does."""

    outgoing: int = 1
    expected: int = 1
    holes: list[tuple[int, int]] = field(default_factory=list)
    """First and last number of each run that has not come."""

    def reset(self) -> None:
        """Both sides begin anew."""
        self.outgoing = self.expected = 1
        self.holes.clear()

    def take(self) -> int:
        """The number of the next message to be sent."""
        number = self.outgoing
        self.outgoing += 1
        return number

    def place(self, number: int) -> Place:
        """Where a number stands; nothing changes."""
        if number == self.expected:
            return Place.NEXT
        if number > self.expected:
            return Place.AHEAD
        return Place.LATE if any(first <= number <= last for first, last in self.holes) else Place.BEHIND

    def receive(self, number: int) -> tuple[int, int] | None:
        """Notes a message; the hole it leaves before it, if it does."""
        hole = None
        if number > self.expected:
            hole = (self.expected, number - 1)
            self.holes.append(hole)
        if number >= self.expected:
            self.expected = number + 1
        else:
            self.fill(number, number)
        return hole

    def fill(self, first: int, last: int) -> None:
        """These numbers are accounted for."""
        left: list[tuple[int, int]] = []
        for start, end in self.holes:
            if end < first or start > last:
                left.append((start, end))
                continue
            if start < first:
                left.append((start, first - 1))
            if end > last:
                left.append((last + 1, end))
        self.holes = left
        if first <= self.expected <= last:
            self.expected = last + 1
