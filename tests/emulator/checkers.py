"""Slow, plain checks of what the emulator says, by the venues' own rules; numbers are Decimals, nothing is shared with it."""

from __future__ import annotations

import zlib
from decimal import Decimal
from typing import Any


class Book:
    """Levels by price."""

    def __init__(self) -> None:
        self.bids: dict[Decimal, str] = {}
        self.asks: dict[Decimal, str] = {}
        self.texts: dict[Decimal, str] = {}

    def set(self, bid: bool, price: str, size: str) -> None:
        """Sets or deletes a level."""
        side = self.bids if bid else self.asks
        self.texts[Decimal(price)] = price
        if Decimal(size):
            side[Decimal(price)] = size
        else:
            side.pop(Decimal(price), None)

    def truncate(self, depth: int) -> None:
        """Keeps the best levels."""
        for price in sorted(self.bids, reverse=True)[depth:]:
            del self.bids[price]
        for price in sorted(self.asks)[depth:]:
            del self.asks[price]

    def best(self) -> tuple[Decimal, Decimal, Decimal, Decimal]:
        """Bid, its size, ask, its size."""
        bid, ask = max(self.bids), min(self.asks)
        return bid, Decimal(self.bids[bid]), ask, Decimal(self.asks[ask])

    def check(self) -> None:
        """Not crossed."""
        bid, _, ask, _ = self.best()
        assert bid < ask, (bid, ask)


class BinanceChecker:
    """One symbol: links, join, bookTicker against the book, trade ids."""

    def __init__(self, futures: bool) -> None:
        self.futures = futures
        self.book: Book | None = None
        self.last = 0
        self.deltas: list[dict[str, Any]] = []
        self.tops: list[tuple[int, tuple[Decimal, ...]]] = []
        self.applied = self.compared = 0
        self.trade: int | None = None
        self.previous: int | None = None

    def take(self, stream: str, data: dict[str, Any]) -> None:
        """A payload of one of the symbol's streams."""
        kind = stream.split("@")[1]
        if kind == "trade":
            number = int(data["t"])
            assert self.trade is None or number == self.trade + 1
            assert Decimal(data["q"]) > 0
            self.trade = number
        elif kind == "bookTicker":
            self.tops.append((int(data["u"]), tuple(Decimal(data[key]) for key in "bBaA")))
        else:
            first, last = int(data["U"]), int(data["u"])
            assert first <= last
            if self.previous is not None:
                assert (int(data["pu"]) == self.previous) if self.futures else (first == self.previous + 1)
            self.previous = last
            self.deltas.append(data)
            if self.book is not None:
                self._apply(data)

    def snapshot(self, body: dict[str, Any]) -> None:
        """A REST body: joined with what is buffered by the venue's rule."""
        self.book, self.last = Book(), int(body["lastUpdateId"])
        for bid, key in ((True, "bids"), (False, "asks")):
            for price, size in body[key]:
                self.book.set(bid, price, size)
        kept = [d for d in self.deltas if int(d["u"]) >= self.last + (0 if self.futures else 1)]
        if kept:
            first = kept[0]
            low, high = int(first["U"]), int(first["u"])
            if self.futures:
                assert low <= self.last <= high or int(first["pu"]) == self.last, (low, self.last, high)
            else:
                assert low <= self.last + 1 <= high, (low, self.last, high)
        for data in kept:
            self._apply(data)

    def _apply(self, data: dict[str, Any]) -> None:
        assert self.book is not None
        if int(data["u"]) < self.last:
            return
        for bid, key in ((True, "b"), (False, "a")):
            for price, size in data[key]:
                self.book.set(bid, price, size)
        self.book.check()
        self.applied += 1
        reached = [top for number, top in self.tops if number <= int(data["u"])]
        if reached:
            assert self.book.best() == reached[-1]
            self.compared += 1
        del self.tops[: max(len(reached) - 1, 0)]


class KrakenChecker:
    """One symbol's book channel: CRC32 of every message."""

    def __init__(self, depth: int = 10) -> None:
        self.book = Book()
        self.depth = depth
        self.checked = 0
        self.begun = False

    def take(self, message: dict[str, Any]) -> None:
        """A book message with numbers as text."""
        entry = message["data"][0]
        if message["type"] == "snapshot":
            self.book, self.begun = Book(), True
        assert self.begun
        for bid, key in ((True, "bids"), (False, "asks")):
            for level in entry[key]:
                self.book.set(bid, level["price"], level["qty"])
        self.book.truncate(self.depth)
        self.book.check()
        text = ""
        for prices, side in ((sorted(self.book.asks), self.book.asks), (sorted(self.book.bids)[::-1], self.book.bids)):
            for price in prices[:10]:
                text += self.book.texts[price].replace(".", "").lstrip("0") + side[price].replace(".", "").lstrip("0")
        assert zlib.crc32(text.encode()) == int(entry["checksum"]), message
        self.checked += 1


class DeribitChecker:
    """One instrument: change ids, actions, trade numbers."""

    def __init__(self) -> None:
        self.book = Book()
        self.last: int | None = None
        self.trade: int | None = None
        self.changes = 0

    def take(self, params: dict[str, Any]) -> None:
        """A push."""
        kind, data = params["channel"].split(".")[0], params["data"]
        if kind == "trades":
            for trade in data:
                number = int(trade["trade_seq"])
                assert self.trade is None or number == self.trade + 1
                self.trade = number
        if kind != "book":
            return
        if data["type"] == "snapshot":
            self.book = Book()
        else:
            assert self.last is not None
            assert int(data["prev_change_id"]) == self.last
            self.changes += 1
        for bid, key in ((True, "bids"), (False, "asks")):
            for action, price, amount in data[key]:
                there = Decimal(price) in (self.book.bids if bid else self.book.asks)
                assert there == (action in ("change", "delete")), (action, price)
                assert (action == "delete") == (Decimal(amount) == 0)
                self.book.set(bid, price, amount)
        self.book.check()
        self.last = int(data["change_id"])


class CoinbaseChecker:
    """One product: sequence and lifecycle of every order, trade ids, ticker and level2 against the orders."""

    def __init__(self) -> None:
        self.orders: dict[str, tuple[str, Decimal, Decimal]] = {}
        self.known: set[str] = set()
        self.sequence: int | None = None
        self.trade: int | None = None
        self.based = False
        self.events = 0
        self.level2 = Book()

    def snapshot(self, body: dict[str, Any]) -> int:
        """A level 3 body; the sequence it stands for."""
        for side, key in (("buy", "bids"), ("sell", "asks")):
            prices = [Decimal(row[0]) for row in body[key]]
            assert prices == sorted(prices, reverse=side == "buy")
            for price, size, name in body[key]:
                assert name not in self.orders
                self.orders[name] = (side, Decimal(price), Decimal(size))
        self.sequence, self.based = int(body["sequence"]), True
        return self.sequence

    def take(self, message: dict[str, Any]) -> None:
        """A message of the full channel, after the snapshot."""
        number = int(message["sequence"])
        assert self.sequence is None or number == self.sequence + 1, (number, self.sequence)
        self.sequence = number
        self.events += 1
        kind = message["type"]
        if kind == "received":
            assert message["order_id"] not in self.known | self.orders.keys()
            self.known.add(message["order_id"])
        elif kind == "open":
            assert message["order_id"] in self.known
            assert message["order_id"] not in self.orders
            self._set(message["order_id"], message["side"], message["price"], message["remaining_size"])
        elif kind == "match":
            self._match(message)
        elif kind == "change":
            side, price, size = self.orders[message["order_id"]]
            assert (side, price, size) == (message["side"], Decimal(message["price"]), Decimal(message["old_size"]))
            self._set(message["order_id"], side, message["price"], message["new_size"])
        elif kind == "done":
            left = self.orders.pop(message["order_id"], None)
            if message["reason"] == "canceled" and left is not None:
                assert left[2] == Decimal(message["remaining_size"])
            elif left is not None:
                assert not left[2]

    def _set(self, name: str, side: str, price: str, size: str) -> None:
        assert Decimal(size) > 0
        self.orders[name] = (side, Decimal(price), Decimal(size))
        bids = [p for s, p, _ in self.orders.values() if s == "buy"]
        asks = [p for s, p, _ in self.orders.values() if s == "sell"]
        assert max(bids) < min(asks)

    def _match(self, message: dict[str, Any]) -> None:
        side, price, size = self.orders[message["maker_order_id"]]
        assert message["taker_order_id"] in self.known
        assert (side, price) == (message["side"], Decimal(message["price"]))
        best = (max if side == "buy" else min)(p for s, p, _ in self.orders.values() if s == side)
        assert price == best
        assert size >= Decimal(message["size"]) > 0
        self.orders[message["maker_order_id"]] = (side, price, size - Decimal(message["size"]))
        number = int(message["trade_id"])
        assert self.trade is None or number == self.trade + 1
        self.trade = number

    def levels(self) -> tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]:
        """Sizes by price, summed over orders."""
        sums: tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]] = ({}, {})
        for side, price, size in self.orders.values():
            own = sums[side == "sell"]
            if size:
                own[price] = own.get(price, Decimal(0)) + size
        return sums
