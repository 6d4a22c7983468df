"""Two instances as one stream: what of the messages of PRIMARY and REPLICA is handed out, and as which channel's."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from tapeline.channels import INSTANCES, MARKET_DATA, ChannelName, market_data, matches
from tapeline.consumer.items import Counts, Hole, Message, Reason
from tapeline.consumer.join import Channel, Items, add
from tapeline.errors import UsageError
from tapeline.identity import WINDOW_NS
from tapeline.schemas import Schema
from tapeline.telemetry import count

if TYPE_CHECKING:
    from tapeline_kernel import Merger

SIDES = INSTANCES[:2]
MERGED = INSTANCES[2]
_SECOND = 1_000_000_000
TICK_SECONDS = 0.02
_LONGEST_PAUSE_NS = 5 * round(TICK_SECONDS * _SECOND)
_SESSION = "_session"


class Mode(Enum):
    """How a consumer uses the two instances."""

    DIRECT = "direct"
    """It gets what its patterns name, no more."""
    FAILOVER = "failover"
    """PRIMARY; REPLICA while PRIMARY is silent, in doubt, or lacks something."""
    MERGE = "merge"
    """Whichever instance brings a message first."""


@dataclass(frozen=True, slots=True)
class MergeOptions:
    """How two instances are merged; times in seconds."""

    wait_seconds: float = 0.25
    """How long a book with a hole waits for the other instance to fill it."""
    patience_seconds: float = 0.5
    """Failover: how far PRIMARY may be behind REPLICA."""
    settle_seconds: float = 5.0
    """Failover: how long PRIMARY must be well before it is used again."""
    window_seconds: float = WINDOW_NS / 1e9
    """For how long a message's twin is awaited before it counts as missed; nothing is held back for that."""
    memory_bytes: int = 64 << 20
    """Beyond it messages are remembered for a shorter time."""
    dense_after: int = 64
    """So many ids in a row show that a book's ids have no holes of their own; 0: they never have."""


def new_merger(mode: Mode, options: MergeOptions, floor_ns: int = 0) -> Merger:
    """The core, which does no I/O and reads no clock; sides are the places in `SIDES`. `ts_recv` stays above `floor_ns`."""
    # Who follows one instance needs no kernel.
    from tapeline_kernel import Merger

    return Merger(
        prefer=0 if mode is Mode.FAILOVER else None,
        wait_ns=round(options.wait_seconds * _SECOND),
        patience_ns=round(options.patience_seconds * _SECOND),
        settle_ns=round(options.settle_seconds * _SECOND),
        window_ns=round(options.window_seconds * _SECOND),
        memory_bytes=options.memory_bytes,
        dense_after=options.dense_after,
        floor_ns=floor_ns,
    )


def both(patterns: Sequence[str]) -> list[str]:
    """Patterns for both instances out of some for any one of them; raises UsageError."""
    found = []
    for pattern in patterns:
        parts = pattern.split(".", 2)
        if len(parts) < 3 or parts[1] not in (*INSTANCES, "*"):
            raise UsageError(f"pattern is {pattern!r}; allowed where instances are merged: {MARKET_DATA}.{MERGED}.…")
        found += [f"{parts[0]}.{side}.{parts[2]}" for side in SIDES]
    return list(dict.fromkeys(found))


def watched(mode: Mode) -> list[str]:
    """What else is followed: in failover how each instance's sessions are."""
    if mode is not Mode.FAILOVER:
        return []
    return [market_data(side, Schema.STATUS, "X", _SESSION).format().replace(".X.", ".*.") for side in SIDES]


def merged_name(text: str) -> str:
    """The merged channel (or pattern) of an instance's."""
    parts = text.split(".", 2)
    return f"{parts[0]}.{MERGED}.{parts[2]}"


class Listening:
    """The clock of arrivals: it never falls, and while this process does not run it hardly moves.

    Else what waits for the other instance would be given up just when there is, unread, what it has brought meanwhile.
    """

    def __init__(self, now_ns: int) -> None:
        """`now_ns` here and in `at` are of a clock that never falls."""
        self._last = now_ns
        self._away = 0

    def at(self, now_ns: int) -> int:
        """The time; to be asked for every `TICK_SECONDS`."""
        self._away += max(0, now_ns - self._last - _LONGEST_PAUSE_NS)
        self._last = now_ns
        return now_ns - self._away


class Merging:
    """Takes what joined channels of both instances bring, gives what is to be handed out."""

    def __init__(self, mode: Mode, options: MergeOptions, patterns: Sequence[str], counts: Counts) -> None:
        self.merger = new_merger(mode, options)
        self._clock = Listening(time.monotonic_ns())
        self._counts = counts
        self._wanted = [merged_name(pattern) for pattern in both(patterns)]
        self._slots: dict[ChannelName, int] = {}
        self._heard: set[int] = set()
        self._lanes: list[Channel] = []
        self._watched: set[int] = set()

    def take(self, items: Items, received_ns: int) -> Items:
        """What comes of items of the two instances, received at `received_ns` (ns since the epoch)."""
        given: Items = []
        now_ns = self._clock.at(time.monotonic_ns())
        for item in items:
            if type(item) is Message:
                slot = self._slots.get(item.channel)
                if slot is None:
                    slot = self._slot(item.channel)
                self._heard.add(slot)
                self.merger.feed(slot, item.data, now_ns, item.snapshot)
            elif isinstance(item, Hole):
                given += self._collect(received_ns)
                given += self._hole(item)
        return given + self._collect(received_ns)

    def tick(self, received_ns: int) -> Items:
        """What has waited for long enough."""
        self.merger.tick(self._clock.at(time.monotonic_ns()))
        return self._collect(received_ns)

    def _slot(self, name: ChannelName) -> int:
        merged = replace(name, instance=MERGED)
        lane = self.merger.lane(merged.format())
        if lane == len(self._lanes):
            self._lanes.append(Channel(merged, b""))
            if merged.channel == _SESSION and not any(matches(one, merged.format()) for one in self._wanted):
                self._watched.add(lane)
        slot = self._slots[name] = 2 * lane + SIDES.index(name.instance)
        return slot

    def _collect(self, received_ns: int) -> Items:
        items: Items = []
        for lane, kind, data, _, _ in self.merger.take():
            channel = self._lanes[lane]
            if kind == _GAP:
                items.append(Hole(channel.text, channel.seen.newest, received_ns, Reason.MISSED))
                continue
            if lane in self._watched:
                continue
            message = Message(channel.name, data, received_ns, snapshot=kind == _SNAPSHOT)
            if channel.name.schema is Schema.MBO and kind == _LIVE:
                # Tells where the merged book becomes doubtful.
                was_doubtful = channel.seen.doubtful
                add(channel, message, channel.seen.take(data), was_doubtful, self._counts, items)
            else:
                if channel.name.schema is Schema.MBO:
                    channel.seen.snapshot(data)
                items.append(message)
        return items

    def _hole(self, hole: Hole) -> Items:
        """A hole of one instance is none of the merged stream where the other is there."""
        if hole.reason in (Reason.DISCONNECTED, Reason.SLOW):
            # Both instances come by the same connection: told once.
            side = hole.pattern.split(".", 2)[1]
            return [replace(hole, pattern=merged_name(hole.pattern))] if side == SIDES[0] else []
        name = ChannelName.parse(hole.pattern)
        slot = self._slots.get(name)
        other = None if slot is None else slot ^ 1
        twin = replace(name, instance=SIDES[1 - SIDES.index(name.instance)])
        if other in self._heard or twin in self._slots:
            count("consumer_holes_of_one_instance")
            return []
        return [replace(hole, pattern=merged_name(hole.pattern))]


_LIVE, _SNAPSHOT, _GAP = 0, 1, 2
