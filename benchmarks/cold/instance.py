"""What one instance received of an exchange: losses, its clock, its sequences, and the raw objects the batch processor cut of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import msgspec
import numpy as np

from benchmarks.cold.sheet import Bytes, Integers, Mask, Sheet, digits
from benchmarks.cold.words import Lines
from tapeline.partitions import Partition, object_key
from tapeline.rawfile import compress

_SEQUENCE_DIGITS = 10
_STAMP_DIGITS = 19


@dataclass(frozen=True, slots=True)
class Outage:
    """A span of time, ns, of which an instance has nothing: it received nothing, or what it received was not `stored`."""

    begin: int
    end: int
    stored: bool = True
    """By the venue's time of sending where nothing was received; else by the instance's own of receipt."""


@dataclass(frozen=True, slots=True)
class Clock:
    """How an instance hears: behind the venue by `delay` and up to `jitter` more, ns."""

    delay: int
    jitter: int


@dataclass(frozen=True, slots=True)
class Received:
    """What became of one channel's lines: which are in the store, and when they were received."""

    held: Mask
    stamps: Integers


@dataclass(slots=True)
class Written:
    """What was put into the store."""

    rows: int = 0
    row_bytes: int = 0
    objects: int = 0
    object_bytes: int = 0


@dataclass(slots=True)
class Instance:
    """One instance's raw store of one provider; blocks are written in order."""

    root: Path
    name: str
    provider: str
    epoch: int
    clock: Clock
    threshold: int
    random: np.random.Generator
    written: Written = field(default_factory=Written)
    gaps: list[tuple[int, int]] = field(default_factory=list)
    _sequence: int = 0
    _last: int = 0
    _folders: dict[tuple[str, str], Path] = field(default_factory=dict)

    def write(self, blocks: list[Lines], missed: list[Mask], outages: list[Outage]) -> list[Received]:
        """Writes what is received of some minutes, all channels of them; `missed` are lines that never came."""
        stamps = [self._stamps(lines.times) for lines in blocks]
        heard = [
            ~_within(lines.times, outages, stored=True) & ~miss for lines, miss in zip(blocks, missed, strict=True)
        ]
        sequences, stamps = self._number(stamps, heard)
        lost = [_within(stamp, outages, stored=False) for stamp in stamps]
        for outage in (one for one in outages if not one.stored):
            self._note_gaps(sequences, stamps, heard, outage)
        received = []
        for lines, number, stamp, hear, lose in zip(blocks, sequences, stamps, heard, lost, strict=True):
            held = hear & ~lose
            self._write_channel(lines, number, stamp, held, outages)
            received.append(Received(held, stamp))
        return received

    def finish(self) -> None:
        """Notes how far the store goes, as the batch processor does."""
        note = msgspec.json.encode({"epoch": self.epoch, "sequence": self._sequence})
        path = self.root / f"progress/{self._place()}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(note)

    def _place(self) -> str:
        return f"instance={quote(self.name, safe='')}/provider={quote(self.provider, safe='')}"

    def _stamps(self, times: Integers) -> Integers:
        late = self.random.standard_exponential(len(times)) * (self.clock.jitter / 8)
        heard = times + self.clock.delay + np.minimum(late, self.clock.jitter).astype(np.int64)
        # A channel comes over one connection, in order.
        return np.maximum.accumulate(heard)

    def _number(self, stamps: list[Integers], heard: list[Mask]) -> tuple[list[Integers], list[Integers]]:
        """Sequences by time of receipt over all channels, and stamps that strictly rise, as a session manager makes them."""
        lengths = [len(stamp) for stamp in stamps]
        together, there = np.concatenate(stamps), np.concatenate(heard)
        order = np.argsort(together, kind="stable")
        order = order[there[order]]
        count = len(order)
        rising = np.maximum(together[order] - 2 * np.arange(count), self._last + 2)
        together[order] = np.maximum.accumulate(rising) + 2 * np.arange(count)
        numbers = np.zeros(len(together), dtype=np.int64)
        numbers[order] = self._sequence + 1 + np.arange(count)
        if count:
            self._sequence += count
            self._last = int(together[order[-1]])
        ends = np.cumsum(lengths)[:-1]
        return np.split(numbers, ends), np.split(together, ends)

    def _note_gaps(self, numbers: list[Integers], stamps: list[Integers], heard: list[Mask], outage: Outage) -> None:
        gone = np.concatenate(
            [
                number[hear & _within(stamp, [outage], stored=False)]
                for number, stamp, hear in zip(numbers, stamps, heard, strict=True)
            ]
        )
        if not len(gone):
            return
        first, last = int(gone.min()), int(gone.max())
        assert last - first + 1 == len(gone), "all payloads between two are in a hole that both are in"
        record = {"instance": self.name, "provider": self.provider, "epoch": self.epoch, "first": first, "last": last}
        path = self.root / f"gaps/{self._place()}/{self.epoch}-{first}-{last}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode({**record, "reason": "fell_out_of_ring"}))
        self.gaps.append((first, last))

    def _write_channel(
        self, lines: Lines, numbers: Integers, stamps: Integers, held: Mask, outages: list[Outage]
    ) -> None:
        kept = np.flatnonzero(held)
        if not len(kept):
            return
        self._write_heads(lines.rows, numbers, stamps)
        keep, gone = lines.rows.keep, np.flatnonzero(~held)
        # For a while only: the other instance may have them.
        theirs = keep[gone]
        keep[gone] = False
        flat = lines.rows.text[keep]
        ends = np.cumsum(np.count_nonzero(keep, axis=1)[kept])
        keep[gone] = theirs
        numbers, stamps = numbers[kept], stamps[kept]
        # A hole in the stream ends a window.
        windows = stamps // self.threshold * 2
        for outage in outages:
            if not outage.stored:
                windows += (stamps >= outage.end) & (stamps // self.threshold == outage.end // self.threshold)
        cuts = [*(np.flatnonzero(np.diff(windows)) + 1).tolist(), len(kept)]
        begin = 0
        for cut in cuts:
            self._put(
                lines, numbers, stamps, begin, cut, flat[int(ends[begin - 1]) if begin else 0 : int(ends[cut - 1])]
            )
            begin = cut

    def _write_heads(self, rows: Sheet, numbers: Integers, stamps: Integers) -> None:
        """`epoch, sequence, connection, ts_recv, encoding` before each payload."""
        text, keep, end = rows.text, rows.keep, rows.lead
        tail = b"\ttext\t"
        head = b"%d\t" % self.epoch
        middle = b"\t0\t"
        width = len(head) + _SEQUENCE_DIGITS + len(middle) + _STAMP_DIGITS + len(tail)
        at = end - width
        keep[:, :at] = False
        keep[:, at:end] = True
        for part in (head, _SEQUENCE_DIGITS, middle, _STAMP_DIGITS, tail):
            if isinstance(part, bytes):
                text[:, at : at + len(part)] = np.frombuffer(part, dtype=np.uint8)
                at += len(part)
                continue
            values = numbers if part == _SEQUENCE_DIGITS else stamps
            text[:, at : at + part] = digits(values, part)
            if part == _SEQUENCE_DIGITS:
                for place in range(part - 1):
                    keep[:, at + place] = values >= 10 ** (part - 1 - place)
            at += part

    def _put(self, lines: Lines, numbers: Integers, stamps: Integers, begin: int, end: int, rows: Bytes) -> None:
        partition = (lines.channel, lines.schema.value)
        folder = self._folders.get(partition)
        if folder is None:
            placed = Partition.at(self.name, self.provider, partition[1], partition[0], int(stamps[begin]))
            # The key of the folder's first object names the folder too.
            folder = (self.root / object_key("", placed, 0, 0, 0)).parent
            folder.mkdir(parents=True, exist_ok=True)
            self._folders[partition] = folder
        data = compress(rows.tobytes())
        (folder / f"{self.epoch}-{numbers[begin]}-{numbers[end - 1]}.tsv.gz").write_bytes(data)
        self.written.rows += end - begin
        self.written.row_bytes += len(rows)
        self.written.objects += 1
        self.written.object_bytes += len(data)


def _within(times: Integers, outages: list[Outage], *, stored: bool) -> Mask:
    inside = np.zeros(len(times), dtype=np.bool_)
    for outage in outages:
        if outage.stored == stored:
            inside |= (times >= outage.begin) & (times < outage.end)
    return inside
