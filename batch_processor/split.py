"""One response of the raw stream as rows of raw files, by time span and channel; the kernel does the work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tapeline_kernel import split_batch

from tapeline.stream import Position


class Run(NamedTuple):
    """Rows of one channel, in sequence; `first` and `last` are its own, others' payloads lie between."""

    channel: str
    schema: str
    first: int
    last: int
    payloads: int
    rows: bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """All payloads of a batch that fall in one span of payload time; `end` is the span's, ns since the epoch."""

    end: int
    first: int
    last: int
    ts_recv: int
    runs: list[Run]

    @property
    def size(self) -> int:
        """Bytes of rows."""
        return sum(len(run.rows) for run in self.runs)


@dataclass(frozen=True, slots=True)
class Split:
    """One response; a gap has no segments, and `last` 0 where the end of it is not known."""

    epoch: int
    first: int
    last: int
    gap: bool
    segments: list[Segment]


def split(response: bytes, position: Position | None, span_ns: int) -> Split:
    """Rows of every payload beyond a position (None: of all); a span ends at midnight UTC too. Raises BatchError."""
    taken = position or Position(0, 0)
    epoch, first, last, gap, segments = split_batch(response, taken.epoch, taken.sequence, span_ns)
    return Split(
        epoch,
        first,
        last,
        gap,
        [
            Segment(end, begin, until, ts_recv, list(map(Run._make, runs)))
            for end, begin, until, ts_recv, runs in segments
        ],
    )
