"""A market of single orders in a closed loop: who rests, who takes, and in which sequence.

Outer orders rest for ever; all others come and go within one turn and carry ids of that turn, so no order id is used
twice. At the end of a turn only the outer orders are left.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from emulator.reel import ID_MARK, Counter, Id
from emulator.synth.listing import Listing
from emulator.synth.market import ASK, BID

_LEVELS = 100
_SPREAD = 30
_LIVE = 40


class What(Enum):
    """What a message says of an order."""

    RECEIVED = "received"
    OPEN = "open"
    MATCH = "match"
    CHANGE = "change"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Name:
    """An order's id: a text, with an id of the turn at its mark if it has one."""

    text: str
    id: Id | None = None

    def at(self, turn: int) -> str:
        """The id's text in a turn."""
        return self.text.replace(ID_MARK, f"{self.id.at(turn):012d}") if self.id else self.text


@dataclass(frozen=True, slots=True)
class Order:
    """A resting order; `size` is what is left, in lots."""

    name: Name
    side: int
    price: int
    size: int


@dataclass(frozen=True, slots=True)
class Happening:
    """One message of the full channel. `order` is as it stands afterwards; `size` is what matched, `other` the taker."""

    place: int
    what: What
    sequence: Id
    order: Order
    size: int = 0
    other: Name | None = None
    trade: Id | None = None
    market: bool = False
    filled: bool = False


@dataclass(slots=True)
class Product:
    """One product's part of the loop."""

    listing: Listing
    outer: list[Order]
    sequences: Counter
    trades: Counter
    names: Counter
    happenings: list[Happening] = field(default_factory=list)

    def book(self, place: int) -> tuple[list[Order], Id]:
        """Resting orders, oldest first, just before a place, and the sequence they stand for."""
        resting = {order.name: order for order in self.outer}
        last = Id(self.sequences, self.sequences.start)
        for happening in self.happenings:
            if happening.place >= place:
                break
            rest(resting, happening)
            last = happening.sequence
        return list(resting.values()), last


def rest(resting: dict[Name, Order], happening: Happening) -> None:
    """Brings a book of resting orders up to date with one message."""
    order = happening.order
    if happening.what is What.RECEIVED:
        return
    # An order matched whole has left the book, although its `done` comes only with the next message.
    if happening.what is What.DONE or not order.size:
        resting.pop(order.name, None)
    else:
        resting[order.name] = order


def products(listings: Sequence[Listing], beats: int = 260) -> tuple[dict[str, Product], int]:
    """Plays some `beats` actions of each product; returns them and the number of places in a turn."""
    players = [_Player(listing, 600_000_000_000 + n * 10_000_000_000) for n, listing in enumerate(listings)]
    for player in players:
        for _ in range(beats):
            player.act()
        player.clear()
    dice = random.Random(len(players))
    order = [player for player in players for _ in player.product.happenings]
    dice.shuffle(order)
    given: dict[int, list[int]] = {id(player): [] for player in players}
    for place, player in enumerate(order):
        given[id(player)].append(place)
    for player in players:
        own = given[id(player)]
        made = player.product.happenings
        player.product.happenings = [replace(one, place=place) for one, place in zip(made, own, strict=True)]
    return {player.product.listing.symbol: player.product for player in players}, len(order)


class _Player:
    def __init__(self, listing: Listing, first_id: int) -> None:
        self._dice = random.Random(listing.symbol)
        self._usual = listing.size
        outer = []
        for side, away in ((BID, -1), (ASK, 1)):
            price = listing.mid + away * _SPREAD // 2
            for _ in range(_LEVELS):
                outer += [Order(Name(self._uuid()), side, price, self._size()) for _ in range(self._dice.randint(1, 3))]
                price += away * self._dice.randint(1, 3)
        self._live: list[Order] = []
        trades = Counter(first_id - 300_000_000_000)
        self.product = Product(listing, outer, Counter(first_id), trades, Counter(first_id))

    def act(self) -> None:
        """One action: a new order, a cancel, a take or a change."""
        crowd, chance = len(self._live), self._dice.random()
        if crowd < _LIVE // 4 or chance < 0.4 * 2 * _LIVE / (_LIVE + crowd):
            self._open()
        elif chance < 0.75:
            self._take(market=chance < 0.6)
        elif chance < 0.8:
            self._change(self._dice.choice(self._live))
        else:
            self._cancel(self._dice.choice(self._live))

    def clear(self) -> None:
        """Cancels what is left."""
        for order in list(self._live):
            self._cancel(order)

    def _uuid(self) -> str:
        text = f"{self._dice.getrandbits(128):032x}"
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"

    def _name(self) -> Name:
        names = self.product.names
        return Name(self._uuid()[:24] + ID_MARK, Id(names, names.next()))

    def _size(self) -> int:
        return self._dice.randint(1, 2 * self._usual)

    def _best(self, side: int) -> int:
        mid = self.product.listing.mid
        prices = [order.price for order in self._live if order.side == side]
        if side == BID:
            return max(prices, default=mid - _SPREAD // 2)
        return min(prices, default=mid + _SPREAD // 2)

    def _open(self) -> None:
        side = self._dice.choice((BID, ASK))
        away = 1 if side == BID else -1
        other = self._best(1 - side)
        price = self._best(side) + away * self._dice.choice((-3, -2, -1, 0, 0, 1, 2))
        price = min(price, other - 1) if side == BID else max(price, other + 1)
        mid = self.product.listing.mid
        price = max(mid - _SPREAD // 2, min(mid + _SPREAD // 2, price))
        order = Order(self._name(), side, price, self._size())
        self._say(What.RECEIVED, order)
        self._say(What.OPEN, order)
        self._live.append(order)

    def _cancel(self, order: Order) -> None:
        self._live.remove(order)
        self._say(What.DONE, order)

    def _change(self, order: Order) -> None:
        if order.size < 2:
            return
        changed = replace(order, size=order.size // 2)
        self._live[self._live.index(order)] = changed
        self._say(What.CHANGE, changed, size=order.size)

    def _take(self, market: bool) -> None:
        side = self._dice.choice([order.side for order in self._live])
        best = self._best(side)
        maker = next(order for order in self._live if order.side == side and order.price == best)
        size = maker.size if self._dice.random() < 0.5 else max(1, maker.size // 3)
        taker = Order(self._name(), 1 - side, best, size)
        self._say(What.RECEIVED, taker, market=market)
        left = replace(maker, size=maker.size - size)
        trades = self.product.trades
        self._say(What.MATCH, left, size=size, other=taker.name, trade=Id(trades, trades.next()))
        if left.size:
            self._live[self._live.index(maker)] = left
        else:
            self._live.remove(maker)
            self._say(What.DONE, left, filled=True)
        self._say(What.DONE, replace(taker, size=0), filled=True, market=market)

    def _say(self, what: What, order: Order, **more: object) -> None:
        made, sequences = self.product.happenings, self.product.sequences
        made.append(Happening(len(made), what, Id(sequences, sequences.next()), order, **more))  # type: ignore[arg-type]
