"""Coinbase Exchange: full (single orders), matches, ticker and level2, all from one sequence per product."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from emulator.reel import ID_MARK, Clock, Id, Line
from emulator.synth.listing import Listing
from emulator.synth.market import ASK, BID
from emulator.synth.orders import Happening, Name, Order, What, products
from emulator.venue import Act, Ask, Asked, Emulation, Say, Subscribe, TapeBook, Unsubscribe
from emulator.venues._coinbase_books import SIDES, Level2TapeBook, OrdersTapeBook, level3
from emulator.venues._coinbase_levels import level2_lines, level2_snapshot, price_text, size_text, ticker_lines

_LISTINGS = (
    Listing("BTC-USD", "BTC", "USD", 6_183_764, 1, 2, 1, 8, 20_000_000),
    Listing("ETH-USD", "ETH", "USD", 268_412, 1, 2, 1, 8, 90_000_000),
    Listing("SOL-USD", "SOL", "USD", 15_643, 1, 2, 1, 8, 200_000_000),
    Listing("LTC-USD", "LTC", "USD", 8_743, 1, 2, 1, 8, 150_000_000),
)
_FEEDS = {
    "matches": "matches",
    "ticker": "ticker",
    "level2": "level2",
    "level2_batch": "level2",
    "level2_50": "level2",
    "full": "full",
    "heartbeat": "heartbeat",
}
_NAMED = {"level2_batch": "level2_50"}


class Coinbase:
    """The venue."""

    symbols: Sequence[str] = [listing.symbol for listing in _LISTINGS]
    # Single orders of two products, levels of the two others: `full` has the matches too.
    channels: Sequence[str] = [
        *(f"{kind}.{listing.symbol}" for listing in _LISTINGS[:2] for kind in ("full", "ticker")),
        *(f"{kind}.{listing.symbol}" for listing in _LISTINGS[2:] for kind in ("matches", "ticker", "level2")),
        "products",
    ]

    def synth(self) -> CoinbaseSynth:
        """Builds the market."""
        return CoinbaseSynth()

    def dialogue(self, query: Mapping[str, str], known: Collection[str], url: str = "") -> CoinbaseDialogue:
        """A connection's; products of no known channel are refused."""
        return CoinbaseDialogue({channel.partition(".")[2] for channel in known} - {""})

    def ask(self, path: str, query: Mapping[str, str]) -> Ask | None:
        """Understands `/products` and `/products/X/book?level=3`."""
        pieces = path.strip("/").split("/")
        if pieces[-1] == "products":
            return Ask(Asked.INSTRUMENTS)
        if len(pieces) >= 3 and pieces[-1] == "book" and pieces[-3] == "products":
            return Ask(Asked.SNAPSHOT, pieces[-2])
        return None

    def refusal(self, status: int, reason: str) -> bytes:
        """`{"message":…}`."""
        return json.dumps({"message": reason}, separators=(",", ":")).encode()

    def book_channel(self, symbol: str) -> str:
        """The full channel: level 3 snapshots are for it."""
        return f"full.{symbol}"

    def tape_book(self, channel: str) -> TapeBook | None:
        """Single orders for full, levels for level2."""
        if channel.startswith("full."):
            return OrdersTapeBook()
        return Level2TapeBook() if channel.startswith("level2.") else None


class CoinbaseDialogue:
    """subscribe and unsubscribe; every answer lists the whole state."""

    def __init__(self, known: Collection[str]) -> None:
        self._known = known
        self._state: dict[str, dict[str, None]] = {}

    def greet(self, now_ns: int) -> list[Act]:
        """Nothing is said first."""
        return []

    def hear(self, text: bytes, now_ns: int) -> list[Act]:
        """The state, then data."""
        try:
            asked = json.loads(text)
            method = asked["type"]
            pairs = _pairs(asked)
        except (ValueError, KeyError, TypeError, AttributeError):
            return [_say({"type": "error", "message": "Malformed JSON"})]
        if method not in ("subscribe", "unsubscribe"):
            return [_say({"type": "error", "message": "Type has to be either subscribe or unsubscribe"})]
        for feed, product in pairs:
            reason = self._refused(feed, product)
            if reason:
                return [_say({"type": "error", "message": "Failed to subscribe", "reason": reason})]
        acts: list[Act] = []
        for feed, product in pairs:
            channel = f"{_FEEDS[feed]}.{product}"
            named = self._state.setdefault(_NAMED.get(feed, feed), {})
            if method == "subscribe":
                if product not in named:
                    acts.append(Subscribe(channel))
                named[product] = None
            else:
                named.pop(product, None)
                acts.append(Unsubscribe(channel))
        return [self._subscriptions(), *acts]

    def _refused(self, feed: str, product: str) -> str:
        if feed not in _FEEDS:
            return f"{feed} is not a valid channel"
        return "" if product in self._known else f"{product} is not a valid product"

    def _subscriptions(self) -> Say:
        channels = [
            {"name": name, "product_ids": list(held), "account_ids": None} for name, held in self._state.items() if held
        ]
        return _say({"type": "subscriptions", "channels": channels})

    def tick(self, now_ns: int, idle: float) -> list[Act]:
        """Heartbeats are a channel of their own, which nothing here needs."""
        return []


def _pairs(asked: dict[str, Any]) -> list[tuple[str, str]]:
    """Feed and product of every subscription a message names."""
    pairs = []
    for entry in asked.get("channels") or []:
        named = isinstance(entry, dict)
        feed = str(entry["name"] if named else entry)
        ids = (entry.get("product_ids") if named else None) or asked.get("product_ids") or []
        pairs += [(feed, str(product)) for product in ids]
    return pairs


def _say(message: dict[str, Any]) -> Say:
    return Say(json.dumps(message, separators=(",", ":")).encode())


class CoinbaseSynth:
    """Every feed of a made market of single orders."""

    clock = Clock.ISO_MICROS
    punctual = True

    def __init__(self) -> None:
        self._products, self.period = products(_LISTINGS)

    def lines(self, channel: str, depth: int) -> list[Line]:
        """Messages of one channel."""
        kind, _, name = channel.partition(".")
        product = self._products.get(name)
        if product is None:
            return []
        if kind == "level2":
            return level2_lines(channel, product)
        if kind == "ticker":
            return ticker_lines(channel, product)
        lines = []
        for happening in product.happenings if kind in ("full", "matches") else ():
            if kind == "full" or happening.what is What.MATCH:
                text, ids = _full(product.listing, happening)
                lines.append(Line(happening.place, channel, text, ids))
        return lines

    def opening(self, channel: str, depth: int, turn: int, place: int, now_ns: int) -> list[bytes]:
        """The levels of level2; the last match of matches."""
        kind, _, name = channel.partition(".")
        product = self._products.get(name)
        if product is None:
            return []
        if kind == "level2":
            return [level2_snapshot(product, place)]
        if kind != "matches":
            return []
        matches = [happening for happening in product.happenings if happening.what is What.MATCH]
        before = [happening for happening in matches if happening.place < place]
        last, of_turn = (before[-1], turn) if before else (matches[-1], turn - 1)
        text, ids = _full(product.listing, last)
        line = Line(place, channel, text.replace('"type":"match"', '"type":"last_match"'), ids)
        return [line.written(of_turn, now_ns, self.clock)]

    def answer(self, ask: Ask, turn: int, place: int, now_ns: int) -> bytes | None:
        """The product list, or all resting orders and their sequence."""
        if ask.asked is Asked.INSTRUMENTS:
            return json.dumps([_product(listing) for listing in _LISTINGS], separators=(",", ":")).encode()
        product = self._products.get(ask.symbol)
        if product is None:
            return None
        orders, last = product.book(place)
        bids, asks = (_order_rows(product.listing, orders, side, turn) for side in (BID, ASK))
        return level3(last.at(turn), bids, asks, now_ns)


def _order_rows(listing: Listing, orders: Sequence[Order], side: int, turn: int) -> list[list[str]]:
    own = sorted((o for o in orders if o.side == side), key=lambda o: o.price, reverse=side == BID)
    return [[price_text(listing, o.price), size_text(listing, o.size), o.name.at(turn)] for o in own]


def _full(listing: Listing, one: Happening) -> tuple[str, tuple[Id, ...]]:
    """A message of the full channel and its ids, in the order they stand in it."""
    body = {What.RECEIVED: _received, What.OPEN: _open, What.MATCH: _match, What.CHANGE: _change, What.DONE: _done}
    text, ids = body[one.what](listing, one)
    tail = f'"product_id":"{listing.symbol}","time":"{Clock.ISO_MICROS.mark}","sequence":{ID_MARK}'
    return f'{{"type":"{one.what.value}",{text},"side":"{SIDES[one.order.side]}",{tail}}}', (*ids, one.sequence)


Body = tuple[str, tuple[Id, ...]]


def _ids(*names: Name) -> tuple[Id, ...]:
    return tuple(name.id for name in names if name.id is not None)


def _received(listing: Listing, one: Happening) -> Body:
    order = one.order
    size, price = size_text(listing, order.size), price_text(listing, order.price)
    kind = f'"market","funds":null,"size":"{size}"' if one.market else f'"limit","size":"{size}","price":"{price}"'
    return f'"order_id":"{order.name.text}","order_type":{kind},"client_oid":""', _ids(order.name)


def _open(listing: Listing, one: Happening) -> Body:
    order = one.order
    size, price = size_text(listing, order.size), price_text(listing, order.price)
    return f'"price":"{price}","order_id":"{order.name.text}","remaining_size":"{size}"', _ids(order.name)


def _match(listing: Listing, one: Happening) -> Body:
    assert one.other is not None
    assert one.trade is not None
    maker = one.order
    size, price = size_text(listing, one.size), price_text(listing, maker.price)
    text = (
        f'"trade_id":{ID_MARK},"maker_order_id":"{maker.name.text}","taker_order_id":"{one.other.text}",'
        f'"size":"{size}","price":"{price}"'
    )
    return text, (one.trade, *_ids(maker.name, one.other))


def _change(listing: Listing, one: Happening) -> Body:
    order = one.order
    old, new = size_text(listing, one.size), size_text(listing, order.size)
    text = f'"price":"{price_text(listing, order.price)}","old_size":"{old}","new_size":"{new}"'
    return f'"reason":"STP","order_id":"{order.name.text}",{text}', _ids(order.name)


def _done(listing: Listing, one: Happening) -> Body:
    order = one.order
    left = f',"price":"{price_text(listing, order.price)}","remaining_size":"{size_text(listing, order.size)}"'
    reason = "filled" if one.filled else "canceled"
    text = f'"order_id":"{order.name.text}","reason":"{reason}"{"" if one.market else left}'
    return text, _ids(order.name)


def _product(listing: Listing) -> dict[str, Any]:
    return {
        "id": listing.symbol,
        "base_currency": listing.base,
        "quote_currency": listing.quote,
        "quote_increment": listing.price(1),
        "base_increment": listing.quantity(1),
        "display_name": listing.symbol.replace("-", "/"),
        "min_market_funds": "1",
        "margin_enabled": False,
        "post_only": False,
        "limit_only": False,
        "cancel_only": False,
        "status": "online",
        "status_message": "",
        "trading_disabled": False,
        "fx_stablecoin": False,
        "max_slippage_percentage": "0.02000000",
        "auction_mode": False,
        "high_bid_limit_percentage": "",
    }


VENUE: Emulation = Coinbase()
