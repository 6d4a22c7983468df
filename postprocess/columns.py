"""DBN records and their sidecar as Arrow columns, exact and a column at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from postprocess.codes import Codes, Texts, waiting
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
_WORD = 8

Factors = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Part:
    """The records of one kind in a batch: their bytes and their rows."""

    kind: RecordKind
    data: bytes
    rows: pa.Table
    """Texts as codes (`codes.waiting`)."""
    symbols: Codes
    places: Integers
    """Where its records stand among the batch's."""
    stamps: Integers
    """`ts_recv` of each, ns."""


class Columns:
    """Turns what the kernel says, batch by batch, into rows; keeps the lots that definitions have announced."""

    def __init__(self, sidecar: np.dtype[np.void], texts: Texts) -> None:
        self._sidecar = sidecar
        self._texts = texts
        self._emitted = 0
        self._lots = Lots()
        self._origins = Origins()
        self._symbols: dict[int, int] = {}
        """Codes by instrument."""

    def parts(self, data: bytes, sidecar: bytes, origin: Origin, symbols: Mapping[int, str]) -> Iterator[Part]:
        """Rows of one batch, by kind of record, each in the order of the stream."""
        self._origins.add(origin)
        side = np.frombuffer(sidecar, dtype=self._sidecar)
        offsets = side["offset"].astype(np.int64)
        rtypes = np.frombuffer(data, np.uint8)[offsets + 1] if len(side) else np.empty(0, np.uint8)
        words = np.frombuffer(data, np.uint64)
        kinds = np.unique(rtypes).tolist()
        changes: list[Change] = []
        if DEFINITION.rtype in kinds:
            defined = offsets[rtypes == DEFINITION.rtype]
            changes = self._lots.take(_records(words, defined, DEFINITION), defined)
        for rtype in kinds:
            kind = KINDS[rtype]
            if len(kinds) == 1:
                places, sides = np.arange(len(side)), side
                records = np.frombuffer(data, kind.dtype)
            else:
                places = np.flatnonzero(rtypes == rtype)
                sides = side[places]
                records = _records(words, offsets[places], kind)
            columns, stamps = self._origins.columns(sides["sequence"].astype(np.int64))
            if "ts_recv" in kind.times:
                # The record's own: a book's snapshot goes before the updates that waited for it, whenever it came.
                stamps = records["ts_recv"].astype(np.int64)
            columns["ts_recv"] = pa.array(stamps)
            columns["ordinal"] = pa.array(places + self._emitted)
            columns["venue_id"] = _venue_ids(sides["venue_id"])
            codes = self._codes(records["instrument_id"], symbols)
            columns["raw_symbol"] = pa.array(codes)
            terms = self._lots.terms(records["instrument_id"], offsets[places], changes)
            rows = self._rows(kind, records, sides, terms, columns)
            yield Part(kind, records.tobytes(), rows, codes, places, stamps)
        self._lots.settle(changes)
        self._emitted += len(side)

    def _codes(self, instruments: npt.NDArray[np.uint32], symbols: Mapping[int, str]) -> Codes:
        encoded = pa.array(instruments).dictionary_encode()
        known = self._symbols
        ids = encoded.dictionary.to_pylist()
        # In the order of their numbers, as texts are numbered by their appearance.
        for instrument in sorted(ids):
            if instrument not in known:
                known[instrument] = self._texts.code(symbols.get(instrument))
        codes: Codes = np.array([known[instrument] for instrument in ids], np.int32)[encoded.indices.to_numpy()]
        return codes

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
        for field in table.fields:
            values = records[field.name]
            if field.form is Form.PRICE:
                own = _own_factors(field.name, records) if kind is DEFINITION else factors
                columns[field.name] = _prices(values, side, own, _in_sidecar(kind, field.name))
                columns[f"dbn_{field.name}"] = pa.array(values)
            elif field.form is Form.SIZE:
                columns[field.name] = _sizes(field, values, side, lots, _in_sidecar(kind, field.name))
                columns[f"dbn_{field.name}"] = pa.array(values)
            else:
                columns[field.name] = _plain(field, values)
        schema = _waiting(kind)
        made = [_of_type(columns[name], kind) for name, kind in zip(schema.names, schema.types, strict=True)]
        return pa.Table.from_arrays(made, schema=schema)


@cache
def _waiting(kind: RecordKind) -> pa.Schema:
    return waiting(record_tables()[kind.schema].columns)


def _of_type(column: pa.Array, kind: pa.DataType) -> pa.Array:
    return column if column.type == kind else column.cast(kind)


def _records(words: npt.NDArray[np.uint64], offsets: Integers, kind: RecordKind) -> npt.NDArray[np.void]:
    """Gathers records of one size from among others; DBN's records are whole words."""
    places = (offsets // _WORD)[:, None] + np.arange(kind.dtype.itemsize // _WORD)
    found: npt.NDArray[np.void] = words[places].view(kind.dtype).reshape(-1)
    return found


def _venue_ids(values: npt.NDArray[np.uint64]) -> pa.Array:
    """Ids of 2^63 and more are no BIGINT; 0 is none."""
    return pa.array(
        values.view(np.int64) if values.flags.c_contiguous else values.astype(np.int64),
        mask=values - np.uint64(1) >= np.uint64(_NO_PRICE),
    )


def _text(values: npt.NDArray[np.bytes_]) -> pa.Array:
    encoded = pa.array(values, pa.binary(values.dtype.itemsize)).dictionary_encode()
    words = [word.rstrip(b"\0").decode("utf-8", "replace") or None for word in encoded.dictionary.to_pylist()]
    return pa.array(words, pa.string()).take(encoded.indices)


def _plain(field: Field, values: npt.NDArray[np.generic]) -> pa.Array:
    if field.form is Form.TEXT:
        return _text(values.astype(np.bytes_))
    if field.form is Form.TIME:
        return pa.array(values.astype(np.int64), mask=values == np.uint64(_NO_TIME))
    return pa.array(values)


def _in_sidecar(kind: RecordKind, name: str) -> tuple[str, int] | None:
    """Where the sidecar has a field's exact number; of a quote it has the bid and the ask, not the event's own price."""
    quote = "bid_px_00" in (kind.dtype.names or ())
    return None if quote and name in ("price", "size") else _SIDECAR.get(name)


def _prices(values: Integers, side: npt.NDArray[np.void], factors: Factors, place: tuple[str, int] | None) -> pa.Array:
    valid = values != _NO_PRICE
    if place is None:
        return decimals(values, factors, valid)
    return _exact(side, *place, (values, factors, valid))


def _own_factors(name: str, records: npt.NDArray[np.void]) -> Factors:
    """Of a definition's figures only prices and steps of price are scaled by its display factor."""
    factors = records["display_factor"]
    scaled = name in _SCALED_IN_DEFINITIONS
    return np.where(scaled & (factors > 0) & (factors != _NO_PRICE), factors, ONE).astype(np.uint64)


def _sizes(
    field: Field,
    values: npt.NDArray[np.integer],
    side: npt.NDArray[np.void],
    lots: Factors,
    place: tuple[str, int] | None,
) -> pa.Array:
    valid = values != _NO_SIZE[field.type]
    exact = np.where(valid, values, 0)
    if exact.size and int(np.abs(exact).max()) > _MOST_SCALED:
        return _slowly(exact, lots, valid)
    mantissa = exact.astype(np.int64) * _TO_SCALE
    if place is None:
        return decimals(mantissa, lots, valid)
    return _exact(side, *place, (mantissa, lots, valid))


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
