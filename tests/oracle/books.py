"""Books by level and by order in plain Decimals, and how they are told in records."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from uuid import UUID

from tests.oracle.records import F_MAYBE_BAD, F_MBP, F_SNAPSHOT, MAX_SIZE, UNDEF_PRICE, Instrument, Published

Rows = list[tuple[str, Decimal, Decimal]]
"""Side (`B`, `A`), price, new size."""


def finest(values: Iterable[Decimal]) -> int:
    """Most decimal places among values, trailing zeros not counted."""
    places = 0
    for value in values:
        exponent = value.normalize().as_tuple().exponent
        places = max(places, -int(exponent) if value else 0)
    return places


def infer(out: Published, instrument: Instrument, prices: list[Decimal], sizes: list[Decimal]) -> None:
    """The lot of an instrument without definition, from its first snapshot."""
    if instrument.known or not sizes:
        return
    lot = Decimal(1).scaleb(-min(finest(sizes), 9))
    # Coarser where more than a tenth of this very book would not fit 32 bits.
    large = sorted(sizes)[(len(sizes) - 1) * 9 // 10]
    while large // lot > MAX_SIZE:
        lot *= 10
    shift = min(max(finest(prices) - 9, 0), 9)
    news = lot != instrument.lot or shift != instrument.price_shift or not instrument.defined
    instrument.known, instrument.lot, instrument.price_shift = 1, lot, shift
    if news:
        out.definition(instrument)


class LevelBook:
    """A book by price level."""

    def __init__(self, out: Published, channel: str, symbol: str) -> None:
        self.out = out
        self.channel = channel
        self.symbol = symbol
        self.sides: dict[str, dict[Decimal, Decimal]] = {"B": {}, "A": {}}
        self.depth: int | None = None

    @property
    def instrument(self) -> Instrument:
        return self.out.instrument(self.symbol)

    def best(self, side: str) -> list[tuple[Decimal, Decimal]]:
        return sorted(self.sides[side].items(), reverse=side == "B")

    def replace(self, rows: Rows) -> None:
        self.sides = {"B": {}, "A": {}}
        for side, price, size in rows:
            if size:
                self.sides[side][price] = size

    def change(self, rows: Rows) -> list[tuple[str, str, Decimal, Decimal]]:
        """Applies rows in order, then cuts to the depth; what it did, as action, side, price, size."""
        done = []
        for side, price, size in rows:
            level = self.sides[side]
            if size:
                done.append(("M" if price in level else "A", side, price, size))
                # The price as first seen stays the key, whatever zeros it is written with later.
                level.pop(price, None)
                level[price] = size
            elif price in level:
                del level[price]
                done.append(("C", side, price, Decimal(0)))
        if self.depth is not None:
            for side in "BA":
                while len(self.sides[side]) > self.depth:
                    price = self.best(side)[-1][0]
                    del self.sides[side][price]
                    done.append(("C", side, price, Decimal(0)))
        return done

    def tell(self, done: list[tuple[str, str, Decimal, Decimal]], stamp: dict[str, object], flags: int = 0) -> None:
        """Publishes what a delta did; one N where it did nothing."""
        if not done:
            self.out.mbo(self.channel, stamp, "N", "N", UNDEF_PRICE, 0, 0, F_MBP | flags)
        for action, side, price, size in done:
            px, px_flag = self.out.price(self.instrument, price)
            lots, size_flag = self.out.lots(self.instrument, size)
            key = (px << 1 | (side == "A")) & ((1 << 64) - 1)
            self.out.mbo(self.channel, stamp, action, side, px, lots, key, F_MBP | flags | px_flag | size_flag)

    def tell_all(self, stamp: dict[str, object], flags: int = 0) -> None:
        """Publishes the whole book as a snapshot."""
        base = F_SNAPSHOT | F_MBP | flags
        self.out.mbo(self.channel, stamp, "R", "N", UNDEF_PRICE, 0, 0, base)
        for side in "BA":
            for price, size in self.best(side):
                px, _ = self.out.price(self.instrument, price)
                lots, size_flag = self.out.lots(self.instrument, size)
                key = (px << 1 | (side == "A")) & ((1 << 64) - 1)
                self.out.mbo(self.channel, stamp, "A", side, px, lots, key, base | size_flag)


def order_number(text: str) -> int:
    """A UUID as DBN's 64 bits: its halves xored."""
    value = UUID(text).int
    return (value >> 64) ^ (value & ((1 << 64) - 1))


class OrderBook:
    """A book by order: id → side, price, size; the order of insertion is that of time."""

    def __init__(self, out: Published, channel: str, symbol: str) -> None:
        self.out = out
        self.channel = channel
        self.symbol = symbol
        self.orders: dict[int, tuple[str, Decimal, Decimal]] = {}

    @property
    def instrument(self) -> Instrument:
        return self.out.instrument(self.symbol)

    def apply(self, event: dict[str, object]) -> list[tuple[str, str, Decimal, Decimal, int]]:
        """Applies one Coinbase `full` message; what it did, as action, side, price, size, order."""
        kind = event["type"]
        if kind == "open":
            number = order_number(str(event["order_id"]))
            side = "B" if event["side"] == "buy" else "A"
            price, size = Decimal(str(event["price"])), Decimal(str(event["remaining_size"]))
            action = "M" if number in self.orders else "A"
            self.orders.pop(number, None)
            self.orders[number] = (side, price, size)
            return [(action, side, price, size, number)]
        if kind == "done":
            number = order_number(str(event["order_id"]))
            if number not in self.orders:
                return []
            side, price, size = self.orders.pop(number)
            return [("C", side, price, size, number)]
        if kind == "change":
            return self._changed(event)
        if kind == "match":
            return self._matched(event)
        return []

    def _changed(self, event: dict[str, object]) -> list[tuple[str, str, Decimal, Decimal, int]]:
        number = order_number(str(event["order_id"]))
        if number not in self.orders or event.get("new_size") is None:
            return []
        side, price, _ = self.orders[number]
        size = Decimal(str(event["new_size"]))
        new_price = Decimal(str(event.get("new_price") or event.get("price") or price))
        if new_price != price:
            del self.orders[number]
            price = new_price
        self.orders[number] = (side, price, size)
        return [("M", side, price, size, number)]

    def _matched(self, event: dict[str, object]) -> list[tuple[str, str, Decimal, Decimal, int]]:
        number = order_number(str(event["maker_order_id"]))
        maker = "B" if event["side"] == "buy" else "A"
        price, size = Decimal(str(event["price"])), Decimal(str(event["size"]))
        done = [("T", "A" if maker == "B" else "B", price, size, 0), ("F", maker, price, size, number)]
        if number in self.orders:
            side, own, resting = self.orders[number]
            if resting > size:
                self.orders[number] = (side, own, resting - size)
                done.append(("M", side, own, resting - size, number))
            else:
                del self.orders[number]
                done.append(("C", side, own, size, number))
        return done

    def tell(
        self, done: list[tuple[str, str, Decimal, Decimal, int]], stamp: dict[str, object], flags: int = 0
    ) -> None:
        if not done:
            self.out.mbo(self.channel, stamp, "N", "N", UNDEF_PRICE, 0, 0, flags)
        for action, side, price, size, number in done:
            px, _ = self.out.price(self.instrument, price)
            lots, size_flag = self.out.lots(self.instrument, size)
            self.out.mbo(self.channel, stamp, action, side, px, lots, number, flags | size_flag)

    def tell_all(self, stamp: dict[str, object], flags: int = 0) -> None:
        base = F_SNAPSHOT | flags
        self.out.mbo(self.channel, stamp, "R", "N", UNDEF_PRICE, 0, 0, base)
        for side in "BA":
            mine = [(price, size, number) for number, (own, price, size) in self.orders.items() if own == side]
            # A stable sort: orders of one price stay in the order of time.
            mine.sort(key=lambda order: order[0], reverse=False)
            if side == "B":
                mine = sorted(mine, key=lambda order: -order[0])
            for price, size, number in mine:
                px, _ = self.out.price(self.instrument, price)
                lots, size_flag = self.out.lots(self.instrument, size)
                self.out.mbo(self.channel, stamp, "A", side, px, lots, number, base | size_flag)


DOUBTFUL = F_MAYBE_BAD
