"""What late joiners need of every channel: its book, or the newest record of each instrument and kind."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tapeline.history.blocks import DTYPES, OPAQUE, PLACES, SCHEMAS, Block, Integers, Records
from tapeline.history.books import Books
from tapeline.history.messages import Run
from tapeline.schemas import Schema

_MBO = PLACES[Schema.MBO]
_STATISTICS = PLACES[Schema.STATISTICS]
_FEW = 1 << 15


class LateJoin:
    """Follows what is published, or passed over."""

    def __init__(self) -> None:
        self._books = Books()
        self._latest: dict[int, dict[tuple[int, int], bytes]] = {}
        self._waiting = tuple(_Waiting() for _ in SCHEMAS)
        self._dirty: set[int] = set()

    def pass_over(self, block: Block) -> None:
        """Takes a block that is not published."""
        for place, records in block.records.items():
            self.take(Run(place, block.channel[block.schema == place], records, 0, len(records)))

    def take(self, run: Run) -> None:
        """The next records of a schema."""
        self._waiting[run.place].add(run)
        if run.place == _MBO:
            if self._waiting[_MBO].rows > self._books.patience:
                self._books.take(*self._waiting[_MBO].taken())
        elif self._waiting[run.place].rows > _FEW:
            self._note(run.place)

    def told(self, all_of_it: bool = False) -> dict[int, bytes]:
        """By channel what its late-join key is to hold, where that has changed since the last call (or of all)."""
        for place in range(len(SCHEMAS)):
            if place == _MBO:
                self._books.take(*self._waiting[place].taken())
            elif self._waiting[place].rows:
                self._note(place)
        wanted = sorted(self._latest if all_of_it else self._dirty)
        self._dirty.clear()
        return self._books.told(all_of_it) | {one: b"".join(self._latest[one].values()) for one in wanted}

    def _note(self, place: int) -> None:
        channels, opaque = self._waiting[place].taken()
        records = opaque.view(DTYPES[place])
        kinds = records["stat_type"].astype(np.int64) if place == _STATISTICS else np.zeros(len(records), np.int64)
        for at in _newest(channels.astype(np.int64) << 32 | records["instrument_id"], kinds).tolist():
            key = (int(records["instrument_id"][at]), int(kinds[at]))
            self._latest.setdefault(int(channels[at]), {})[key] = records[at].tobytes()
        self._dirty.update(np.unique(channels).tolist())


class _Waiting:
    """Records that have been taken but not looked at; what follows in the same array is no entry of its own."""

    def __init__(self) -> None:
        self.rows = 0
        self._runs: dict[tuple[int, int], Run] = {}

    def add(self, run: Run) -> None:
        self.rows += run.end - run.start
        before = self._runs.pop((id(run.records), run.start), None)
        # A run keeps its array alive, so that its id stays its own.
        start = run.start if before is None else before.start
        self._runs[id(run.records), run.end] = Run(run.place, run.channels, run.records, start, run.end)

    def taken(self) -> tuple[npt.NDArray[np.int32], Records]:
        """All of them, which wait no longer."""
        runs, self._runs, self.rows = list(self._runs.values()), {}, 0
        if not runs:
            return np.empty(0, dtype=np.int32), np.empty(0, dtype=OPAQUE[_MBO])
        channels = np.concatenate([run.channels[run.start : run.end] for run in runs])
        return channels, np.concatenate([run.records[run.start : run.end] for run in runs])


def _newest(keys: Integers, kinds: Integers) -> Integers:
    """Places of the last of each key and kind."""
    order = np.lexsort((kinds, keys))
    keys, kinds = keys[order], kinds[order]
    places: Integers = order[np.append((keys[1:] != keys[:-1]) | (kinds[1:] != kinds[:-1]), True)]
    return places
