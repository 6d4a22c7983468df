"""Coinbase Exchange: full (single orders), matches, ticker and level2, all from one sequence per product."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from emulator.reel import ID_MARK, Clock, Id, Line
from emulator.synth.listing import Listing, trimmed
from emulator.synth.market import ASK, BID
from emulator.synth.orders import Happening, Name, Order, Product, What, products, rest
from emulator.tapebook import Levels
from emulator.venue import Act, Ask, Asked, Emulation, Say, Subscribe, TapeBook, Unsubscribe

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
_SIDE = ("buy", "sell")
_CHANGES_AT_ONCE = 4


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

    def dialogue(self, query: Mapping[str, str], known: Collection[str]) -> CoinbaseDialogue:
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

    def __init__(self) -> None:
        self._products, self.period = products(_LISTINGS)

    def lines(self, channel: str, depth: int) -> list[Line]:
        """Messages of one channel."""
        kind, _, name = channel.partition(".")
        product = self._products.get(name)
        if product is None:
            return []
        if kind == "level2":
            return _level2_lines(channel, product)
        if kind == "ticker":
            return _ticker_lines(channel, product)
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
            return [_level2_snapshot(product, place)]
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
        return _level3(last.at(turn), bids, asks, now_ns)


def _order_rows(listing: Listing, orders: Sequence[Order], side: int, turn: int) -> list[list[str]]:
    own = sorted((o for o in orders if o.side == side), key=lambda o: o.price, reverse=side == BID)
    return [[_price(listing, o.price), _size(listing, o.size), o.name.at(turn)] for o in own]


def _level3(sequence: int, bids: list[list[str]], asks: list[list[str]], now_ns: int) -> bytes:
    time = Clock.ISO_MICROS.write(now_ns).decode()
    body = {"sequence": sequence, "bids": bids, "asks": asks, "auction_mode": False, "auction": None, "time": time}
    return json.dumps(body, separators=(",", ":")).encode()


def _price(listing: Listing, ticks: int) -> str:
    return trimmed(listing.price(ticks))


def _size(listing: Listing, lots: int) -> str:
    return trimmed(listing.quantity(lots))


def _full(listing: Listing, one: Happening) -> tuple[str, tuple[Id, ...]]:
    """A message of the full channel and its ids, in the order they stand in it."""
    order, time = one.order, Clock.ISO_MICROS.mark
    tail = f'"product_id":"{listing.symbol}","time":"{time}","sequence":{ID_MARK}}}'
    names: tuple[Name, ...] = (order.name,)
    price, side, left = _price(listing, order.price), _SIDE[order.side], _size(listing, order.size)
    ids: tuple[Id, ...] = ()
    if one.what is What.RECEIVED:
        limit = f'"size":"{left}","price":"{price}","client_oid":""'
        kind = f'"market","funds":null,"size":"{left}","client_oid":""' if one.market else f'"limit",{limit}'
        text = f'"order_id":"{order.name.text}","order_type":{kind},"side":"{side}"'
    elif one.what is What.OPEN:
        text = f'"price":"{price}","order_id":"{order.name.text}","remaining_size":"{left}","side":"{side}"'
    elif one.what is What.MATCH:
        assert one.other is not None
        assert one.trade is not None
        ids, names = (one.trade,), (order.name, one.other)
        size = _size(listing, one.size)
        text = (
            f'"trade_id":{ID_MARK},"maker_order_id":"{order.name.text}","taker_order_id":"{one.other.text}",'
            f'"side":"{side}","size":"{size}","price":"{price}"'
        )
    elif one.what is What.CHANGE:
        text = (
            f'"reason":"STP","order_id":"{order.name.text}","price":"{price}","old_size":"{_size(listing, one.size)}",'
            f'"new_size":"{left}","side":"{side}"'
        )
    else:
        reason = "filled" if one.filled else "canceled"
        rest_price = "" if one.market else f'"price":"{price}","remaining_size":"{left}",'
        text = f'"order_id":"{order.name.text}","reason":"{reason}",{rest_price}"side":"{side}"'
    given = tuple(name.id for name in names if name.id is not None)
    return f'{{"type":"{one.what.value}",{text},{tail}', (*ids, *given, one.sequence)


def _ticker_lines(channel: str, product: Product) -> list[Line]:
    listing = product.listing
    resting = {order.name: order for order in product.outer}
    lines = []
    for one in product.happenings:
        rest(resting, one)
        if one.what is not What.MATCH or one.trade is None:
            continue
        # A maker that was taken whole stays in `resting` until its `done`: it counts no more.
        live = [o for o in resting.values() if o.name != one.order.name or one.order.size]
        (bid, bid_size), (ask, ask_size) = (_top(live, side) for side in (BID, ASK))
        mid = _price(listing, listing.mid)
        text = (
            f'{{"type":"ticker","sequence":{ID_MARK},"product_id":"{listing.symbol}",'
            f'"price":"{_price(listing, one.order.price)}","open_24h":"{mid}","volume_24h":"9123.10041","low_24h":"{mid}",'
            f'"high_24h":"{mid}","volume_30d":"281734.5","best_bid":"{_price(listing, bid)}",'
            f'"best_bid_size":"{listing.quantity(bid_size)}","best_ask":"{_price(listing, ask)}",'
            f'"best_ask_size":"{listing.quantity(ask_size)}","side":"{_SIDE[1 - one.order.side]}",'
            f'"time":"{Clock.ISO_MICROS.mark}","trade_id":{ID_MARK},"last_size":"{_size(listing, one.size)}"}}'
        )
        lines.append(Line(one.place, channel, text, (one.sequence, one.trade)))
    return lines


def _top(orders: Sequence[Order], side: int) -> tuple[int, int]:
    prices = [order.price for order in orders if order.side == side]
    best = max(prices) if side == BID else min(prices)
    return best, sum(order.size for order in orders if order.side == side and order.price == best)


def _steps(product: Product) -> list[tuple[int, tuple[tuple[int, int], ...]]]:
    """Places of level2 messages and the levels (side, price) each tells; the last one closes the turn."""
    steps: list[tuple[int, tuple[tuple[int, int], ...]]] = []
    touched: dict[tuple[int, int], None] = {}
    last = product.happenings[-1]
    for one in product.happenings:
        if one.what is not What.RECEIVED and not (one.what is What.DONE and one.filled):
            touched[one.order.side, one.order.price] = None
        if len(touched) >= _CHANGES_AT_ONCE or (one is last and touched):
            steps.append((one.place, tuple(touched)))
            touched.clear()
    return steps


def _aggregate(product: Product, place: int) -> dict[tuple[int, int], int]:
    orders, _ = product.book(place)
    return _sums(orders)


def _sums(orders: Sequence[Order]) -> dict[tuple[int, int], int]:
    sums: dict[tuple[int, int], int] = {}
    for order in orders:
        sums[order.side, order.price] = sums.get((order.side, order.price), 0) + order.size
    return sums


def _level2_lines(channel: str, product: Product) -> list[Line]:
    listing = product.listing
    resting = {order.name: order for order in product.outer}
    steps = iter(_steps(product))
    place, levels = next(steps)
    lines = []
    for one in product.happenings:
        rest(resting, one)
        # A maker taken whole is gone with its match, though its `done` follows.
        if one.what is What.MATCH and not one.order.size:
            resting.pop(one.order.name)
        if one.place != place:
            continue
        sums = _sums(list(resting.values()))
        changes = ",".join(
            f'["{_SIDE[side]}","{_price(listing, price)}","{listing.quantity(sums.get((side, price), 0))}"]'
            for side, price in levels
        )
        text = f'{{"type":"l2update","product_id":"{listing.symbol}","changes":[{changes}],"time":"{Clock.ISO_MICROS.mark}"}}'
        lines.append(Line(place, channel, text))
        place, levels = next(steps, (-1, ()))
    return lines


def _level2_snapshot(product: Product, place: int) -> bytes:
    """Levels as the l2updates before `place` have told them."""
    told = max((at for at, _ in _steps(product) if at < place), default=-1)
    sums = _aggregate(product, told + 1)
    for one in product.happenings:
        if one.place > told:
            break
        # Taken whole, but its `done` comes after `told`: it is still among the resting, with what it had.
        if one.what is What.MATCH and not one.order.size:
            sums = _aggregate_without(product, told + 1)
            break
    sides = [
        [[_price(product.listing, price), product.listing.quantity(size)] for price, size in _ranked(sums, side)]
        for side in (BID, ASK)
    ]
    body = {"type": "snapshot", "product_id": product.listing.symbol, "bids": sides[BID], "asks": sides[ASK]}
    return json.dumps(body, separators=(",", ":")).encode()


def _ranked(sums: dict[tuple[int, int], int], side: int) -> list[tuple[int, int]]:
    return sorted(((price, size) for (own, price), size in sums.items() if own == side), reverse=side == BID)


def _aggregate_without(product: Product, place: int) -> dict[tuple[int, int], int]:
    taken = {
        one.order.name
        for one in product.happenings
        if one.what is What.MATCH and not one.order.size and one.place < place
    }
    orders, _ = product.book(place)
    return _sums([order for order in orders if order.name not in taken])


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


class OrdersTapeBook:
    """Resting orders of the captured level 3 snapshot and the messages after it."""

    def __init__(self) -> None:
        self._orders: dict[str, tuple[str, str, str]] = {}
        self._sequence = -1

    def take(self, payload: bytes) -> None:
        """A message of the full channel, or a level 3 body."""
        message = json.loads(payload)
        if "bids" in message:
            self._orders = {
                name: (side, price, size)
                for side, rows in (("buy", message["bids"]), ("sell", message["asks"]))
                for price, size, name in rows
            }
            self._sequence = int(message["sequence"])
        elif 0 <= self._sequence < int(message.get("sequence", -1)):
            self._apply(message)
            self._sequence = int(message["sequence"])

    def _apply(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "open":
            self._orders[message["order_id"]] = (message["side"], message["price"], message["remaining_size"])
        elif kind == "done":
            self._orders.pop(message["order_id"], None)
        elif kind == "change" and message["order_id"] in self._orders and message.get("new_size"):
            side, price, _ = self._orders[message["order_id"]]
            self._orders[message["order_id"]] = (side, price, message["new_size"])
        elif kind == "match" and message["maker_order_id"] in self._orders:
            side, price, size = self._orders[message["maker_order_id"]]
            self._orders[message["maker_order_id"]] = (side, price, _less(size, message["size"]))

    def snapshot(self, now_ns: int) -> bytes | None:
        """A level 3 body of the book so far."""
        if self._sequence < 0:
            return None
        rows: dict[str, list[list[str]]] = {"buy": [], "sell": []}
        for name, (side, price, size) in self._orders.items():
            if size != "0":
                rows[side].append([price, size, name])
        bids = sorted(rows["buy"], key=lambda row: _number(row[0]), reverse=True)
        asks = sorted(rows["sell"], key=lambda row: _number(row[0]))
        return _level3(self._sequence, bids, asks, now_ns)


def _number(text: str) -> tuple[int, str]:
    """Sorts as the decimal does: whole part by value, then the places as text."""
    whole, _, places = text.partition(".")
    return int(whole), places.ljust(20, "0")


def _less(size: str, by: str) -> str:
    places = max(len(text.partition(".")[2]) for text in (size, by))
    units = [int(text.partition(".")[0] + text.partition(".")[2].ljust(places, "0")) for text in (size, by)]
    left = max(units[0] - units[1], 0)
    text = f"{left:0{places + 1}d}"
    return trimmed(f"{text[:-places]}.{text[-places:]}") if places else text


class Level2TapeBook:
    """Levels of the captured snapshot and the l2updates after it."""

    def __init__(self) -> None:
        self._levels = Levels()
        self._product = ""

    def take(self, payload: bytes) -> None:
        """A level2 frame."""
        message = json.loads(payload)
        if message["type"] == "snapshot":
            self._levels.clear()
            self._product = message["product_id"]
            for side, key in ((BID, "bids"), (ASK, "asks")):
                for price, size, *_ in message[key]:
                    self._levels.set(side, price, size)
        else:
            for word, price, size in message["changes"]:
                self._levels.set(_SIDE.index(word), price, size)

    def snapshot(self, now_ns: int) -> bytes | None:
        """A snapshot frame of the levels so far."""
        if not self._product:
            return None
        bids, asks = self._levels.best(BID), self._levels.best(ASK)
        body = {"type": "snapshot", "product_id": self._product, "bids": bids, "asks": asks}
        return json.dumps(body, separators=(",", ":")).encode()


VENUE: Emulation = Coinbase()
