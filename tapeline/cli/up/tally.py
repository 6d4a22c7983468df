"""Counts what a consumer receives: payloads, records and delays, by published channel.

A payload is known by its `ts_recv`: its records share it, no other's have it, and repeats the SDK has already dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from tapeline.channels import ChannelName
from tapeline.cli.up.histogram import Histogram
from tapeline.schemas import Schema

_TS_EVENT = 8
_MILLISECOND = 1_000_000
_F_SNAPSHOT = 0x20
_MBO_FLAGS_WORD = 4
"""The eight bytes of an MBO record whose fifth is `flags`."""

_LAYOUT: dict[Schema, tuple[int, int]] = {
    Schema.MBO: (56, 40),
    Schema.MBP_1: (80, 32),
    Schema.MBP_10: (368, 32),
    Schema.TRADES: (48, 32),
    Schema.STATISTICS: (80, 16),
    Schema.STATUS: (40, 16),
    Schema.DEFINITION: (520, 16),
}
"""By schema: a DBN record's bytes, and where its `ts_recv` stands. OHLCV has none and is only counted."""
_BAR_BYTES = 56

Stamps = npt.NDArray[np.int64]
Words = npt.NDArray[np.int64]


class ChannelCounts(TypedDict):
    """What came on one venue channel."""

    payloads: int
    snapshots: int


@dataclass(slots=True)
class ChannelTally:
    """What came on one published channel (all definitions of a provider count as one)."""

    records: int = 0
    payloads: int = 0
    snapshots: int = 0
    """How many of the payloads are book snapshots."""
    last: int = 0


@dataclass(slots=True)
class StreamTally:
    """What came of one provider's instance."""

    channels: dict[tuple[str, str], ChannelTally] = field(default_factory=dict)
    """By venue channel and schema."""
    lag: Histogram = field(default_factory=Histogram)
    """From our receipt to the consumer, since the last `drain`."""
    lag_total: Histogram = field(default_factory=Histogram)
    end_to_end: Histogram = field(default_factory=Histogram)
    """From the venue's sending to the consumer; only of venues that tell microseconds."""
    exact_clock: bool = False
    records: int = 0

    def by_channel(self) -> dict[str, ChannelCounts]:
        """Counts by venue channel: a payload that is published in several schemas counts once."""
        out: dict[str, ChannelCounts] = {}
        for (channel, schema), tally in self.channels.items():
            # What we say of a channel is no payload of it.
            if schema == Schema.STATUS.value:
                continue
            if channel not in out or tally.payloads > out[channel]["payloads"]:
                out[channel] = {"payloads": tally.payloads, "snapshots": tally.snapshots}
        return out

    @property
    def payloads(self) -> int:
        """Payloads of all channels."""
        return sum(counts["payloads"] for counts in self.by_channel().values())


DEFINITIONS = "(definitions)"
"""The channel under which all definitions of a provider are counted."""


class Tally:
    """What came at all; the clock is passed in."""

    def __init__(self) -> None:
        self.streams: dict[tuple[str, str], StreamTally] = {}

    def take(self, name: ChannelName, data: bytes, now_ns: int) -> None:
        """Counts one Redis message: whole records of one channel."""
        stream = self._stream(name)
        if name.schema not in _LAYOUT:
            stream.records += len(data) // _BAR_BYTES
            return
        size, place = _LAYOUT[name.schema]
        words = np.frombuffer(data, dtype="<i8").reshape(-1, size // 8)
        stamps = words[:, place // 8]
        stream.records += len(stamps)
        fresh = self._count(stream, name, words, stamps)
        if name.schema in (Schema.DEFINITION, Schema.STATUS) or not len(fresh):
            return
        stream.lag.add(now_ns - fresh)
        self._end_to_end(stream, words[:, _TS_EVENT // 8], stamps, now_ns)

    def _stream(self, name: ChannelName) -> StreamTally:
        key = (name.provider, name.instance)
        found = self.streams.get(key)
        if found is None:
            found = self.streams[key] = StreamTally()
        return found

    @staticmethod
    def _count(stream: StreamTally, name: ChannelName, words: Words, stamps: Stamps) -> Stamps:
        """The `ts_recv` of each payload: where it differs from that of the record before."""
        channel = DEFINITIONS if name.schema is Schema.DEFINITION else name.channel
        tally = stream.channels.setdefault((channel, name.schema.value), ChannelTally())
        starts = np.empty(len(stamps), dtype=np.bool_)
        starts[0] = stamps[0] != tally.last
        np.not_equal(stamps[1:], stamps[:-1], out=starts[1:])
        fresh = stamps[starts]
        tally.records += len(stamps)
        tally.payloads += len(fresh)
        if name.schema is Schema.MBO:
            tally.snapshots += int(np.count_nonzero(words[starts, _MBO_FLAGS_WORD] >> 32 & _F_SNAPSHOT))
        tally.last = int(stamps[-1])
        return fresh

    @staticmethod
    def _end_to_end(stream: StreamTally, events: Stamps, stamps: Stamps, now_ns: int) -> None:
        if not stream.exact_clock:
            stream.exact_clock = bool(np.any((events % _MILLISECOND != 0) & (events != stamps)))
        if stream.exact_clock:
            stream.end_to_end.add(now_ns - events[events != stamps])
