"""Bybit by hand. https://bybit-exchange.github.io/docs/v5/websocket/public/orderbook"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from urllib.parse import urlsplit

from tests.oracle.books import DOUBTFUL, LevelBook, Rows, infer
from tests.oracle.capture import Line, exact
from tests.oracle.records import MAX_SIZE, Published

MS = 1_000_000
TOP = (("bid1Price", "bid1Size"), ("ask1Price", "ask1Size"))
FIGURES = {
    "linear": ((20001, "markPrice"), (20002, "indexPrice"), (20003, "fundingRate"), (20004, "nextFundingTime")),
    "option": ((20001, "markPrice"), (20002, "indexPrice"), (20005, "openInterest"), (20006, "markPriceIv")),
}


class _Book:
    """A snapshot at any time, then deltas whose `u` rises by one."""

    def __init__(self, out: Published, channel: str, symbol: str) -> None:
        self.out = out
        self.book = LevelBook(out, channel, symbol)
        self.state = "waiting"
        self.last: int | None = None

    def message(self, message: dict[str, Any]) -> None:
        data = message["data"]
        rows: Rows = [(side, Decimal(p), Decimal(q)) for side, name in (("B", "b"), ("A", "a")) for p, q in data[name]]
        time, sent, number, symbol = message["cts"] * MS, message["ts"] * MS, data["u"], self.book.symbol
        if message["type"] == "snapshot":
            recovered = self.state == "doubtful"
            infer(self.out, self.book.instrument, [row[1] for row in rows], [row[2] for row in rows])
            self.book.replace(rows)
            self.state, self.last = "live", number
            self.out.define(self.book.instrument)
            self.book.tell_all(self.out.book_stamp(symbol, time, sent, number))
            if recovered:
                self.out.status(symbol, time, trusted=True)
            return
        if self.last is not None and number <= self.last:
            return
        whole = self.last is None or number == self.last + 1
        self.last = number
        if self.state == "waiting":
            return
        if not whole:
            self.state = "doubtful"
            self.out.status(symbol, time, trusted=False)
        flags = DOUBTFUL if self.state == "doubtful" else 0
        self.book.tell(self.book.change(rows), self.out.book_stamp(symbol, time, sent, number), flags)


class Bybit:
    """Spot, linear, inverse, option; the full book is not among it."""

    def __init__(self) -> None:
        self.out = Published("BYBIT", 8, "0.0001", "BYBT")
        self.products: dict[str, str] = {}
        self.books: dict[str, _Book] = {}
        self.tickers: dict[str, dict[str, Any]] = {}

    def scan(self, line: Line) -> None:
        """Notes which product a connection is for."""
        if line.kind == "connect":
            self.products[line.connection] = urlsplit(line.url).path.rsplit("/", 1)[1]

    def feed(self, line: Line) -> None:
        """One payload."""
        message = exact(line.text)
        if line.kind == "http":
            self.out.begin(line.ts)
            for entry in message["result"]["list"]:
                self._define(message["result"]["category"], entry)
            self.out.end()
            return
        if "topic" not in message:
            return
        product = self.products[line.connection]
        self.out.begin(line.ts)
        kind, _, rest = message["topic"].partition(".")
        channel = message["topic"] if product == "linear" else f"{product}.{message['topic']}"
        symbol = ("spot." if product == "spot" else "") + rest.rpartition(".")[2]
        if kind == "orderbook" and rest.startswith("1."):
            bid, ask = (
                (Decimal(side[0][0]), Decimal(side[0][1])) if side else (None, None)
                for side in (message["data"]["b"], message["data"]["a"])
            )
            data = message["data"]
            self.out.quote(channel, symbol, bid, ask, data["u"], message["cts"] * MS, message["ts"] * MS)
        elif kind == "orderbook":
            self.books.setdefault(channel, _Book(self.out, channel, symbol)).message(message)
        elif kind == "publicTrade":
            for trade in message["data"]:
                self._trade(channel, product, trade, message["ts"])
        elif kind == "kline":
            for bar in message["data"]:
                if bar["confirm"]:
                    prices = [Decimal(bar[name]) for name in ("open", "high", "low", "close")]
                    self.out.bar(channel, symbol, bar["start"] * MS, prices, Decimal(bar["volume"]))
        elif kind == "tickers":
            self._ticker(channel, product, symbol, message)
        self.out.end()

    def _trade(self, channel: str, product: str, trade: dict[str, Any], sent: int) -> None:
        # Block trades were agreed elsewhere.
        if trade.get("BT"):
            return
        symbol = ("spot." if product == "spot" else "") + trade["s"]
        side = "B" if trade["S"] == "Buy" else "A"
        self.out.trade(channel, symbol, Decimal(trade["p"]), Decimal(trade["v"]), side, 0, trade["T"] * MS, sent * MS)

    def _ticker(self, channel: str, product: str, symbol: str, message: dict[str, Any]) -> None:
        data, time = message["data"], message["ts"] * MS
        if product == "spot":
            self._figures(
                channel, symbol, {"usdIndexPrice": data.get("usdIndexPrice")}, ((20002, "usdIndexPrice"),), time
            )
            return
        if product == "option":
            bid, ask = ((Decimal(data[f"{s}Price"]), Decimal(data[f"{s}Size"])) for s in ("bid", "ask"))
            self.out.quote(channel, symbol, bid, ask, 0, time)
            self._figures(channel, symbol, data, (*FIGURES["option"], (20009, "underlyingPrice")), time)
            return
        names = [name for pair in TOP for name in pair]
        known = self.tickers.get(channel)
        if message["type"] == "snapshot":
            known = self.tickers[channel] = {name: data.get(name) for name in names}
        elif known is not None:
            known.update({name: data[name] for name in names if name in data})
        # Without a beginning what has not changed is unknown.
        if known is None and all(name in data for name in names):
            known = self.tickers[channel] = {name: data[name] for name in names}
        if known is not None:
            bid, ask = ((Decimal(known[p] or 0), Decimal(known[q] or 0)) for p, q in TOP)
            self.out.quote(channel, symbol, bid, ask, 0, time)
        self._figures(channel, symbol, data, (*FIGURES["linear"], (20005, "openInterest")), time)

    def _figures(
        self, channel: str, symbol: str, data: dict[str, Any], figures: tuple[tuple[int, str], ...], time: int
    ) -> None:
        instrument = self.out.instrument(symbol)
        self.out.define(instrument)
        for number, name in figures:
            value = data.get(name)
            if not value:
                continue
            if number == 20004:
                self.out.statistic(channel, symbol, number, time, ts_ref=int(value) * MS)
            elif number == 20005:
                lots = (Decimal(value) / instrument.lot).to_integral_value(ROUND_HALF_UP)
                self.out.statistic(channel, symbol, number, time, quantity=int(lots))
            else:
                self.out.statistic(channel, symbol, number, time, price=self.out.price(instrument, Decimal(value))[0])

    def _define(self, category: str, entry: dict[str, Any]) -> None:
        spot = category == "spot"
        instrument = self.out.instrument(("spot." if spot else "") + entry["symbol"])
        sizes = entry["lotSizeFilter"]
        lot = Decimal(sizes["basePrecision" if spot else "qtyStep"]).normalize()
        while Decimal(sizes["maxLimitOrderQty" if spot else "maxOrderQty"]) // lot > MAX_SIZE:
            lot *= 10
        facts: dict[str, object] = {
            "tick": Decimal(entry["priceFilter"]["tickSize"]).normalize(),
            "base": entry["baseCoin"],
            "quote": entry["quoteCoin"],
            "settle": entry["quoteCoin"] if spot else entry["settleCoin"],
            # Inverse contracts are counted in dollars.
            "unit": entry["quoteCoin" if category == "inverse" else "baseCoin"],
            "class": {"spot": "X", "option": entry.get("optionsType", "C")[0]}.get(category, "F"),
        }
        for fact, name in (("expiration", "deliveryTime"), ("activation", "launchTime")):
            if not spot and int(entry[name]):
                facts[fact] = int(entry[name]) * MS
        shift = min(max(-int(Decimal(str(facts["tick"])).as_tuple().exponent) - 9, 0), 9)
        news = (instrument.known, instrument.lot, instrument.facts, instrument.defined) != (2, lot, facts, True)
        instrument.known, instrument.lot, instrument.price_shift, instrument.facts = 2, lot, shift, facts
        if news:
            self.out.definition(instrument)
