"""A unit's part of the ledger: filled by columns while the unit runs, kept as a folder of files, read back by `combine`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import zstandard
from tapeline_kernel import Event

from postprocess.ledger.bars import build_bars
from postprocess.ledger.places import FIRST, OWN, SECOND, STRAYED, PlaceFile
from postprocess.ledger.seen import Integers, Seen
from postprocess.ledger.silence import Link, link
from postprocess.ledger.skew import Skew

HOUR_NS = 3_600_000_000_000
HOURS = 24
SESSION_CHANNEL = "_session"

FIRST_ONLY, SECOND_ONLY, IN_BOTH, DUPLICATES, REJECTED = range(5)

ACCOUNT, PLACES, BARS, CANDLES = "account.msgpack", "places.parquet", "bars.parquet", "candles.parquet"

Bytes = npt.NDArray[np.uint8]


class Rows(Protocol):
    """Messages of the coalesced stream, of any channels, as arrays of one length."""

    @property
    def channel(self) -> npt.NDArray[np.int32]:
        """Its place in the account's list of channels."""

    @property
    def side(self) -> Bytes:
        """Whose copy stands, 0 or 1."""

    @property
    def seen(self) -> Bytes:
        """Who has it: 1 the first side only, 2 the second only, 3 both."""

    @property
    def epoch(self) -> Integers:
        """Of the copy."""

    @property
    def sequence(self) -> Integers:
        """Of the copy."""

    @property
    def ts_recv(self) -> Integers:
        """Of the copy, ns."""

    @property
    def other_epoch(self) -> Integers:
        """Of the second side's copy where both have it."""

    @property
    def other_sequence(self) -> Integers:
        """Of the second side's copy where both have it."""

    @property
    def other_ts_recv(self) -> Integers:
        """Of the second side's copy where both have it."""

    @property
    def payload(self) -> pa.LargeBinaryArray:
        """Looked at only where an instance speaks of itself."""


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


class Span(msgspec.Struct, frozen=True):
    """What of a session is of the day: from which sequence and time to which, and when that was by the first side's clock."""

    first: int
    last: int
    first_ts: int
    last_ts: int
    first_place: int
    last_place: int

    def joined(self, other: Span) -> Span:
        """Both."""
        return Span(
            min(self.first, other.first),
            max(self.last, other.last),
            min(self.first_ts, other.first_ts),
            max(self.last_ts, other.last_ts),
            min(self.first_place, other.first_place),
            max(self.last_place, other.last_place),
        )


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
        self._own = np.array([name == SESSION_CHANNEL for name, _ in channels], dtype=bool)
        self._skew = Skew()
        self._last_ts = np.zeros(len(channels), dtype=np.int64)
        self._seen: dict[tuple[int, int], Seen] = {}
        self._spans: dict[tuple[int, int], Span] = {}
        self._places = PlaceFile(folder / PLACES)
        self._gaps: list[VenueGap] = []
        self._broken: list[Broken] = []
        self._links: list[Link] = []

    def note_rows(self, rows: Rows) -> None:
        """Messages of the coalesced stream, each once.

        Those around the day, too, as far as they were read: one instance may have a message before midnight and the other after
        it, and only the copy that stands says which day's it is.
        """
        if not rows.channel.size:
            return
        ours = self._within(rows.ts_recv)
        cells = (rows.channel.astype(np.int64) * HOURS + rows.ts_recv // HOUR_NS % HOURS) * 5 + rows.seen - 1
        self._hours += np.bincount(cells[ours], minlength=self._hours.size).reshape(self._hours.shape)
        paired = rows.seen == FIRST | SECOND
        ahead = rows.ts_recv - rows.other_ts_recv
        self._skew.note(ahead[paired])
        seen = (
            rows.seen
            | np.where(self._own[rows.channel], OWN, 0)
            | np.where(paired & self._skew.strayed(ahead), STRAYED, 0)
        )
        columns: dict[str, Integers] = {
            "seen": seen.astype(np.int64),
            "skew": np.full(seen.size, self._skew.usual, dtype=np.int64),
        }
        for side, (name, bit) in enumerate((("first", FIRST), ("second", SECOND))):
            there = (rows.seen & bit) != 0
            own = rows.side == side
            found = [
                np.where(there, np.where(own, mine, other), 0)
                for mine, other in (
                    (rows.epoch, rows.other_epoch),
                    (rows.sequence, rows.other_sequence),
                    (rows.ts_recv, rows.other_ts_recv),
                )
            ]
            columns |= zip((f"{name}_epoch", f"{name}_sequence", f"{name}_ts"), found, strict=True)
            place = found[-1] + (self._skew.usual if side else 0)
            for row in np.flatnonzero(there & self._own[rows.channel] & self._within(found[-1])).tolist():
                if (told := link(side, int(place[row]), rows.payload[row].as_py())) is not None:
                    self._links.append(told)
            self._session(side, *(column[there] for column in (*found, place)))
        self._places.write(columns)

    def _session(self, side: int, epochs: Integers, sequences: Integers, stamps: Integers, places: Integers) -> None:
        if not epochs.size:
            return
        if epochs.min() != epochs.max():
            for epoch in np.unique(epochs).tolist():
                of = epochs == epoch
                self._session(side, epochs[of], sequences[of], stamps[of], places[of])
            return
        key = (side, int(epochs[0]))
        self._seen.setdefault(key, Seen()).note(sequences)
        ours = self._within(stamps)
        if not ours.any():
            return
        bounds = [
            int(end) for column in (sequences, stamps, places) for end in (column[ours].min(), column[ours].max())
        ]
        span = Span(*bounds)
        before = self._spans.get(key)
        self._spans[key] = span if before is None else before.joined(span)

    def _within(self, stamps: Integers) -> npt.NDArray[np.bool_]:
        return (stamps >= self._begin) & (stamps < self._end)

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
        self._places.close()
        packer = zstandard.ZstdCompressor(level=1)
        filled = [(int(channel), int(hour)) for channel, hour in np.argwhere(self._hours.any(axis=2))]
        tally = Tally(
            self._instances,
            self._channels,
            [(channel, hour, self._hours[channel, hour].tolist()) for channel, hour in filled],
            [(side, epoch, span) for (side, epoch), span in sorted(self._spans.items())],
            [
                (side, epoch, number, packer.compress(bits.tobytes()))
                for (side, epoch), seen in sorted(self._seen.items())
                for number, bits in sorted(seen.blocks.items())
            ],
            self._gaps,
            self._broken,
            self._links,
        )
        (self._folder / ACCOUNT).write_bytes(msgspec.msgpack.encode(tally))
        return sorted(path for name in (ACCOUNT, PLACES, BARS, CANDLES) if (path := self._folder / name).is_file())

    @property
    def rejected(self) -> int:
        """How many payloads were rejected so far."""
        return int(self._hours[:, :, REJECTED].sum())
