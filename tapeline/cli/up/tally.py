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
_MBO_FLAGS = 36
_MOST_BYTES = 8 << 20

Stamps = npt.NDArray[np.int64]
Words = npt.NDArray[np.int64]

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

    def delays(self, events: Stamps, stamps: Stamps, times: Stamps) -> None:
        """Notes payloads by when the venue says it sent them, when we received them, and when they came; ns."""
        self.lag.add(times - stamps)
        told = events != stamps
        if not self.exact_clock:
            self.exact_clock = bool(np.any(events[told] % _MILLISECOND))
        if self.exact_clock:
            self.end_to_end.add(times[told] - events[told])

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
    """One published channel: what came of it and is not counted yet, and where its counts go."""

    __slots__ = ("counted", "name", "parts", "place", "size", "stream", "tally", "timely", "times")

    def __init__(self, name: ChannelName, stream: StreamTally) -> None:
        # Held, so that no other name can take its place in memory.
        self.name = name
        self.stream = stream
        self.size, self.place = _LAYOUT.get(name.schema, (_BAR_BYTES, 0))
        self.counted = name.schema in _LAYOUT
        self.timely = name.schema not in (Schema.DEFINITION, Schema.STATUS)
        """Whether a record's delay says anything: a definition may be told again."""
        listed = DEFINITIONS if name.schema is Schema.DEFINITION else name.channel
        self.tally = stream.channels.setdefault((listed, name.schema.value), ChannelTally())
        self.parts: list[bytes] = []
        self.times: list[int] = []

    def settle(self) -> None:
        """Counts what has come since the last time."""
        if not self.parts:
            return
        words = np.frombuffer(b"".join(self.parts), dtype="<i8").reshape(-1, self.size // 8)
        lengths = [len(part) // self.size for part in self.parts]
        self.tally.records += len(words)
        self.stream.records += len(words)
        if self.counted:
            self._count(words, np.repeat(np.array(self.times, dtype=np.int64), lengths))
        self.parts.clear()
        self.times.clear()

    def _count(self, words: Words, times: Stamps) -> None:
        tally, stamps = self.tally, words[:, self.place // 8]
        starts = np.empty(len(stamps), dtype=np.bool_)
        starts[0] = stamps[0] != tally.last
        np.not_equal(stamps[1:], stamps[:-1], out=starts[1:])
        fresh = stamps[starts]
        tally.payloads += len(fresh)
        tally.last = int(stamps[-1])
        if self.name.schema is Schema.MBO:
            flags = words[starts, _MBO_FLAGS // 8] >> 8 * (_MBO_FLAGS % 8)
            tally.snapshots += int(np.count_nonzero(flags & _F_SNAPSHOT))
        if self.timely:
            self.stream.delays(words[starts, _TS_EVENT // 8], fresh, times[starts])


class Tally:
    """What came at all; the clock is passed in."""

    def __init__(self) -> None:
        self.streams: dict[tuple[str, str], StreamTally] = {}
        self.first_ns = 0
        self.last_ns = 0
        """When the first and the last market data came."""
        # By identity: the consumer gives the same name for each message of a channel, and hashing one costs more than
        # all the rest.
        self._channels: dict[int, _Channel] = {}
        self._bytes = 0

    def take(self, name: ChannelName, data: bytes, now_ns: int) -> None:
        """Takes one Redis message: whole records of one channel. Counted at the next `settle`."""
        channel = self._channels.get(id(name)) or self._meet(name)
        channel.parts.append(data)
        channel.times.append(now_ns)
        if channel.timely:
            self.first_ns = self.first_ns or now_ns
            self.last_ns = now_ns
        self._bytes += len(data)
        if self._bytes > _MOST_BYTES:
            self.settle()

    def settle(self) -> None:
        """Counts all that was taken, many messages at once."""
        for channel in self._channels.values():
            channel.settle()
        self._bytes = 0

    def _meet(self, name: ChannelName) -> _Channel:
        stream = self.streams.setdefault((name.provider, name.instance), StreamTally())
        channel = self._channels[id(name)] = _Channel(name, stream)
        return channel
