"""Where raw payloads lie in the object store: partitions and the keys of their objects.

A value stands in a key percent-encoded. One that would be too long for a key or a file name is cut, and goes on with `!` and
its SHA-256; the whole of it is the object `names/<SHA-256>`. No other value has a `!` in a key, so keys stay one to one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from urllib.parse import quote, unquote

from tapeline.days import day_of
from tapeline.errors import PartitionError

# Hive's own word for a value that is empty; engines read it as NULL.
EMPTY = "__HIVE_DEFAULT_PARTITION__"
_NAMES = ("instance", "provider", "schema", "channel", "year", "month", "day")
_FILE = re.compile(r"(\d+)-(\d+)-(\d+)\.tsv\.gz\Z", re.ASCII)
_DATE = (re.compile(r"\d{4}\Z", re.ASCII), re.compile(r"\d{2}\Z", re.ASCII), re.compile(r"\d{2}\Z", re.ASCII))
NAMES = "names/"
"""Where the whole of values lies that are cut in keys."""
_NONE: Mapping[str, str] = MappingProxyType({})
_CUT = re.compile(r"(.*)!([0-9a-f]{64})\Z", re.ASCII)
_LIMITS = {"instance": 100, "provider": 100, "schema": 100, "channel": 200}
"""Bytes of a value in a key: with them a key keeps within `objectstore.KEY_BYTES`."""
_MARK_BYTES = 65
_BROKEN_ESCAPE = re.compile(r"%[0-9A-F]?\Z")


@dataclass(frozen=True, slots=True)
class Partition:
    """One channel of one instance on one UTC day; `schema` is empty where a channel has none."""

    instance: str
    provider: str
    schema: str
    channel: str
    year: int
    month: int
    day: int

    def __post_init__(self) -> None:
        try:
            date(self.year, self.month, self.day)
        except ValueError:
            raise PartitionError(f"{self.year}-{self.month}-{self.day} is no day") from None

    @staticmethod
    def at(instance: str, provider: str, schema: str, channel: str, ts_recv: int) -> Partition:
        """The partition of a payload received at `ts_recv`, ns since the epoch."""
        day = day_of(ts_recv)
        return Partition(instance, provider, schema, channel, day.year, day.month, day.day)

    @property
    def date(self) -> date:
        """The UTC day."""
        return date(self.year, self.month, self.day)

    def prefix(self) -> str:
        """`instance=…/…/day=…`, values percent-encoded and cut, without a slash at either end."""
        named = [folder(name, value) for name, value in self._values()]
        return "/".join((*named, f"year={self.year:04d}", f"month={self.month:02d}", f"day={self.day:02d}"))

    def cut_names(self) -> dict[str, str]:
        """The values that are cut in the prefix, by the keys of the objects that hold the whole of them."""
        return {name_key(value): value for name, value in self._values() if _too_long(name, _encode(value))}

    def _values(self) -> tuple[tuple[str, str], ...]:
        return tuple(zip(_NAMES, (self.instance, self.provider, self.schema, self.channel), strict=False))


@dataclass(frozen=True, slots=True)
class ObjectKey:
    """What an object's key says: partition, session epoch (ns), first and last sequence in it."""

    partition: Partition
    epoch: int
    first: int
    last: int


def object_key(prefix: str, partition: Partition, epoch: int, first: int, last: int) -> str:
    """The key of an object; the same payloads always get the same key."""
    head = prefix.rstrip("/")
    name = f"{partition.prefix()}/{epoch}-{first}-{last}.tsv.gz"
    return f"{head}/{name}" if head else name


def folder(name: str, value: str) -> str:
    """One part of a prefix: `name=value`, the value percent-encoded and cut."""
    return f"{name}={_written(name, value)}"


def name_key(value: str) -> str:
    """The key of the object that holds the whole of a value, in UTF-8, that is cut in other keys."""
    return NAMES + _digest(value)


def parse_key(key: str, names: Mapping[str, str] = _NONE) -> ObjectKey:
    """Reads what `object_key` wrote, whatever the prefix; raises PartitionError.

    `names` gives whole values by `name_key`; one that is cut and not among them stays as its beginning, `!` and digest.
    """
    return KeyReader(names).read(key)


class KeyReader:
    """Reads many keys, each partition once: most keys of a day share theirs with others."""

    def __init__(self, names: Mapping[str, str] = _NONE) -> None:
        self._names = names
        self._partitions: dict[str, Partition] = {}

    def read(self, key: str) -> ObjectKey:
        """See `parse_key`."""
        head, _, name = key.rpartition("/")
        found = _FILE.match(name)
        if found is None:
            raise PartitionError(f"{key!r} is no object key")
        partition = self._partitions.get(head)
        if partition is None:
            partition = self._partitions[head] = _partition(key, head, self._names)
        epoch, first, last = found.groups()
        return ObjectKey(partition, int(epoch), int(first), int(last))


def _partition(key: str, head: str, names: Mapping[str, str]) -> Partition:
    named = head.split("/")[-len(_NAMES) :]
    if len(named) != len(_NAMES):
        raise PartitionError(f"{key!r} is no object key")
    values = []
    for part, name in zip(named, _NAMES, strict=True):
        given, equals, value = part.partition("=")
        if given != name or not equals:
            raise PartitionError(f"{key!r} is no object key; {part!r} stands in the place of {name}")
        values.append(value)
    if not all(rule.match(value) for rule, value in zip(_DATE, values[4:], strict=True)):
        raise PartitionError(f"{key!r} is no object key; it has no day")
    instance, provider, schema, channel = (_decode(value, names) for value in values[:4])
    return Partition(instance, provider, schema, channel, *map(int, values[4:]))


def _encode(value: str) -> str:
    if value == EMPTY:
        return "%5F" + EMPTY[1:]
    return quote(value, safe="") or EMPTY


def _decode(value: str, names: Mapping[str, str]) -> str:
    if value == EMPTY:
        return ""
    cut = _CUT.match(value)
    if cut is None:
        return unquote(value)
    return names.get(NAMES + cut[2]) or f"{unquote(cut[1])}!{cut[2]}"


def _written(name: str, value: str) -> str:
    encoded = _encode(value)
    if not _too_long(name, encoded):
        return encoded
    head = _BROKEN_ESCAPE.sub("", encoded[: _LIMITS[name] - _MARK_BYTES])
    while not _whole(head):
        head = head[:-3]
    return f"{head}!{_digest(value)}"


def _too_long(name: str, encoded: str) -> bool:
    return len(encoded) > _LIMITS[name]


def _whole(head: str) -> bool:
    """Whether no character of several bytes is cut."""
    try:
        unquote(head, errors="strict")
    except UnicodeDecodeError:
        return False
    return True


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
