"""Kraken spot v2 by hand. https://docs.kraken.com/api/docs/guides/spot-ws-book-v2"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from zlib import crc32

from tests.oracle.books import DOUBTFUL, LevelBook, Rows, infer
from tests.oracle.capture import Line, exact
from tests.oracle.records import Published


def iso_ns(text: str | None) -> int | None:
    """RFC 3339 with up to nine digits of a second, exactly; None where it is absent or before 1970."""
    if not text:
        return None
    whole, _, rest = text.rstrip("Z").partition(".")
    seconds = int(datetime.fromisoformat(whole + "+00:00").timestamp())
    return seconds * 10**9 + int(rest.ljust(9, "0")[:9]) if seconds > 0 else None


def _digits(value: Decimal | int) -> str:
    return format(Decimal(value), "f").replace(".", "").lstrip("0")


def checksum(book: LevelBook, written: dict[tuple[str, Decimal], tuple[Any, Any]]) -> int:
    """CRC32 over the ten best asks, then bids: price and size as written, without point and leading zeros."""
    text = ""
    for side in "AB":
        for price, _ in book.best(side)[:10]:
            text += "".join(_digits(value) for value in written[side, price])
    return crc32(text.encode())


class _Book:
    def __init__(self, out: Published, channel: str, symbol: str) -> None:
        self.out = out
        self.book = LevelBook(out, channel, symbol)
        self.written: dict[tuple[str, Decimal], tuple[Any, Any]] = {}
        self.state = "waiting"
        self.good = self.bad = 0

    def _rows(self, entry: dict[str, Any]) -> Rows:
        rows: Rows = []
        for side, name in (("B", "bids"), ("A", "asks")):
            for level in entry.get(name, []):
                price, size = Decimal(level["price"]), Decimal(level["qty"])
                self.written[side, price] = (level["price"], level["qty"])
                rows.append((side, price, size))
        return rows

    def _prove(self, entry: dict[str, Any], event: int | None) -> None:
        if self.state != "live" or "checksum" not in entry:
            return
        if checksum(self.book, self.written) == entry["checksum"]:
            self.good += 1
            return
        self.bad += 1
        self.state = "doubtful"
        self.out.status(self.book.symbol, event, trusted=False)

    def snapshot(self, entry: dict[str, Any]) -> None:
        was = self.state
        rows = self._rows(entry)
        infer(self.out, self.book.instrument, [row[1] for row in rows], [row[2] for row in rows])
        self.book.replace(rows)
        most = max(sum(row[0] == side for row in rows) for side in "BA") if rows else 0
        offered = next((depth for depth in (10, 25, 100, 500, 1000) if most <= depth), None)
        self.book.depth = max(offered or 10**9, self.book.depth or 0)
        self.state = "live"
        event = iso_ns(entry.get("timestamp"))
        self.out.define(self.book.instrument)
        self._prove(entry, event)
        flags = 0 if self.state == "live" else DOUBTFUL
        self.book.tell_all(self.out.book_stamp(self.book.symbol, event, None, 0), flags)
        if was == "doubtful" and self.state == "live":
            self.out.status(self.book.symbol, event, trusted=True)

    def update(self, entry: dict[str, Any]) -> None:
        if self.state == "waiting":
            return
        event = iso_ns(entry.get("timestamp"))
        done = self.book.change(self._rows(entry))
        self._prove(entry, event)
        flags = 0 if self.state == "live" else DOUBTFUL
        self.book.tell(done, self.out.book_stamp(self.book.symbol, event, None, 0), flags)


class Kraken:
    """Spot, API v2."""

    def __init__(self) -> None:
        self.out = Published("KRAKEN", 3, "0.00000001", "KRKN")
        self.books: dict[str, _Book] = {}
        self.trades: dict[str, set[int]] = {}

    def scan(self, line: Line) -> None:
        """Nothing to know beforehand."""

    def feed(self, line: Line) -> None:
        """One payload."""
        message = exact(line.text)
        channel = message.get("channel")
        if channel not in ("book", "trade", "ticker", "instrument"):
            return
        self.out.begin(line.ts)
        if channel == "instrument":
            for pair in message["data"].get("pairs", []):
                self._define(pair)
        else:
            for entry in message["data"]:
                self._entry(channel, message["type"], entry)
        self.out.end()

    def _entry(self, channel: str, kind: str, entry: dict[str, Any]) -> None:
        symbol = entry["symbol"]
        name = f"{channel}.{symbol}"
        if channel == "book":
            book = self.books.setdefault(name, _Book(self.out, name, symbol))
            (book.snapshot if kind == "snapshot" else book.update)(entry)
        elif channel == "trade":
            number = entry["trade_id"]
            seen = self.trades.setdefault(name, set())
            if number in seen:
                return
            seen.add(number)
            side = "B" if entry["side"] == "buy" else "A"
            self.out.trade(
                name, symbol, Decimal(entry["price"]), Decimal(entry["qty"]), side, number, iso_ns(entry["timestamp"])
            )
        else:
            bid, ask = (
                (Decimal(entry[price]) if entry.get(price) is not None else None, Decimal(entry[size] or 0))
                for price, size in (("bid", "bid_qty"), ("ask", "ask_qty"))
            )
            self.out.quote(name, symbol, bid, ask, 0, iso_ns(entry.get("timestamp")))

    def _define(self, pair: dict[str, Any]) -> None:
        instrument = self.out.instrument(pair["symbol"])
        tick = Decimal(pair["price_increment"]).normalize()
        lot = Decimal(pair["qty_increment"]).normalize()
        facts: dict[str, object] = {
            "tick": tick,
            "base": pair["base"],
            "quote": pair["quote"],
            "settle": pair["quote"],
            "unit": pair["base"],
            "class": "X",
        }
        shift = min(max(-int(tick.as_tuple().exponent) - 9, 0), 9)
        news = (instrument.known, instrument.lot, instrument.facts, instrument.defined) != (2, lot, facts, True)
        instrument.known, instrument.lot, instrument.price_shift, instrument.facts = 2, lot, shift, facts
        if news:
            self.out.definition(instrument)
