"""What late joiners need of books: each order or level that rests in them, out of MBO records, many at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tapeline.consumer.layout import F_LAST, F_MAYBE_BAD_BOOK
from tapeline.history.blocks import DTYPES, OPAQUE, PLACES, Integers, Records
from tapeline.schemas import Schema

_DTYPE = DTYPES[PLACES[Schema.MBO]]
_F_SNAPSHOT = 0x20
_UNDEF_PRICE = (1 << 63) - 1
_FEW = 1 << 16

_OF_THE_NEWEST = ("publisher_id", "ts_event", "ts_recv", "ts_in_delta", "sequence")


class Books:
    """The books of all MBO channels, by channel and instrument; a snapshot tells them as the live path does (R, then A…)."""

    def __init__(self) -> None:
        self._book = np.empty(0, dtype=np.int64)
        self._resting: Records = np.empty(0, dtype=OPAQUE[PLACES[Schema.MBO]])
        self._arrival = np.empty(0, dtype=np.int64)
        self._arrivals = 0
        self._clear: dict[int, Records] = {}
        self._newest: dict[int, Records] = {}
        self._changed: set[int] = set()

    @property
    def patience(self) -> int:
        """How many records are best taken at a time: fewer cost as much, since all that rests is looked through."""
        return max(_FEW, len(self._resting))

    def told(self, all_of_it: bool = False) -> dict[int, bytes]:
        """The books of channels that have changed since the last call (or of all) as they are now, by channel."""
        known = (book >> 32 for book in self._newest)
        found: dict[int, list[bytes]] = {channel: [] for channel in (known if all_of_it else self._changed)}
        self._changed.clear()
        if not found:
            return {}
        wanted = np.isin(self._book >> 32, np.fromiter(found, dtype=np.int64))
        order = self._best_first(wanted)
        books, starts = np.unique(self._book[order], return_index=True)
        ends = np.append(starts, len(order))[1:]
        levels = {int(book): order[a:b] for book, a, b in zip(books, starts, ends, strict=True)}
        for book, newest in self._newest.items():
            if book >> 32 in found:
                rows = self._resting[levels[book]] if book in levels else self._resting[:0]
                found[book >> 32].append(_told(rows.view(_DTYPE), self._clear.get(book), newest))
        return {channel: b"".join(parts) for channel, parts in found.items()}

    def _best_first(self, wanted: npt.NDArray[np.bool_]) -> Integers:
        """Places of resting records by book, bids before asks, best first, and in order of arrival."""
        places = np.flatnonzero(wanted)
        rows = self._resting[places].view(_DTYPE)
        is_bid = rows["side"] == b"B"
        price = np.where(is_bid, -rows["price"], rows["price"])
        return places[np.lexsort((self._arrival[places], price, ~is_bid, self._book[places]))]

    def take(self, channels: npt.NDArray[np.int32], records: Records) -> None:
        """The next records, and the channel of each; each channel's are in order."""
        if not len(records):
            return
        fields = records.view(_DTYPE)
        books = channels.astype(np.int64) << 32 | fields["instrument_id"]
        self._note(books, fields)
        self._changed.update(np.unique(channels).tolist())
        old = len(self._resting)
        rows = np.concatenate([self._resting, records])
        keys = np.concatenate([self._book, books])
        arrival = np.concatenate([self._arrival, np.arange(len(records)) + self._arrivals])
        self._arrivals += len(records)
        action = rows.view(_DTYPE)["action"]
        orders = rows.view(_DTYPE)["order_id"]
        number = _dense(keys)
        # What stood in a book before it was last cleared is gone.
        cleared = np.full(int(number.max()) + 1, -1, dtype=np.int64)
        clears = np.flatnonzero(action == b"R")
        clears = clears[clears >= old]
        np.maximum.at(cleared, number[clears], clears)
        moves = (action == b"A") | (action == b"M") | (action == b"C")
        kept = np.flatnonzero(moves & (np.arange(len(rows)) > cleared[number]))
        kept = kept[np.lexsort((orders[kept], keys[kept]))]
        alive, first = _survivors(keys[kept], orders[kept], action[kept] == b"C")
        self._book, self._resting, self._arrival = keys[kept[alive]], rows[kept[alive]], arrival[kept[first]]

    def _note(self, books: Integers, records: Records) -> None:
        for wanted, into in ((slice(None), self._newest), (records["action"] == b"R", self._clear)):
            some, those = books[wanted][::-1], records[wanted][::-1]
            numbers, places = np.unique(some, return_index=True)
            for book, place in zip(numbers.tolist(), places.tolist(), strict=True):
                into[book] = those[place : place + 1].copy()


def _dense(keys: Integers) -> Integers:
    return np.unique(keys, return_inverse=True)[1].reshape(-1)


def _survivors(
    books: Integers, orders: npt.NDArray[np.uint64], ends: npt.NDArray[np.bool_]
) -> tuple[Integers, Integers]:
    """Of records sorted by book and order id, each order's in their turn: the last of each order that still rests, and its first."""
    if not len(books):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    starts = np.flatnonzero(np.append(True, (books[1:] != books[:-1]) | (orders[1:] != orders[:-1])))
    last = np.append(starts[1:], len(books)) - 1
    # Behind the last cancellation an id is another order.
    ended = np.where(ends, np.arange(len(books)), -1)
    first = np.maximum(np.maximum.reduceat(ended, starts) + 1, starts)
    rests = first <= last
    return last[rests], first[rests]


def _told(rows: Records, clear: Records | None, newest: Records) -> bytes:
    """A book as records: as of the newest record, with its doubt."""
    told = np.empty(1 + len(rows), dtype=_DTYPE)
    told[1:] = rows
    told["action"][1:] = b"A"
    if clear is not None:
        told[:1] = clear
    else:
        told[:1] = newest
        for name, value in (("order_id", 0), ("price", _UNDEF_PRICE), ("size", 0), ("action", b"R"), ("side", b"N")):
            told[name][:1] = value
    for name in _OF_THE_NEWEST:
        told[name] = newest[name]
    doubt = int(newest["flags"][0]) & F_MAYBE_BAD_BOOK
    told["flags"] = told["flags"] & ~np.uint8(F_LAST | F_MAYBE_BAD_BOOK) | np.uint8(_F_SNAPSHOT | doubt)
    told["flags"][-1] |= F_LAST
    return told.tobytes()
