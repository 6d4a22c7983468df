"""Binance by hand, spot, USD-M and COIN-M.

https://github.com/binance/binance-spot-api-docs/blob/master/web-socket-streams.md
https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams
https://developers.binance.com/docs/derivatives/coin-margined-futures/websocket-market-streams
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.oracle.books import DOUBTFUL, LevelBook, Rows, infer
from tests.oracle.capture import Line, exact
from tests.oracle.records import Published

MS = 1_000_000


def _rows(bids: list[list[str]], asks: list[list[str]]) -> Rows:
    return [
        (side, Decimal(level[0]), Decimal(level[1])) for side, levels in (("B", bids), ("A", asks)) for level in levels
    ]


def _lot(step: Decimal, largest: Decimal) -> Decimal:
    """The step, or its smallest multiple by a power of ten with which the largest size fits 32 bits."""
    lot = step.normalize()
    if largest / lot > (1 << 32) - 2:
        lot = Decimal(1).scaleb(lot.adjusted())
    while largest // lot > (1 << 32) - 2:
        lot *= 10
    return lot


class _Book:
    """The documented procedure: buffer, snapshot, join, then one unbroken chain."""

    def __init__(self, out: Published, channel: str, symbol: str, futures: bool) -> None:
        self.book = LevelBook(out, channel, symbol)
        self.out = out
        self.symbol = symbol
        self.futures = futures
        self.state = "waiting"
        self.joined = False
        self.last: int | None = None
        self.kept: deque[tuple[int, dict[str, Any]]] = deque(maxlen=10_000)

    def _old(self, event: dict[str, Any], snapshot: int) -> bool:
        return bool(event["u"] < snapshot if self.futures else event["u"] <= snapshot)

    def _joins(self, event: dict[str, Any], snapshot: int) -> bool:
        if self.futures:
            return bool(event["U"] <= snapshot <= event["u"] or event["pu"] == snapshot)
        return bool(event["U"] <= snapshot + 1 <= event["u"])

    def _times(self, event: dict[str, Any]) -> tuple[int, int]:
        return event.get("T", event["E"]) * MS, event["E"] * MS

    def event(self, event: dict[str, Any]) -> None:
        if self.state == "waiting":
            if self.last is None or event["u"] > self.last:
                if self.last is not None and not self._follows(event, self.last):
                    self.kept.clear()
                self.last = event["u"]
                self.kept.append((self.out.ts_recv, event))
            return
        assert self.last is not None
        if self.state == "live" and not self.joined:
            if self._old(event, self.last):
                return
            whole = self._joins(event, self.last)
        else:
            if event["u"] <= self.last:
                return
            whole = self._follows(event, self.last)
        self.last = event["u"]
        times = self._times(event)
        if not whole:
            self.state = "doubtful"
            self.kept.clear()
            self.out.status(self.symbol, times[0], trusted=False)
        elif self.state == "live":
            self.joined = True
        flags = DOUBTFUL if self.state == "doubtful" else 0
        if flags:
            self.kept.append((self.out.ts_recv, event))
        stamp = self.out.book_stamp(self.symbol, times[0], times[1], event["u"])
        self.book.tell(self.book.change(_rows(event["b"], event["a"])), stamp, flags)

    def _follows(self, event: dict[str, Any], last: int) -> bool:
        return bool(event["pu"] == last if self.futures else event["U"] <= last + 1)

    def snapshot(self, message: dict[str, Any]) -> None:
        at = message["lastUpdateId"]
        if self.state == "live":
            if self.joined or self.last is None or at <= self.last:
                return
            self.kept.clear()
        while self.kept and self._old(self.kept[0][1], at):
            self.kept.popleft()
        if self.kept and not self._joins(self.kept[0][1], at):
            return
        recovered = self.state == "doubtful"
        rows = _rows(message["bids"], message["asks"])
        infer(self.out, self.book.instrument, [row[1] for row in rows], [row[2] for row in rows])
        self.book.replace(rows)
        event_time = message.get("T", message.get("E"))
        times = (None, None) if event_time is None else (event_time * MS, message.get("E", event_time) * MS)
        newest = self.kept[-1][1]["u"] if self.kept else at
        was, self.state, self.joined, self.last = self.state, "live", bool(self.kept), newest
        kept = list(self.kept)
        self.kept.clear()
        self.out.define(self.book.instrument)
        if was == "waiting":
            self._follow(at, times, kept)
            return
        for _, event in kept:
            self.book.change(_rows(event["b"], event["a"]))
            times = self._times(event)
        self.book.tell_all(self.out.book_stamp(self.symbol, times[0], times[1], newest))
        if recovered:
            self.out.status(self.symbol, times[0], trusted=True)

    def _follow(
        self, at: int, times: tuple[int, int] | tuple[None, None], kept: list[tuple[int, dict[str, Any]]]
    ) -> None:
        """The first snapshot, put in front of what was kept; then that, each as the message it was."""
        now = self.out.ts_recv
        if kept:
            self.out.ts_recv = kept[0][0] - 1
        self.book.tell_all(self.out.book_stamp(self.symbol, times[0], times[1], at))
        for ts_recv, event in kept:
            self.out.end_message()
            self.out.ts_recv = ts_recv
            first, sent = self._times(event)
            done = self.book.change(_rows(event["b"], event["a"]))
            self.book.tell(done, self.out.book_stamp(self.symbol, first, sent, event["u"]))
        self.out.ts_recv = now


class Binance:
    """Spot, or USD-M futures, or (`coin`) COIN-M futures."""

    def __init__(self, futures: bool = False, coin: bool = False) -> None:
        self.futures, self.coin = futures or coin, coin
        if coin:
            self.out = Published("BINANCE_COINM", 6, "1", "BINA")
        elif futures:
            self.out = Published("BINANCE_USDM", 2, "0.001", "BINA")
        else:
            self.out = Published("BINANCE_SPOT", 1, "0.00001", "BINA")
        self.books: dict[str, _Book] = {}
        self.trades: dict[str, set[int]] = {}
        self.channels: list[str] = []

    def scan(self, line: Line) -> None:
        """Notes a depth channel ahead of its snapshot."""
        if line.kind == "recv" and "@depth" in line.text:
            stream = exact(line.text).get("stream", "@")
            if stream.split("@")[1] == "depth" and stream not in self.channels:
                self.channels.append(stream)

    def feed(self, line: Line) -> None:
        """One payload."""
        if line.kind == "http":
            self._answer(line)
            return
        message = exact(line.text)
        if "@" not in message.get("stream", ""):
            return
        self.out.begin(line.ts)
        self._push(message["stream"], message["data"])
        self.out.end()

    def _answer(self, line: Line) -> None:
        self.out.begin(line.ts)
        message = exact(line.text)
        if "exchangeInfo" in line.url:
            for entry in message["symbols"]:
                self._define(entry)
        else:
            symbol = parse_qs(urlsplit(line.url).query)["symbol"][0]
            channel = next(name for name in self.channels if name.split("@")[0].upper() == symbol)
            self._book(channel, symbol).snapshot(message)
        self.out.end()

    def _book(self, channel: str, symbol: str) -> _Book:
        if channel not in self.books:
            self.books[channel] = _Book(self.out, channel, symbol, self.futures)
        return self.books[channel]

    def _push(self, channel: str, data: dict[str, Any]) -> None:
        symbol, kind = channel.split("@")[:2]
        if self._push_of_coin(channel, kind, data):
            return
        if kind in ("depth5", "depth10", "depth20") and not self.futures:
            bids, asks = ([(Decimal(p), Decimal(q)) for p, q in data[name]] for name in ("bids", "asks"))
            self.out.top(channel, symbol.upper(), bids[:10], asks[:10], data["lastUpdateId"], None)
        elif kind == "markPrice":
            self._mark(channel, data)
        elif kind == "kline_1m":
            bar = data["k"]
            if bar["x"]:
                prices = [Decimal(bar[name]) for name in "ohlc"]
                self.out.bar(channel, data["s"], bar["t"] * MS, prices, Decimal(bar["v"]))
        elif kind.startswith("depth"):
            self._book(channel, data["s"]).event(data)
        elif kind == "bookTicker":
            self._top(channel, data)
        elif kind in ("trade", "aggTrade"):
            # Insurance fund, liquidation between users: not trades of the order book.
            if self.futures and kind == "trade" and data.get("X") in ("INSURANCE_FUND", "ADL", "NA"):
                return
            number = data["t"] if kind == "trade" else data["a"]
            seen = self.trades.setdefault(channel, set())
            if number in seen:
                return
            seen.add(number)
            side = "A" if data["m"] else "B"
            self.out.trade(
                channel, data["s"], Decimal(data["p"]), Decimal(data["q"]), side, number, data["T"] * MS, data["E"] * MS
            )

    def _push_of_coin(self, channel: str, kind: str, data: Any) -> bool:
        """What only COIN-M has, or has otherwise."""
        if channel == "!markPrice@arr":
            for entry in data:
                self._mark(channel, entry)
        elif self.coin and kind in ("depth5", "depth10", "depth20"):
            bids, asks = ([(Decimal(p), Decimal(q)) for p, q in data[name]] for name in "ba")
            self.out.top(channel, data["s"], bids[:10], asks[:10], data["u"], data["T"] * MS)
        elif kind == "indexPrice":
            price = self.out.price(self.out.instrument(data["i"]), Decimal(data["p"]))[0]
            self.out.statistic(channel, data["i"], 20002, data["E"] * MS, price=price)
        else:
            return False
        return True

    def _top(self, channel: str, data: dict[str, Any]) -> None:
        self.out.quote(
            channel,
            data["s"],
            (Decimal(data["b"]), Decimal(data["B"])),
            (Decimal(data["a"]), Decimal(data["A"])),
            data["u"],
            data["T"] * MS if "T" in data else data["E"] * MS if "E" in data else None,
            data["E"] * MS if "E" in data else None,
        )

    def _mark(self, channel: str, data: dict[str, Any]) -> None:
        instrument = self.out.instrument(data["s"])
        for number, name in ((20001, "p"), (20002, "i"), (20003, "r")):
            if data.get(name) not in (None, ""):
                price = self.out.price(instrument, Decimal(data[name]))[0]
                self.out.statistic(channel, data["s"], number, data["E"] * MS, price=price)
        if data.get("T") is not None:
            self.out.statistic(channel, data["s"], 20004, data["E"] * MS, ts_ref=data["T"] * MS)

    def _define(self, entry: dict[str, Any]) -> None:
        filters = {item["filterType"]: item for item in entry["filters"]}
        instrument = self.out.instrument(entry["symbol"])
        tick = Decimal(filters["PRICE_FILTER"]["tickSize"]).normalize()
        facts: dict[str, object] = {
            "tick": tick,
            "base": entry["baseAsset"],
            "quote": entry["quoteAsset"],
            "settle": entry["quoteAsset"],
            "unit": entry["baseAsset"],
            "class": "X",
        }
        if self.futures:
            facts["settle"] = entry["marginAsset"]
            facts["class"] = "F"
            # A perpetual's is in the year 2100.
            facts["expiration"] = entry["deliveryDate"] * MS
            facts["activation"] = entry["onboardDate"] * MS
        if self.coin:
            facts |= {"unit": "CONTRACT", "multiplier": entry["contractSize"]}
        lot = _lot(Decimal(filters["LOT_SIZE"]["stepSize"]), Decimal(filters["LOT_SIZE"]["maxQty"]))
        shift = min(max(-int(tick.as_tuple().exponent) - 9, 0), 9)
        news = (instrument.known, instrument.lot, instrument.facts, instrument.defined) != (2, lot, facts, True)
        instrument.known, instrument.lot, instrument.price_shift, instrument.facts = 2, lot, shift, facts
        if news:
            self.out.definition(instrument)
