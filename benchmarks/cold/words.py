"""What the made exchanges have in common: channels' lines, prices and sizes as text, lists of levels."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.cold.market import LEVELS, MOST_TIMES, Block, Listing, Market, Shares, Side
from benchmarks.cold.sheet import Cells, Integers, Piece, Sheet, decimal, number, only_where, sheet
from tapeline.schemas import Schema

LEAD = 80
"""Bytes kept free before each payload for the other columns of its row."""

Level = Callable[[Integers, Integers], list[Piece]]


@dataclass(frozen=True, slots=True)
class Lines:
    """Payloads of one channel, in order; `times` are when the venue sent them, ns since the epoch."""

    channel: str
    schema: Schema
    times: Integers
    rows: Sheet


@dataclass(frozen=True, slots=True)
class Single:
    """One payload by itself: a snapshot, a list of instruments."""

    channel: str
    schema: Schema
    payload: bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """A venue: its symbols, how they share its messages, and its words."""

    name: str
    weight: float
    """Its part of all payloads."""
    shares: Shares
    listings: tuple[Listing, ...]
    speak: Callable[[Listing, Block], list[Lines]]
    begin: Callable[[Market, int], Single]
    instruments: Callable[[Sequence[Listing], int], Single]


def lines(channel: str, schema: Schema, times: Integers, pieces: Sequence[Piece]) -> Lines:
    """Lines of a channel, of pieces."""
    return Lines(channel, schema, times, sheet(pieces, len(times), LEAD))


def once(single: Single, time: int) -> Lines:
    """A payload by itself as lines."""
    return lines(single.channel, single.schema, np.array([time], dtype=np.int64), [single.payload])


def millis(times: Integers) -> Cells:
    """The venue's own clock, a little before we hear of it."""
    return Cells(number((times - 2_500_000) // 1_000_000, 13).text)


def price(listing: Listing, values: Integers, *, trim: bool = False, least: int = 0) -> Cells:
    """Prices as text; a price of twice the day's first has room."""
    whole = len(str(2 * listing.middle * listing.step // 10**listing.price_places))
    return decimal(values, whole, listing.price_places, trim=trim, least=least)


def size(listing: Listing, values: Integers, *, trim: bool = False, least: int = 0) -> Cells:
    """Sizes as text."""
    most = (listing.size * MOST_TIMES + 1) * listing.lot
    return decimal(values, len(str(most // 10**listing.size_places)), listing.size_places, trim=trim, least=least)


def levels(side: Side, level: Level) -> list[Piece]:
    """`[…],[…]`: the levels of one side, as many as each line has."""
    pieces: list[Piece] = []
    for place in range(LEVELS):
        there = side.used > place
        head: list[Piece] = [b","] if place else []
        row = level(side.prices[:, place], side.sizes[:, place])
        pieces += [only_where(piece, there) for piece in (*head, *row)]
    return pieces


def fixed(units: int, places: int) -> str:
    """Units of 10^-places as decimal text."""
    whole, part = divmod(units, 10**places)
    return f"{whole}.{part:0{places}d}" if places else str(whole)


def trimmed(units: int, places: int) -> str:
    """The same without zeros at the end."""
    text = fixed(units, places)
    return text.rstrip("0").rstrip(".") if places else text


def pairs(listing: Listing, side: tuple[tuple[int, int], ...]) -> list[list[str]]:
    """The levels of a snapshot, price and size of each."""
    return [[fixed(at, listing.price_places), fixed(much, listing.size_places)] for at, much in side]


def tick(listing: Listing) -> int:
    """A step of which all prices are multiples, as a venue lists it."""
    return 10 if listing.step % 10 == 0 else 1


def packed(value: object) -> bytes:
    """JSON without spaces."""
    return json.dumps(value, separators=(",", ":")).encode()
