"""A day's raw objects in the store, as ordered rows of each channel and instance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date

from tapeline import telemetry
from tapeline.errors import CaptureError, PartitionError
from tapeline.objectstore.base import ObjectStore
from tapeline.partitions import ObjectKey, parse_key
from tapeline.rawfile import RawRow, read_rows


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

    def providers(self) -> list[str]:
        """The providers that have anything."""
        return sorted({channel.provider for channel in self.channels})

    def of(self, provider: str) -> list[tuple[Channel, dict[str, list[str]]]]:
        """A provider's channels, by name."""
        found = [(channel, keys) for channel, keys in self.channels.items() if channel.provider == provider]
        return sorted(found, key=lambda item: (item[0].name, item[0].schema))

    def keys(self) -> list[str]:
        """All keys, sorted."""
        return sorted(key for instances in self.channels.values() for keys in instances.values() for key in keys)


def find_day(store: ObjectStore, day: date) -> DayObjects:
    """The raw objects of a UTC day."""
    listed: dict[tuple[Channel, str], list[tuple[ObjectKey, str]]] = defaultdict(list)
    for key in store.list(""):
        try:
            parsed = parse_key(key)
        except PartitionError:
            continue  # the store may hold other things beside
        partition = parsed.partition
        if partition.date == day:
            channel = Channel(partition.provider, partition.channel, partition.schema)
            listed[channel, partition.instance].append((parsed, key))
    found = DayObjects()
    for (channel, instance), keys in listed.items():
        keys.sort(key=lambda item: (item[0].epoch, item[0].first, item[0].last))
        found.channels[channel][instance] = [key for _, key in keys]
    return found


def rows(store: ObjectStore, keys: list[str], noted: Callable[[RawRow], None]) -> Iterator[RawRow]:
    """Rows of one channel and instance in order, each once; `noted` is told of every one.

    An object that is cut short or broken gives what is whole in it, and is counted.
    """
    last = (-1, -1)
    for key in keys:
        try:
            for row in read_rows(store.get(key), key):
                if (row.epoch, row.sequence) > last:
                    last = (row.epoch, row.sequence)
                    noted(row)
                    yield row
        except CaptureError as error:
            telemetry.count("postprocess_broken_objects")
            telemetry.event("broken_object", telemetry.Level.ERROR, key=key, reason=str(error))
