"""The one definition of every table in a data directory: its columns, and how a DBN record's fields become them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache

import numpy as np
import pyarrow as pa
from databento_dbn import InstrumentDefMsg, MBOMsg, MBP1Msg, MBP10Msg, OHLCVMsg, StatMsg, StatusMsg, TradeMsg

from tapeline.schemas import Schema

DECIMAL = pa.decimal128(38, 18)
TIME = pa.int64()
"""ns since the Unix epoch: Athena's own timestamps end at the millisecond."""

PARTITIONS = pa.schema([("day", pa.date32()), ("provider", pa.string()), ("version", pa.int32())])
"""What a file's folders say of all its rows; not in the files."""

MOST_VERSIONS = 99
"""The highest version of a provider's day: Athena looks for no higher one, so none is ever published."""

PLACE = pa.schema(
    [("channel", pa.string()), ("instance", pa.string()), ("raw_epoch", pa.int64()), ("raw_sequence", pa.int64())]
)
"""Whose payload a row comes from, and where that lies in the raw stream."""

ORDER = pa.schema([("ordinal", pa.int64()), ("raw_symbol", pa.string()), ("venue_id", pa.int64()), ("ts_recv", TIME)])
"""What every record has besides DBN's fields: its place among its file's records in the order of the stream, the venue's id at
full width (NULL where it has none), and when its payload came."""

_INTEGERS = {
    # Neither Hive nor Athena has unsigned integers.
    "u1": pa.int16(),
    "u2": pa.int32(),
    "u4": pa.int64(),
    "u8": pa.decimal128(20, 0),
    "i1": pa.int8(),
    "i2": pa.int16(),
    "i4": pa.int32(),
    "i8": pa.int64(),
}
_SIZES = ("size", "volume", "quantity")


class Form(Enum):
    """How a field of a DBN record becomes columns."""

    INTEGER = "integer"
    TEXT = "text"
    TIME = "time"
    PRICE = "price"
    """An exact decimal, and beside it the record's own integer as `dbn_…`."""
    SIZE = "size"
    """As `PRICE`, in the units the venue counts in; the integer is in lots."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a DBN record."""

    name: str
    form: Form
    type: str
    """Its numpy type without byte order."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of Parquet files; `schema` is None for those that are made of no DBN records."""

    name: str
    columns: pa.Schema
    about: str
    schema: Schema | None = None
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table of tab-separated, unquoted text; `partitions` are in the paths only."""

    name: str
    columns: pa.Schema
    about: str
    partitions: pa.Schema


@dataclass(frozen=True, slots=True)
class RecordKind:
    """A DBN record as numpy reads it."""

    rtype: int
    schema: Schema
    dtype: np.dtype[np.void]
    prices: frozenset[str]
    times: frozenset[str]


_Record = type[MBOMsg | MBP1Msg | MBP10Msg | TradeMsg | OHLCVMsg | StatMsg | StatusMsg | InstrumentDefMsg]


def _kind(rtype: int, schema: Schema, record: _Record) -> RecordKind:
    dtype = np.dtype([(name, kind if kind[0] == "S" else f"<{kind}") for name, kind in record._dtypes])  # noqa: SLF001
    prices = frozenset(record._price_fields)  # noqa: SLF001  # the package offers its layout in no other way
    times = frozenset(record._timestamp_fields)  # noqa: SLF001
    return RecordKind(rtype, schema, dtype, prices, times)


KINDS: dict[int, RecordKind] = {
    kind.rtype: kind
    for kind in (
        _kind(0xA0, Schema.MBO, MBOMsg),
        _kind(0x01, Schema.MBP_1, MBP1Msg),
        _kind(0x0A, Schema.MBP_10, MBP10Msg),
        _kind(0x00, Schema.TRADES, TradeMsg),
        _kind(0x21, Schema.OHLCV_1M, OHLCVMsg),
        _kind(0x18, Schema.STATISTICS, StatMsg),
        _kind(0x12, Schema.STATUS, StatusMsg),
        _kind(0x13, Schema.DEFINITION, InstrumentDefMsg),
    )
}
"""Record kinds by rtype."""

_NAMES = {
    Schema.TRADES: "trades",
    Schema.MBO: "mbo",
    Schema.MBP_1: "mbp_1",
    Schema.MBP_10: "mbp_10",
    Schema.OHLCV_1M: "ohlcv_1m",
    Schema.STATISTICS: "statistics",
    Schema.STATUS: "status",
    Schema.DEFINITION: "definitions",
}


_ABOUT = {
    Schema.TRADES: "a trade",
    Schema.MBO: "an event of a book, by order or by level",
    Schema.MBP_1: "a change of the top of a book",
    Schema.MBP_10: "the best ten levels of each side",
    Schema.OHLCV_1M: "a closed candle of the venue",
    Schema.STATISTICS: "a value such as mark price, funding rate or open interest",
    Schema.STATUS: "a gap, a recovery, a connection that came or went",
    Schema.DEFINITION: "an instrument as it is from then on",
}


def _fields(kind: RecordKind) -> tuple[Field, ...]:
    found = []
    for name in kind.dtype.names or ():
        if name in ("length", *ORDER.names) or name.startswith("_"):
            continue
        found.append(Field(name, _form(kind, name), kind.dtype[name].str.lstrip("<|")))
    return tuple(found)


def _form(kind: RecordKind, name: str) -> Form:
    if name in kind.prices:
        return Form.PRICE
    if name in kind.times:
        return Form.TIME
    if kind.dtype[name].kind == "S":
        return Form.TEXT
    if name in _SIZES or name.startswith(("bid_sz_", "ask_sz_")):
        return Form.SIZE
    return Form.INTEGER


def _columns(fields: tuple[Field, ...]) -> pa.Schema:
    columns: list[tuple[str, pa.DataType]] = []
    for field in fields:
        if field.form is Form.TIME:
            columns.append((field.name, TIME))
        elif field.form is Form.TEXT:
            columns.append((field.name, pa.string()))
        elif field.form is Form.INTEGER:
            columns.append((field.name, _INTEGERS[field.type]))
        else:
            columns += [(field.name, DECIMAL), (f"dbn_{field.name}", _INTEGERS[field.type])]
    return pa.schema([*PLACE, *ORDER, *columns])


RAW_PAYLOADS = Table(
    "raw_payloads",
    pa.schema(
        [
            *PLACE,
            ("schema", pa.string()),
            ("connection", pa.int64()),
            ("ts_recv", TIME),
            ("ordinal", pa.int64()),
            ("payload", pa.binary()),
            ("seen_by", pa.string()),
        ]
    ),
    "a payload as the venue sent it, once",
)
"""Every payload once, as received; `seen_by` is `both` or the one instance that has it."""

LEDGER = Table(
    "ledger",
    pa.schema(
        [
            ("channel", pa.string()),
            ("schema", pa.string()),
            ("hour", pa.int32()),
            ("primary_only", pa.int64()),
            ("replica_only", pa.int64()),
            ("in_both", pa.int64()),
            ("duplicates", pa.int64()),
            ("rejected", pa.int64()),
            ("gaps", pa.int64()),
            ("bars_expected", pa.int64()),
            ("bars_found", pa.int64()),
        ]
    ),
    "how complete a channel is in an hour",
)
"""How complete each channel is, by hour (0 to 23, UTC, of receipt)."""

LEDGER_GAPS = Table(
    "ledger_gaps",
    pa.schema(
        [
            ("kind", pa.string()),
            ("instance", pa.string()),
            ("channel", pa.string()),
            ("raw_symbol", pa.string()),
            ("raw_epoch", pa.int64()),
            ("from_sequence", pa.int64()),
            ("to_sequence", pa.int64()),
            ("from_ts", TIME),
            ("to_ts", TIME),
            ("missing", pa.int64()),
            ("reason", pa.string()),
        ]
    ),
    "a stretch that is missing, both ends inclusive",
)
"""What is missing, both ends inclusive: sequences of an instance's raw stream that are in no object (`raw`), and of the venue's own
ids that neither instance has (`venue`); `missing` is how many messages neither has, NULL where that is not known."""

PUBLISHED = TextTable(
    "published",
    pa.schema([("provider", pa.string()), ("version", pa.int32())]),
    "the version of a provider and day that counts",
    pa.schema([("day", pa.date32())]),
)

RAW_OBJECTS = TextTable(
    "raw_objects",
    pa.schema(
        [
            ("epoch", pa.int64()),
            ("sequence", pa.int64()),
            ("connection", pa.int64()),
            ("ts_recv", TIME),
            ("encoding", pa.string()),
            ("payload", pa.string()),
        ]
    ),
    "a payload in the raw store, before the two instances are made one",
    pa.schema(
        [
            ("instance", pa.string()),
            ("provider", pa.string()),
            ("schema", pa.string()),
            ("channel", pa.string()),
            ("year", pa.int32()),
            ("month", pa.int32()),
            ("day", pa.int32()),
        ]
    ),
)
"""The raw store itself, as `tapeline.rawfile` writes it; its columns are that module's, in their order."""


@cache
def record_tables() -> dict[Schema, Table]:
    """The tables made of DBN records, by schema."""
    return {
        kind.schema: Table(
            _NAMES[kind.schema], _columns(_fields(kind)), _ABOUT[kind.schema], kind.schema, _fields(kind)
        )
        for kind in KINDS.values()
    }


@cache
def all_tables() -> dict[str, Table]:
    """Every table by its name."""
    tables = (RAW_PAYLOADS, *record_tables().values(), LEDGER, LEDGER_GAPS)
    return {table.name: table for table in tables}
