"""Bybit: snapshot and counted deltas, tickers that tell what has changed, answers that differ by product."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from emulator.dialogue import GenericDialogue
from emulator.generic import Generic
from emulator.reel import ID_MARK, Clock
from emulator.spoken import parsed
from emulator.synth.listing import Listing, trimmed
from emulator.synth.market import ASK, BID, Depth, Ladder, Quote, Trade
from emulator.synth.script import Beat, Script, View, Written
from emulator.tapebook import Levels
from emulator.venue import Act, Ask, Asked, Dialogue, Emulation, Say
from tapeline.spec.subscribe import Channel, Command, Operation, channel

_LISTINGS = (
    Listing("BTCUSDT", "BTC", "USDT", 618_025, 10, 2, 1, 3, 2_000),
    Listing("ETHUSDT", "ETH", "USDT", 268_455, 1, 2, 1, 2, 900),
    Listing("BTCUSD", "BTC", "USD", 123_605, 50, 2, 1, 0, 9_000),
    Listing("BTC-26MAR27-70000-C-USDT", "BTC", "USDT", 1_180, 5, 0, 1, 2, 120),
)


class BybitMarket(Script):
    """Books, tops, trades and tickers; every symbol on any product's socket."""

    clock = Clock.MILLIS

    def write(self, known: Channel, beat: Beat) -> Written | None:
        """An event on a channel."""
        listing, event, time = beat.listing, beat.event, self.clock.mark
        product, _, name = known.family.name.partition(" ")
        topic = _topic(known)
        if isinstance(event, Depth) and name in ("book", "full"):
            changed = Ladder()
            for change in event.changes:
                # A deleted level stands there with size 0 too.
                changed.sides[change.side][change.price] = change.size
            data = f'"s":"{listing.symbol}",{_sides(listing, changed)},"u":{ID_MARK},"seq":{ID_MARK}'
            return _book(product, topic, "delta", time, data), (beat.serial, event.last)
        if isinstance(event, Quote) and name == "top":
            data = f'"s":"{listing.symbol}",{_top(listing, event)},"u":{ID_MARK},"seq":{ID_MARK}'
            return _book(product, topic, "snapshot", time, data), (beat.serial, event.id)
        if isinstance(event, Trade) and name == "trades":
            side = "Buy" if event.buy else "Sell"
            data = (
                f'{{"T":{time},"s":"{listing.symbol}","S":"{side}","v":"{listing.quantity(event.size)}",'
                f'"p":"{listing.price(event.price)}","L":"PlusTick","i":"20f43950-d8dd-5b31-9112-{ID_MARK}",'
                f'"BT":false,"RPI":false,"seq":{ID_MARK}}}'
            )
            return f'{{"topic":"{topic}","type":"snapshot","ts":{time},"data":[{data}]}}', (event.id, event.id)
        if isinstance(event, Quote) and name == "ticker" and product in ("linear", "inverse"):
            # Sides change one at a time; the figures now and then.
            price, size = listing.price, listing.quantity
            told = (
                f'"bid1Price":"{price(event.bid)}","bid1Size":"{size(event.bid_size)}"',
                f'"ask1Price":"{price(event.ask)}","ask1Size":"{size(event.ask_size)}"',
                f'"markPrice":"{price(event.last)}"',
            )[beat.number % 3]
            data = f'"symbol":"{listing.symbol}",{told}'
            return f'{{"topic":"{topic}","type":"delta","data":{{{data}}},"cs":{ID_MARK},"ts":{time}}}', (event.id,)
        if isinstance(event, Quote) and name == "ticker":
            return _whole(product, topic, listing, event, time), ()
        return None

    def begin(self, known: Channel, view: View, depth: int) -> list[str]:
        """A book's, a top's, a derivative's ticker's snapshot."""
        product, _, name = known.family.name.partition(" ")
        topic, now = _topic(known), str(view.now_ns // 1_000_000)
        if name == "book" and dict(known.pieces)["depth"].isdigit():
            book, last = view.published()
            levels = int(dict(known.pieces)["depth"])
            sides = _sides(view.listing, book, levels)
            data = f'"s":"{view.listing.symbol}",{sides},"u":{view.serial},"seq":{last}'
            return [_book(product, topic, "snapshot", now, data)]
        if name == "top":
            quote = view.quote()
            data = f'"s":"{view.listing.symbol}",{_top(view.listing, quote)},"u":{view.serial},"seq":{quote.id.at(view.turn)}'
            return [_book(product, topic, "snapshot", now, data)]
        if name == "ticker" and product in ("linear", "inverse"):
            return [_whole(product, topic, view.listing, view.quote(), now)]
        return []

    def snapshot(self, ask: Ask, view: View) -> str | None:
        """The full book, by REST."""
        book, last = view.published()
        channel_id = f"spot.orderbook.full.{view.listing.symbol}"
        data = f'"s":"{view.listing.symbol}",{_sides(view.listing, book)},"u":{self._serial(channel_id, view.turn, view.place)}'
        now = view.now_ns // 1_000_000
        return f'{{"retCode":0,"retMsg":"OK","result":{{{data},"seq":{last},"ts":{now},"cts":{now}}},"time":{now}}}'

    def instruments(self, ask: Ask, now_ns: int) -> str | None:
        """One product's list."""
        return _listed(ask.channel.split(".")[1], self.listings)

    def page(self, ask: Ask, view: View) -> str | None:
        """The only page of a product's list."""
        return _listed(ask.channel.split(".")[1], self.listings)


def _topic(known: Channel) -> str:
    product = known.family.name.partition(" ")[0]
    return known.id.removeprefix(f"{product}.")


def _book(product: str, topic: str, kind: str, time: str, data: str) -> str:
    # The order of keys differs between products.
    head = f'"ts":{time},"type":"{kind}"' if product == "spot" else f'"type":"{kind}","ts":{time}'
    return f'{{"topic":"{topic}",{head},"data":{{{data}}},"cts":{time}}}'


def _sides(listing: Listing, book: Ladder, depth: int | None = None) -> str:
    bids, asks = (
        ",".join(
            f'["{listing.price(price)}","{listing.quantity(size) if size else 0}"]'
            for price, size in book.levels(side, depth)
        )
        for side in (BID, ASK)
    )
    return f'"b":[{bids}],"a":[{asks}]'


def _top(listing: Listing, event: Quote) -> str:
    return _sides(listing, Ladder(({event.bid: event.bid_size}, {event.ask: event.ask_size})))


def _whole(product: str, topic: str, listing: Listing, event: Quote, time: str) -> str:
    price, size = listing.price, listing.quantity
    last = f'"symbol":"{listing.symbol}","lastPrice":"{price(event.last)}","highPrice24h":"{price(event.ask)}"'
    if product == "spot":
        data = f'{last},"usdIndexPrice":"{price(event.last)}"'
    elif product == "option":
        data = (
            f'{last},"bidPrice":"{price(event.bid)}","bidSize":"{size(event.bid_size)}","bidIv":"0.48",'
            f'"askPrice":"{price(event.ask)}","askSize":"{size(event.ask_size)}","askIv":"0.51",'
            f'"markPrice":"{price(event.last)}","indexPrice":"61801.5","markPriceIv":"0.4896","underlyingPrice":"61800.1",'
            '"openInterest":"49.85","delta":"0.047831"'
        )
    else:
        data = (
            f'{last},"tickDirection":"PlusTick","markPrice":"{price(event.last)}","indexPrice":"{price(event.last)}",'
            f'"openInterest":"{listing.quantity(49_237_372)}","openInterestValue":"1","nextFundingTime":"1893456000000",'
            f'"fundingRate":"-0.0001","bid1Price":"{price(event.bid)}","bid1Size":"{size(event.bid_size)}",'
            f'"ask1Price":"{price(event.ask)}","ask1Size":"{size(event.ask_size)}"'
        )
    return f'{{"topic":"{topic}","type":"snapshot","data":{{{data}}},"cs":9532239429,"ts":{time}}}'


def _json(message: dict[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"))


def _product(listing: Listing) -> str:
    return "option" if "-" in listing.symbol else "linear" if listing.quote == "USDT" else "inverse"


def _listed(category: str, listings: Collection[Listing]) -> str:
    # A perpetual's name is a pair's too.
    wanted = "linear" if category == "spot" else category
    entries = [_entry(category, listing) for listing in listings if _product(listing) == wanted]
    result = {"category": category, "list": entries, "nextPageCursor": ""}
    return _json({"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": 1_767_225_600_000})


def _entry(category: str, listing: Listing) -> dict[str, Any]:
    step, most = trimmed(listing.quantity(1)), listing.quantity(1_000_000_000)
    entry: dict[str, Any] = {
        "symbol": listing.symbol,
        "status": "Trading",
        "baseCoin": listing.base,
        "quoteCoin": listing.quote,
        "priceFilter": {"tickSize": trimmed(listing.price(1))},
    }
    if category == "spot":
        return {**entry, "lotSizeFilter": {"basePrecision": step, "maxLimitOrderQty": most}}
    settle = listing.base if category == "inverse" else listing.quote
    times = {"launchTime": "1584230400000", "deliveryTime": "1806048000000" if category == "option" else "0"}
    if category == "option":
        entry["optionsType"] = "Call"
    return {**entry, "settleCoin": settle, **times, "lotSizeFilter": {"qtyStep": step, "maxOrderQty": most}}


class BybitDialogue(GenericDialogue):
    """Pongs and acks by product, and no topic twice."""

    def hear(self, text: bytes, now_ns: int) -> list[Act]:
        """A ping, or what the session half says."""
        message = parsed(text)
        if not isinstance(message, dict) or message.get("op") != "ping":
            return super().hear(text, now_ns)
        self._heard_ns = now_ns
        if self._product() == "option":
            return [Say(_json({"args": [str(now_ns // 1_000_000)], "op": "pong"}).encode())]
        return [_say("ping", str(message.get("req_id", "")), "pong")]

    def _product(self) -> str:
        return self._place.name if self._place else "linear"

    def granted(self, asked: Command, now_ns: int) -> list[Act]:
        """A request fails as a whole where one of its topics does."""
        operation = asked.operation.value
        if asked.operation is Operation.UNSUBSCRIBE:
            return super().granted(asked, now_ns)
        for name in asked.channels:
            topic = name.removeprefix(f"{self._product()}.")
            if name in self._subscribed:
                return [_say(operation, asked.number, f"error:already subscribed,topic:{topic}", success=False)]
            if not self._serves(name):
                return [_say(operation, asked.number, f"error:handler not found,topic:{topic}", success=False)]
        return super().granted(asked, now_ns)

    def _serves(self, name: str) -> bool:
        symbols = {read.symbol for known in self._known if (read := channel(self._session, known)) is not None}
        read = channel(self._session, name)
        return read is not None and read.symbol in symbols

    def acks(self, asked: Command) -> list[Act]:
        """By number; for options without one, with the topics."""
        if self._product() == "option" and asked.operation is Operation.SUBSCRIBE:
            topics = [name.removeprefix("option.") for name in asked.channels]
            told = {"data": {"failTopics": [], "successTopics": topics}, "type": "COMMAND_RESP"}
            return [Say(_json({"success": True, "conn_id": "aa01fbfffe80af37", **told}).encode())]
        return [_say(asked.operation.value, asked.number, asked.operation.value)]


def _say(operation: str, number: str, text: str, success: bool = True) -> Say:
    told = {"success": success, "ret_msg": text, "conn_id": "0970e817-426e-429a-a679-ff7f55e0b16a"}
    return Say(_json({**told, "req_id": number, "op": operation}).encode())


class BybitTapeBook:
    """Levels of the last snapshot and the deltas after it."""

    def __init__(self, identifier: str) -> None:
        self._spot = identifier.startswith("spot.")
        self._levels = Levels()
        self._data: dict[str, Any] = {}
        self._topic = ""
        self.checked, self.sound = False, True

    def take(self, payload: bytes) -> None:
        """A book frame."""
        message = json.loads(payload)
        self._topic, data = message["topic"], message["data"]
        if message["type"] == "snapshot":
            self._levels.clear()
        for side, key in ((BID, "b"), (ASK, "a")):
            for price, size in data[key]:
                self._levels.set(side, price, size)
        if message["type"] == "snapshot" or self._data:
            self._data = {"s": data["s"], "u": data["u"], "seq": data["seq"]}

    def snapshot(self, now_ns: int) -> bytes | None:
        """A snapshot frame of the book so far."""
        if not self._data:
            return None
        sides = {"b": self._levels.best(BID), "a": self._levels.best(ASK)}
        data = _json({"s": self._data["s"], **sides, "u": self._data["u"], "seq": self._data["seq"]})
        return _book(
            "spot" if self._spot else "linear", self._topic, "snapshot", str(now_ns // 1_000_000), data[1:-1]
        ).encode()


class Bybit(Generic):
    """The venue."""

    def dialogue(self, query: Mapping[str, str], known: Collection[str], url: str = "") -> Dialogue:
        """A connection's."""
        return BybitDialogue(self.session, known, url)

    def ask(self, path: str, query: Mapping[str, str]) -> Ask | None:
        """Each product has a list of its own."""
        ask = super().ask(path, query)
        if ask is None or ask.asked is Asked.SNAPSHOT:
            return ask
        return ask._replace(symbol=query.get("category", "") if ask.asked is Asked.INSTRUMENTS else "BTCUSDT")

    def refusal(self, status: int, reason: str) -> bytes:
        """A REST error."""
        return _json({"retCode": 10006 if status == 429 else 10001, "retMsg": reason, "result": {}}).encode()

    def tape_book(self, channel: str) -> BybitTapeBook | None:
        """A book from snapshots and deltas; tops and the full book are none."""
        book = ".orderbook." in f".{channel}" and not any(
            part in channel for part in ("orderbook.1.", "orderbook.full.")
        )
        return BybitTapeBook(channel) if book else None


VENUE: Emulation = Bybit("bybit", BybitMarket, _LISTINGS)
