"""Writes windows and gap records to the object store, each payload under exactly one name.

Objects are cut at the same places by whoever reads the same stream, so what a crash left half done is written again
under the same names. Where the cut was another one (a clean stop, a window that lost its beginning to a gap), the
objects that a partition already has say which sequences to leave out.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from urllib.parse import quote

import msgspec

from batch_processor.split import Run
from batch_processor.window import Cut, GapRecord, Window
from tapeline.errors import RefusedError
from tapeline.objectstore import ObjectMissingError, ObjectStore
from tapeline.partitions import Partition, object_key, parse_key
from tapeline.rawfile import compress
from tapeline.stream import Position

_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Written:
    """What one cut put into the store; of what was there already, only `covered` counts the payloads."""

    objects: int = 0
    object_bytes: int = 0
    payloads: int = 0
    covered: int = 0
    gaps: int = 0


class ProgressError(RefusedError):
    """The progress object in the store cannot be read."""


class _Progress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    epoch: int
    sequence: int


class _Gap(msgspec.Struct, frozen=True):
    instance: str
    provider: str
    epoch: int
    first: int
    last: int
    reason: str


class Archive:
    """One provider's and instance's raw payloads in the store; calls block, and must not overlap."""

    def __init__(self, store: ObjectStore, instance: str, provider: str, workers: Executor) -> None:
        self._store = store
        self.instance = instance
        self._provider = provider
        self._workers = workers
        self._place = f"instance={quote(instance, safe='')}/provider={quote(provider, safe='')}"
        self._covered: dict[tuple[Partition, int], list[tuple[int, int]]] = {}

    def progress(self) -> Position | None:
        """The position up to which every payload is in the store, or recorded as a gap; raises ProgressError."""
        key = f"progress/{self._place}.json"
        try:
            read = msgspec.json.decode(self._store.get(key), type=_Progress)
        except ObjectMissingError:
            return None
        except msgspec.DecodeError as error:
            raise ProgressError(f"object {key} is no progress: {error}") from error
        return Position(read.epoch, read.sequence)

    def write(self, cut: Cut) -> Written:
        """Puts what a cut holds, then notes the progress; may be called again after an error."""
        written = self._write_gap(cut) if isinstance(cut, GapRecord) else self._write_window(cut)
        if cut.last:
            note = msgspec.json.encode(_Progress(cut.epoch, cut.last))
            self._store.put(f"progress/{self._place}.json", note, if_absent=False)
        return written

    def _write_gap(self, gap: GapRecord) -> Written:
        record = _Gap(self.instance, self._provider, gap.epoch, gap.first, gap.last, gap.reason)
        key = f"gaps/{self._place}/{gap.epoch}-{gap.first}-{gap.last}.json"
        return Written(gaps=int(self._store.put(key, msgspec.json.encode(record))))

    def _write_window(self, window: Window) -> Written:
        if len(self._covered) > 2 * len(window.runs) + _REMEMBERED:
            # Partitions of days gone by; to ask for one again costs little.
            self._covered.clear()
        parts = list(self._workers.map(lambda place: self._write_channel(window, *place), window.runs))
        return Written(
            sum(part.objects for part in parts),
            sum(part.object_bytes for part in parts),
            sum(part.payloads for part in parts),
            sum(part.covered for part in parts),
        )

    def _write_channel(self, window: Window, channel: str, schema: str) -> Written:
        epoch, runs = window.epoch, window.runs[channel, schema]
        partition = Partition.at(self.instance, self._provider, schema, channel, window.ts_recv)
        missing = list(_uncovered(runs, self._known(partition, epoch)))
        payloads = sum(run.payloads for run in missing)
        covered = sum(run.payloads for run in runs) - payloads
        if not missing:
            return Written(covered=covered)
        data = compress(b"".join([run.rows for run in missing]))
        key = object_key("", partition, epoch, missing[0].first, missing[-1].last)
        if not self._store.put(key, data):
            return Written(covered=covered + payloads)
        return Written(1, len(data), payloads, covered)

    def _known(self, partition: Partition, epoch: int) -> list[tuple[int, int]]:
        """What earlier processes wrote of a partition in this epoch: asked once, before our own first object."""
        ranges = self._covered.get((partition, epoch))
        if ranges is None:
            keys = self._store.list(f"{partition.prefix()}/{epoch}-")
            ranges = self._covered[(partition, epoch)] = [(found.first, found.last) for found in map(parse_key, keys)]
        return ranges


def _uncovered(runs: list[Run], ranges: list[tuple[int, int]]) -> Iterable[Run]:
    for run in runs:
        if not any(first <= run.last and run.first <= last for first, last in ranges):
            yield run
            continue
        lines = [line for line in run.rows.splitlines(keepends=True) if not _within(_sequence(line), ranges)]
        if lines:
            yield Run(run.channel, run.schema, _sequence(lines[0]), _sequence(lines[-1]), len(lines), b"".join(lines))


def _sequence(line: bytes) -> int:
    return int(line.split(b"\t", 2)[1])


def _within(sequence: int, ranges: list[tuple[int, int]]) -> bool:
    return any(first <= sequence <= last for first, last in ranges)
