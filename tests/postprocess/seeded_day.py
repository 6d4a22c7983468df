"""A real capture on both instances' lines with seeded losses, and what a ledger must say of it, worked out message by message."""

from __future__ import annotations

import contextlib
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tapeline.errors import CaptureError
from tapeline.identity import WINDOW_NS, of_payloads
from tapeline.ingest.v1.ingest_pb2 import SubscribeResponse
from tapeline.objectstore import ObjectStore
from tapeline.offline.feed import Feed
from tapeline.partitions import Partition, object_key
from tapeline.rawfile import RawRow, compress, encode_rows, read_rows
from tapeline.venues import load

HOUR_NS = 3_600_000_000_000
INSTANCES = ("PRIMARY", "REPLICA")
Channel = tuple[str, str]
Hole = tuple[str, int, int, int, int, int, int, str]
"""Instance, epoch, sequences, times around, missing, reason."""


@dataclass
class Message:
    """What the venue said, by its place (from 0), and when each instance had it."""

    channel: Channel
    connection: int
    payload: bytes
    content: bytes
    """What it is known by."""
    stamps: tuple[int, int]


@dataclass
class SeededDay:
    """One provider's messages, and what each instance lost; sequences are places plus the instance's first."""

    provider: str
    messages: list[Message]
    epochs: tuple[int, int]
    firsts: tuple[int, int]
    lost: tuple[set[int], set[int]] = field(default_factory=lambda: (set(), set()))
    broken: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """Places of payloads that are cut in the middle, and on which sides."""
    doubled: Counter[tuple[Channel, int]] = field(default_factory=Counter)
    rows: int = 0
    _contents: dict[tuple[bytes, int], list[int]] = field(default_factory=lambda: defaultdict(list))
    reasons: list[tuple[int, int, int, str]] = field(default_factory=list)
    """Side, first and last sequence, and why they are missing; the rest has no reason."""

    @classmethod
    def of(cls, venue: str, capture: Path, shift: int, seed: int) -> SeededDay:
        """All payloads of a capture, so much later; the second instance's clock is ahead, and its line uneven."""
        pick = random.Random(seed)
        messages: list[Message] = []
        later = 0
        identity = of_payloads(load(venue).session.routing, load(venue).meaning)
        for encoded in Feed(load(venue), "PRIMARY").capture(capture):
            batch = SubscribeResponse.FromString(encoded).batch
            for payload in batch.payloads:
                channel = batch.channels[payload.channel]
                stamp = payload.ts_recv + shift
                later = max(later + 1, stamp + 2_000_777 + pick.randrange(20_000))
                messages.append(
                    Message(
                        (channel.name, channel.schema),
                        payload.connection,
                        payload.data,
                        identity(payload.data),
                        (stamp, later),
                    )
                )
        begins = messages[0].stamps[0]
        return cls(load(venue).provider, messages, (begins - 50, begins - 2 * 86_400 * 10**9), (1, 70_000))

    def lose(self, seed: int, singles: float, runs: int, longest: int, apart: bool) -> None:
        """Loses messages on each side; where `apart`, never the same on both, nor the same content soon before or after.

        Of two copies of one content, each lost by another side, nobody can tell that they were two.
        """
        for side in (0, 1):
            pick = random.Random(seed * 2 + side)
            for place in range(1, len(self.messages) - 1):
                if pick.random() < singles:
                    self._lose(side, place, apart)
            for _ in range(runs):
                start = pick.randrange(1, len(self.messages) - longest - 1)
                for place in range(start, start + pick.randint(2, longest)):
                    self._lose(side, place, apart)

    def _lose(self, side: int, place: int, apart: bool) -> None:
        message = self.messages[place]
        at = message.stamps[0]
        if apart and any(abs(at - other) <= 2 * WINDOW_NS for other in self._contents[message.content, 1 - side]):
            return
        self._contents[message.content, side].append(at)
        self.lost[side].add(place)

    def payload(self, side: int, place: int) -> bytes:
        """What a side has in its objects."""
        payload = self.messages[place].payload
        return payload[: len(payload) // 2] if side in self.broken.get(place, ()) else payload

    def store(self, store: ObjectStore, rows_in_object: int = 500, short: int = -1) -> None:
        """Writes the objects, cut at the hour as ever; every seventh twice, its first half under another name too.

        The one of the number `short` is cut short: what is behind that is lost.
        """
        number = 0
        for side, instance in enumerate(INSTANCES):
            parts: dict[tuple[Partition, int], list[int]] = defaultdict(list)
            for place, message in enumerate(self.messages):
                if place not in self.lost[side]:
                    name, schema = message.channel
                    stamp = message.stamps[side]
                    parts[Partition.at(instance, self.provider, schema, name, stamp), stamp // HOUR_NS].append(place)
            for (partition, hour), places in parts.items():
                for start in range(0, len(places), rows_in_object):
                    number += 1
                    part = places[start : start + rows_in_object]
                    self._put(store, partition, side, part, number == short)
                    if number % 7 == 0 and len(part) > 1:
                        half = part[: len(part) // 2]
                        self._put(store, partition, side, half, False)
                        self.doubled[(partition.channel, partition.schema), hour % 24] += len(half)

    def _put(self, store: ObjectStore, partition: Partition, side: int, places: list[int], short: bool) -> None:
        rows = [
            RawRow(
                self.epochs[side], self.firsts[side] + place, self.messages[place].connection,
                self.messages[place].stamps[side], self.payload(side, place),
            )
            for place in places
        ]  # fmt: skip
        first, last = rows[0].sequence, rows[-1].sequence
        data = compress(encode_rows(rows))
        if short:
            data = data[: len(data) * 2 // 3]
            whole = 0
            with contextlib.suppress(CaptureError):
                for _ in read_rows(data):
                    whole += 1
            assert 0 < whole < len(rows)
            self.lost[side].update(places[whole:])
            self.reasons.append((side, first, last, "broken_object"))
            rows = rows[:whole]
        self.rows += len(rows)
        assert store.put(object_key("", partition, self.epochs[side], first, last), data)

    def record(self, store: ObjectStore) -> None:
        """The primary's batch processor knows why the first run of more than one was lost."""
        first, last = next((first, last) for _, _, first, last, *_ in self.holes() if last > first)
        reason = "fell_out_of_ring"
        self.reasons.insert(0, (0, first, last, reason))
        record = {"instance": INSTANCES[0], "provider": self.provider, "epoch": self.epochs[0], "first": first, "last": last,
                  "reason": reason, "after_ts": self.messages[first - 2].stamps[0], "missing": None, "held": []}  # fmt: skip
        key = f"gaps/instance={INSTANCES[0]}/provider={self.provider}/{self.epochs[0]}-{first}-{last}.json"
        store.put(key, json.dumps(record).encode())

    def hours(self) -> dict[tuple[str, str, int], dict[str, int]]:
        """What `ledger` must hold of raw payloads: for each channel and hour who has how many, doubled and rejected ones."""
        found: dict[tuple[str, str, int], Counter[str]] = defaultdict(Counter)
        for place, message in enumerate(self.messages):
            cell = [found[*message.channel, stamp // HOUR_NS % 24] for stamp in message.stamps]
            there = [place not in lost for lost in self.lost]
            if len(self.broken.get(place, ())) == 1:
                # Two texts that are not the same: one cannot be read.
                for side, name in enumerate(("primary_only", "replica_only")):
                    cell[side][name] += 1
                cell[self.broken[place][0]]["rejected"] += 1
                continue
            who = "in_both" if all(there) else "primary_only" if there[0] else "replica_only"
            if any(there):
                cell[0 if there[0] else 1][who] += 1
                cell[0 if there[0] else 1]["rejected"] += place in self.broken
        for (channel, hour), count in self.doubled.items():
            found[*channel, hour]["duplicates"] += count
        return {
            key: {name: count for name, count in counts.items() if count} for key, counts in found.items() if +counts
        }

    def holes(self) -> list[Hole]:
        """What `ledger_gaps` must hold of both raw streams."""
        found: list[Hole] = []
        for side, instance in enumerate(INSTANCES):
            run: list[int] = []
            for place in range(len(self.messages)):
                if place in self.lost[side]:
                    run.append(place)
                elif run:
                    first, last = (self.firsts[side] + end for end in (run[0], run[-1]))
                    why = [
                        reason
                        for where, begin, end, reason in self.reasons
                        if where == side and begin <= last and first <= end
                    ]
                    before = self.messages[run[0] - 1].stamps[side] if run[0] else self.epochs[side]
                    missing = len(self.lost[1 - side].intersection(run))
                    after = self.messages[place].stamps[side]
                    found.append(
                        (
                            instance,
                            self.epochs[side],
                            first,
                            last,
                            before,
                            after,
                            missing,
                            ", ".join(why) or "no_object",
                        )
                    )
                    run = []
        return found

    def stands(self) -> Iterator[tuple[Message, int]]:
        """Readable messages that somebody has, in order, and when the copy that stands was received."""
        for place, message in enumerate(self.messages):
            side = next((side for side in (0, 1) if place not in self.lost[side] | self._bad(side)), None)
            if side is not None:
                yield message, message.stamps[side]

    def _bad(self, side: int) -> set[int]:
        return {place for place, sides in self.broken.items() if side in sides}


def binance_breaks(day: SeededDay) -> list[tuple[str, str, int, int, int, int | None, str]]:
    """Breaks in Binance's ids: channel, symbol, ids missing, time of the payload that showed it, messages missing, reason."""
    found: list[tuple[str, str, int, int, int, int | None, str]] = []
    last: dict[str, int] = {}
    for message, stamp in day.stands():
        channel = message.channel[0]
        if ("@depth" not in channel and "@aggTrade" not in channel) or not message.payload.startswith(b'{"stream"'):
            continue
        data = json.loads(message.payload)["data"]
        deep = "@depth" in channel
        first, end = (data["U"], data["u"]) if deep else (data["a"], data["a"])
        before = last.get(channel, first - 1)
        if first > before + 1:
            missing = None if deep else first - 1 - before
            found.append((channel, data["s"], before + 1, first - 1, stamp, missing, "link" if deep else "trade id"))
        last[channel] = end
    return found
