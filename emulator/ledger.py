"""What was sent, by venue and channel: totals, and on request a row for every payload."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import msgspec
import numpy as np
import numpy.typing as npt

from emulator.personal import neutral
from emulator.reel import Block
from tapeline.errors import UsageError

ROW = np.dtype([("ts", "<i8"), ("connection", "<u4"), ("channel", "<u4"), ("crc", "<u4"), ("length", "<u4")])
"""A row of the full ledger: ns since the epoch, connection, index in `Ledger.channels`, CRC32 and length of the payload.

Of a live market `connection` tells who got it: bit n for the n-th of the parties, `OWN` and `MADE` for what is no part of the
market; 0 where nobody was there.
"""
OWN, MADE = 1 << 30, 1 << 31
"""What a subscription begins with; what a fault has made of a payload (or sent once more)."""

REST = "rest"
Counts = npt.NDArray[np.int64]
Takers = npt.NDArray[np.uint32]
_PARTIES = 30


class Tally:
    """Data payloads sent by one venue, per channel; REST bodies, control frames and faults apart."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self._sent = np.zeros(0, np.int64)
        self.rest: dict[str, int] = {}
        self.control = 0
        self.bytes = 0
        self.missed = 0
        """Payloads of a live market that nobody got."""
        self.slow = 0
        """Clients given up since they did not read."""
        self.ends: list[dict[str, object]] = []
        """Connections of a live market that have ended: until when what was sent has certainly left."""
        self.faults: dict[str, int] = {}
        self.first: dict[int, int] = {}
        self.last: dict[int, Block] = {}

    def block(self, block: Block) -> Counts:
        """Counts a block that was written; the counts by channel index."""
        counts = np.bincount(block.channels, minlength=len(self.names))
        if len(counts) > len(self._sent):
            self._sent = np.concatenate([self._sent, np.zeros(len(counts) - len(self._sent), np.int64)])
        self._sent[: len(counts)] += counts
        self.bytes += len(block.data)
        return counts

    @property
    def payloads(self) -> int:
        """Data payloads sent over sockets."""
        return int(self._sent.sum())

    def channels(self) -> dict[str, int]:
        """Data payloads by channel."""
        return {self.names[number]: int(count) for number, count in enumerate(self._sent) if count}

    def as_dict(self) -> dict[str, object]:
        """For a stats line."""
        return {
            "payloads": self.payloads,
            "bytes": self.bytes,
            "control": self.control,
            "missed": self.missed,
            "slow": self.slow,
            "rest": dict(self.rest),
            "faults": dict(self.faults),
            "channels": self.channels(),
        }


class Ledger:
    """Totals of all venues; with a `path`, written there.

    A path that ends in `.rows` gets one binary row (`ROW`) a payload, and beside it `.json` with the names; any other
    gets one JSON line a second and a last one with the totals and the first and last payload's CRC32 of every channel.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.tallies: dict[str, Tally] = {}
        self.channels: list[tuple[str, str]] = []
        self._numbers: dict[tuple[str, int], int] = {}
        self._path = path
        self._full = path is not None and path.suffix == ".rows"
        self._file: IO[bytes] | None = path.open("wb") if path else None
        self.parties: list[str] = [""]

    def venue(self, name: str, names: list[str]) -> Tally:
        """The tally of a venue whose channels have these names by index (the list may grow)."""
        return self.tallies.setdefault(name, Tally(names))

    def sent(self, venue: str, connection: int, block: Block, now_ns: int) -> None:
        """Notes a block that was written to a connection."""
        tally = self.tallies[venue]
        counts = tally.block(block)
        if self._file is None or not block.count:
            return
        if self._full:
            self._file.write(self._rows(venue, connection, block, now_ns).tobytes())
        else:
            self._ends(tally, block, counts)

    def live(self, venue: str, block: Block, takers: Takers, now_ns: int) -> None:
        """Notes what a live market has sent, once, and which parties got each payload."""
        tally, got = self.tallies[venue], takers != 0
        everything = bool(got.all())
        sent = block if everything else block.only(np.flatnonzero(got))
        tally.missed += block.count - sent.count
        counts = tally.block(sent)
        if self._file is None:
            return
        if self._full:
            rows = self._rows(venue, 0, block, now_ns)
            rows["connection"] = takers
            self._file.write(rows.tobytes())
        elif sent.count:
            self._ends(tally, sent, counts)

    def own(self, venue: str, party: int, kind: int, block: Block, now_ns: int) -> None:
        """Notes what only one party's connection got: `OWN` or `MADE`."""
        self.tallies[venue].block(block)
        if self._file is not None and self._full:
            self._file.write(self._rows(venue, 1 << party | kind, block, now_ns).tobytes())

    def party(self, name: str) -> int:
        """A party's number; the nameless one is 0. Raises UsageError where there are too many."""
        if name not in self.parties:
            if len(self.parties) >= _PARTIES:
                raise UsageError(f"more than {_PARTIES} parties")
            self.parties.append(name)
        return self.parties.index(name)

    @staticmethod
    def _ends(tally: Tally, block: Block, counts: Counts) -> None:
        for channel in counts.nonzero()[0].tolist():
            if channel not in tally.first:
                tally.first[channel] = _crc(block, int(np.argmax(block.channels == channel)))
            # Its CRC is taken at the end: most blocks are not a channel's last.
            tally.last[channel] = block

    def _rows(self, venue: str, connection: int, block: Block, now_ns: int) -> np.ndarray:
        rows = np.zeros(block.count, ROW)
        payloads = block.payloads()
        if block.personal:
            payloads = [neutral(payload) for payload in payloads]
        rows["ts"], rows["connection"] = now_ns, connection
        rows["channel"] = [self._number(venue, channel) for channel in block.channels.tolist()]
        rows["crc"] = list(map(zlib.crc32, payloads))
        rows["length"] = list(map(len, payloads))
        return rows

    def _number(self, venue: str, channel: int) -> int:
        number = self._numbers.setdefault((venue, channel), len(self.channels))
        if number == len(self.channels):
            self.channels.append((venue, self.tallies[venue].names[channel]))
        return number

    def totals(self) -> dict[str, dict[str, object]]:
        """By venue, for a stats line."""
        return {name: tally.as_dict() for name, tally in self.tallies.items()}

    @property
    def payloads(self) -> int:
        """Data payloads of all venues."""
        return sum(tally.payloads for tally in self.tallies.values())

    def second(self, now_ns: int) -> None:
        """Writes the totals so far as one line."""
        if self._file is not None and not self._full:
            self._line({"ts": now_ns, "venues": self.totals()})

    def _line(self, line: dict[str, object]) -> None:
        assert self._file is not None
        self._file.write(msgspec.json.encode(line) + b"\n")
        self._file.flush()

    def close(self, now_ns: int) -> None:
        """Writes the end."""
        if self._file is None or self._path is None:
            return
        if self._full:
            names = [{"venue": venue, "channel": channel} for venue, channel in self.channels]
            ends = {name: tally.ends for name, tally in self.tallies.items()}
            told = {"channels": names, "totals": self.totals(), "parties": self.parties, "ends": ends}
            self._path.with_suffix(".json").write_bytes(msgspec.json.encode(told))
        else:
            self._line({"ts": now_ns, "event": "totals", "venues": self.totals(), "ends": self._all_ends()})
        self._file.close()
        self._file = None

    def _all_ends(self) -> dict[str, dict[str, Sequence[int]]]:
        return {
            venue: {tally.names[channel]: (first, _last_crc(tally, channel)) for channel, first in tally.first.items()}
            for venue, tally in self.tallies.items()
        }


def _last_crc(tally: Tally, channel: int) -> int:
    block = tally.last[channel]
    return _crc(block, int(np.flatnonzero(block.channels == channel)[-1]))


def _crc(block: Block, place: int) -> int:
    return zlib.crc32(block.payload(place))


def read_rows(path: Path) -> np.ndarray:
    """The rows of a full ledger."""
    return np.fromfile(path, ROW)
