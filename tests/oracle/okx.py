"""OKX by hand. https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-order-book-channel"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zlib import crc32

from tests.oracle.books import DOUBTFUL, LevelBook, Rows, infer
from tests.oracle.capture import Line, exact
from tests.oracle.records import Published

MS = 1_000_000
CHECKSUMS_END = 1_782_172_800_000_000_000
"""2026-06-23, from when on they are 0."""


def checksum(book: LevelBook, written: dict[tuple[str, Decimal], list[str]]) -> int:
    """CRC32, signed, over 25 levels: bid, ask, bid, …; price and size as written, all joined by colons."""
    sides = [[":".join(written[side, price][:2]) for price, _ in book.best(side)[:25]] for side in "BA"]
    words = [side[place] for place in range(25) for side in sides if place < len(side)]
    number = crc32(":".join(words).encode())
    return number - (1 << 32) if number >= 1 << 31 else number


class _Book:
    """A snapshot, then updates that name the one before, and, until 2026, a checksum."""

    def __init__(self, out: Published, channel: str, symbol: str) -> None:
        self.out = out
        self.book = LevelBook(out, channel, symbol)
        self.written: dict[tuple[str, Decimal], list[str]] = {}
        self.state = "waiting"
        self.last: int | None = None

    def message(self, action: str, data: dict[str, Any]) -> None:
        rows: Rows = []
        for side, name in (("B", "bids"), ("A", "asks")):
            for level in data[name]:
                price = Decimal(level[0])
                self.written[side, price] = level
                rows.append((side, price, Decimal(level[1])))
        if action == "snapshot":
            self._snapshot(rows, data)
        else:
            self._update(rows, data)

    def _snapshot(self, rows: Rows, data: dict[str, Any]) -> None:
        was, time, number = self.state, int(data["ts"]) * MS, data.get("seqId")
        infer(self.out, self.book.instrument, [row[1] for row in rows], [row[2] for row in rows])
        self.book.replace(rows)
        self.state, self.last = "live", number
        self.out.define(self.book.instrument)
        self._prove(data, time)
        flags = 0 if self.state == "live" else DOUBTFUL
        self.book.tell_all(self.out.book_stamp(self.book.symbol, time, None, number or 0), flags)
        if was == "doubtful" and self.state == "live":
            self.out.status(self.book.symbol, time, trusted=True)

    def _update(self, rows: Rows, data: dict[str, Any]) -> None:
        time, number = int(data["ts"]) * MS, data.get("seqId")
        if self.state == "waiting":
            self.last = number if self.last is None or number is None else max(self.last, number)
            return
        if number is not None and self.last is not None and data["prevSeqId"] != self.last:
            if number <= self.last and data["prevSeqId"] <= self.last:
                # Older than the book.
                return
            self.state = "doubtful"
            self.out.status(self.book.symbol, time, trusted=False)
        self.last = number
        done = self.book.change(rows)
        self._prove(data, time)
        flags = DOUBTFUL if self.state == "doubtful" else 0
        self.book.tell(done, self.out.book_stamp(self.book.symbol, time, None, number or 0), flags)

    def _prove(self, data: dict[str, Any], time: int) -> None:
        told = data.get("checksum")
        if self.state != "live" or not told or self.out.ts_recv >= CHECKSUMS_END:
            return
        if checksum(self.book, self.written) != told:
            self.state = "doubtful"
            self.out.status(self.book.symbol, time, trusted=False)


class Okx:
    """All public channels."""

    def __init__(self) -> None:
        self.out = Published("OKX", 7, "0.00000001", "OKX")
        self.books: dict[str, _Book] = {}
        self.trades: dict[str, set[int]] = {}

    def scan(self, line: Line) -> None:
        """Nothing to know beforehand."""

    def feed(self, line: Line) -> None:
        """One payload."""
        message = exact(line.text)
        if "data" not in message:
            return
        self.out.begin(line.ts)
        arg = message.get("arg", {"channel": "list", "instId": ""})
        kind = arg["channel"]
        channel = f"{kind}.{arg.get('instId') or arg.get('instType')}"
        if kind in ("list", "instruments"):
            for entry in message["data"]:
                self._define(entry)
        elif kind in ("books", "books-l2-tbt", "books50-l2-tbt"):
            book = self.books.setdefault(channel, _Book(self.out, channel, arg["instId"]))
            book.message(message["action"], message["data"][0])
        else:
            for entry in message["data"]:
                self._entry(kind, channel, arg["instId"], entry)
        self.out.end()

    def _entry(self, kind: str, channel: str, symbol: str, entry: Any) -> None:
        if kind in ("trades", "trades-all"):
            self._trade(channel, entry)
        elif kind == "books5":
            bids, asks = ([(Decimal(p), Decimal(q)) for p, q, *_ in entry[name]] for name in ("bids", "asks"))
            self.out.top(channel, symbol, bids, asks, entry.get("seqId", 0), int(entry["ts"]) * MS)
        elif kind == "bbo-tbt":
            bid, ask = (
                (Decimal(side[0][0]), Decimal(side[0][1])) if side else (None, None)
                for side in (entry["bids"], entry["asks"])
            )
            self.out.quote(channel, symbol, bid, ask, entry.get("seqId", 0), int(entry["ts"]) * MS)
        elif kind == "tickers":
            bid, ask = ((Decimal(entry[f"{side}Px"] or 0), Decimal(entry[f"{side}Sz"] or 0)) for side in ("bid", "ask"))
            self.out.quote(channel, symbol, bid, ask, 0, int(entry["ts"]) * MS)
        elif kind == "candle1m":
            if entry[8] == "1":
                prices = [Decimal(value) for value in entry[1:5]]
                self.out.bar(channel, symbol, int(entry[0]) * MS, prices, Decimal(entry[5]))
        else:
            self._figures(channel, entry)

    def _figures(self, channel: str, entry: dict[str, Any]) -> None:
        symbol, time = entry["instId"], int(entry["ts"]) * MS if "ts" in entry else None
        instrument = self.out.instrument(symbol)
        for number, name in ((20001, "markPx"), (20002, "idxPx"), (20003, "fundingRate")):
            if entry.get(name):
                price = self.out.price(instrument, Decimal(entry[name]))[0]
                self.out.statistic(channel, symbol, number, time, price=price)
        if entry.get("fundingTime"):
            self.out.statistic(channel, symbol, 20004, time, ts_ref=int(entry["fundingTime"]) * MS)
        if entry.get("oi"):
            lots = (Decimal(entry["oi"]) / instrument.lot).to_integral_value(ROUND_HALF_UP)
            self.out.statistic(channel, symbol, 20005, time, quantity=int(lots))

    def _trade(self, channel: str, trade: dict[str, Any]) -> None:
        seen, number = self.trades.setdefault(channel, set()), int(trade["tradeId"])
        if number in seen:
            return
        seen.add(number)
        price, size = Decimal(trade["px"]), Decimal(trade["sz"])
        side = "B" if trade["side"] == "buy" else "A"
        self.out.trade(channel, trade["instId"], price, size, side, number, int(trade["ts"]) * MS)

    def _define(self, entry: dict[str, Any]) -> None:
        instrument = self.out.instrument(entry["instId"])
        spot, option = entry["instType"] == "SPOT", entry["instType"] == "OPTION"
        inverse = entry["ctType"] == "inverse"
        facts: dict[str, object] = {"tick": Decimal(entry["tickSz"]).normalize()}
        if spot:
            base = entry["baseCcy"]
            facts |= {"base": base, "quote": entry["quoteCcy"], "settle": entry["quoteCcy"], "unit": base, "class": "X"}
        else:
            # A contract is worth so much of `ctValCcy`: the coin, or for inverse ones dollars.
            base, quote = entry["ctValCcy"], entry["settleCcy"]
            base, quote = (quote, base) if inverse else (base, quote)
            facts |= {"base": base, "quote": quote, "settle": entry["settleCcy"], "unit": "CONTRACT", "class": "F"}
            worth = Decimal(entry["ctVal"])
            if worth == worth.to_integral_value(ROUND_HALF_UP):
                facts["multiplier"] = int(worth)
        if option:
            facts |= {"class": entry["optType"], "strike": Decimal(entry["stk"])}
        for fact, name in (("expiration", "expTime"), ("activation", "listTime")):
            if entry[name]:
                facts[fact] = int(entry[name]) * MS
        lot = Decimal(entry["lotSz"]).normalize()
        shift = min(max(-int(Decimal(str(facts["tick"])).as_tuple().exponent) - 9, 0), 9)
        news = (instrument.known, instrument.lot, instrument.facts, instrument.defined) != (2, lot, facts, True)
        instrument.known, instrument.lot, instrument.price_shift, instrument.facts = 2, lot, shift, facts
        if news:
            self.out.definition(instrument)
