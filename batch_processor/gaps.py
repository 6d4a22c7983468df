"""Records in the store of payloads that are not there: exact, each once, however often a gap is told.

A process that was killed between its objects and its progress may have left objects beyond the position at which the next one
begins. Where the stream no longer reaches back to that position, what those objects hold is not missing: a record says which
sequences within its bounds are held all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from batch_processor.window import GapRecord
from tapeline.days import DAY_NS
from tapeline.errors import CaptureError, PartitionError
from tapeline.objectstore import ObjectStore
from tapeline.partitions import ObjectKey, Partition, folder, parse_key
from tapeline.raw_days import days_of
from tapeline.rawfile import read_rows
from tapeline.telemetry import Level, event

_RECORD = re.compile(r"/\d+-(\d+)-(\d+)\.json\Z", re.ASCII)
_OPEN = 1 << 64
_AT_ONCE = 1 << 24
"""Sequences looked at in one go, a byte of memory each."""

Range = tuple[int, int]


class Gap(msgspec.Struct, frozen=True):
    """A record; `last` and `missing` are 0 and None where an ended epoch's last sequence is not known.

    `after_ts` is the `ts_recv` of the last payload stored before, 0 where none is known: the gap belongs to its day, else to the epoch's.
    """

    instance: str
    provider: str
    epoch: int
    first: int
    last: int
    reason: str
    after_ts: int
    missing: int | None
    held: list[Range]


class GapLog:
    """The gap records of one provider and instance; calls block, and must not overlap."""

    def __init__(self, store: ObjectStore, instance: str, provider: str) -> None:
        self._store = store
        self._instance = instance
        self._provider = provider
        self._place = f"gaps/{folder('instance', instance)}/{folder('provider', provider)}/"
        self._recorded: dict[int, list[Range]] = {}
        self._objects: dict[int, list[tuple[ObjectKey, str]]] = {}

    def record(self, gap: GapRecord, after_ts: int) -> int:
        """Puts what of a gap no record has yet and no object holds; how many records that takes."""
        parts = list(_without((gap.first, gap.last or _OPEN), self._earlier(gap.epoch)))
        return sum(self._put(gap, part, after_ts) for part in parts)

    def _put(self, gap: GapRecord, part: Range, after_ts: int) -> int:
        first, last = part
        held = self._held(gap.epoch, first, last, after_ts)
        if held == [part]:
            return 0
        missing = None if last == _OPEN else last - first + 1 - sum(until - begin + 1 for begin, until in held)
        last = 0 if last == _OPEN else last
        record = Gap(self._instance, self._provider, gap.epoch, first, last, gap.reason, after_ts, missing, held)
        self._store.put(f"{self._place}{gap.epoch}-{first}-{last}.json", msgspec.json.encode(record))
        return 1

    def _earlier(self, epoch: int) -> list[Range]:
        """What earlier processes recorded of an epoch: asked once, for our own records never meet."""
        if epoch not in self._recorded:
            named = [_RECORD.search(key) for key in self._store.list(f"{self._place}{epoch}-")]
            self._recorded[epoch] = sorted((int(found[1]), int(found[2]) or _OPEN) for found in named if found)
        return self._recorded[epoch]

    def _held(self, epoch: int, first: int, last: int, after_ts: int) -> list[Range]:
        if epoch not in self._objects:
            self._objects[epoch] = list(self._left(epoch, after_ts))
        inside = [(name, key) for name, key in self._objects[epoch] if name.first <= last and first <= name.last]
        end = min(last, max((name.last for name, _ in inside), default=first - 1))
        held: list[Range] = []
        for begin in range(first, end + 1, _AT_ONCE):
            for found in self._marked(inside, begin, min(begin + _AT_ONCE - 1, end)):
                if held and held[-1][1] + 1 == found[0]:
                    held[-1] = (held[-1][0], found[1])
                else:
                    held.append(found)
        return held

    def _left(self, epoch: int, after_ts: int) -> Iterator[tuple[ObjectKey, str]]:
        """What there is of an epoch from a time on; nobody but us adds to it."""
        # A day of slack: the clock of the host that sent them may have been behind.
        since = Partition.at(self._instance, self._provider, "", "", max(0, after_ts - DAY_NS)).date
        for place in days_of(self._store, self._instance, self._provider, since):
            for key in self._store.list(f"{place}{epoch}-"):
                try:
                    yield parse_key(key), key
                except PartitionError:
                    continue  # not ours

    def _marked(self, objects: list[tuple[ObjectKey, str]], first: int, last: int) -> Iterator[Range]:
        there = bytearray(last - first + 1)
        for name, key in objects:
            if name.first <= last and first <= name.last:
                try:
                    for row in read_rows(self._store.get(key), key):
                        if first <= row.sequence <= last:
                            there[row.sequence - first] = 1
                except CaptureError as error:
                    # What is whole in it was counted; the rest is missing.
                    event("broken_object", Level.ERROR, provider=self._provider, key=key, reason=str(error))
        place = there.find(1)
        while place >= 0:
            end = there.find(0, place)
            end = len(there) if end < 0 else end
            yield first + place, first + end - 1
            place = there.find(1, end)


def _without(whole: Range, taken: list[Range]) -> Iterator[Range]:
    """What of a range is in none of some others, which are sorted."""
    first, last = whole
    for begin, until in taken:
        if until < first or begin > last:
            continue
        if begin > first:
            yield first, begin - 1
        first = until + 1
    if first <= last:
        yield first, last
