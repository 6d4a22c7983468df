"""Knows what of a channel was had already, so that what is published again after a restart is taken once.

A payload is named by its `ts_recv`, which rises strictly on a channel; its records may come in several messages, and the
last of them carries F_LAST where the schema has flags. Of the newest payload the first record and the number of records
had are kept: a repeat begins again with that first record.
"""

from __future__ import annotations

import numpy as np

from tapeline.consumer.layout import F_LAST, F_MAYBE_BAD_BOOK, Layout

_GOOD_END = F_LAST
_END_BITS = F_LAST | F_MAYBE_BAD_BOOK


class _Newest:
    """The newest payload had of one instrument."""

    __slots__ = ("complete", "first", "had", "place", "time")

    def __init__(self, time: int) -> None:
        self.time = time
        self.complete = True
        self.first = b""
        self.had = 0
        self.place = 0


class Seen:
    """What was had of one channel."""

    __slots__ = ("_head", "_newest", "_only", "_only_id", "_stride", "doubtful", "layout", "newest")

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.doubtful = False
        """Whether the last record taken was flagged F_MAYBE_BAD_BOOK."""
        self.newest = 0
        """The newest time had."""
        self._stride = layout.stride
        self._head = layout.head.unpack_from
        self._newest: dict[int, _Newest] = {}
        # The quick way, for channels of one instrument, which nearly all are.
        self._only: _Newest | None = None
        self._only_id = -1

    def whole(self, data: bytes) -> bool:
        """Whether data is whole records of this schema, so far as their lengths say."""
        size = len(data)
        stride = self._stride
        if not size or size % stride:
            return False
        words = stride >> 2
        return data[0] == words and (size == stride or data[::stride].count(words) == size // stride)

    def take(self, data: bytes) -> bytes:
        """The part of whole records that was not had yet, all of `data` in the usual case, empty where all was had."""
        only = self._only
        if only is not None:
            first_id, flags, time = self._head(data)
            last = len(data) - self._stride
            if time > only.time and first_id == self._only_id:
                if last:
                    last_id, flags, time_last = self._head(data, last)
                    if last_id != first_id or time_last < time or not (last == self._stride or self._uniform(data)):
                        return self._take_slowly(data)
                    time = time_last
                if flags and flags & _END_BITS == _GOOD_END and not self.doubtful:
                    only.time = self.newest = time
                    only.complete = True
                    return data
        return self._take_slowly(data)

    def had(self, instrument: int) -> int:
        """The newest time had of an instrument; 0 where there is none."""
        newest = self._newest.get(instrument)
        return newest.time if newest is not None else 0

    def snapshot(self, data: bytes) -> bytes:
        """The part of a snapshot that is newer than what was had, by instrument; it then counts as had."""
        records = np.frombuffer(data, self.layout.dtype)
        keep = np.zeros(len(records), dtype=bool)
        for instrument, time in self.times(data).items():
            newest = self._newest.get(instrument)
            if newest is not None and time <= newest.time:
                continue
            self._note(instrument, _Newest(time))
            self.newest = max(self.newest, time)
            keep |= records["instrument_id"] == instrument
        if keep.any() and self.layout.has_flags:
            self.doubtful = bool(records["flags"][keep][-1] & F_MAYBE_BAD_BOOK)
        return data if keep.all() else records[keep].tobytes()

    def times(self, data: bytes) -> dict[int, int]:
        """The newest time of each instrument in whole records."""
        records = np.frombuffer(data, self.layout.dtype)
        ids = records["instrument_id"]
        times = records[self.layout.time]
        return {int(one): int(times[ids == one].max()) for one in np.unique(ids)}

    def starts(self, data: bytes) -> dict[int, tuple[int, bool]]:
        """Of each instrument in whole records the first time, and whether it starts with a cleared book."""
        found: dict[int, tuple[int, bool]] = {}
        records = np.frombuffer(data, self.layout.dtype)
        ids, places = np.unique(records["instrument_id"], return_index=True)
        for instrument, place in zip(ids.tolist(), places.tolist(), strict=True):
            record = records[place]
            clear = self.layout.has_action and record["action"] == b"R"
            found[instrument] = (int(record[self.layout.time]), clear)
        return found

    def _uniform(self, data: bytes) -> bool:
        """Whether all records are of one instrument."""
        stride = self._stride
        count = len(data) // stride
        return (
            data[4::stride].count(data[4]) == count
            and data[5::stride].count(data[5]) == count
            and data[6::stride].count(data[6]) == count
            and data[7::stride].count(data[7]) == count
        )

    def _note(self, instrument: int, newest: _Newest) -> None:
        self._newest[instrument] = newest
        one = len(self._newest) == 1
        self._only = newest if one else None
        self._only_id = instrument if one else -1

    def _take_slowly(self, data: bytes) -> bytes:
        stride = self._stride
        kept: list[bytes] = []
        # Once a record of an instrument is new, so is the rest of the message: deltas that waited for a requested
        # snapshot follow it with their own, older times.
        trusted: set[int] = set()
        for at in range(0, len(data), stride):
            instrument, flags, time = self._head(data, at)
            newest = self._newest.get(instrument)
            if newest is None:
                newest = _Newest(-1)
                self._note(instrument, newest)
            record = data[at : at + stride]
            if time > newest.time:
                newest.time, newest.first, newest.had, newest.place = time, record, 1, 0
                trusted.add(instrument)
            elif instrument in trusted:
                newest.had += time == newest.time
            elif not self._continues(newest, time, record):
                continue
            self.newest = max(self.newest, time)
            if self.layout.has_flags:
                newest.complete = bool(flags & F_LAST)
                self.doubtful = bool(flags & F_MAYBE_BAD_BOOK)
            else:
                newest.complete = False
            kept.append(record)
        return data if len(kept) * stride == len(data) else b"".join(kept)

    @staticmethod
    def _continues(newest: _Newest, time: int, record: bytes) -> bool:
        """Whether a record that is not newer goes on with the newest payload, and is no repeat of it."""
        if time < newest.time or newest.complete:
            return False
        if record == newest.first:
            newest.place = 1
            return False
        if 0 < newest.place < newest.had:
            newest.place += 1
            return False
        newest.had += 1
        return True
