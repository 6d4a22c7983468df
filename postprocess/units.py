"""The unit of work of a day, and the report of one that is done; both travel as JSON."""

from __future__ import annotations

from datetime import date
from typing import Self

import msgspec

from tapeline.offline.lake import WORK, File, version_folder

LOOK = "look"
"""The step before where a version has several shards: which of them each channel concerns. A unit of it looks at some channels."""

MAKE = "make"
"""The step that makes the files of a shard."""


UNREAD = "unread"
"""The kind of a problem that another run may not have."""


class Problem(msgspec.Struct, frozen=True):
    """Something that could not be used or done; the rest went on without it."""

    kind: str
    """`object` (a raw object that is broken or gone), `unread` (one that the store would not give), `venue` (no such provider known), `unit` (a unit that failed)."""
    key: str
    """What it is about: a raw object's key, a provider, or a unit's name."""
    reason: str


class Unit(msgspec.Struct, frozen=True):
    """A shard of a version of a provider's day; what it is made of stands in the version's plan, in the lake."""

    day: str
    provider: str
    version: int
    shard: int
    shards: int
    store: str
    """URL of the raw objects."""
    lake: str
    """URL of the tables."""
    s3_endpoint: str | None
    memory_bytes: int
    """What it may hold in rows that wait to be sorted or written."""
    step: str = MAKE

    @property
    def name(self) -> str:
        """For people."""
        of = f" shard {self.shard + 1} of {self.shards}" if self.shards > 1 else ""
        looked = " (looking which channels are whose)" if self.step == LOOK else ""
        return f"{self.day} {self.provider} version {self.version}{of}{looked}"

    @property
    def date(self) -> date:
        """The UTC day."""
        return date.fromisoformat(self.day)

    @property
    def folder(self) -> str:
        """The partition folders of its version, without a slash at either end."""
        return version_folder(self.date, self.provider, self.version)

    @property
    def work(self) -> str:
        """Where its version keeps intermediate data, without a slash at either end."""
        return f"{WORK}/{self.folder}"

    def part(self, number: int) -> str:
        """The name of a part that it writes, without what tells its kind."""
        return f"{self.shard:04d}-{number:04d}"

    def encode(self) -> bytes:
        """As JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Reads what `encode` wrote; raises msgspec.DecodeError."""
        return msgspec.json.decode(data, type=cls)


class Report(msgspec.Struct, frozen=True):
    """What became of a unit."""

    unit: Unit
    tables: dict[str, list[File]]
    dbn: dict[str, list[File]]
    """By DBN schema."""
    counts: dict[str, int]
    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    problems: list[Problem]
    failed: bool = False
    """The unit did not come to its end; the last problem says why, and it has no files."""
    index: list[File] = []
    """See Manifest."""
    state: list[File] = []
    """See Manifest."""

    def encode(self) -> bytes:
        """As JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Reads what `encode` wrote; raises msgspec.DecodeError."""
        return msgspec.json.decode(data, type=cls)


def failure(unit: Unit, reason: str) -> Report:
    """The report of a unit that did not come to its end."""
    return Report(unit, {}, {}, {}, 0.0, 0.0, 0, [Problem("unit", unit.name, reason)], failed=True)
