"""Records of one schema as DBN files, in the order of the stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from postprocess.batches import Integers
from tapeline.offline.dbn_file import DbnFile
from tapeline.offline.tables import RecordKind

PART_RECORD_BYTES = 512 << 20
"""A file ends with the batch of records that makes it so large, before compression."""


class DbnParts:
    """A schema's files; `places` gives where to write the next one."""

    def __init__(self, places: Iterator[Path], dataset: str, kind: RecordKind) -> None:
        self._places = places
        self._dataset = dataset
        self._kind = kind
        self._file: DbnFile | None = None
        self._path = Path()
        self._bytes = 0
        self._span = (0, 0)
        self._instruments: set[int] = set()

    def add(self, data: bytes, stamps: Integers, symbols: Mapping[int, str]) -> Iterator[tuple[Path, int]]:
        """Takes records in, received at these times (ns); a file that has become whole, and its records."""
        size = self._kind.dtype.itemsize
        while data:
            room = (PART_RECORD_BYTES - self._bytes) // size
            self._write(data[: room * size], stamps[:room])
            data, stamps = data[room * size :], stamps[room:]
            if self._bytes + size > PART_RECORD_BYTES:
                yield from self.finish(symbols)

    def finish(self, symbols: Mapping[int, str]) -> Iterator[tuple[Path, int]]:
        """The open file, if there is one; `symbols` by instrument."""
        if self._file is None:
            return
        named = {instrument: symbols[instrument] for instrument in self._instruments if instrument in symbols}
        self._file.finish(*self._span, named)
        rows = self._bytes // self._kind.dtype.itemsize
        self._file, self._bytes = None, 0
        self._instruments = set()
        yield self._path, rows

    def abandon(self) -> None:
        """Lets go of the open file."""
        if self._file is not None:
            self._file.abandon()

    def _write(self, data: bytes, stamps: Integers) -> None:
        low, high = int(stamps.min()), int(stamps.max())
        if self._file is None:
            self._path = next(self._places)
            self._file = DbnFile(self._path, self._dataset, self._kind.schema)
            self._span = (low, high)
        self._file.write(data)
        self._bytes += len(data)
        self._span = (min(low, self._span[0]), max(high, self._span[1]))
        records = np.frombuffer(data, self._kind.dtype)
        self._instruments.update(np.unique(records["instrument_id"]).tolist())
