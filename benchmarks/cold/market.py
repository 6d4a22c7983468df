"""A made market of one symbol: quotes, trades and book changes around a price that walks, block by block.

Prices are whole units of 10^-price_places, sizes of 10^-size_places. The book never crosses: where the middle moves by
a step, the level it passes is deleted on one side and added on the other in the same message.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.cold.sheet import Integers

Mask = npt.NDArray[np.bool_]

LEVELS = 6
"""Levels a book message changes on one side, at most."""

SNAPSHOT_LEVELS = 40

MOST_TIMES = 40
"""No size is more than so many usual ones."""

_MOVES = 0.15


@dataclass(frozen=True, slots=True)
class Listing:
    """A symbol: `middle` is its price in steps at the day's begin, `step` what prices move by, in units."""

    symbol: str
    base: str
    quote: str
    middle: int
    step: int
    price_places: int
    size_places: int
    size: int
    """A usual size, in units of `lot`."""
    lot: int
    """What sizes are multiples of, in units."""


@dataclass(frozen=True, slots=True)
class Side:
    """Levels that book messages change on one side, the best first; `used` of each row count."""

    prices: Integers
    sizes: Integers
    used: Integers


@dataclass(frozen=True, slots=True)
class Quotes:
    """Tops of the book."""

    times: Integers
    ids: Integers
    bids: Integers
    bid_sizes: Integers
    asks: Integers
    ask_sizes: Integers


@dataclass(frozen=True, slots=True)
class Trades:
    """Trades; `buys` tells the taker's side."""

    times: Integers
    ids: Integers
    prices: Integers
    sizes: Integers
    buys: Mask
    marks: npt.NDArray[np.uint8]
    """Sixteen bytes by chance, of which venues make names."""


@dataclass(frozen=True, slots=True)
class Depth:
    """Book messages: update ids `firsts` to `lasts`; `previous` is the `lasts` of the message before."""

    times: Integers
    firsts: Integers
    lasts: Integers
    previous: Integers
    serials: Integers
    bids: Side
    asks: Side


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A whole book as of an update id."""

    time: int
    last: int
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """Prices that venues publish beside the market."""

    times: Integers
    prices: Integers


@dataclass(frozen=True, slots=True)
class Block:
    """What happened to a symbol in some minutes."""

    quotes: Quotes
    trades: Trades
    depth: Depth
    figures: Figures


@dataclass(frozen=True, slots=True)
class Shares:
    """How a symbol's messages divide; they sum to one."""

    quotes: float
    trades: float
    depth: float
    figures: float = 0.0


class Market:
    """One symbol's market; blocks continue one another, and a seed always gives the same."""

    def __init__(self, listing: Listing, shares: Shares, seed: tuple[int, ...]) -> None:
        self.listing = listing
        self._shares = np.array([shares.quotes, shares.trades, shares.depth, shares.figures])
        self._random = np.random.Generator(np.random.PCG64(list(seed)))
        self._middle = listing.middle
        self._update = 50_093_239_188 + int(self._random.integers(10**9))
        self._trade = 3_735_683_258 + int(self._random.integers(10**8))
        self._depth_last = self._update
        self._serial = 7_000_000

    def snapshot(self, time: int) -> Snapshot:
        """The book as it is now, as a venue gives it to whoever begins."""
        listing = self.listing
        sizes = self._sizes((2, SNAPSHOT_LEVELS)).tolist()
        bids = [((self._middle - 1 - level) * listing.step, size) for level, size in enumerate(sizes[0])]
        asks = [((self._middle + level) * listing.step, size) for level, size in enumerate(sizes[1])]
        return Snapshot(time, self._depth_last, tuple(bids), tuple(asks))

    @property
    def serial(self) -> int:
        """How many book messages there were, from some number on."""
        return self._serial

    def block(self, count: int, begin: int, length: int) -> Block:
        """The next `count` messages, between `begin` and `begin + length`, ns."""
        random = self._random
        # Bursts: some gaps are much longer than others.
        gaps = random.standard_exponential(count) ** 1.6
        spread = np.cumsum(gaps)
        times = begin + (spread * (length / (spread[-1] + 1.0))).astype(np.int64) if count else spread.astype(np.int64)
        kinds = np.searchsorted(np.cumsum(self._shares)[:-1], random.random(count), side="right")
        moves = np.where((kinds == 2) & (random.random(count) < _MOVES), random.integers(0, 2, count) * 2 - 1, 0)
        middles = self._middle + np.cumsum(moves)
        updates = self._update + np.cumsum(random.integers(1, 12, count))
        if count:
            self._middle, self._update = int(middles[-1]), int(updates[-1])
        quoted, traded, booked, figured = (np.flatnonzero(kinds == kind) for kind in range(4))
        return Block(
            self._quotes(times[quoted], updates[quoted], middles[quoted]),
            self._trades(times[traded], middles[traded]),
            self._book(times[booked], updates[booked], middles[booked], moves[booked]),
            Figures(times[figured], middles[figured] * self.listing.step),
        )

    def _quotes(self, times: Integers, ids: Integers, middles: Integers) -> Quotes:
        step, count = self.listing.step, len(times)
        # One side changes at a time.
        sides = self._random.random(count) < 0.5
        bids, asks = self._held(sides), self._held(~sides)
        return Quotes(times, ids, (middles - 1) * step, bids, middles * step, asks)

    def _held(self, changed: Mask) -> Integers:
        sizes = self._sizes(len(changed))
        places = np.maximum.accumulate(np.where(changed, np.arange(len(changed)), 0))
        return sizes[places]

    def _trades(self, times: Integers, middles: Integers) -> Trades:
        count = len(times)
        ids = self._trade + 1 + np.arange(count)
        self._trade += count
        buys = self._random.random(count) < 0.5
        prices = (middles - ~buys) * self.listing.step
        marks = self._random.integers(0, 256, (count, 16), dtype=np.uint8)
        return Trades(times, ids, prices, self._sizes(count), buys, marks)

    def _book(self, times: Integers, lasts: Integers, middles: Integers, moves: Integers) -> Depth:
        count = len(times)
        previous = np.concatenate(([self._depth_last], lasts[:-1])) if count else lasts
        serials = self._serial + 1 + np.arange(count)
        self._serial += count
        if count:
            self._depth_last = int(lasts[-1])
        bids = self._side(middles, moves, -1)
        asks = self._side(middles, moves, 1)
        return Depth(times, previous + 1, lasts, previous, serials, bids, asks)

    def _side(self, middles: Integers, moves: Integers, sign: int) -> Side:
        """Distances from the best price rise; the first is the level that the move passed, or the best one."""
        random, count = self._random, len(middles)
        best = middles if sign > 0 else middles - 1
        gaps = 1 + (random.standard_exponential((count, LEVELS)) * 2.5).astype(np.int64)
        distances = np.cumsum(gaps, axis=1)
        sizes = self._sizes((count, LEVELS))
        sizes[(random.random((count, LEVELS)) < 0.3) & (distances > 1)] = 0
        used = random.integers(0, LEVELS, count)
        passed, added = moves == sign, moves == -sign
        # A passed level is one step beyond what is the best now, on the other side of the middle.
        distances[passed, 0], sizes[passed, 0] = -1, 0
        distances[added, 0] = 0
        sizes[added, 0] = np.maximum(sizes[added, 0], self.listing.lot)
        used = np.maximum(used, (moves != 0).astype(np.int64))
        if sign > 0:
            # No message is empty: where neither side was to change, the asks do.
            used = np.maximum(used, 1)
        return Side((best[:, None] + sign * distances) * self.listing.step, sizes, used)

    def _sizes(self, shape: int | tuple[int, ...]) -> Integers:
        drawn = self._random.standard_exponential(shape)
        # Most are small, some large, and none is beyond what its venue writes in the digits there are.
        scaled: Integers = np.minimum(drawn * drawn * self.listing.size, self.listing.size * MOST_TIMES).astype(
            np.int64
        )
        return (scaled + 1) * self.listing.lot
