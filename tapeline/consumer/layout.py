"""Where the fields that the SDK itself needs stand in each schema's records."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Any

import databento_dbn as dbn
import numpy as np

from tapeline.schemas import Schema

F_LAST = 0x80
F_MAYBE_BAD_BOOK = 0x04

# Beyond so many records there is a quicker way than a Struct.
_FEW = 17

_RECORDS: dict[Schema, Any] = {
    Schema.MBO: dbn.MBOMsg,
    Schema.MBP_1: dbn.MBP1Msg,
    Schema.MBP_10: dbn.MBP10Msg,
    Schema.TRADES: dbn.TradeMsg,
    Schema.OHLCV_1M: dbn.OHLCVMsg,
    Schema.STATISTICS: dbn.StatMsg,
    Schema.STATUS: dbn.StatusMsg,
    Schema.DEFINITION: dbn.InstrumentDefMsg,
}


@dataclass(frozen=True, slots=True)
class Layout:
    """One schema's records: size in bytes, numpy dtype, and a Struct that reads (instrument_id, flags, time).

    The time is `ts_recv`; of a candle, which has none, `ts_event`. Of schemas without flags, flags read as 0.
    """

    stride: int
    dtype: np.dtype[np.void]
    has_flags: bool
    has_action: bool
    head: Struct
    time: str
    starts: tuple[Struct, ...]
    """By number of records: reads the first 8 bytes of each as one number."""


def _layout(schema: Schema) -> Layout:
    dtype = np.dtype(_RECORDS[schema]._dtypes)  # noqa: SLF001 - it is what databento's own client builds arrays with
    places = dtype.fields or {}
    time = "ts_recv" if "ts_recv" in places else "ts_event"
    has_flags = "flags" in places
    at = int(places[time][1])
    if has_flags:
        flags = int(places["flags"][1])
        head = Struct(f"<4xI{flags - 8}xB{at - flags - 1}xQ")
    else:
        # An empty pad read as a zero flag would need a byte; `0s` reads none.
        head = Struct(f"<4xI0s{at - 8}xQ")
    starts = tuple(Struct("<" + f"Q{dtype.itemsize - 8}x" * count) for count in range(_FEW))
    return Layout(dtype.itemsize, dtype, has_flags, schema is Schema.MBO, head, time, starts)


LAYOUTS = {schema: _layout(schema) for schema in Schema}
