"""Knows what of a channel was had already, so that what is published again after a restart is taken once.

A payload is named by its `ts_recv`, which rises strictly on a channel; its records may come in several messages, and the
last of them carries F_LAST where the schema has flags. Of the newest payload the first record and the number of records
had are kept: a repeat begins again with that first record.
"""

from __future__ import annotations

import numpy as np

from tapeline.consumer.layout import F_LAST, F_MAYBE_BAD_BOOK, Layout

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

    __slots__ = (
        "_head",
        "_newest",
        "_only",
        "_only_id",
        "_starts",
        "_stride",
        "_words",
        "doubted_from",
        "doubtful",
        "layout",
    )

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.doubtful = False
        """Whether the last record taken was flagged F_MAYBE_BAD_BOOK."""
        self.doubted_from = 0
        """The newest time that was had before the doubt."""
        self._stride = layout.stride
        self._words = layout.stride >> 2
        self._head = layout.head.unpack_from
        self._starts = [start.unpack for start in layout.starts]
        self._newest: dict[int, _Newest] = {}
        # The quick way, for channels of one instrument whose records have flags, which nearly all are.
        self._only: _Newest | None = None
        self._only_id = -1

    @property
    def newest(self) -> int:
        """The newest time had; 0 where nothing was."""
        return max((newest.time for newest in self._newest.values()), default=0)

    def whole(self, data: bytes) -> bool:
        """Whether data is whole records of this schema, so far as their lengths say."""
        size = len(data)
        stride = self._stride
        if not size or size % stride:
            return False
        words = self._words
        return data[0] == words and (size == stride or data[::stride].count(words) == size // stride)

    def take(self, data: bytes) -> bytes | None:
        """The part of `data` that was not had yet: all of it in the usual case, empty where all was had.

        None where it is no whole records of this schema.
        """
        stride = self._stride
        count, rest = divmod(len(data), stride)
        if rest or not count:
            return None
        if count == 1:
            if data[0] != self._words:
                return None
            one = True
        else:
            one = self._alike(data, count)
            if not one and not self.whole(data):
                return None
        only = self._only
        if only is not None and one:
            instrument, flags, time = self._head(data)
            if time > only.time and instrument == self._only_id:
                if count > 1:
                    _, flags, last_time = self._head(data, len(data) - stride)
                    if last_time < time:
                        return self._take_slowly(data)
                    time = last_time
                if flags & _END_BITS == F_LAST and not self.doubtful:
                    only.time = time
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

    def _alike(self, data: bytes, count: int) -> bool:
        """Whether all records begin alike: length, type, publisher and instrument."""
        if count < len(self._starts):
            starts = self._starts[count](data)
            return starts.count(starts[0]) == count and data[0] == self._words
        stride = self._stride
        return data[0] == self._words and all(data[at::stride].count(data[at]) == count for at in range(8))

    def _note(self, instrument: int, newest: _Newest) -> None:
        self._newest[instrument] = newest
        one = len(self._newest) == 1 and self.layout.has_flags
        self._only = newest if one else None
        self._only_id = instrument if one else -1

    def _take_slowly(self, data: bytes) -> bytes:
        stride = self._stride
        before, was_doubtful = self.newest, self.doubtful
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
            if self.layout.has_flags:
                newest.complete = bool(flags & F_LAST)
                self.doubtful = bool(flags & F_MAYBE_BAD_BOOK)
            else:
                newest.complete = False
            kept.append(record)
        if self.doubtful and not was_doubtful:
            self.doubted_from = before
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
