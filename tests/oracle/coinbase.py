"""Coinbase Exchange by hand. https://docs.cdp.coinbase.com/exchange/websocket-feed/channels"""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Any

from tests.oracle.books import DOUBTFUL, LevelBook, OrderBook, Rows, infer, order_number
from tests.oracle.capture import Line, exact
from tests.oracle.kraken import iso_ns
from tests.oracle.records import Published


class _Full:
    """The documented procedure of the `full` channel: queue, snapshot, drop what it has, then one by one."""

    def __init__(self, out: Published, channel: str, symbol: str) -> None:
        self.out = out
        self.book = OrderBook(out, channel, symbol)
        self.state = "waiting"
        self.last: int | None = None
        self.kept: deque[tuple[int, dict[str, Any]]] = deque(maxlen=10_000)

    def event(self, event: dict[str, Any]) -> None:
        number = event["sequence"]
        if self.last is not None and number <= self.last:
            return
        whole = self.last is None or number == self.last + 1
        self.last = number
        if self.state == "waiting":
            if not whole:
                self.kept.clear()
            self.kept.append((self.out.ts_recv, event))
            return
        time = iso_ns(event.get("time"))
        if not whole:
            self.state = "doubtful"
            self.kept.clear()
            self.out.status(self.book.symbol, time, trusted=False)
        flags = 0
        if self.state == "doubtful":
            flags = DOUBTFUL
            self.kept.append((self.out.ts_recv, event))
        self.book.tell(self.book.apply(event), self.out.book_stamp(self.book.symbol, time, None, number), flags)

    def snapshot(self, message: dict[str, Any]) -> None:
        if self.state == "live":
            return
        at = message["sequence"]
        while self.kept and self.kept[0][1]["sequence"] <= at:
            self.kept.popleft()
        if self.kept and self.kept[0][1]["sequence"] != at + 1:
            return
        recovered = self.state == "doubtful"
        levels = [(side, *level) for side, name in (("B", "bids"), ("A", "asks")) for level in message[name]]
        infer(self.out, self.book.instrument, [Decimal(row[1]) for row in levels], [Decimal(row[2]) for row in levels])
        self.book.orders = {order_number(row[3]): (row[0], Decimal(row[1]), Decimal(row[2])) for row in levels}
        time = iso_ns(message.get("time"))
        newest = self.kept[-1][1]["sequence"] if self.kept else at
        was, self.state, self.last = self.state, "live", newest
        kept = list(self.kept)
        self.kept.clear()
        self.out.define(self.book.instrument)
        if was == "waiting":
            self._follow(at, time, kept)
            return
        for _, event in kept:
            self.book.apply(event)
            time = iso_ns(event.get("time"))
        self.book.tell_all(self.out.book_stamp(self.book.symbol, time, None, newest))
        if recovered:
            self.out.status(self.book.symbol, time, trusted=True)

    def _follow(self, at: int, time: int | None, kept: list[tuple[int, dict[str, Any]]]) -> None:
        """The first snapshot, put in front of what was kept; then that, each as the message it was."""
        now = self.out.ts_recv
        if kept:
            self.out.ts_recv = kept[0][0] - 1
        self.book.tell_all(self.out.book_stamp(self.book.symbol, time, None, at))
        for ts_recv, event in kept:
            self.out.end_message()
            self.out.ts_recv = ts_recv
            stamp = self.out.book_stamp(self.book.symbol, iso_ns(event.get("time")), None, event["sequence"])
            self.book.tell(self.book.apply(event), stamp)
        self.out.ts_recv = now


class Coinbase:
    """Exchange: matches, ticker, level2, full."""

    def __init__(self) -> None:
        self.out = Published("COINBASE", 4, "0.00000001", "CBSE", unverified=True)
        self.full: dict[str, _Full] = {}
        self.level2: dict[str, LevelBook] = {}
        self.trades: dict[str, set[int]] = {}

    def scan(self, line: Line) -> None:
        """Notes which products have their full channel: their matches are part of it."""
        if line.kind == "recv" and line.text.startswith("{"):
            message = exact(line.text)
            if message.get("type") in ("received", "open", "done", "change", "activate"):
                self._full(message["product_id"])

    def _full(self, product: str) -> _Full:
        return self.full.setdefault(product, _Full(self.out, f"full.{product}", product))

    def feed(self, line: Line) -> None:
        """One payload."""
        message = exact(line.text)
        if line.kind == "http":
            self.out.begin(line.ts)
            if "/book" in line.url:
                self._full(line.url.split("/products/")[1].split("/")[0]).snapshot(message)
            else:
                for entry in message:
                    self._define(entry)
            self.out.end()
            return
        if message.get("type") in ("subscriptions", "error", "heartbeat"):
            return
        self.out.begin(line.ts)
        self._push(message)
        self.out.end()

    def _push(self, message: dict[str, Any]) -> None:
        kind, product = message["type"], message["product_id"]
        time = iso_ns(message.get("time"))
        if kind in ("received", "open", "done", "change", "activate") or (kind == "match" and product in self.full):
            self._full(product).event(message)
        elif kind in ("match", "last_match"):
            seen = self.trades.setdefault(product, set())
            if message["trade_id"] in seen:
                return
            seen.add(message["trade_id"])
            # The side is the maker's.
            side = "A" if message["side"] == "buy" else "B"
            price, size = Decimal(message["price"]), Decimal(message["size"])
            self.out.trade(f"matches.{product}", product, price, size, side, message["trade_id"], time)
        elif kind == "ticker":
            bid, ask = (
                (Decimal(message[f"best_{side}"]), Decimal(message.get(f"best_{side}_size", 0)))
                for side in ("bid", "ask")
            )
            self.out.quote(f"ticker.{product}", product, bid, ask, message["sequence"], time)
        else:
            self._level2(message, product, time)

    def _level2(self, message: dict[str, Any], product: str, time: int | None) -> None:
        channel = f"level2.{product}"
        if message["type"] == "snapshot":
            rows: Rows = [
                (side, Decimal(level[0]), Decimal(level[1]))
                for side, name in (("B", "bids"), ("A", "asks"))
                for level in message[name]
            ]
            book = self.level2.setdefault(product, LevelBook(self.out, channel, product))
            infer(self.out, book.instrument, [row[1] for row in rows], [row[2] for row in rows])
            book.replace(rows)
            self.out.define(book.instrument)
            book.tell_all(self.out.book_stamp(product, time, None, 0))
        elif product in self.level2:
            book = self.level2[product]
            rows = [
                ("B" if side == "buy" else "A", Decimal(price), Decimal(size))
                for side, price, size in message["changes"]
            ]
            book.tell(book.change(rows), self.out.book_stamp(product, time, None, 0))

    def _define(self, entry: dict[str, Any]) -> None:
        instrument = self.out.instrument(entry["id"])
        tick = Decimal(entry["quote_increment"]).normalize()
        lot = Decimal(entry["base_increment"]).normalize()
        facts: dict[str, object] = {
            "tick": tick,
            "base": entry["base_currency"],
            "quote": entry["quote_currency"],
            "settle": entry["quote_currency"],
            "unit": entry["base_currency"],
            "class": "X",
        }
        shift = min(max(-int(tick.as_tuple().exponent) - 9, 0), 9)
        news = (instrument.known, instrument.lot, instrument.facts, instrument.defined) != (2, lot, facts, True)
        instrument.known, instrument.lot, instrument.price_shift, instrument.facts = 2, lot, shift, facts
        if news:
            self.out.definition(instrument)
