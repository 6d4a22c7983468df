"""Counts what a consumer receives: payloads, records and delays, by published channel.

A payload is known by its `ts_recv`: its records share it, no other's have it, and repeats the SDK has already dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct
from typing import TypedDict

import numpy as np

from tapeline.channels import ChannelName
from tapeline.cli.up.histogram import Histogram
from tapeline.schemas import Schema

_TS_EVENT = 8
_MILLISECOND = 1_000_000
_F_SNAPSHOT = 0x20
_MBO_FLAGS = 36
_FEW = 12
_SETTLE = 4096
_word = Struct("<q").unpack_from

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
    lags: list[int] = field(default_factory=list)
    delays: list[int] = field(default_factory=list)
    """Single ones of both, in ns, not yet in their histograms."""

    def sent(self, event: int, now_ns: int) -> None:
        """Notes when the venue says it sent something."""
        if not self.exact_clock:
            self.exact_clock = event % _MILLISECOND != 0
        if self.exact_clock:
            self.delays.append(now_ns - event)

    def settle(self, most: int = 0) -> None:
        """Puts single delays into the histograms once there are more than `most`."""
        if len(self.lags) > most:
            self.lag.add(np.array(self.lags, dtype=np.int64))
            self.end_to_end.add(np.array(self.delays, dtype=np.int64))
            self.lags.clear()
            self.delays.clear()

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


class _Channel:
    """One published channel: where its counts go and how its records are read."""

    __slots__ = ("counted", "latest", "name", "place", "size", "stream", "tally")

    def __init__(self, name: ChannelName, stream: StreamTally) -> None:
        self.name = name
        self.stream = stream
        self.size, self.place = _LAYOUT.get(name.schema, (_BAR_BYTES, 0))
        self.counted = name.schema in _LAYOUT
        self.latest = name.schema not in (Schema.DEFINITION, Schema.STATUS)
        """Whether a record's delay says anything: a definition may be told again."""
        listed = DEFINITIONS if name.schema is Schema.DEFINITION else name.channel
        self.tally = stream.channels.setdefault((listed, name.schema.value), ChannelTally())


class Tally:
    """What came at all; the clock is passed in."""

    def __init__(self) -> None:
        self.streams: dict[tuple[str, str], StreamTally] = {}
        # By identity: the consumer gives the same name for each message of a channel, and hashing one costs more than
        # all the rest. The channel holds the name, so that no other can take its place.
        self._channels: dict[int, _Channel] = {}

    def take(self, name: ChannelName, data: bytes, now_ns: int) -> None:
        """Counts one Redis message: whole records of one channel."""
        channel = self._channels.get(id(name)) or self._meet(name)
        records = len(data) // channel.size
        channel.stream.records += records
        channel.tally.records += records
        if not channel.counted:
            return
        if records <= _FEW:
            _take_few(channel, data, now_ns)
        else:
            _take_many(channel, data, now_ns)

    def _meet(self, name: ChannelName) -> _Channel:
        stream = self.streams.setdefault((name.provider, name.instance), StreamTally())
        channel = self._channels[id(name)] = _Channel(name, stream)
        return channel


def _take_few(channel: _Channel, data: bytes, now_ns: int) -> None:
    """Record by record, which for a few is quicker than numpy."""
    tally, stream, place = channel.tally, channel.stream, channel.place
    for at in range(0, len(data), channel.size):
        (stamp,) = _word(data, at + place)
        if stamp == tally.last:
            continue
        tally.last = stamp
        tally.payloads += 1
        if channel.name.schema is Schema.MBO and data[at + _MBO_FLAGS] & _F_SNAPSHOT:
            tally.snapshots += 1
        if channel.latest:
            stream.lags.append(now_ns - stamp)
            (event,) = _word(data, at + _TS_EVENT)
            if event != stamp:
                stream.sent(event, now_ns)
    stream.settle(_SETTLE)


def _take_many(channel: _Channel, data: bytes, now_ns: int) -> None:
    tally, stream = channel.tally, channel.stream
    words = np.frombuffer(data, dtype="<i8").reshape(-1, channel.size // 8)
    stamps = words[:, channel.place // 8]
    starts = np.empty(len(stamps), dtype=np.bool_)
    starts[0] = stamps[0] != tally.last
    np.not_equal(stamps[1:], stamps[:-1], out=starts[1:])
    fresh = stamps[starts]
    tally.payloads += len(fresh)
    tally.last = int(stamps[-1])
    if channel.name.schema is Schema.MBO:
        flags = words[starts, _MBO_FLAGS // 8] >> 8 * (_MBO_FLAGS % 8)
        tally.snapshots += int(np.count_nonzero(flags & _F_SNAPSHOT))
    if channel.latest:
        stream.lag.add(now_ns - fresh)
        events = words[starts, _TS_EVENT // 8]
        known = events[events != fresh]
        if len(known) and not stream.exact_clock:
            stream.exact_clock = bool(np.any(known % _MILLISECOND))
        if stream.exact_clock:
            stream.end_to_end.add(now_ns - known)
