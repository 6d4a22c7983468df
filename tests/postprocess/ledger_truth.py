"""A made day on both instances' lines, what each lost, and what a ledger must say of it: worked out message by message."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from postprocess.ledger.account import Account

Integers = npt.NDArray[np.int64]

DAY_NS = 86_400_000_000_000
START = 1_780_000_000_000_000_000 // DAY_NS * DAY_NS
"""00:00:00 UTC of a day, ns."""


@dataclass
class Columns:
    """What `Account.note_rows` takes."""

    channel: npt.NDArray[np.int32]
    side: npt.NDArray[np.uint8]
    seen: npt.NDArray[np.uint8]
    epoch: Integers
    sequence: Integers
    ts_recv: Integers
    other_epoch: Integers
    other_sequence: Integers
    other_ts_recv: Integers
    payloads: list[bytes]

    def payload(self, row: int) -> bytes:
        """One of them."""
        return self.payloads[row]


@dataclass
class Line:
    """One instance's line: the number that its session gives each message, and when it has it."""

    epoch: int
    sequence: list[int]
    stamps: list[int]
    lost: set[int] = field(default_factory=set)
    """Places of messages that are in no object of its."""


@dataclass
class Day:
    """Messages in the order of the venue, by place: the channel of each, and both lines."""

    channels: list[tuple[str, str]]
    channel: list[int]
    lines: tuple[Line, Line]
    payloads: dict[int, bytes] = field(default_factory=dict)
    """Of what is not just anything."""

    def columns(self, places: list[int]) -> Columns:
        """The coalesced rows of some of the messages, as the kernel would give them."""
        rows = []
        payloads = []
        for place in places:
            has = sum(bit for bit, line in zip((1, 2), self.lines, strict=True) if place not in line.lost)
            if not has:
                continue
            payloads.append(self.payloads.get(place, b""))
            whose = 0 if has & 1 else 1
            mine = self.lines[whose]
            other = self.lines[1]
            rows.append(
                (
                    self.channel[place], whose, has, mine.epoch, mine.sequence[place], mine.stamps[place],
                    *((other.epoch, other.sequence[place], other.stamps[place]) if has == 3 else (0, 0, 0)),
                )
            )  # fmt: skip
        channel, side, seen, *places_of = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
        epoch, sequence, ts_recv, other_epoch, other_sequence, other_ts_recv = places_of
        return Columns(
            channel.astype(np.int32), side.astype(np.uint8), seen.astype(np.uint8), epoch, sequence, ts_recv,
            other_epoch, other_sequence, other_ts_recv, payloads,
        )  # fmt: skip

    def account(
        self,
        folder: Path,
        channels: set[int] | None = None,
        day: int = 0,
        broken: tuple[int, int, int, int, str] | None = None,
        piece: int = 1000,
    ) -> Path:
        """The account of the unit that has these channels, of the day that is so many after the first."""
        folder.mkdir(parents=True)
        span = (START + day * DAY_NS, START + (day + 1) * DAY_NS)
        account = Account(("PRIMARY", "REPLICA"), self.channels, folder, span)
        wanted = [place for place, channel in enumerate(self.channel) if channels is None or channel in channels]
        for start in range(0, len(wanted), piece):
            account.note_rows(self.columns(wanted[start : start + piece]))
        if broken:
            account.note_broken(*broken)
        account.close()
        return folder

    def holes(self, side: int) -> list[tuple[int, int, int, int, int]]:
        """Of each hole of a line: its sequences, the times around it, and how many of its messages neither has."""
        line, other = self.lines[side], self.lines[1 - side]
        found = []
        run: list[int] = []
        for place in range(len(self.channel) + 1):
            if place in line.lost:
                run.append(place)
            elif run:
                ends = (line.sequence[run[0]], line.sequence[run[-1]])
                times = (line.stamps[run[0] - 1], line.stamps[place])
                found.append((*ends, *times, len(other.lost.intersection(run))))
                run = []
        return found
