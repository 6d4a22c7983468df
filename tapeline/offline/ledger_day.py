"""A published day's ledger, read from the lake: what each channel has by hour, and every gap."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import date

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tapeline.errors import TapelineError
from tapeline.offline.lake import Lake
from tapeline.offline.tables import LEDGER, LEDGER_GAPS, Table

HOURS = 24
FILLED_SHOWN = 100_000
STREAM_CHANNEL = "_stream"
"""Where holes of an instance's stream count, which is of all channels."""


class NotPublishedError(TapelineError):
    """No tables of the day are published."""


@dataclass(slots=True)
class Counts:
    """How many payloads, gaps and bars."""

    both: int = 0
    primary_only: int = 0
    replica_only: int = 0
    duplicates: int = 0
    gaps: int = 0
    rejects: int = 0
    bars_expected: int = 0
    bars_found: int = 0

    @property
    def payloads(self) -> int:
        """Those of the coalesced stream."""
        return self.both + self.primary_only + self.replica_only

    @property
    def bars_missing(self) -> int:
        """Bars that the trades do not give as the venue told them."""
        return self.bars_expected - self.bars_found

    def add(self, other: Counts) -> None:
        """Counts another in."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


@dataclass(slots=True, eq=False)
class ChannelLedger:
    """One channel of a provider."""

    provider: str
    channel: str
    schema: str
    hours: dict[int, Counts] = field(default_factory=lambda: defaultdict(Counts))

    @property
    def total(self) -> Counts:
        """All its hours."""
        return _sum(self.hours.values())

    @property
    def is_stream(self) -> bool:
        """Whether it stands for an instance's stream, and is no channel of the venue's."""
        return self.channel == STREAM_CHANNEL


class Gap(msgspec.Struct, frozen=True):
    """A row of `ledger_gaps`; times are ns since the epoch."""

    provider: str
    kind: str
    instance: str | None
    channel: str | None
    raw_symbol: str | None
    raw_epoch: int | None
    from_sequence: int | None
    to_sequence: int | None
    from_ts: int | None
    to_ts: int | None
    missing: int | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class DayLedger:
    """The ledger of all providers of a day."""

    day: date
    versions: dict[str, int]
    channels: list[ChannelLedger]
    """By provider, channel and schema."""
    gaps: list[Gap]
    """Those left, by provider and time."""
    filled: list[Gap]
    """Holes of one instance that the other fills; the first `FILLED_SHOWN` of each provider."""
    filled_count: int

    @property
    def total(self) -> Counts:
        """All channels."""
        return _sum(channel.total for channel in self.channels)

    def providers(self) -> dict[str, Counts]:
        """Each provider's channels together."""
        found: dict[str, Counts] = {provider: Counts() for provider in self.versions}
        for channel in self.channels:
            found[channel.provider].add(channel.total)
        return found


def read_day(lake: Lake, day: date) -> DayLedger:
    """A day's ledger; raises NotPublishedError, LakeError and what the store raises."""
    versions = lake.published(day)
    if versions is None:
        raise NotPublishedError(
            f"{day} is not published in {lake.place}; `tapeline postprocess {day}` makes its tables"
        )
    channels: list[ChannelLedger] = []
    left: list[Gap] = []
    filled: list[Gap] = []
    filled_count = 0
    for provider, version in sorted(versions.items()):
        channels += _channels(provider, _rows(lake, day, provider, version, LEDGER))
        rows = _rows(lake, day, provider, version, LEDGER_GAPS)
        whole = pc.equal(rows.column("missing"), 0).fill_null(False)
        left += _gaps(provider, rows.filter(pc.invert(whole)))
        closed = rows.filter(whole)
        filled_count += closed.num_rows
        filled += _gaps(provider, closed.slice(0, FILLED_SHOWN))
    return DayLedger(day, versions, channels, left, filled, filled_count)


def _rows(lake: Lake, day: date, provider: str, version: int, table: Table) -> pa.Table:
    files = lake.manifest(day, provider, version).tables.get(table.name, [])
    parts = [pq.read_table(io.BytesIO(lake.store.get(file.key)), schema=table.columns) for file in files]
    return pa.concat_tables(parts) if parts else table.columns.empty_table()


def _channels(provider: str, rows: pa.Table) -> list[ChannelLedger]:
    found: dict[tuple[str, str], ChannelLedger] = {}
    for row in rows.to_pylist():
        key = (row["channel"], row["schema"])
        channel = found.setdefault(key, ChannelLedger(provider, *key))
        counts = Counts(
            row["in_both"], row["primary_only"], row["replica_only"], row["duplicates"] or 0, row["gaps"] or 0,
            row["rejected"], row["bars_expected"] or 0, row["bars_found"] or 0,
        )  # fmt: skip
        channel.hours[row["hour"]].add(counts)
    return [found[key] for key in sorted(found)]


def _gaps(provider: str, rows: pa.Table) -> list[Gap]:
    gaps = [Gap(provider, **row) for row in rows.to_pylist()]
    return sorted(gaps, key=lambda gap: (gap.from_ts or gap.to_ts or 0, gap.kind, gap.instance or ""))


def _sum(all_counts: Iterable[Counts]) -> Counts:
    total = Counts()
    for counts in all_counts:
        total.add(counts)
    return total
