"""Collects payloads until a cut: the same stream from the same position is always cut in the same places.

A cut is due where payload time leaves a span, where rows would grow past a bound, at a gap and at a new epoch. It takes
all channels at once, so that after it everything up to one sequence is on its way to the store.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from batch_processor.split import Run, Segment, Split
from tapeline.stream import Position


@dataclass(slots=True)
class Window:
    """What lies between two cuts, all of one day: rows by channel and schema; `ts_recv` is that of the first payload."""

    epoch: int
    first: int
    end: int
    ts_recv: int
    last: int = 0
    payloads: int = 0
    size: int = 0
    runs: dict[tuple[str, str], list[Run]] = field(default_factory=dict)

    @property
    def last_ts_recv(self) -> int:
        """The `ts_recv` of the last payload, as its row has it."""
        rows = next(runs[-1].rows for runs in self.runs.values() if runs[-1].last == self.last)
        return int(rows[rows.rfind(b"\n", 0, -1) + 1 :].split(b"\t", 4)[3])


@dataclass(frozen=True, slots=True)
class GapRecord:
    """Payloads that are not in the store; `last` is 0 where an ended epoch's last sequence is not known."""

    epoch: int
    first: int
    last: int
    reason: str


Cut = Window | GapRecord


class Cutter:
    """Turns responses of one provider and instance into windows and gap records."""

    def __init__(self, max_bytes: int, position: Position | None) -> None:
        self._max_bytes = max_bytes
        self._window: Window | None = None
        self._ended = 0
        self.position = position
        """The last payload taken, durable or not."""

    @property
    def open_bytes(self) -> int:
        """Bytes of rows in the open window."""
        return self._window.size if self._window else 0

    def take(self, split: Split) -> list[Cut]:
        """What one more response completes; its payloads must be those beyond `position`."""
        if split.gap:
            return self._gap(split)
        cuts = self._new_epoch(split.epoch)
        expected = self._expected(split.epoch)
        if split.first > expected:
            reason = "hole" if expected > 1 else "late"
            cuts += self._lost(GapRecord(split.epoch, expected, split.first - 1, reason))
        for segment in split.segments:
            cuts += self._add(split.epoch, segment)
        if split.last >= expected:
            self.position = Position(split.epoch, split.last)
        return cuts

    def cut(self) -> list[Cut]:
        """Closes the open window."""
        window, self._window = self._window, None
        return [window] if window else []

    def _expected(self, epoch: int) -> int:
        return self.position.sequence + 1 if self.position and self.position.epoch == epoch else 1

    def _new_epoch(self, epoch: int) -> list[Cut]:
        old = self.position
        if old is None or old.epoch == epoch:
            return []
        self.position = Position(epoch, 0)
        if self._ended == old.epoch:
            return self.cut()
        # What the old session manager had after our position is not known; at worst nothing.
        return self._lost(GapRecord(old.epoch, old.sequence + 1, 0, "epoch_ended"))

    def _gap(self, split: Split) -> list[Cut]:
        if split.last == 0:
            self._ended = split.epoch
            return self._lost(GapRecord(split.epoch, max(split.first, self._expected(split.epoch)), 0, "epoch_ended"))
        cuts = self._new_epoch(split.epoch)
        # It may begin beyond what we expect: who joins late and falls out at once is told of the second only.
        first = self._expected(split.epoch)
        if split.last >= first:
            reason = "late" if first == 1 and split.first > 1 else "fell_out_of_ring"
            cuts += self._lost(GapRecord(split.epoch, first, split.last, reason))
            self.position = Position(split.epoch, split.last)
        return cuts

    def _lost(self, gap: GapRecord) -> list[Cut]:
        return [*self.cut(), gap]

    def _add(self, epoch: int, segment: Segment) -> list[Cut]:
        cuts: list[Cut] = []
        size = segment.size
        window = self._window
        if window and (window.end != segment.end or window.size + size > self._max_bytes):
            cuts = self.cut()
        if self._window is None:
            self._window = Window(epoch, segment.first, segment.end, segment.ts_recv)
        window = self._window
        for run in segment.runs:
            # Here once for each batch and channel: the partition is worked out once for each window.
            window.runs.setdefault((run.channel, run.schema), []).append(run)
            window.payloads += run.payloads
        window.last = segment.last
        window.size += size
        return cuts
