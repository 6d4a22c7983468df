"""Which channel each canonical record was published on, in the order of the stream: what a DBN file cannot say of its records.

One file for each unit of a version, beside its DBN files: a row for every record of every schema, so that row n is the record of
ordinal n. The names are in the file's footer, with how much there is of each, so that what a version holds is known without
reading it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tapeline.errors import RefusedError
from tapeline.schemas import Schema

COLUMNS = pa.schema([("channel", pa.int32()), ("ts_recv", pa.int64())])
"""The channel's number in the footer's list, and when the record's payload came, ns."""

_FOOTER = "tapeline.channels"
_ROWS = 1 << 18
_MOST = (1 << 16) - 1

Numbers = npt.NDArray[np.int64]


class IndexedChannel(msgspec.Struct, frozen=True):
    """A channel of an index."""

    schema: str
    """As in channel names, such as `MBP_1`."""
    channel: str
    """The published channel: the venue's channel id, of definitions the raw symbol."""
    records: int
    first: int
    """The least and the greatest `ts_recv`, ns."""
    last: int


class ChannelIndexError(RefusedError):
    """An index cannot be written or read."""


@dataclass(slots=True)
class _Known:
    schema: str
    channel: str
    records: int = 0
    first: int = (1 << 63) - 1
    last: int = 0


class IndexWriter:
    """An index being written; `path` is complete after `finish`."""

    def __init__(self, path: Path) -> None:
        self._known: list[_Known] = []
        self._gathered: list[pa.Table] = []
        self._rows = 0
        self._total = 0
        self._writer = pq.ParquetWriter(
            path,
            COLUMNS,
            compression="zstd",
            use_dictionary=["channel"],
            column_encoding={"ts_recv": "DELTA_BINARY_PACKED"},
        )

    @property
    def rows(self) -> int:
        """How many records have been added."""
        return self._total

    def add(self, channels: Sequence[tuple[str, str]], numbers: npt.NDArray[np.uint16], stamps: Numbers) -> None:
        """The next records: their places in `channels` (`Normalizer.channels()`), and when their payloads came, ns.

        Raises ChannelIndexError where there are more channels than the kernel can number.
        """
        if not len(numbers):
            return
        if len(channels) > _MOST and int(numbers.max()) == _MOST:
            raise ChannelIndexError(f"more than {_MOST} published channels: the kernel cannot tell them apart")
        self._known += [_Known(schema, name) for name, schema in channels[len(self._known) :]]
        counts = np.bincount(numbers)
        least = np.full(len(counts), (1 << 63) - 1, dtype=np.int64)
        most = np.zeros(len(counts), dtype=np.int64)
        np.minimum.at(least, numbers, stamps)
        np.maximum.at(most, numbers, stamps)
        for at in np.flatnonzero(counts).tolist():
            known = self._known[at]
            known.records += int(counts[at])
            known.first, known.last = min(known.first, int(least[at])), max(known.last, int(most[at]))
        self._gathered.append(pa.table([pa.array(numbers.astype(np.int32)), pa.array(stamps)], schema=COLUMNS))
        self._rows += len(numbers)
        self._total += len(numbers)
        if self._rows >= _ROWS:
            self._write(_ROWS)

    def finish(self) -> None:
        """Writes what is left, and the footer."""
        self._write(1)
        listed = [
            IndexedChannel(one.schema, one.channel, one.records, one.first if one.records else 0, one.last)
            for one in self._known
        ]
        self._writer.add_key_value_metadata({_FOOTER: msgspec.json.encode(listed).decode()})
        self._writer.close()

    def abandon(self) -> None:
        """Lets go of the file as it is."""
        self._writer.close()

    def _write(self, least: int) -> None:
        """In row groups of one size, the same however the records came."""
        gathered = pa.concat_tables(self._gathered).combine_chunks() if self._gathered else COLUMNS.empty_table()
        while gathered.num_rows >= least:
            self._writer.write_table(gathered.slice(0, _ROWS).combine_chunks())
            gathered = gathered.slice(_ROWS)
        self._gathered = [gathered]
        self._rows = gathered.num_rows


class ChannelIndex:
    """An index that is read; raises ChannelIndexError where it is none."""

    def __init__(self, file: Path | pa.NativeFile, name: str) -> None:
        self._name = name
        try:
            self._file = pq.ParquetFile(file)
            footer = (self._file.metadata.metadata or {}).get(_FOOTER.encode())
            self.channels: list[IndexedChannel] = msgspec.json.decode(footer or b"", type=list[IndexedChannel])
        except (pa.ArrowException, msgspec.DecodeError, OSError) as error:
            raise ChannelIndexError(f"{name} is no channel index: {error}") from None

    def schemas(self) -> list[Schema]:
        """The schema of each channel."""
        return [Schema(one.schema) for one in self.channels]

    def blocks(self, rows: int) -> Iterator[tuple[npt.NDArray[np.int32], Numbers]]:
        """Channel numbers and times of receipt of all records in order, at most so many at a time."""
        try:
            for batch in self._file.iter_batches(batch_size=rows, use_threads=False):
                yield batch.column(0).to_numpy(), batch.column(1).to_numpy()
        except (pa.ArrowException, OSError) as error:
            raise ChannelIndexError(f"{self._name}: {error}") from None

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()
