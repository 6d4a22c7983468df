"""Rows of one table that wait to be sorted: in memory, and in temporary files when they grow too many.

Rows come in the order of the stream and leave by their text (a symbol, a channel) and, within it, in the same order. A run is what
was in memory at one time, sorted, in a file without a name that is gone with the process.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from postprocess.codes import Codes, Texts

_RUN_ROWS = 8192
"""Rows of a run that are in memory at a time while it is read back."""

_COMPRESSED = pa.ipc.IpcWriteOptions(compression="lz4")


class Spool:
    """One table's rows; texts are codes of `texts`."""

    def __init__(self, schema: pa.Schema, texts: Texts) -> None:
        self._schema = schema
        self._texts = texts
        self._rows: list[pa.Table] = []
        self._keys: list[Codes] = []
        self._runs: list[_Run] = []
        self._counts = np.zeros(0, np.int64)
        self.bytes = 0
        """What is in memory."""

    def add(self, rows: pa.Table, keys: Codes) -> None:
        """Rows in the order of the stream, and the code each is sorted by."""
        self._rows.append(rows)
        self._keys.append(keys)
        self.bytes += rows.nbytes
        counts = np.bincount(keys + 1, minlength=len(self._counts))
        counts[: len(self._counts)] += self._counts
        self._counts = counts

    def spill(self) -> None:
        """Moves what is in memory into a file."""
        if self._rows:
            self._runs.append(_Run(*self._sorted()))

    def counts(self) -> list[tuple[int, int]]:
        """Codes and their numbers of rows, in the order in which `sorted` gives them."""
        ranks = self._texts.ranks()
        codes = (np.flatnonzero(self._counts) - 1).tolist()
        return [(code, int(self._counts[code + 1])) for code in sorted(codes, key=lambda code: int(ranks[code]))]

    def sorted(self) -> Iterator[pa.Table]:
        """All rows by text, then in the order of the stream; the spool is empty then."""
        parts: list[_Run | _Held] = list(self._runs)
        if self._rows:
            parts.append(_Held(*self._sorted()))
        for code, _ in self.counts():
            for part in parts:
                yield from part.take(code)
        for part in parts:
            part.close()
        self._runs.clear()

    def close(self) -> None:
        """Lets go of everything."""
        for run in self._runs:
            run.close()

    def _sorted(self) -> tuple[pa.Table, dict[int, int]]:
        rows = pa.concat_tables(self._rows)
        keys = np.concatenate(self._keys)
        self._rows.clear()
        self._keys.clear()
        self.bytes = 0
        order = np.argsort(self._texts.ranks()[keys], kind="stable")
        codes, counts = np.unique(keys, return_counts=True)
        if (np.diff(order) != 1).any():
            rows = rows.take(pa.array(order))
        return rows.combine_chunks(), dict(zip(codes.tolist(), counts.tolist(), strict=True))


class _Held:
    """Sorted rows in memory."""

    def __init__(self, rows: pa.Table, counts: dict[int, int]) -> None:
        self._rows = rows
        self._counts = counts
        self._at = 0

    def take(self, code: int) -> Iterator[pa.Table]:
        count = self._counts.get(code, 0)
        if count:
            yield self._rows.slice(self._at, count)
            self._at += count

    def close(self) -> None:
        pass


class _Run:
    """Sorted rows in a file."""

    def __init__(self, rows: pa.Table, counts: dict[int, int]) -> None:
        self._counts = counts
        self._file: BinaryIO = tempfile.TemporaryFile(prefix="tapeline-")  # noqa: SIM115  # closed by `close`
        with pa.ipc.new_stream(self._file, rows.schema, options=_COMPRESSED) as writer:
            writer.write_table(rows, max_chunksize=_RUN_ROWS)
        self._file.seek(0)
        self._reader: pa.ipc.RecordBatchStreamReader | None = None
        self._rest: pa.Table | None = None

    def take(self, code: int) -> Iterator[pa.Table]:
        count = self._counts.get(code, 0)
        while count:
            if self._rest is None or not self._rest.num_rows:
                self._reader = self._reader or pa.ipc.open_stream(self._file)
                self._rest = pa.Table.from_batches([self._reader.read_next_batch()])
            given = self._rest.slice(0, count)
            self._rest = self._rest.slice(given.num_rows)
            count -= given.num_rows
            yield given

    def close(self) -> None:
        self._file.close()
