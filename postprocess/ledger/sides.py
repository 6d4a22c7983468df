"""What each side's raw stream holds: its sequences, the span of its sessions, and where every message stood."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from postprocess.ledger.places import FIRST, OWN, SECOND, STRAYED, PlaceFile
from postprocess.ledger.rows import Rows, Span
from postprocess.ledger.seen import Integers, Seen
from postprocess.ledger.silence import Link, link
from postprocess.ledger.skew import Skew

_BLOCK_ROWS = 16_384
_NAMES = (
    "channel", "side", "seen", "epoch", "sequence", "ts_recv", "other_epoch", "other_sequence", "other_ts_recv",
)  # fmt: skip

Columns = dict[str, npt.NDArray[np.generic]]


class Sides:
    """Fills from messages, in blocks of one size, so that it does not matter in what pieces they come."""

    def __init__(self, own: npt.NDArray[np.bool_], span: tuple[int, int], file: Path) -> None:
        self._own = own
        """By channel: whether an instance speaks of itself on it."""
        self._begin, self._end = span
        self._skew = Skew()
        self._places = PlaceFile(file)
        self._waiting: list[Columns] = []
        self._rows = 0
        self._words: list[tuple[int, bytes]] = []
        """What instances said of themselves, by row among those that wait."""
        self.seen: dict[tuple[int, int], Seen] = {}
        """By side and epoch."""
        self.spans: dict[tuple[int, int], Span] = {}
        self.links: list[Link] = []

    def note(self, rows: Rows) -> None:
        """Messages of the coalesced stream."""
        for row in np.flatnonzero(self._own[rows.channel]).tolist():
            self._words.append((self._rows + row, rows.payload(row)))
        self._waiting.append({name: np.asarray(getattr(rows, name)) for name in _NAMES})
        self._rows += rows.channel.size
        if self._rows >= _BLOCK_ROWS:
            self._settle(self._rows - self._rows % _BLOCK_ROWS)

    def close(self) -> None:
        """There are no more."""
        self._settle(self._rows)
        self._places.close()

    def _settle(self, end: int) -> None:
        if not self._waiting:
            return
        whole = {name: np.concatenate([part[name] for part in self._waiting]) for name in _NAMES}
        for start in range(0, end, _BLOCK_ROWS):
            stop = min(start + _BLOCK_ROWS, end)
            words = [(row - start, payload) for row, payload in self._words if start <= row < stop]
            self._take({name: column[start:stop] for name, column in whole.items()}, words)
        self._waiting = [{name: column[end:] for name, column in whole.items()}]
        self._rows -= end
        self._words = [(row - end, payload) for row, payload in self._words if row >= end]

    def _take(self, rows: Columns, words: list[tuple[int, bytes]]) -> None:
        who = rows["seen"].astype(np.int64)
        paired = who == FIRST | SECOND
        ahead = _wide(rows["ts_recv"]) - _wide(rows["other_ts_recv"])
        self._skew.note(ahead[paired])
        seen = who | np.where(self._own[rows["channel"]], OWN, 0)
        seen |= np.where(paired & self._skew.strayed(ahead), STRAYED, 0)
        columns = {"seen": seen, "skew": np.full(seen.size, self._skew.usual, dtype=np.int64)}
        for side, (name, bit) in enumerate((("first", FIRST), ("second", SECOND))):
            there = (who & bit) != 0
            found = [np.where(there, column, 0) for column in _of_side(rows, side)]
            columns |= zip((f"{name}_epoch", f"{name}_sequence", f"{name}_ts"), found, strict=True)
            stamps = found[-1]
            places = stamps + (self._skew.usual if side else 0)
            for row, payload in words:
                if there[row] and self._begin <= stamps[row] < self._end:
                    told = link(side, int(places[row]), payload)
                    self.links += [told] if told is not None else []
            self._session(side, *(column[there] for column in (*found, places)))
        self._places.write(columns)

    def _session(self, side: int, epochs: Integers, sequences: Integers, stamps: Integers, places: Integers) -> None:
        if not epochs.size:
            return
        if epochs.min() != epochs.max():
            for epoch in np.unique(epochs).tolist():
                of = epochs == epoch
                self._session(side, epochs[of], sequences[of], stamps[of], places[of])
            return
        key = (side, int(epochs[0]))
        self.seen.setdefault(key, Seen()).note(sequences)
        ours = (stamps >= self._begin) & (stamps < self._end)
        if not ours.any():
            return
        bounds = [
            int(end) for column in (sequences, stamps, places) for end in (column[ours].min(), column[ours].max())
        ]
        span = Span(*bounds)
        before = self.spans.get(key)
        self.spans[key] = span if before is None else before.joined(span)


def _of_side(rows: Columns, side: int) -> Iterator[Integers]:
    """Epoch, sequence and time of a side's copy, where it has one."""
    stands = rows["side"] == side
    for name in ("epoch", "sequence", "ts_recv"):
        yield np.where(stands, _wide(rows[name]), _wide(rows[f"other_{name}"]))


def _wide(column: npt.NDArray[np.generic]) -> Integers:
    return column.astype(np.int64, copy=False)
