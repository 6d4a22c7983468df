"""A day's raw objects in the store, by channel and instance, with those of the days beside it that are near enough to matter."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import NamedTuple, overload

from isal.igzip_lib import IsalError

from tapeline.days import day_span
from tapeline.errors import PartitionError, RefusedError
from tapeline.identity import WINDOW_NS
from tapeline.objectstore import ObjectStore
from tapeline.partitions import KeyReader, ObjectKey
from tapeline.raw_days import day_sizes, whole_names
from tapeline.rawfile import decompressed

PRIMARY, REPLICA = INSTANCES = ("PRIMARY", "REPLICA")
"""The first is the one whose copy stands where both have a message."""

REACH_NS = 2 * WINDOW_NS
"""How far beyond midnight rows are looked at: both copies of a message are known there as they are in the other day's run."""

Broken = Callable[[str, str], None]
"""Told of an object that is broken or gone: its key and the reason."""

_HEAD = 4096


class Channel(NamedTuple):
    """A channel of a provider, whichever instance it is of."""

    provider: str
    name: str
    schema: str


class Named(NamedTuple):
    """A raw object and what its key says."""

    name: ObjectKey
    key: str


@dataclass(slots=True)
class DayObjects:
    """Raw objects, by channel and instance, each in order of session and sequence."""

    channels: dict[Channel, dict[str, list[str]]] = field(default_factory=lambda: defaultdict(dict))
    bytes: dict[str, int] = field(default_factory=dict)
    """By key."""
    names: dict[str, str] = field(default_factory=dict)
    """See `partitions.parse_key`."""
    parsed: dict[str, ObjectKey] = field(default_factory=dict)
    """What the keys say."""
    foreign: list[str] = field(default_factory=list)
    """Keys among them that are of no raw object."""

    def providers(self) -> list[str]:
        """The providers that have anything."""
        return sorted({channel.provider for channel in self.channels})

    def instances(self, provider: str) -> list[str]:
        """The instances that have anything of a provider, the primary first."""
        return sorted(
            {name for channel, keys in self.channels.items() if channel.provider == provider for name in keys}
        )

    def of(self, provider: str) -> list[tuple[Channel, dict[str, list[str]]]]:
        """A provider's channels, by name."""
        found = [(channel, keys) for channel, keys in self.channels.items() if channel.provider == provider]
        return sorted(found, key=lambda item: (item[0].name, item[0].schema))

    def sizes(self, provider: str) -> dict[str, int]:
        """A provider's objects: bytes by key, in the order of the keys."""
        keys = sorted(key for _, instances in self.of(provider) for keys in instances.values() for key in keys)
        return {key: self.bytes[key] for key in keys}


def find_day(store: ObjectStore, day: date, provider: str = "") -> DayObjects:
    """The raw objects of a UTC day, all or one provider's."""
    return of_keys(day_sizes(store, day, "", provider), whole_names(store))


def of_keys(sizes: Mapping[str, int], names: Mapping[str, str]) -> DayObjects:
    """Objects known by their keys, with their bytes."""
    listed: dict[tuple[Channel, str], list[Named]] = defaultdict(list)
    found = DayObjects(bytes=dict(sizes), names=dict(names))
    reader = KeyReader(names)
    for key in sizes:
        try:
            parsed = reader.read(key)
        except PartitionError:
            if not key.endswith("/"):  # what some tools leave where they have shown a folder
                found.foreign.append(key)
            continue
        partition = parsed.partition
        if partition.instance not in INSTANCES:
            found.foreign.append(key)
            continue
        found.parsed[key] = parsed
        channel = Channel(partition.provider, partition.channel, partition.schema)
        listed[channel, partition.instance].append(Named(parsed, key))
    for (channel, instance), objects in listed.items():
        objects.sort(key=lambda item: (item.name.epoch, item.name.first, item.name.last))
        found.channels[channel][instance] = [item.key for item in objects]
    return found


def near(store: ObjectStore, day: date, provider: str) -> dict[str, int]:
    """Objects of the days before and after that may hold the other copy of a message of this day: bytes by key.

    Few are read to find them: within a session sequences and times rise together.
    """
    begin, end = day_span(day)
    found: dict[str, int] = {}
    for other, edge, earlier in (
        (day - timedelta(days=1), begin - REACH_NS, True),
        (_next(day), end + REACH_NS, False),
    ):
        beside = find_day(store, other, provider)
        sessions: dict[tuple[str, int], list[Named]] = defaultdict(list)
        for key in beside.sizes(provider):
            name = beside.parsed[key]
            sessions[name.partition.instance, name.epoch].append(Named(name, key))
        for objects in sessions.values():
            objects.sort(key=lambda item: (item.name.first, item.name.last))
            found |= {key: beside.bytes[key] for key in _reaching(store, objects, edge, earlier)}
    return dict(sorted(found.items()))


def _reaching(store: ObjectStore, objects: list[Named], edge: int, earlier: bool) -> list[str]:
    """Of a session's objects those that may have rows behind an edge (`earlier`: before midnight), or before it."""
    readable = list(objects)
    while True:
        try:
            stamps = _Stamps(store, readable)
            if earlier:
                place = bisect_right(stamps, edge) - 1
                since = readable[place].name.first if place >= 0 else 0
                return [item.key for item in objects if item.name.last >= since]
            place = bisect_left(stamps, edge)
            until = readable[place].name.first if place < len(readable) else None
            return [item.key for item in objects if until is None or item.name.first < until]
        except _UnreadableError as error:
            readable = [item for item in readable if item.key != error.key]


class _Stamps(Sequence[int]):
    """The time of each object's first row, read when it is asked for."""

    def __init__(self, store: ObjectStore, objects: list[Named]) -> None:
        self._store = store
        self._objects = objects

    def __len__(self) -> int:
        return len(self._objects)

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> list[int]: ...
    def __getitem__(self, place: int | slice) -> int | list[int]:
        if isinstance(place, slice):
            return [_first_stamp(self._store, item.key) for item in self._objects[place]]
        return _first_stamp(self._store, self._objects[place].key)


class _UnreadableError(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _first_stamp(store: ObjectStore, key: str) -> int:
    try:
        head = next(decompressed(store.get(key), _HEAD), b"")
        return int(head.split(b"\t", 4)[3])
    except (RefusedError, EOFError, IsalError, IndexError, ValueError):  # type: ignore[misc]  # see rawfile
        raise _UnreadableError(key) from None


def _next(day: date) -> date:
    return day + timedelta(days=1)
