"""A unit's part of the ledger: filled by columns while the unit runs, kept as a folder of files, read back by `combine`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import zstandard
from tapeline_kernel import Event

from postprocess.ledger.bars import build_bars
from postprocess.ledger.rows import Rows, Span
from postprocess.ledger.sides import Sides
from postprocess.ledger.silence import Link

HOUR_NS = 3_600_000_000_000
HOURS = 24
SESSION_CHANNEL = "_session"

FIRST_ONLY, SECOND_ONLY, IN_BOTH, DUPLICATES, REJECTED = range(5)

ACCOUNT, PLACES, BARS, CANDLES = "account.msgpack", "places.parquet", "bars.parquet", "candles.parquet"


class VenueGap(msgspec.Struct, frozen=True):
    """A break in the venue's own ids; both 0 where it did not say which."""

    channel: int
    symbol: str
    reason: str
    from_id: int
    to_id: int
    epoch: int
    sequence: int
    """The payload that showed it."""
    side: int
    before_ts: int
    """The channel's payload before it, 0 where there was none."""
    ts: int


class Broken(msgspec.Struct, frozen=True):
    """An object that could not be read to its end."""

    side: int
    epoch: int
    first: int
    last: int
    reason: str


class Tally(msgspec.Struct):
    """What an account holds beside its Parquet files."""

    instances: list[str]
    channels: list[tuple[str, str]]
    hours: list[tuple[int, int, list[int]]]
    """Channel, hour, the five counts."""
    spans: list[tuple[int, int, Span]]
    """By side and epoch."""
    seen: list[tuple[int, int, int, bytes]]
    """Side, epoch, number of the block, its bits (zstd)."""
    gaps: list[VenueGap]
    broken: list[Broken]
    links: list[Link]


class Account:
    """One unit's account, in files of a folder of its own.

    `span` is the day (ns, its end not included). `instances` are those the provider's day has, one or two, as the coalescers' sides; the same in all its units.
    """

    def __init__(
        self, instances: Sequence[str], channels: Sequence[tuple[str, str]], folder: Path, span: tuple[int, int]
    ) -> None:
        self._instances = list(instances)
        self._channels = list(channels)
        self._folder = folder
        self._begin, self._end = span
        self._hours = np.zeros((len(channels), HOURS, 5), dtype=np.int64)
        own = np.array([name == SESSION_CHANNEL for name, _ in channels], dtype=bool)
        self._sides = Sides(own, span, folder / PLACES)
        self._last_ts = np.zeros(len(channels), dtype=np.int64)
        self._gaps: list[VenueGap] = []
        self._broken: list[Broken] = []

    def note_rows(self, rows: Rows) -> None:
        """Messages of the coalesced stream, each once.

        Those around the day, too, as far as they were read: one instance may have a message before midnight and the other after
        it, and only the copy that stands says which day's it is.
        """
        if not rows.channel.size:
            return
        ours = (rows.ts_recv >= self._begin) & (rows.ts_recv < self._end)
        cells = (rows.channel.astype(np.int64) * HOURS + rows.ts_recv // HOUR_NS % HOURS) * 5 + rows.seen - 1
        self._hours += np.bincount(cells[ours], minlength=self._hours.size).reshape(self._hours.shape)
        self._sides.note(rows)

    def note_duplicates(self, channel: int, count: int, ts_recv: int) -> None:
        """So many more rows of a channel, received at about that time, were in the raw store a second time."""
        self._hours[channel, ts_recv // HOUR_NS % HOURS, DUPLICATES] += count

    def note_events(self, events: Iterable[Event], first: int, rows: Rows) -> None:
        """What the kernel said of a batch: `rows` are its payloads, the first of which it knows by the sequence `first`."""
        for event in events:
            place = event.sequence - first
            if event.kind not in ("reject", "gap") or not 0 <= place < rows.channel.size:
                continue
            channel, stamp = int(rows.channel[place]), int(rows.ts_recv[place])
            if event.kind == "reject":
                self.note_rejected(channel, stamp)
            else:
                earlier = np.flatnonzero(rows.channel[:place] == channel)
                before = int(rows.ts_recv[earlier[-1]]) if earlier.size else int(self._last_ts[channel])
                gap = VenueGap(
                    channel, event.symbol, event.reason, event.from_id, event.to_id,
                    int(rows.epoch[place]), int(rows.sequence[place]), int(rows.side[place]), before, stamp,
                )  # fmt: skip
                self._gaps.append(gap)
        self._last_ts[rows.channel] = rows.ts_recv

    def note_rejected(self, channel: int, ts_recv: int) -> None:
        """A payload of which the kernel could make nothing; those that `note_events` is told of count already."""
        self._hours[channel, ts_recv // HOUR_NS % HOURS, REJECTED] += 1

    def note_broken(self, side: int, epoch: int, first: int, last: int, reason: str) -> None:
        """An object of these sequences could not be read to its end: why some of them are missing."""
        self._broken.append(Broken(side, epoch, first, last, reason))

    def note_bars(self, trades: Sequence[Path], candles: Sequence[Path], memory_bytes: int) -> None:
        """The unit's rows of `trades` and `ohlcv_1m`, as Parquet files on this machine; once, when they are whole."""
        build_bars(trades, candles, self._folder / BARS, self._folder / CANDLES, memory_bytes)

    def close(self) -> list[Path]:
        """Makes the account's files whole: they are all that `combine` needs."""
        self._sides.close()
        packer = zstandard.ZstdCompressor(level=1)
        filled = [(int(channel), int(hour)) for channel, hour in np.argwhere(self._hours.any(axis=2))]
        tally = Tally(
            self._instances,
            self._channels,
            [(channel, hour, self._hours[channel, hour].tolist()) for channel, hour in filled],
            [(side, epoch, span) for (side, epoch), span in sorted(self._sides.spans.items())],
            [
                (side, epoch, number, packer.compress(bits.tobytes()))
                for (side, epoch), seen in sorted(self._sides.seen.items())
                for number, bits in sorted(seen.blocks.items())
            ],
            self._gaps,
            self._broken,
            self._sides.links,
        )
        (self._folder / ACCOUNT).write_bytes(msgspec.msgpack.encode(tally))
        return sorted(path for name in (ACCOUNT, PLACES, BARS, CANDLES) if (path := self._folder / name).is_file())

    @property
    def rejected(self) -> int:
        """How many payloads were rejected so far."""
        return int(self._hours[:, :, REJECTED].sum())
