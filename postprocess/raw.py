"""A day's raw objects in the store, as ordered rows of each channel and instance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from tapeline.errors import CaptureError, PartitionError, RefusedError
from tapeline.objectstore.base import ObjectStore
from tapeline.partitions import ObjectKey, parse_key
from tapeline.rawfile import RawRow, read_rows

Broken = Callable[[str, str], None]
"""Told of an object that is broken or gone: its key and the reason."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel of a provider, whichever instance it is of."""

    provider: str
    name: str
    schema: str


@dataclass(slots=True)
class DayObjects:
    """A day's object keys, by channel and instance, each in order of session and sequence."""

    channels: dict[Channel, dict[str, list[str]]] = field(default_factory=lambda: defaultdict(dict))
    bytes: dict[str, int] = field(default_factory=dict)
    """By key."""

    def providers(self) -> list[str]:
        """The providers that have anything."""
        return sorted({channel.provider for channel in self.channels})

    def of(self, provider: str) -> list[tuple[Channel, dict[str, list[str]]]]:
        """A provider's channels, by name."""
        found = [(channel, keys) for channel, keys in self.channels.items() if channel.provider == provider]
        return sorted(found, key=lambda item: (item[0].name, item[0].schema))

    def sizes(self, provider: str) -> dict[str, int]:
        """A provider's objects: bytes by key, in the order of the keys."""
        keys = sorted(key for _, instances in self.of(provider) for keys in instances.values() for key in keys)
        return {key: self.bytes[key] for key in keys}


def find_day(store: ObjectStore, day: date) -> DayObjects:
    """The raw objects of a UTC day."""
    return of_keys({key: size for key, size in store.sizes("").items() if _day(key) == day})


def of_keys(sizes: Mapping[str, int]) -> DayObjects:
    """Objects known by their keys, with their bytes."""
    listed: dict[tuple[Channel, str], list[tuple[ObjectKey, str]]] = defaultdict(list)
    for key in sizes:
        parsed = parse_key(key)
        partition = parsed.partition
        channel = Channel(partition.provider, partition.channel, partition.schema)
        listed[channel, partition.instance].append((parsed, key))
    found = DayObjects(bytes=dict(sizes))
    for (channel, instance), keys in listed.items():
        keys.sort(key=lambda item: (item[0].epoch, item[0].first, item[0].last))
        found.channels[channel][instance] = [key for _, key in keys]
    return found


def _day(key: str) -> date | None:
    """The day of a raw object; None for what else there may be in the store."""
    try:
        return parse_key(key).partition.date
    except PartitionError:
        return None


def rows(store: ObjectStore, keys: list[str], noted: Callable[[RawRow], None], broken: Broken) -> Iterator[RawRow]:
    """Rows of one channel and instance in order, each once; `noted` is told of every one.

    An object that is cut short or broken gives what is whole in it, and is told to `broken`.
    """
    last = (-1, -1)
    for key in keys:
        try:
            for row in read_rows(store.get(key), key):
                if (row.epoch, row.sequence) > last:
                    last = (row.epoch, row.sequence)
                    noted(row)
                    yield row
        except (CaptureError, RefusedError) as error:
            broken(key, error.reason if isinstance(error, CaptureError) else str(error))
