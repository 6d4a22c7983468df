"""Deribit by hand. https://docs.deribit.com/subscriptions/orderbook/bookinstrument_nameinterval"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from tests.oracle.books import DOUBTFUL, LevelBook, Rows, infer
from tests.oracle.capture import Line, exact
from tests.oracle.records import Published

MS = 1_000_000
STATISTICS = (
    (20001, "mark_price"),
    (20002, "index_price"),
    (20003, "current_funding"),
    (20005, "open_interest"),
    (20006, "mark_iv"),
    (20007, "settlement_price"),
    (20008, "funding_8h"),
    (20009, "underlying_price"),
)


class _Book:
    """A snapshot, then changes that name the one before."""

    def __init__(self, out: Published, channel: str, symbol: str) -> None:
        self.out = out
        self.book = LevelBook(out, channel, symbol)
        self.state = "waiting"
        self.last: int | None = None

    def message(self, data: dict[str, Any]) -> None:
        rows: Rows = [
            (side, Decimal(price), Decimal(0) if action == "delete" else Decimal(amount))
            for side, name in (("B", "bids"), ("A", "asks"))
            for action, price, amount in data[name]
        ]
        number, time = data["change_id"], data["timestamp"] * MS
        symbol = self.book.symbol
        if data["type"] == "snapshot":
            recovered = self.state == "doubtful"
            infer(self.out, self.book.instrument, [row[1] for row in rows], [row[2] for row in rows])
            self.book.replace(rows)
            self.state, self.last = "live", number
            self.out.define(self.book.instrument)
            self.book.tell_all(self.out.book_stamp(symbol, time, None, number))
            if recovered:
                self.out.status(symbol, time, trusted=True)
            return
        if self.state == "waiting":
            self.last = number
            return
        whole = data["prev_change_id"] == self.last
        if not whole and self.last is not None and number <= self.last:
            return
        self.last = number
        if not whole:
            self.state = "doubtful"
            self.out.status(symbol, time, trusted=False)
        flags = DOUBTFUL if self.state == "doubtful" else 0
        self.book.tell(self.book.change(rows), self.out.book_stamp(symbol, time, None, number), flags)


class Deribit:
    """Book, trades, quote, ticker."""

    def __init__(self) -> None:
        self.out = Published("DERIBIT", 5, "0.1", "DRBT")
        self.books: dict[str, _Book] = {}
        self.trades: dict[str, set[int]] = {}

    def scan(self, line: Line) -> None:
        """Nothing to know beforehand."""

    def feed(self, line: Line) -> None:
        """One payload."""
        message = exact(line.text)
        if line.kind == "http":
            self.out.begin(line.ts)
            for entry in message["result"]:
                self._define(entry)
            self.out.end()
            return
        if message.get("method") != "subscription":
            return
        self.out.begin(line.ts)
        channel, data = message["params"]["channel"], message["params"]["data"]
        kind = channel.split(".")[0]
        if kind == "book":
            symbol = data["instrument_name"]
            self.books.setdefault(channel, _Book(self.out, channel, symbol)).message(data)
        elif kind == "trades":
            for trade in data:
                self._trade(channel, trade)
        elif kind == "quote":
            self._quote(channel, data)
        elif kind == "ticker":
            self._ticker(channel, data)
        self.out.end()

    def _trade(self, channel: str, trade: dict[str, Any]) -> None:
        seen = self.trades.setdefault(channel + trade["instrument_name"], set())
        if trade["trade_seq"] in seen:
            return
        seen.add(trade["trade_seq"])
        side = "B" if trade["direction"] == "buy" else "A"
        price, size = Decimal(trade["price"]), Decimal(trade["amount"])
        self.out.trade(
            channel, trade["instrument_name"], price, size, side, trade["trade_seq"], trade["timestamp"] * MS
        )

    def _quote(self, channel: str, data: dict[str, Any]) -> None:
        bid, ask = (
            (
                None if data.get(f"best_{side}_price") is None else Decimal(data[f"best_{side}_price"]),
                None if data.get(f"best_{side}_amount") is None else Decimal(data[f"best_{side}_amount"]),
            )
            for side in ("bid", "ask")
        )
        self.out.quote(channel, data["instrument_name"], bid, ask, 0, data["timestamp"] * MS)

    def _ticker(self, channel: str, data: dict[str, Any]) -> None:
        self._quote(channel, data)
        symbol, time = data["instrument_name"], data["timestamp"] * MS
        self.out.define(self.out.instrument(symbol))
        for kind, name in STATISTICS:
            value = data.get(name)
            if value is None:
                continue
            instrument = self.out.instrument(symbol)
            if name == "open_interest":
                lots = int((Decimal(value) / instrument.lot).to_integral_value(ROUND_HALF_UP))
                self.out.statistic(channel, symbol, kind, time, quantity=lots)
            else:
                self.out.statistic(channel, symbol, kind, time, price=self.out.price(instrument, Decimal(value))[0])

    def _define(self, entry: dict[str, Any]) -> None:
        instrument = self.out.instrument(entry["instrument_name"])
        tick, lot = Decimal(entry["tick_size"]), Decimal(entry["min_trade_amount"]).normalize()
        classes = {"future": "F", "spot": "X", "future_combo": "S", "option_combo": "T"}
        options = {"call": "C", "put": "P"}
        inverse = entry["instrument_type"] == "reversed" and entry["kind"].startswith("future")
        facts: dict[str, object] = {
            "tick": tick.normalize(),
            "base": entry["base_currency"],
            "quote": entry["quote_currency"],
            "settle": entry.get("settlement_currency", ""),
            # Amounts of inverse futures and perpetuals are in dollars, all others in the base currency.
            "unit": entry["quote_currency" if inverse else "base_currency"],
            "class": options.get(entry.get("option_type", ""), classes.get(entry["kind"], "F")),
            "activation": entry["creation_timestamp"] * MS,
        }
        # A perpetual's is in the year 3000, later than 64 bits of nanoseconds reach: it has none.
        if entry["expiration_timestamp"] * MS < 1 << 64:
            facts["expiration"] = entry["expiration_timestamp"] * MS
        if entry.get("strike") is not None:
            facts["strike"] = Decimal(entry["strike"])
        news = (instrument.known, instrument.lot, instrument.facts, instrument.defined) != (2, lot, facts, True)
        instrument.known, instrument.lot, instrument.facts = 2, lot, facts
        if news:
            self.out.definition(instrument)
