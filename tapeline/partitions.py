"""Where raw payloads lie in the object store: partitions and the keys of their objects."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from urllib.parse import quote, unquote

from tapeline.errors import PartitionError

# Hive's own word for a value that is empty; engines read it as NULL.
_EMPTY = "__HIVE_DEFAULT_PARTITION__"
_NAMES = ("instance", "provider", "schema", "channel", "year", "month", "day")
_FILE = re.compile(r"(\d+)-(\d+)-(\d+)\.tsv\.gz\Z", re.ASCII)
_DATE = (re.compile(r"\d{4}\Z", re.ASCII), re.compile(r"\d{2}\Z", re.ASCII), re.compile(r"\d{2}\Z", re.ASCII))
_DAY_NS = 86_400_000_000_000


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
        day = datetime.fromtimestamp(ts_recv // _DAY_NS * 86_400, UTC)
        return Partition(instance, provider, schema, channel, day.year, day.month, day.day)

    @property
    def date(self) -> date:
        """The UTC day."""
        return date(self.year, self.month, self.day)

    def prefix(self) -> str:
        """`instance=…/…/day=…`, values percent-encoded, without a slash at either end."""
        values = (self.instance, self.provider, self.schema, self.channel)
        named = [f"{name}={_encode(value)}" for name, value in zip(_NAMES, values, strict=False)]
        return "/".join((*named, f"year={self.year:04d}", f"month={self.month:02d}", f"day={self.day:02d}"))


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


def parse_key(key: str) -> ObjectKey:
    """Reads what `object_key` wrote, whatever the prefix; raises PartitionError."""
    *_, last_part = parts = key.split("/")
    named = parts[-8:-1]
    found = _FILE.match(last_part)
    if found is None or len(named) != len(_NAMES):
        raise PartitionError(f"{key!r} is no object key")
    values = []
    for part, name in zip(named, _NAMES, strict=True):
        given, equals, value = part.partition("=")
        if given != name or not equals:
            raise PartitionError(f"{key!r} is no object key; {part!r} stands in the place of {name}")
        values.append(value)
    if not all(rule.match(value) for rule, value in zip(_DATE, values[4:], strict=True)):
        raise PartitionError(f"{key!r} is no object key; it has no day")
    instance, provider, schema, channel = (_decode(value) for value in values[:4])
    year, month, day = (int(value) for value in values[4:])
    epoch, first, last = (int(group) for group in found.groups())
    return ObjectKey(Partition(instance, provider, schema, channel, year, month, day), epoch, first, last)


def _encode(value: str) -> str:
    if value == _EMPTY:
        return "%5F" + _EMPTY[1:]
    return quote(value, safe="") or _EMPTY


def _decode(value: str) -> str:
    return "" if value == _EMPTY else unquote(value)
