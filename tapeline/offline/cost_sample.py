"""What a day's raw objects say of its rates: real rows, cut again as the batch processor would at other thresholds.

A feed (provider and instance) is cut as a whole: where payload time passes a multiple of the threshold, and before the rows of all
its channels pass the byte bound. Of a day that is larger than the sample, objects next to one another are read from its middle.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tapeline.errors import CaptureError, PartitionError, RefusedError
from tapeline.objectstore import ObjectStore
from tapeline.partitions import ObjectKey, parse_key
from tapeline.raw_days import day_sizes
from tapeline.rawfile import compress, read_lines

SECOND_NS = 1_000_000_000
DAY_SECONDS = 86_400

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Regrouped:
    """A feed's day at one threshold."""

    objects: Decimal
    cuts: Decimal
    """Times that all channels are cut, each with a note of the progress."""
    stored: Decimal
    """Bytes, compressed."""
    seconds: Decimal
    """Payload time between two cuts, on the average."""


@dataclass(slots=True)
class Feed:
    """One provider and instance: its rates, and rows to cut again."""

    provider: str
    instance: str
    channels: int
    objects: int
    stored: int
    """Objects and bytes of the whole day as they stand in the store."""
    seconds: Decimal
    """Payload time of the sample."""
    payloads: Decimal
    """A second."""
    row_bytes: Decimal
    """Of rows, before gzip, a second."""
    rows: list[bytes] = field(repr=False)
    """By channel, in sequence."""
    ends: list[Numbers] = field(repr=False)
    places: list[Numbers] = field(repr=False)
    """Epoch, sequence and `ts_recv` of each row, by channel, three columns."""

    def regroup(self, threshold: Decimal, max_bytes: int) -> Regrouped:
        """What the feed's day would be; where the sample is shorter than the threshold, its one window stands for all."""
        span = int(threshold * SECOND_NS)
        whole = int(self.seconds * SECOND_NS) // span
        start = min(int(places[0, 2]) for places in self.places)
        windows, spans = self._windows(start, span, max_bytes)
        objects = rows = stored = 0
        cuts: set[int] = set()
        for text, ends, mine, inside in zip(self.rows, self.ends, windows, spans, strict=True):
            counted = int((inside < whole).sum()) if whole else len(mine)
            cuts.update(mine[:counted].tolist())
            borders = [0, *(np.flatnonzero(np.diff(mine[:counted])) + 1).tolist(), counted]
            for begin, end in pairwise(borders if counted else []):
                part = text[int(ends[begin - 1]) if begin else 0 : int(ends[end - 1])]
                objects, rows, stored = objects + 1, rows + len(part), stored + len(compress(part))
        took = Decimal(whole or 1) * threshold
        if not whole and len(cuts) > 1:
            # Bytes cut before time does: the sample is long enough after all.
            took = self.seconds
        day = DAY_SECONDS / took
        ratio = Decimal(stored) / max(rows, 1)
        return Regrouped(objects * day, len(cuts) * day, self.row_bytes * DAY_SECONDS * ratio, took / max(len(cuts), 1))

    def _windows(self, start: int, span: int, max_bytes: int) -> tuple[list[Numbers], list[Numbers]]:
        """For each row of each channel, the window it falls in, and its span counted from the start of the sample."""
        places = np.concatenate(self.places)
        sizes = np.concatenate([np.diff(ends, prepend=0) for ends in self.ends])
        order = np.lexsort((places[:, 1], places[:, 0]))
        spans = (places[:, 2] - start) // span
        new = np.concatenate([[True], (np.diff(spans[order]) != 0) | (np.diff(places[order, 0]) != 0)])
        begins = list(_by_bytes(np.flatnonzero(new), np.cumsum(sizes[order]), max_bytes))
        windows = np.zeros(len(order), np.int64)
        windows[order] = np.searchsorted(np.array(begins, np.int64), np.arange(len(order)), side="right")
        splits = np.cumsum([len(mine) for mine in self.places])[:-1]
        return np.split(windows, splits), np.split(spans, splits)


def _by_bytes(borders: Numbers, passed: Numbers, max_bytes: int) -> Iterator[int]:
    """Where windows begin: at the borders, and before the rows since the last beginning pass a bound."""
    for begin, end in zip(borders.tolist(), [*borders.tolist()[1:], len(passed)], strict=True):
        at = begin
        while at < end:
            yield at
            before = int(passed[at - 1]) if at else 0
            at = max(at + 1, int(np.searchsorted(passed, before + max_bytes, side="right")))


def sample_day(store: ObjectStore, day: date, most_bytes: int) -> list[Feed]:
    """A day's feeds, sorted; raises RefusedError where the day has no raw objects, CaptureError where one is broken."""
    found: dict[tuple[str, str], list[tuple[ObjectKey, str, int]]] = defaultdict(list)
    for key, size in day_sizes(store, day).items():
        try:
            name = parse_key(key)
        except PartitionError:
            continue  # the store may hold other things beside
        found[name.partition.provider, name.partition.instance].append((name, key, size))
    total = sum(size for keys in found.values() for *_, size in keys)
    if not total:
        raise RefusedError(f"the store has no raw objects of {day}")
    return [
        _feed(store, place, sorted(keys, key=lambda item: (item[0].epoch, item[0].first)), most_bytes / total)
        for place, keys in sorted(found.items())
    ]


def _feed(store: ObjectStore, place: tuple[str, str], keys: list[tuple[ObjectKey, str, int]], share: float) -> Feed:
    sizes = np.array([size for *_, size in keys])
    chosen = keys if share >= 1 else _middle(keys, sizes, int(sizes.sum() * share))
    rows: dict[tuple[str, str], list[bytes]] = defaultdict(list)
    places: dict[tuple[str, str], list[tuple[int, int, int]]] = defaultdict(list)
    for name, key, _ in chosen:
        channel = (name.partition.channel, name.partition.schema)
        for number, line in enumerate(read_lines(store.get(key), key), 1):
            epoch, sequence, _, ts_recv, _ = line.split(b"\t", 4)
            try:
                places[channel].append((int(epoch), int(sequence), int(ts_recv)))
            except ValueError:
                raise CaptureError(key, number, f"{line[:60]!r} is no row") from None
            rows[channel].append(line + b"\n")
    columns = [np.array(found, np.int64) for found in places.values()]
    stamps = np.concatenate([found[:, 2] for found in columns])
    seconds = Decimal(max(int(stamps.max() - stamps.min()), 1)) / SECOND_NS
    texts = [b"".join(lines) for lines in rows.values()]
    provider, instance = place
    return Feed(
        provider, instance, len({(name.partition.channel, name.partition.schema) for name, *_ in keys}), len(keys),
        int(sizes.sum()), seconds, Decimal(len(stamps)) / seconds, Decimal(sum(map(len, texts))) / seconds, texts,
        [np.cumsum([len(line) for line in lines], dtype=np.int64) for lines in rows.values()], columns,
    )  # fmt: skip


def _middle(
    keys: Sequence[tuple[ObjectKey, str, int]], sizes: npt.NDArray[np.int64], most: int
) -> Sequence[tuple[ObjectKey, str, int]]:
    passed = np.cumsum(sizes)
    begin = int(np.searchsorted(passed, (int(passed[-1]) - most) // 2))
    end = int(np.searchsorted(passed, (int(passed[-1]) + most) // 2, side="right"))
    return keys[begin : max(end, begin + 1)]
