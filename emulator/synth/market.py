"""A market of price levels in a closed loop: mutations of a true book, and the trades, quotes and depth events they give.

Each beat of a symbol is one trade, three quotes and one depth event of some four levels. At the end of the loop
the book is led back to its start, so that the next turn fits on.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from emulator.reel import Counter, Id
from emulator.synth.listing import Listing

BID = 0
ASK = 1
_LEVELS = 200
_RESTORED_AT_ONCE = 4
_TRADE_IDS_BELOW = 300_000_000_000


class Change(NamedTuple):
    """A level's new size in lots; 0 deletes."""

    side: int
    price: int
    size: int


@dataclass(frozen=True, slots=True)
class Mutation:
    """One change of the true book; `id` is the venue's update id."""

    place: int
    id: Id
    change: Change


@dataclass(frozen=True, slots=True)
class Trade:
    """A trade; `buy` tells the taker's side."""

    place: int
    id: Id
    price: int
    size: int
    buy: bool


@dataclass(frozen=True, slots=True)
class Quote:
    """The top of the book after update `id`; `last` is the last trade's price."""

    place: int
    id: Id
    bid: int
    bid_size: int
    ask: int
    ask_size: int
    last: int


@dataclass(frozen=True, slots=True)
class Depth:
    """What has changed since the depth event before: updates `first` to `last`; `previous` is that event's last."""

    place: int
    first: Id
    last: Id
    previous: Id
    changes: tuple[Change, ...]


Event = Trade | Quote | Depth


class Ladder:
    """A book of levels: per side a price's size, in ticks and lots."""

    def __init__(self, sides: tuple[dict[int, int], dict[int, int]] | None = None) -> None:
        self.sides: tuple[dict[int, int], dict[int, int]] = sides or ({}, {})
        self._tops: list[int | None] = [None, None]

    def copy(self) -> Ladder:
        """An independent copy."""
        return Ladder((dict(self.sides[BID]), dict(self.sides[ASK])))

    def apply(self, change: Change) -> None:
        """Sets or deletes a level."""
        side, price, size = change
        top = self._tops[side]
        if (top is not None and (price > top if side == BID else price < top)) or (price == top and not size):
            self._tops[side] = None
        if size:
            self.sides[side][price] = size
        else:
            self.sides[side].pop(price, None)

    def top(self, side: int) -> int:
        """The best price of a side."""
        top = self._tops[side]
        if top is None:
            top = self._tops[side] = max(self.sides[BID]) if side == BID else min(self.sides[ASK])
        return top

    def levels(self, side: int, depth: int | None = None) -> list[tuple[int, int]]:
        """Prices and sizes from the best on."""
        return sorted(self.sides[side].items(), reverse=side == BID)[:depth]


@dataclass(slots=True)
class Symbol:
    """One instrument's part of the loop."""

    listing: Listing
    start: Ladder
    updates: Counter
    trades: Counter
    mutations: list[Mutation] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def book(self, place: int) -> tuple[Ladder, Id]:
        """The true book just before `place` and its update id."""
        ladder, last = self.start.copy(), Id(self.updates, self.updates.start)
        for mutation in self.mutations:
            if mutation.place >= place:
                break
            ladder.apply(mutation.change)
            last = mutation.id
        return ladder, last

    def published(self, place: int) -> tuple[Ladder, Id]:
        """The book as the depth events before `place` have told it, and its update id."""
        ladder, last = self.start.copy(), Id(self.updates, self.updates.start)
        for event in self.events:
            if event.place >= place:
                break
            if isinstance(event, Depth):
                for change in event.changes:
                    ladder.apply(change)
                last = event.last
        return ladder, last


@dataclass(frozen=True, slots=True)
class Market:
    """All symbols of a venue and how many places a turn has."""

    symbols: dict[str, Symbol]
    period: int


def market(
    listings: Sequence[Listing], *, beats: int = 120, stride: int = 1, first_id: int = 500_000_000_000
) -> Market:
    """Plays a market for `beats` beats of each symbol; always the same one. Update ids rise by up to `stride`."""
    players = [
        _Player(listing, random.Random(listing.symbol), stride, first_id + number * 10_000_000_000)
        for number, listing in enumerate(listings)
    ]
    for player in players:
        for _ in range(beats):
            player.beat()
        player.restore()
    period = _interleave(players)
    return Market({player.symbol.listing.symbol: player.symbol for player in players}, period)


class _Player:
    """Plays one symbol; places count its own events until they are interleaved with the others'."""

    def __init__(self, listing: Listing, dice: random.Random, stride: int, first_id: int) -> None:
        self._dice, self._stride, self._usual = dice, stride, listing.size
        start = Ladder()
        for side, away in ((BID, -1), (ASK, 1)):
            price = listing.mid + (0 if side == BID else 1)
            for _ in range(_LEVELS):
                start.apply(Change(side, price, self._size()))
                price += away * dice.choice((1, 1, 1, 2, 3))
        self.symbol = Symbol(listing, start, Counter(first_id), Counter(first_id - _TRADE_IDS_BELOW))
        self._now = start.copy()
        self._open: dict[tuple[int, int], int] = {}
        self._first: Id | None = None
        self._last = Id(self.symbol.updates, first_id)
        # The first of a turn links to the last of the turn before.
        self._told = self._last
        self._traded = listing.mid

    def beat(self) -> None:
        """One trade, three quotes and a depth event."""
        dice = self._dice
        side = dice.choice((BID, ASK))
        self._set(Change(side, self._now.top(side), self._size()), quote=True)
        self._trade(dice.choice((BID, ASK)))
        for side in (BID, ASK):
            price, _ = dice.choice(self._now.levels(side, 8)[1:])
            self._set(Change(side, price, self._size()))
        self._move()
        self._depth()

    def restore(self) -> None:
        """Leads the book back to where it began."""
        changes: list[Change] = []
        for side in (BID, ASK):
            now, then = self._now.sides[side], self.symbol.start.sides[side]
            changes += [Change(side, price, 0) for price in now if price not in then]
            changes += [Change(side, price, size) for price, size in then.items() if now.get(price) != size]
        # Deletions first: the book is never crossed on the way.
        changes.sort(key=lambda change: change.size > 0)
        for place in range(0, len(changes), _RESTORED_AT_ONCE):
            for change in changes[place : place + _RESTORED_AT_ONCE]:
                self._set(change, quote=True)
            self._depth()

    def _size(self) -> int:
        return self._dice.randint(1, 2 * self._usual)

    def _trade(self, side: int) -> None:
        price = self._now.top(side)
        there = self._now.sides[side][price]
        size = min(there, max(1, self._size() // 3))
        symbol = self.symbol
        self._traded = price
        symbol.events.append(
            Trade(len(symbol.events), Id(symbol.trades, symbol.trades.next()), price, size, side == ASK)
        )
        self._set(Change(side, price, there - size), quote=True)

    def _move(self) -> None:
        """A new best price inside the spread, or the end of the best one."""
        side = self._dice.choice((BID, ASK))
        bid, ask = self._now.top(BID), self._now.top(ASK)
        if ask - bid >= 5 or (ask - bid > 1 and self._dice.random() < 0.5):
            price = bid + 1 if side == BID else ask - 1
            self._set(Change(side, price, self._size()), quote=True)
        else:
            self._set(Change(side, self._now.top(side), 0), quote=True)

    def _set(self, change: Change, quote: bool = False) -> None:
        symbol, now = self.symbol, self._now
        before = self._top()
        now.apply(change)
        self._last = Id(symbol.updates, symbol.updates.next(self._dice.randint(1, self._stride)))
        self._first = self._first or self._last
        self._open[change.side, change.price] = change.size
        symbol.mutations.append(Mutation(len(symbol.events), self._last, change))
        if quote and self._top() != before:
            symbol.events.append(Quote(len(symbol.events), self._last, *self._top(), self._traded))

    def _top(self) -> tuple[int, int, int, int]:
        bid, ask = self._now.top(BID), self._now.top(ASK)
        return bid, self._now.sides[BID][bid], ask, self._now.sides[ASK][ask]

    def _depth(self) -> None:
        symbol = self.symbol
        changes = tuple(Change(side, price, size) for (side, price), size in self._open.items())
        symbol.events.append(
            Depth(
                len(symbol.events),
                self._first or self._last,
                self._last,
                self._told,
                changes,
            )
        )
        self._told = self._last
        self._open.clear()
        self._first = None


def _interleave(players: list[_Player]) -> int:
    """Mixes the symbols' events at random, keeping each one's order; returns the number of places."""
    dice = random.Random(len(players))
    order = [number for number, player in enumerate(players) for _ in player.symbol.events]
    dice.shuffle(order)
    places: list[list[int]] = [[] for _ in players]
    for place, number in enumerate(order):
        places[number].append(place)
    for player, own in zip(players, places, strict=True):
        symbol = player.symbol
        symbol.events = [_moved(event, own[event.place]) for event in symbol.events]
        symbol.mutations = [Mutation(own[m.place], m.id, m.change) for m in symbol.mutations]
    return len(order)


def _moved(event: Event, place: int) -> Event:
    if isinstance(event, Trade):
        return Trade(place, event.id, event.price, event.size, event.buy)
    if isinstance(event, Quote):
        return Quote(place, event.id, event.bid, event.bid_size, event.ask, event.ask_size, event.last)
    return Depth(place, event.first, event.last, event.previous, event.changes)
