"""The book that DBN records alone describe: levels with `F_MBP`, single orders without."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from databento_dbn import DBNRecord, InstrumentDefMsg, MBOMsg, Metadata

from tapeline.errors import TapelineError
from tapeline.offline.decimals import PRICE_SCALE, decimal_text

_F_MBP = 0x10
_ONE = 10**PRICE_SCALE
_BID = "B"


class NoBookError(TapelineError):
    """The file has no such symbol, or no book of it."""


class _Order(NamedTuple):
    side: str
    price: int
    size: int
    """In 1e-9 of what the size counts."""


@dataclass(slots=True)
class FinalBook:
    """The book of one instrument, by records in their order."""

    lot: int = _ONE
    """1e-9 of what a size counts."""
    display_factor: int = _ONE
    defined: bool = False
    levels: dict[int, _Order] = field(default_factory=dict)
    orders: dict[int, _Order] = field(default_factory=dict)
    """Single orders; where a file has both, they are the book."""
    by_order: bool = False

    def define(self, record: InstrumentDefMsg) -> None:
        """Takes lot and display factor from a definition; sizes already in the book keep what they were worth."""
        self.defined = True
        if 0 < record.unit_of_measure_qty < (1 << 63) - 1:
            self.lot = record.unit_of_measure_qty
        if 0 < record.display_factor < (1 << 63) - 1:
            self.display_factor = record.display_factor

    def apply(self, record: MBOMsg) -> None:
        """Takes one record in; trades, fills and records that move nothing leave the book as it is."""
        action = str(record.action)
        by_level = bool(record.flags & _F_MBP)
        if action == "R":
            self.by_order = self.by_order or not by_level
            (self.levels if by_level else self.orders).clear()
        elif action in ("A", "M"):
            self.by_order = self.by_order or not by_level
            order = _Order(str(record.side), record.price, record.size * self.lot)
            (self.levels if by_level else self.orders)[record.order_id] = order
        elif action == "C" and by_level:
            self.levels.pop(record.order_id, None)
        elif action == "C":
            self._cancel(record)

    def _cancel(self, record: MBOMsg) -> None:
        order = self.orders.pop(record.order_id, None)
        taken = record.size * self.lot
        # DBN's cancel of an order says how much was cancelled.
        if order is not None and 0 < taken < order.size:
            self.orders[record.order_id] = order._replace(size=order.size - taken)

    def side(self, bids: bool, depth: int | None = None) -> list[tuple[str, str]]:
        """Levels from the best on, as exact decimal text of price and size."""
        sizes: dict[int, int] = defaultdict(int)
        for order in (self.orders if self.by_order else self.levels).values():
            if (order.side == _BID) is bids:
                sizes[order.price] += order.size
        best = sorted(sizes.items(), reverse=bids)
        return [
            (decimal_text(price * self.display_factor, 2 * PRICE_SCALE), decimal_text(size, PRICE_SCALE))
            for price, size in best[:depth]
        ]


def final_book(records: Iterable[DBNRecord | Metadata], symbol: str) -> FinalBook:
    """The last state of a symbol's book; raises NoBookError.

    Where a file holds several publishers' records of the symbol, the first one's are taken.
    """
    known: dict[int, str] = {}
    wanted: int | None = None
    publisher: int | None = None
    book = FinalBook()
    for record in records:
        if isinstance(record, MBOMsg):
            if record.instrument_id == wanted and publisher in (None, record.publisher_id):
                publisher = record.publisher_id
                book.apply(record)
        elif isinstance(record, InstrumentDefMsg):
            known[record.instrument_id] = record.raw_symbol
            if record.raw_symbol == symbol and publisher in (None, record.publisher_id):
                wanted = record.instrument_id
                book.define(record)
        elif isinstance(record, Metadata):
            known.update(_symbols(record))
            wanted = next((instrument for instrument, name in known.items() if name == symbol), None)
    if wanted is None:
        raise NoBookError(f"no symbol {symbol!r} in the file; it holds {_some(known.values())}")
    if publisher is None:
        raise NoBookError(f"no book records (MBO) of {symbol} in the file")
    if not book.defined:
        raise NoBookError(f"no definition of {symbol} in the file, so what its sizes count is not known")
    return book


def _symbols(head: Metadata) -> dict[int, str]:
    found = {}
    for raw_symbol, intervals in head.mappings.items():
        for interval in intervals:
            if interval["symbol"].isdigit():
                found[int(interval["symbol"])] = raw_symbol
    return found


def _some(symbols: Iterable[str], most: int = 8) -> str:
    names = sorted(set(symbols))
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "none") + more
