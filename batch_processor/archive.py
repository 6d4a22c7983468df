"""Writes windows and gap records to the object store, each payload under exactly one name.

Objects are cut at the same places by whoever reads the same stream, so what a crash left half done is written again
under the same names. Where the cut was another one (a clean stop, a window that lost its beginning to a gap), the
objects that a partition already has say which sequences to leave out.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass

import msgspec

from batch_processor.gaps import GapLog
from batch_processor.split import Run
from batch_processor.window import Cut, GapRecord, Window
from tapeline.errors import RefusedError
from tapeline.objectstore import ObjectMissingError, ObjectStore
from tapeline.partitions import Partition, folder, object_key, parse_key
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
    """Epoch 0: nothing yet; `ts_recv` is that of the last payload stored."""

    epoch: int
    sequence: int
    ts_recv: int = 0


class Archive:
    """One provider's and instance's raw payloads in the store; calls block, and must not overlap."""

    def __init__(self, store: ObjectStore, instance: str, provider: str, workers: Executor) -> None:
        self._store = store
        self.instance = instance
        self._provider = provider
        self._workers = workers
        self._progress = f"progress/{folder('instance', instance)}/{folder('provider', provider)}.json"
        self._gaps = GapLog(store, instance, provider)
        self._after_ts = 0
        self._covered: dict[tuple[Partition, int], list[tuple[int, int]]] = {}

    def progress(self) -> Position | None:
        """The position up to which every payload is in the store, or recorded as a gap; proves that we may write.

        Raises ProgressError where what stands there is no progress, and what the store raises.
        """
        try:
            # Read first: there are stores that make a bucket which is written to, however misspelt.
            read = msgspec.json.decode(self._store.get(self._progress), type=_Progress)
        except ObjectMissingError:
            read = _Progress(0, 0)
        except msgspec.DecodeError as error:
            raise ProgressError(f"object {self._progress} is no progress: {error}") from error
        self._store.put(self._progress, msgspec.json.encode(_Progress(0, 0)))
        self._after_ts = read.ts_recv
        return Position(read.epoch, read.sequence) if read.epoch else None

    def write(self, cut: Cut) -> Written:
        """Puts what a cut holds, then notes the progress; may be called again after an error."""
        if isinstance(cut, GapRecord):
            written, after_ts = Written(gaps=self._gaps.record(cut, self._after_ts)), self._after_ts
        else:
            written, after_ts = self._write_window(cut), cut.last_ts_recv
        if cut.last:
            note = msgspec.json.encode(_Progress(cut.epoch, cut.last, after_ts))
            self._store.put(self._progress, note, if_absent=False)
        self._after_ts = after_ts
        return written

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
        objects = list(_uncovered(runs, self._known(partition, epoch)))
        puts = [self._put(partition, epoch, missing) for missing in objects]
        payloads = sum(put.payloads for put in puts)
        covered = sum(run.payloads for run in runs) - payloads
        return Written(sum(put.objects for put in puts), sum(put.object_bytes for put in puts), payloads, covered)

    def _put(self, partition: Partition, epoch: int, runs: list[Run]) -> Written:
        data = compress(b"".join([run.rows for run in runs]))
        if not self._store.put(object_key("", partition, epoch, runs[0].first, runs[-1].last), data):
            return Written()
        return Written(1, len(data), sum(run.payloads for run in runs))

    def _known(self, partition: Partition, epoch: int) -> list[tuple[int, int]]:
        """What earlier processes wrote of a partition in this epoch: asked once, before our own first object."""
        ranges = self._covered.get((partition, epoch))
        if ranges is None:
            for name, value in partition.cut_names().items():
                self._store.put(name, value.encode())
            keys = self._store.list(f"{partition.prefix()}/{epoch}-")
            ranges = self._covered[(partition, epoch)] = [(found.first, found.last) for found in map(parse_key, keys)]
        return ranges


def _uncovered(runs: list[Run], ranges: list[tuple[int, int]]) -> Iterator[list[Run]]:
    """What no range covers, object by object: none of them reaches over a range."""
    rest: list[Run] = []
    for run in runs:
        touched = any(first <= run.last and run.first <= last for first, last in ranges)
        for piece in _lines(run, ranges) if touched else (run,):
            if rest and any(rest[-1].last < first < piece.first for first, _ in ranges):
                yield rest
                rest = []
            rest.append(piece)
    if rest:
        yield rest


def _lines(run: Run, ranges: list[tuple[int, int]]) -> Iterator[Run]:
    for line in run.rows.splitlines(keepends=True):
        sequence = _sequence(line)
        if not any(first <= sequence <= last for first, last in ranges):
            yield Run(run.channel, run.schema, sequence, sequence, 1, line)


def _sequence(line: bytes) -> int:
    return int(line.split(b"\t", 2)[1])
