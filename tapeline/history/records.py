"""Rows of a record table as the DBN records that they were made of, byte for byte."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tapeline.offline.tables import KINDS, Form, RecordKind, Table
from tapeline.schemas import Schema

_NO_TIME = (1 << 64) - 1
_WORD = 1 << 64


def kind_of(schema: Schema) -> RecordKind:
    """The record of a schema."""
    return next(kind for kind in KINDS.values() if kind.schema is schema)


def records(table: Table, schema: Schema, rows: pa.RecordBatch) -> npt.NDArray[np.void]:
    """The records of rows, in their order."""
    kind = kind_of(schema)
    made = np.zeros(rows.num_rows, dtype=kind.dtype)
    made["length"] = kind.dtype.itemsize // 4
    for field in table.fields:
        name = f"dbn_{field.name}" if field.form in (Form.PRICE, Form.SIZE) else field.name
        made[field.name] = _values(rows.column(name), field.form, kind.dtype[field.name])
    for name in ("ts_recv", "raw_symbol"):
        if name in (kind.dtype.names or ()):
            form = Form.TIME if name == "ts_recv" else Form.TEXT
            made[name] = _values(rows.column(name), form, kind.dtype[name])
    return made


def _values(column: pa.Array, form: Form, dtype: np.dtype[np.generic]) -> npt.NDArray[np.generic]:
    if form is Form.TEXT:
        return np.array([word.encode() for word in pc.fill_null(column, "").to_pylist()], dtype=dtype)
    if form is Form.TIME:
        known = pc.fill_null(column, 0).to_numpy(zero_copy_only=False).astype(np.uint64)
        missing = pc.is_null(column).to_numpy(zero_copy_only=False)
        return np.where(missing, np.uint64(_NO_TIME), known)
    if pa.types.is_decimal(column.type):
        # u8, which has no other type in Hive.
        return np.array([int(value) for value in column.to_pylist()], dtype=np.uint64)
    values: npt.NDArray[np.generic] = column.to_numpy(zero_copy_only=False).astype(dtype)
    return values
