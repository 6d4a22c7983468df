"""Rows of one table that wait to be sorted: in memory, and in temporary files when they grow too many.

Rows come in the order of the stream and leave by their text (a symbol, a channel) and, within it, in the same order. A run is what
was in memory at one time, sorted, in a file without a name that is gone with the process. However many rows come, what is held while
they leave is bounded: so many runs are made one, and of each a piece is in memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from tapeline_kernel import gather

from postprocess.batches import CHUNK_SHIFT, Batch, Chunk, Integers
from postprocess.codes import NONE, Codes, Texts
from postprocess.parquet import PAYLOAD

_MOST_RUNS = 64
"""Runs that are read back at a time; where there are more, they are made one first."""

_LEAST_PIECE_BYTES = 64 << 10
_LARGEST_PIECE_BYTES = 4 << 20
"""Of a run that is read back, what is in memory at a time."""

_COMPRESSED = pa.ipc.IpcWriteOptions(compression="lz4")


class Spool:
    """One table's rows; texts are codes of `texts`."""

    def __init__(self, texts: Texts, memory_bytes: int) -> None:
        self._texts = texts
        piece = memory_bytes // (4 * _MOST_RUNS)
        self._piece_bytes = min(max(piece, _LEAST_PIECE_BYTES), _LARGEST_PIECE_BYTES)
        self._rows: list[pa.Table] = []
        self._keys: list[Codes] = []
        self._chunks: list[Chunk] = []
        """What the payloads of rows in memory lie in."""
        self._runs: list[_Run] = []
        self._counts = np.zeros(0, np.int64)
        self.bytes = 0
        """What is in memory."""

    def add(self, rows: pa.Table, keys: Codes, payloads: Batch | None = None) -> None:
        """Rows in the order of the stream, and the code each is sorted by; where they have payloads, the batch that knows these.

        A payload is copied once, when rows are sorted.
        """
        if payloads is not None:
            rows = rows.append_column(PAYLOAD, pa.array(self._placed(payloads)))
            self.bytes += int(payloads.length.sum())
        self._rows.append(rows)
        self._keys.append(keys)
        self.bytes += rows.nbytes
        counts = np.bincount(keys + 1, minlength=len(self._counts))
        counts[: len(self._counts)] += self._counts
        self._counts = counts

    def spill(self) -> None:
        """Moves what is in memory into a file."""
        if self._rows:
            rows, counts = self._sorted()
            self._runs.append(_Run([rows], counts, self._piece_bytes))
        if len(self._runs) == _MOST_RUNS:
            self._runs = [_Run(_merged(self._runs, self._codes()), dict(self.counts()), self._piece_bytes)]

    def counts(self) -> list[tuple[int, int]]:
        """Codes and their numbers of rows, in the order in which `sorted` gives them."""
        return [(code, int(self._counts[code + 1])) for code in self._codes()]

    def sorted(self) -> Iterator[pa.Table]:
        """All rows by text, then in the order of the stream; the spool is empty then."""
        parts: list[_Run | _Held] = list(self._runs)
        if self._rows:
            parts.append(_Held(*self._sorted()))
        yield from _merged(parts, self._codes())
        self._runs.clear()

    def close(self) -> None:
        """Lets go of everything."""
        for run in self._runs:
            run.close()

    def _placed(self, payloads: Batch) -> Integers:
        """Their places among the chunks kept here; of the batch's chunks only those are kept that are needed."""
        numbers = payloads.place >> CHUNK_SHIFT
        needed = np.zeros(len(payloads.chunks), np.bool_)
        needed[numbers] = True
        moved = np.cumsum(needed) - 1 + len(self._chunks)
        self._chunks += (payloads.chunks[number] for number in np.flatnonzero(needed).tolist())
        places: Integers = payloads.place + (moved[numbers] - numbers << CHUNK_SHIFT)
        return places

    def _codes(self) -> list[int]:
        ranks = self._texts.ranks()
        codes: list[int] = (np.flatnonzero(self._counts) - 1).tolist()
        return sorted(codes, key=lambda code: int(ranks[code]))

    def _sorted(self) -> tuple[pa.Table, dict[int, int]]:
        rows = pa.concat_tables(self._rows)
        keys = np.concatenate(self._keys)
        self._rows.clear()
        self._keys.clear()
        self.bytes = 0
        ranks = self._texts.ranks()
        # Of small numbers numpy sorts four times as many in the same time.
        small = ranks.astype(np.int16) if len(ranks) < 1 << 15 else ranks
        order = np.argsort(small[keys], kind="stable")
        counts = np.bincount(keys - NONE)
        codes = np.flatnonzero(counts)
        if (np.diff(order) != 1).any():
            rows = rows.take(pa.array(order))
        if self._chunks:
            rows = _with_payloads(rows, self._chunks)
            self._chunks.clear()
        return rows.combine_chunks(), dict(zip((codes + NONE).tolist(), counts[codes].tolist(), strict=True))


def _with_payloads(rows: pa.Table, chunks: Sequence[Chunk]) -> pa.Table:
    """The payloads in place of where they lie."""
    number = rows.schema.get_field_index(PAYLOAD)
    offsets, data = gather(chunks, rows.column(number).to_numpy().tobytes())
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    found = pa.LargeBinaryArray.from_buffers(pa.large_binary(), rows.num_rows, buffers)
    return rows.set_column(number, PAYLOAD, found)


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

    def __init__(self, tables: Iterable[pa.Table], counts: dict[int, int], piece_bytes: int) -> None:
        self._counts = counts
        self._file: BinaryIO = tempfile.TemporaryFile(prefix="tapeline-")  # noqa: SIM115  # closed by `close`
        writer: pa.ipc.RecordBatchStreamWriter | None = None
        for rows in _of_size(tables, piece_bytes):
            writer = writer or pa.ipc.new_stream(self._file, rows.schema, options=_COMPRESSED)
            writer.write_table(rows)
        if writer is not None:
            writer.close()
        self._file.seek(0)
        self._reader: pa.ipc.RecordBatchStreamReader | None = None
        self._rest: pa.Table | None = None

    def take(self, code: int) -> Iterator[pa.Table]:
        count = self._counts.get(code, 0)
        while count:
            if self._rest is None:
                self._reader = self._reader or pa.ipc.open_stream(self._file)
                self._rest = pa.Table.from_batches([self._reader.read_next_batch()])
            given = self._rest.slice(0, count)
            # A slice of nothing would keep the whole piece.
            self._rest = self._rest.slice(given.num_rows) if given.num_rows < self._rest.num_rows else None
            count -= given.num_rows
            yield given

    def close(self) -> None:
        self._file.close()


def _merged(parts: Sequence[_Run | _Held], codes: Sequence[int]) -> Iterator[pa.Table]:
    """The rows of all parts by code, of each code those of the earlier parts first; the parts are closed then."""
    for code in codes:
        for part in parts:
            yield from part.take(code)
    for part in parts:
        part.close()


def _of_size(tables: Iterable[pa.Table], size: int) -> Iterator[pa.Table]:
    """The same rows in pieces of about so many bytes, whatever they come in."""
    gathered: list[pa.Table] = []
    held = 0
    for table in tables:
        rows = max(1, table.num_rows * size // max(1, table.nbytes))
        for begin in range(0, table.num_rows, rows):
            piece = table.slice(begin, rows)
            gathered.append(piece)
            held += piece.nbytes
            if held >= size:
                yield pa.concat_tables(gathered).combine_chunks()
                gathered, held = [], 0
    if gathered:
        yield pa.concat_tables(gathered).combine_chunks()
