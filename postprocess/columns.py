"""DBN records and their sidecar as Arrow tables, exact and a column at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from postprocess.decimals import SCALE, Integers, decimals, powers_of_ten
from postprocess.lots import DEFINITION, ONE, Change, Lots
from postprocess.origins import Origin, Origins
from tapeline.offline.tables import DECIMAL, KINDS, Field, Form, RecordKind, record_tables

_SIDECAR = {
    "price": ("price", 1),
    "size": ("size", 2),
    "quantity": ("size", 2),
    "volume": ("size", 2),
    "bid_px_00": ("price", 1),
    "bid_sz_00": ("size", 2),
    "ask_px_00": ("ask_price", 4),
    "ask_sz_00": ("ask_size", 8),
}
"""Where the sidecar has a field's exact number, and the bit that says so."""

_NO_TIME = (1 << 64) - 1
_NO_PRICE = (1 << 63) - 1
_NO_SIZE = {"u4": (1 << 32) - 1, "u8": (1 << 64) - 1, "i8": (1 << 63) - 1}
_TO_SCALE = 10 ** (SCALE - 9)
_MOST_SCALED = _NO_PRICE // _TO_SCALE
_SCALED_IN_DEFINITIONS = frozenset(
    ("min_price_increment", "strike_price", "high_limit_price", "low_limit_price", "max_price_variation")
)

Factors = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Part:
    """The records of one kind in a batch: their bytes and their rows."""

    kind: RecordKind
    data: bytes
    rows: pa.Table
    places: npt.NDArray[np.int64]
    """Where its records stand among the batch's."""


class Columns:
    """Turns what the kernel says, batch by batch, into rows; keeps the lots that definitions have announced."""

    def __init__(self, sidecar: np.dtype[np.void]) -> None:
        self._sidecar = sidecar
        self._emitted = 0
        self._lots = Lots()
        self._origins = Origins()

    def parts(self, data: bytes, sidecar: bytes, origin: Origin, symbols: Mapping[int, str]) -> Iterator[Part]:
        """Rows of one batch, by kind of record, each in the order of the stream."""
        self._origins.add(origin)
        side = np.frombuffer(sidecar, dtype=self._sidecar)
        whole = np.frombuffer(data, dtype=np.uint8)
        offsets = side["offset"]
        rtypes = whole[offsets + np.uint64(1)] if len(side) else np.empty(0, dtype=np.uint8)
        changes: list[Change] = []
        if (defined := np.flatnonzero(rtypes == DEFINITION.rtype)).size:
            changes = self._lots.take(_records(whole, offsets[defined], DEFINITION), offsets[defined])
        for rtype in np.unique(rtypes).tolist():
            kind = KINDS[rtype]
            places = np.flatnonzero(rtypes == rtype)
            records = _records(whole, offsets[places], kind)
            columns = self._origins.columns(side[places]["sequence"])
            columns["ordinal"] = pa.array(places + self._emitted)
            columns["venue_id"] = _venue_ids(side[places]["venue_id"])
            columns["raw_symbol"] = _symbols(kind, records, symbols)
            terms = self._lots.terms(records["instrument_id"], offsets[places], changes)
            rows = self._rows(kind, records, side[places], terms, columns)
            yield Part(kind, records.tobytes(), rows, places)
        self._lots.settle(changes)
        self._emitted += len(side)

    def _rows(
        self,
        kind: RecordKind,
        records: npt.NDArray[np.void],
        side: npt.NDArray[np.void],
        terms: tuple[Factors, Factors],
        columns: dict[str, pa.Array],
    ) -> pa.Table:
        table = record_tables()[kind.schema]
        lots, factors = terms
        if "ts_recv" in kind.times:
            # The record's own: a book's snapshot goes before the updates that waited for it, whenever it came.
            columns["ts_recv"] = pa.array(records["ts_recv"].astype(np.int64))
        for field in table.fields:
            values = records[field.name]
            if field.form is Form.PRICE:
                columns[field.name] = _prices(
                    field.name, values, side, _own_factors(field.name, records) if kind is DEFINITION else factors
                )
                columns[f"dbn_{field.name}"] = pa.array(values)
            elif field.form is Form.SIZE:
                columns[field.name] = _sizes(field, values, side, lots)
                columns[f"dbn_{field.name}"] = pa.array(values)
            else:
                columns[field.name] = _plain(field, values)
        return pa.table(
            [columns[name].cast(table.columns.field(name).type) for name in table.columns.names], table.columns
        )


def _records(whole: npt.NDArray[np.uint8], offsets: npt.NDArray[np.uint64], kind: RecordKind) -> npt.NDArray[np.void]:
    """Gathers records of one size from among others."""
    size = kind.dtype.itemsize
    places = offsets.astype(np.int64)[:, None] + np.arange(size)
    return np.ascontiguousarray(whole[places]).view(kind.dtype).reshape(-1)


def _symbols(kind: RecordKind, records: npt.NDArray[np.void], symbols: Mapping[int, str]) -> pa.Array:
    if kind is DEFINITION:
        return _text(records["raw_symbol"])
    ids, inverse = np.unique(records["instrument_id"], return_inverse=True)
    names = pa.array([symbols.get(instrument) for instrument in ids.tolist()], pa.string())
    return names.take(pa.array(inverse.reshape(-1)))


def _venue_ids(values: npt.NDArray[np.uint64]) -> pa.Array:
    """Ids of 2^63 and more are no BIGINT; 0 is none."""
    return pa.array(values.astype(np.int64), mask=(values == 0) | (values > np.uint64(_NO_PRICE)))


def _text(values: npt.NDArray[np.bytes_]) -> pa.Array:
    distinct, inverse = np.unique(values, return_inverse=True)
    words = pa.array([word.decode("utf-8", "replace") or None for word in distinct.tolist()], pa.string())
    return words.take(pa.array(inverse.reshape(-1)))


def _plain(field: Field, values: npt.NDArray[np.generic]) -> pa.Array:
    if field.form is Form.TEXT:
        return _text(values.astype(np.bytes_))
    if field.form is Form.TIME:
        return pa.array(values.astype(np.int64), mask=values == np.uint64(_NO_TIME))
    return pa.array(values)


def _prices(name: str, values: Integers, side: npt.NDArray[np.void], factors: Factors) -> pa.Array:
    valid = values != _NO_PRICE
    if name not in _SIDECAR:
        return decimals(values, factors, valid)
    return _exact(side, *_SIDECAR[name], (values, factors, valid))


def _own_factors(name: str, records: npt.NDArray[np.void]) -> Factors:
    """Of a definition's figures only prices and steps of price are scaled by its display factor."""
    factors = records["display_factor"]
    scaled = name in _SCALED_IN_DEFINITIONS
    return np.where(scaled & (factors > 0) & (factors != _NO_PRICE), factors, ONE).astype(np.uint64)


def _sizes(field: Field, values: npt.NDArray[np.integer], side: npt.NDArray[np.void], lots: Factors) -> pa.Array:
    valid = values != _NO_SIZE[field.type]
    exact = np.where(valid, values, 0)
    if exact.size and int(np.abs(exact).max()) > _MOST_SCALED:
        return _slowly(exact, lots, valid)
    mantissa = exact.astype(np.int64) * _TO_SCALE
    if field.name not in _SIDECAR:
        return decimals(mantissa, lots, valid)
    return _exact(side, *_SIDECAR[field.name], (mantissa, lots, valid))


def _slowly(values: npt.NDArray[np.integer], lots: Factors, valid: npt.NDArray[np.bool_]) -> pa.Array:
    """Sums of sizes too large for 64 bits at full scale: rare, so in Python's own integers."""
    rows = zip(values.tolist(), lots.tolist(), valid.tolist(), strict=True)
    with localcontext() as context:
        context.prec = DECIMAL.precision
        return pa.array([Decimal(v * lot).scaleb(-9) if given else None for v, lot, given in rows], DECIMAL)


def _exact(
    side: npt.NDArray[np.void], name: str, bit: int, else_: tuple[Integers, Factors, npt.NDArray[np.bool_]]
) -> pa.Array:
    """The sidecar's decimal where it has one that fits, else what the record's own integer says."""
    values, factors, valid = else_
    places = side[f"{name}_decimals"]
    given = ((side["given"] & bit) != 0) & (places <= SCALE)
    mantissa = np.where(given, side[f"{name}_mantissa"], values).astype(np.int64)
    shift = powers_of_ten(np.where(given, SCALE - np.minimum(places, SCALE), 0).astype(np.uint8))
    return decimals(mantissa, np.where(given, shift, factors).astype(np.uint64), valid | given)
