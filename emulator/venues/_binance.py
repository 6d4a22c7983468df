"""Binance's spot, USD-M and COIN-M sockets and REST, which differ in times, links and paths."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emulator.reel import ID_MARK, Clock, Id, Line
from emulator.synth.listing import Listing
from emulator.synth.market import ASK, BID, Depth, Event, Ladder, Market, Quote, Symbol, Trade, market
from emulator.tapebook import Levels
from emulator.venue import Act, Ask, Asked, Say, Subscribe, Unsubscribe

_STREAM = re.compile(r"(?P<symbol>[a-z0-9_]+)@(?P<kind>[a-zA-Z]+)(?P<rest>.*)")


@dataclass(frozen=True, slots=True)
class Flavour:
    """What tells them apart; `coin` besides `futures` for COIN-M, whose contracts have a pair and a size in dollars."""

    listings: tuple[Listing, ...]
    clock: Clock
    futures: bool
    stride: int
    coin: bool = False


class Binance:
    """A Binance market; `listings` are those of synthetic mode."""

    def __init__(self, flavour: Flavour) -> None:
        self.flavour = flavour
        self.symbols: Sequence[str] = [listing.symbol for listing in flavour.listings]

    def synth(self) -> BinanceSynth:
        """Builds the market."""
        return BinanceSynth(self.flavour)

    def dialogue(self, query: Mapping[str, str], known: Collection[str], url: str = "") -> BinanceDialogue:
        """A connection's; `streams` of the query are subscribed at once. Any stream is accepted, as the venue does."""
        return BinanceDialogue([name for name in query.get("streams", "").split("/") if name])

    def ask(self, path: str, query: Mapping[str, str]) -> Ask | None:
        """Understands `…/depth?symbol=&limit=`, `…/openInterest?symbol=` and `…/exchangeInfo`."""
        if path.endswith("/depth"):
            limit = query.get("limit", "")
            return Ask(Asked.SNAPSHOT, query.get("symbol", "").upper(), int(limit) if limit.isdigit() else 100)
        if path.endswith("/openInterest"):
            symbol = query.get("symbol", "")
            return Ask(Asked.PAGE, symbol.upper(), channel=f"{symbol.lower()}@openInterest")
        return Ask(Asked.INSTRUMENTS) if path.endswith("/exchangeInfo") else None

    def refusal(self, status: int, reason: str) -> bytes:
        """`{"code":…,"msg":…}`."""
        code = {429: -1003, 418: -1003, 404: -1121}.get(status, -1000)
        return json.dumps({"code": code, "msg": reason}, separators=(",", ":")).encode()

    def book_channel(self, symbol: str) -> str:
        """Diff-depth streams of any speed."""
        return f"{symbol.lower()}@depth*"

    def tape_book(self, channel: str) -> BinanceTapeBook | None:
        """A book from depthUpdate events on top of a REST snapshot."""
        return BinanceTapeBook(self.flavour.futures) if _kind(channel) == "depth" else None


def _kind(channel: str) -> str:
    """`depth`, `bookTicker`, `trade`, …; partial depths (`depth20`) are none of those."""
    found = _STREAM.fullmatch(channel)
    if not found or (found["kind"] == "depth" and found["rest"][:1].isdigit()):
        return ""
    return found["kind"]


class BinanceDialogue:
    """SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS."""

    def __init__(self, streams: list[str]) -> None:
        self._streams = dict.fromkeys(streams)

    def greet(self, now_ns: int) -> list[Act]:
        """Nothing is said; streams of the URL are subscribed."""
        return [Subscribe(name) for name in self._streams]

    def hear(self, text: bytes, now_ns: int) -> list[Act]:
        """Acts, then the answer: data may come before its ack, as at the venue."""
        try:
            asked = json.loads(text)
            method, number = asked["method"], asked.get("id")
            params = [str(name) for name in asked.get("params") or []]
        except (ValueError, KeyError, TypeError, AttributeError):
            return [_say({"error": {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}})]
        if method == "SUBSCRIBE":
            self._streams.update(dict.fromkeys(params))
            return [_say({"result": None, "id": number}), *map(Subscribe, params)]
        if method == "UNSUBSCRIBE":
            for name in params:
                self._streams.pop(name, None)
            return [*map(Unsubscribe, params), _say({"result": None, "id": number})]
        if method == "LIST_SUBSCRIPTIONS":
            return [_say({"result": list(self._streams), "id": number})]
        message = f"Invalid request: unknown variant `{method}`"
        return [_say({"error": {"code": 2, "msg": message}, "id": number})]

    def tick(self, now_ns: int, idle: float) -> list[Act]:
        """Binance says nothing by itself but protocol pings."""
        return []


def _say(message: dict[str, Any]) -> Say:
    return Say(json.dumps(message, separators=(",", ":")).encode())


class BinanceSynth:
    """Depth, bookTicker and trade streams of a made market."""

    punctual = True

    def __init__(self, flavour: Flavour) -> None:
        self.clock = flavour.clock
        self._futures, self._coin = flavour.futures, flavour.coin
        self._listings = flavour.listings
        self._market: Market = market(flavour.listings, stride=flavour.stride)
        self.period = self._market.period

    def lines(self, channel: str, depth: int) -> list[Line]:
        """Messages of one stream."""
        symbol = self._symbol(channel)
        writers = {"depth": self._depth, "bookTicker": self._quote, "trade": self._trade}
        if self._futures:
            writers["markPrice"] = self._mark
        writer = writers.get(_kind(channel))
        if symbol is None or writer is None:
            return []
        lines = []
        for event in symbol.events:
            written = writer(symbol.listing, event)
            if written is not None:
                lines.append(Line(event.place, channel, f'{{"stream":"{channel}","data":{written[0]}}}', written[1]))
        return lines

    def _symbol(self, channel: str) -> Symbol | None:
        return self._market.symbols.get(channel.partition("@")[0].upper())

    def _depth(self, listing: Listing, event: Event) -> tuple[str, tuple[Id, ...]] | None:
        if not isinstance(event, Depth):
            return None
        bids, asks = (
            ",".join(
                f'["{listing.price(c.price)}","{listing.quantity(c.size)}"]' for c in event.changes if c.side == side
            )
            for side in (BID, ASK)
        )
        time = self.clock.mark
        if self._futures:
            ids = f'"T":{time},{self._names(listing)},"U":{ID_MARK},"u":{ID_MARK},"pu":{ID_MARK}'
            given: tuple[Id, ...] = (event.first, event.last, event.previous)
        else:
            # The range begins right after the one before it.
            ids = f'"s":"{listing.symbol}","U":{ID_MARK},"u":{ID_MARK}'
            given = (Id(event.previous.counter, event.previous.value + 1), event.last)
        return f'{{"e":"depthUpdate","E":{time},{ids},"b":[{bids}],"a":[{asks}]}}', given

    def _names(self, listing: Listing) -> str:
        return f'"s":"{listing.symbol}","ps":"{_pair(listing)}"' if self._coin else f'"s":"{listing.symbol}"'

    def _mark(self, listing: Listing, event: Event) -> tuple[str, tuple[Id, ...]] | None:
        # With each trade, as there is something new then.
        if not isinstance(event, Trade):
            return None
        time, price = self.clock.mark, listing.price(event.price)
        index = "" if self._coin else f',"i":"{price}"'
        text = f'"e":"markPriceUpdate","E":{time},"s":"{listing.symbol}","p":"{price}","P":"{price}"{index}'
        return f'{{{text},"r":"0.00010000","T":{time}}}', ()

    def _quote(self, listing: Listing, event: Event) -> tuple[str, tuple[Id, ...]] | None:
        if not isinstance(event, Quote):
            return None
        price, size, time = listing.price, listing.quantity, self.clock.mark
        text = (
            f'"u":{ID_MARK},{self._names(listing)},"b":"{price(event.bid)}","B":"{size(event.bid_size)}",'
            f'"a":"{price(event.ask)}","A":"{size(event.ask_size)}"'
        )
        if self._futures:
            text = f'"e":"bookTicker",{text},"T":{time},"E":{time}'
        return f"{{{text}}}", (event.id,)

    def _trade(self, listing: Listing, event: Event) -> tuple[str, tuple[Id, ...]] | None:
        if not isinstance(event, Trade):
            return None
        time, maker = self.clock.mark, "false" if event.buy else "true"
        deal = f'"t":{ID_MARK},"p":"{listing.price(event.price)}","q":"{listing.quantity(event.size)}"'
        if self._futures:
            text = f'"E":{time},"T":{time},"s":"{listing.symbol}",{deal},"X":"MARKET","m":{maker}'
        else:
            text = f'"E":{time},"s":"{listing.symbol}",{deal},"T":{time},"m":{maker},"M":true'
        return f'{{"e":"trade",{text}}}', (event.id,)

    def opening(self, channel: str, depth: int, turn: int, place: int, now_ns: int) -> list[bytes]:
        """Binance streams begin with nothing."""
        return []

    def answer(self, ask: Ask, turn: int, place: int, now_ns: int) -> bytes | None:
        """exchangeInfo, or the true book with its update id."""
        if ask.asked is Asked.INSTRUMENTS:
            return _exchange_info(self._listings, self._futures, self._coin, now_ns)
        symbol = self._market.symbols.get(ask.symbol)
        if symbol is None:
            return None
        if ask.asked is Asked.PAGE:
            return _open_interest(symbol.listing, now_ns)
        ladder, last = symbol.book(place)
        bids, asks = (_levels(symbol.listing, ladder, side, ask.limit) for side in (BID, ASK))
        return _depth_body(last.at(turn), bids, asks, now_ns if self._futures else 0)


def _levels(listing: Listing, ladder: Ladder, side: int, limit: int) -> list[tuple[str, str]]:
    return [(listing.price(price), listing.quantity(size)) for price, size in ladder.levels(side, limit)]


def _depth_body(last: int, bids: list[tuple[str, str]], asks: list[tuple[str, str]], now_ns: int) -> bytes:
    times = {"E": now_ns // 1_000_000, "T": now_ns // 1_000_000} if now_ns else {}
    return json.dumps({"lastUpdateId": last, **times, "bids": bids, "asks": asks}, separators=(",", ":")).encode()


class BinanceTapeBook:
    """Levels of the captured snapshot and the depthUpdates after it."""

    def __init__(self, futures: bool) -> None:
        self._futures = futures
        self._levels = Levels()
        self._last = 0
        self._based = False
        self.checked, self.sound = False, True

    def take(self, payload: bytes) -> None:
        """A depthUpdate in its wrapper, or a REST body."""
        message = json.loads(payload)
        if "lastUpdateId" in message:
            self._base(message)
            return
        data = message.get("data", message)
        if self._based and int(data["u"]) > self._last:
            self._apply(data)

    def _base(self, message: dict[str, Any]) -> None:
        self._levels.clear()
        self._last, self._based = int(message["lastUpdateId"]), True
        self._apply({"b": message["bids"], "a": message["asks"], "u": self._last})

    def _apply(self, data: dict[str, Any]) -> None:
        for side, key in ((BID, "b"), (ASK, "a")):
            for price, size, *_ in data[key]:
                self._levels.set(side, price, size)
        self._last = int(data["u"])

    def snapshot(self, now_ns: int) -> bytes | None:
        """A REST body of the book so far."""
        if not self._based:
            return None
        bids, asks = (self._levels.best(side) for side in (BID, ASK))
        return _depth_body(self._last, bids, asks, now_ns if self._futures else 0)


def _exchange_info(listings: Sequence[Listing], futures: bool, coin: bool, now_ns: int) -> bytes:
    writer = _coin_symbol if coin else _futures_symbol if futures else _spot_symbol
    entries = [writer(listing) for listing in listings]
    body = {"timezone": "UTC", "serverTime": now_ns // 1_000_000, "rateLimits": [], "exchangeFilters": []}
    return json.dumps({**body, "symbols": entries}, separators=(",", ":")).encode()


def _open_interest(listing: Listing, now_ns: int) -> bytes:
    told = {"symbol": listing.symbol, "pair": _pair(listing), "openInterest": listing.quantity(5_827_897)}
    return json.dumps(
        {**told, "contractType": "PERPETUAL", "time": now_ns // 1_000_000}, separators=(",", ":")
    ).encode()


def _filters(listing: Listing) -> list[dict[str, str]]:
    most = listing.quantity(4_000_000_000)
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": listing.price(1),
            "maxPrice": listing.price(listing.mid * 10),
            "tickSize": listing.price(1),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": listing.quantity(1),
            "maxQty": most,
            "stepSize": listing.quantity(1),
        },
    ]


def _spot_symbol(listing: Listing) -> dict[str, Any]:
    return {
        "symbol": listing.symbol,
        "status": "TRADING",
        "baseAsset": listing.base,
        "baseAssetPrecision": 8,
        "quoteAsset": listing.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": _filters(listing),
        "permissions": [],
        "permissionSets": [["SPOT"]],
    }


def _futures_symbol(listing: Listing) -> dict[str, Any]:
    return {
        "symbol": listing.symbol,
        "pair": listing.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "status": "TRADING",
        "baseAsset": listing.base,
        "quoteAsset": listing.quote,
        "marginAsset": listing.quote,
        "pricePrecision": listing.price_places,
        "quantityPrecision": listing.size_places,
        "underlyingType": "COIN",
        "filters": _filters(listing),
    }


def _pair(listing: Listing) -> str:
    return listing.base + listing.quote


def _coin_symbol(listing: Listing) -> dict[str, Any]:
    return {
        **_futures_symbol(listing),
        "pair": _pair(listing),
        "marginAsset": listing.base,
        "contractStatus": "TRADING",
        "contractSize": 100 if listing.base == "BTC" else 10,
    }
