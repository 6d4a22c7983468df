"""Where every message of a unit stood in both raw streams, on disk: for the times around holes, and who may fill them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from postprocess.ledger.seen import Integers

FIRST, SECOND = 1, 2
"""Bits of `seen`: whose raw stream has the message."""
OWN = 4
"""Bit of `seen`: an instance's word on itself, which says nothing of what the other has."""
STRAYED = 8
"""Bit of `seen`: two copies of content that comes again; each side has its copy where the other may have lost one."""

_WIDE = ("skew", "first_epoch", "first_sequence", "first_ts", "second_epoch", "second_sequence", "second_ts")
SCHEMA = pa.schema([("seen", pa.int8()), *((name, pa.int64()) for name in _WIDE)])
"""`skew` makes a time of the second side one of the first's (ns); of a side that does not have the message all three columns are 0."""

_ROW_GROUP = 131_072


class PlaceFile:
    """The file, written a row group at a time."""

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(
            path,
            SCHEMA,
            compression="zstd",
            compression_level=1,
            use_dictionary=["seen", "first_epoch", "second_epoch"],
            column_encoding={name: "DELTA_BINARY_PACKED" for name in _WIDE if not name.endswith("_epoch")},
        )
        self._waiting: list[dict[str, Integers]] = []
        self._rows = 0

    def write(self, columns: dict[str, Integers]) -> None:
        """Rows in any order; they are kept until there are enough of them."""
        self._waiting.append(columns)
        self._rows += columns["seen"].size
        if self._rows >= _ROW_GROUP:
            self._flush()

    def close(self) -> None:
        """Makes it whole."""
        if self._rows:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        columns = {name: np.concatenate([part[name] for part in self._waiting]) for name in SCHEMA.names}
        self._writer.write_table(pa.table(columns, schema=SCHEMA))
        self._waiting, self._rows = [], 0
