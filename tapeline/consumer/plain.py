"""Records as plain values under DBN's own field names: numbers exact as text, codes as words."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import numpy as np

from tapeline.consumer.definitions import UNDEF_PRICE, UNDEF_SIZE, Instrument
from tapeline.schemas import Schema

Value = str | int | list[str] | None

FLAGS = {
    0x80: "LAST",
    0x40: "TOB",
    0x20: "SNAPSHOT",
    0x10: "MBP",
    0x08: "BAD_TS_RECV",
    0x04: "MAYBE_BAD_BOOK",
    0x02: "PUBLISHER_SPECIFIC",
}
UNDEF_TIME = (1 << 64) - 1

_PRICES = frozenset(("price", "open", "high", "low", "close", "min_price_increment", "strike_price"))
# Of no channel of ours, or of use to machines alone.
_LEFT_OUT = ("length", "rtype", "_reserved", "leg_", "channel_id")
_NINE = frozenset(("display_factor", "unit_of_measure_qty"))
_TIMES = frozenset(("ts_event", "ts_recv", "ts_ref", "expiration", "activation"))


def plain(schema: Schema, row: np.void, instrument: Instrument | None) -> dict[str, Value]:
    """A record of a schema as plain values; `symbol` first.

    Without its instrument, prices are taken as 1e-9 and sizes stay undefined: their `…_lots` are given instead.
    """
    known = instrument or Instrument(int(row["instrument_id"]), "")
    out: dict[str, Value] = {"symbol": known.symbol or None}
    for name in row.dtype.names or ():
        if name.startswith(_LEFT_OUT):
            continue
        value = row[name]
        if isinstance(value, bytes):
            out[name] = value.decode(errors="replace")
        elif name == "flags":
            out[name] = flag_names(int(value))
        elif name in _TIMES:
            out[name] = None if int(value) == UNDEF_TIME else int(value)
        elif name in _PRICES or "_px_" in name:
            out[name] = exact_text(known.price(int(value)))
        elif name in _NINE:
            out[name] = exact_text(Instrument(0, "").price(int(value)))
        elif _is_size(name, schema):
            _size(out, name, int(value), instrument)
        else:
            out[name] = int(value)
    return out


def flag_names(flags: int) -> list[str]:
    """The names of a record's flags."""
    return [name for bit, name in FLAGS.items() if flags & bit]


def exact_text(value: Decimal | None) -> str | None:
    """Plain notation without trailing zeros: `61837.63`, `10`, `0`."""
    if value is None:
        return None
    text = f"{value:f}"
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def time_text(nanoseconds: int) -> str:
    """UTC down to the nanosecond."""
    second, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def _is_size(name: str, schema: Schema) -> bool:
    return name in ("size", "volume") or "_sz_" in name or (name == "quantity" and schema is Schema.STATISTICS)


def _size(out: dict[str, Value], name: str, value: int, instrument: Instrument | None) -> None:
    if value in (UNDEF_PRICE, UNDEF_SIZE):
        out[name] = None
    elif instrument is None:
        out[name] = None
        out[f"{name}_lots"] = value
    else:
        out[name] = exact_text(instrument.size(value))
