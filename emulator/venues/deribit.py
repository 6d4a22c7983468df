"""Deribit: JSON-RPC over the socket and over GET, level actions, change ids that link, heartbeats that want an answer."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from emulator.reel import ID_MARK, Clock, Id, Line
from emulator.synth.listing import Listing, floating
from emulator.synth.market import ASK, BID, Depth, Event, Ladder, Quote, Symbol, Trade, market
from emulator.tapebook import Levels
from emulator.venue import Act, Ask, Asked, Emulation, Hang, Say, Subscribe, Unsubscribe

_LISTINGS = (
    Listing("BTC-PERPETUAL", "BTC", "USD", 123_674, 5, 1, 10, 0, 900),
    Listing("ETH-PERPETUAL", "ETH", "USD", 53_688, 5, 2, 1, 0, 20_000),
    Listing("SOL_USDC-PERPETUAL", "SOL", "USDC", 15_643, 1, 2, 1, 1, 600),
    Listing("BTC-26MAR27-70000-C", "BTC", "USD", 1_180, 5, 4, 1, 1, 120),
)
_INTERVALS = ("raw", "100ms", "agg2")
_SIDES = ("bids", "asks")


class Deribit:
    """The venue."""

    symbols: Sequence[str] = [listing.symbol for listing in _LISTINGS]

    def synth(self) -> DeribitSynth:
        """Builds the market."""
        return DeribitSynth()

    def dialogue(self, query: Mapping[str, str], known: Collection[str], url: str = "") -> DeribitDialogue:
        """A connection's; channels of instruments that no known channel has are left out of the answer."""
        return DeribitDialogue({channel.split(".")[1] for channel in known if "." in channel})

    def ask(self, path: str, query: Mapping[str, str]) -> Ask | None:
        """Understands `…/public/get_instruments`."""
        return Ask(Asked.INSTRUMENTS) if path.endswith("/public/get_instruments") else None

    def refusal(self, status: int, reason: str) -> bytes:
        """A JSON-RPC error."""
        code = {429: 10028, 404: -32601}.get(status, 10000)
        return json.dumps(
            {"jsonrpc": "2.0", "error": {"code": code, "message": reason}}, separators=(",", ":")
        ).encode()

    def book_channel(self, symbol: str) -> str:
        """The book channels of an instrument."""
        return f"book.{symbol}.*"

    def tape_book(self, channel: str) -> DeribitTapeBook | None:
        """A book from snapshots and changes; grouped tops are none."""
        return DeribitTapeBook() if channel.startswith("book.") and channel.count(".") == 2 else None


class DeribitDialogue:
    """subscribe, unsubscribe, set_heartbeat, test and some questions."""

    def __init__(self, instruments: Collection[str]) -> None:
        self._instruments = instruments
        self._interval = 0
        self._heard_ns = 0
        self._beat_ns = 0
        self._tested = False

    def greet(self, now_ns: int) -> list[Act]:
        """Nothing is said first."""
        return []

    def hear(self, text: bytes, now_ns: int) -> list[Act]:
        """One answer a request; data begins after it."""
        self._heard_ns, self._tested = now_ns, False
        try:
            asked = json.loads(text)
            method, number, params = str(asked["method"]), asked.get("id"), asked.get("params") or {}
        except (ValueError, KeyError, TypeError, AttributeError):
            return [_error(None, -32700, "Parse error", now_ns)]
        short = method.rpartition("/")[2]
        if short in ("subscribe", "unsubscribe"):
            return self._subscription(short, number, params, now_ns)
        if short == "set_heartbeat":
            return self._set_heartbeat(number, int(params.get("interval", 0)), now_ns)
        if short == "disable_heartbeat":
            self._interval = 0
            return [_result(number, "ok", now_ns)]
        answers: dict[str, Any] = {
            "test": {"version": "1.2.26"},
            "hello": {"version": "1.2.26"},
            "get_time": now_ns // 1_000_000,
            "auth": {"access_token": "emulated", "expires_in": 900, "token_type": "bearer", "scope": "connection"},
            "get_instruments": [_instrument(listing) for listing in _LISTINGS],
        }
        if short in answers:
            return [_result(number, answers[short], now_ns)]
        return [_error(number, -32601, "Method not found", now_ns)]

    def _subscription(self, method: str, number: Any, params: dict[str, Any], now_ns: int) -> list[Act]:
        channels = [str(name) for name in params.get("channels") or []]
        accepted = [name for name in channels if name.count(".") >= 1 and name.split(".")[1] in self._instruments]
        answer = _result(number, accepted, now_ns)
        if method == "subscribe":
            return [answer, *map(Subscribe, accepted)]
        return [*map(Unsubscribe, accepted), answer]

    def _set_heartbeat(self, number: Any, interval: int, now_ns: int) -> list[Act]:
        if interval < 10:
            return [_error(number, -32602, "Invalid params", now_ns)]
        self._interval, self._beat_ns = interval, now_ns
        return [_result(number, "ok", now_ns)]

    def tick(self, now_ns: int, idle: float) -> list[Act]:
        """A heartbeat each interval; a test request to a silent client; the end, if that is not answered either."""
        if not self._interval or now_ns - self._beat_ns < self._interval * 1_000_000_000:
            return []
        self._beat_ns = now_ns
        if self._tested:
            return [Hang(1000, "heartbeat not answered")]
        silent = now_ns - self._heard_ns >= self._interval * 1_000_000_000
        self._tested = silent
        return [_message("heartbeat", {"type": "test_request" if silent else "heartbeat"})]


def _message(method: str, params: dict[str, Any]) -> Say:
    text = json.dumps({"jsonrpc": "2.0", "method": method, "params": params}, separators=(",", ":"))
    return Say(text.encode())


def _result(number: Any, result: Any, now_ns: int) -> Say:
    return Say(_rpc({"result": result} if number is None else {"id": number, "result": result}, now_ns))


def _error(number: Any, code: int, message: str, now_ns: int) -> Say:
    error = {"error": {"code": code, "message": message}}
    return Say(_rpc(error if number is None else {"id": number, **error}, now_ns))


def _rpc(content: dict[str, Any], now_ns: int) -> bytes:
    times = {"usIn": now_ns // 1000, "usOut": now_ns // 1000, "usDiff": 0, "testnet": False}
    return json.dumps({"jsonrpc": "2.0", **content, **times}, separators=(",", ":")).encode()


class DeribitSynth:
    """book, trades, ticker and quote of a made market, at every interval the same."""

    clock = Clock.MILLIS
    punctual = True

    def __init__(self) -> None:
        self._market = market(_LISTINGS, stride=20)
        self.period = self._market.period

    def lines(self, channel: str, depth: int) -> list[Line]:
        """Messages of one channel."""
        kind, symbol = self._split(channel)
        if symbol is None:
            return []
        if kind == "book":
            return _book_lines(channel, symbol)
        writer = {"trades": _trade, "ticker": _ticker, "quote": _quote}.get(kind)
        lines: list[Line] = []
        for event in symbol.events if writer else ():
            written = writer(symbol.listing, event) if writer else None
            if written is not None:
                lines.append(Line(event.place, channel, _push(channel, written[0]), written[1]))
        return lines

    def _split(self, channel: str) -> tuple[str, Symbol | None]:
        kind, *rest = channel.split(".")
        if not rest or (len(rest) != 1 if kind == "quote" else len(rest) != 2 or rest[1] not in _INTERVALS):
            return kind, None
        return kind, self._market.symbols.get(rest[0])

    def opening(self, channel: str, depth: int, turn: int, place: int, now_ns: int) -> list[bytes]:
        """The book's snapshot, as of the last change sent."""
        kind, symbol = self._split(channel)
        if kind != "book" or symbol is None:
            return []
        ladder, last = symbol.published(place)
        bids, asks = (_snapshot_levels(symbol.listing, ladder, side) for side in (BID, ASK))
        name = symbol.listing.symbol
        return [_snapshot(channel, name, last.at(turn), now_ns, bids, asks)]

    def answer(self, ask: Ask, turn: int, place: int, now_ns: int) -> bytes | None:
        """The instrument list."""
        if ask.asked is not Asked.INSTRUMENTS:
            return None
        return _rpc({"result": [_instrument(listing) for listing in _LISTINGS]}, now_ns)


def _push(channel: str, data: str) -> str:
    return f'{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"{channel}","data":{data}}}}}'


def _snapshot(channel: str, name: str, last: int, now_ns: int, bids: str, asks: str) -> bytes:
    data = (
        f'{{"type":"snapshot","timestamp":{now_ns // 1_000_000},"instrument_name":"{name}","change_id":{last},'
        f'"bids":[{bids}],"asks":[{asks}]}}'
    )
    return _push(channel, data).encode()


def _snapshot_levels(listing: Listing, ladder: Ladder, side: int) -> str:
    return ",".join(_level(listing, "new", price, size) for price, size in ladder.levels(side))


def _level(listing: Listing, action: str, price: int, size: int) -> str:
    return f'["{action}",{floating(listing.price(price))},{floating(listing.quantity(size))}]'


def _book_lines(channel: str, symbol: Symbol) -> list[Line]:
    told = symbol.start.copy()
    lines = []
    for event in symbol.events:
        if not isinstance(event, Depth):
            continue
        sides: tuple[list[str], list[str]] = ([], [])
        for change in event.changes:
            there = change.price in told.sides[change.side]
            if change.size or there:
                action = "change" if change.size and there else "new" if change.size else "delete"
                sides[change.side].append(_level(symbol.listing, action, change.price, change.size))
            told.apply(change)
        data = (
            f'{{"type":"change","timestamp":{Clock.MILLIS.mark},"prev_change_id":{ID_MARK},'
            f'"instrument_name":"{symbol.listing.symbol}","change_id":{ID_MARK},'
            f'"bids":[{",".join(sides[BID])}],"asks":[{",".join(sides[ASK])}]}}'
        )
        lines.append(Line(event.place, channel, _push(channel, data), (event.previous, event.last)))
    return lines


def _trade(listing: Listing, event: Event) -> tuple[str, tuple[Id, ...]] | None:
    if not isinstance(event, Trade):
        return None
    price = floating(listing.price(event.price))
    text = (
        f'[{{"trade_seq":{ID_MARK},"trade_id":"{ID_MARK}","timestamp":{Clock.MILLIS.mark},"tick_direction":0,'
        f'"price":{price},"mark_price":{price},"instrument_name":"{listing.symbol}","index_price":{price},'
        f'"direction":"{"buy" if event.buy else "sell"}","amount":{floating(listing.quantity(event.size))}}}]'
    )
    return text, (event.id, event.id)


def _quote(listing: Listing, event: Event) -> tuple[str, tuple[Id, ...]] | None:
    if not isinstance(event, Quote):
        return None
    text = (
        f'{{"timestamp":{Clock.MILLIS.mark},"instrument_name":"{listing.symbol}",'
        f'"best_bid_price":{floating(listing.price(event.bid))},'
        f'"best_bid_amount":{floating(listing.quantity(event.bid_size))},'
        f'"best_ask_price":{floating(listing.price(event.ask))},'
        f'"best_ask_amount":{floating(listing.quantity(event.ask_size))}}}'
    )
    return text, ()


def _ticker(listing: Listing, event: Event) -> tuple[str, tuple[Id, ...]] | None:
    # A ticker with each trade, as the venue sends one when a value in it has changed.
    if not isinstance(event, Trade):
        return None
    price, mark = floating(listing.price(event.price)), floating(listing.price(listing.mid))
    text = (
        f'{{"timestamp":{Clock.MILLIS.mark},"stats":{{"volume_usd":95312340.0,"volume":1541.2,"price_change":1.25,'
        f'"low":{mark},"high":{mark}}},"state":"open","settlement_price":{mark},"open_interest":1029384560,'
        f'"min_price":{mark},"max_price":{mark},"mark_price":{mark},"last_price":{price},"interest_value":0.0001,'
        f'"instrument_name":"{listing.symbol}","index_price":{mark},"funding_8h":0.00001234,'
        f'"estimated_delivery_price":{mark},"current_funding":0.00000123,"best_bid_price":{mark},'
        f'"best_bid_amount":{floating(listing.quantity(listing.size))},"best_ask_price":{price},'
        f'"best_ask_amount":{floating(listing.quantity(event.size))}}}'
    )
    return text, ()


def _instrument(listing: Listing) -> dict[str, Any]:
    pieces = listing.symbol.split("-")
    option = len(pieces) == 4
    perpetual = pieces[-1] == "PERPETUAL"
    usd = listing.quote == "USD" and perpetual
    step = float(listing.quantity(1))
    entry: dict[str, Any] = {
        "instrument_name": listing.symbol,
        "instrument_id": sum(listing.symbol.encode()),
        "kind": "option" if option else "future",
        "instrument_type": "reversed" if listing.quote == "USD" else "linear",
        "base_currency": listing.base,
        "quote_currency": listing.base if option else listing.quote,
        "counter_currency": listing.quote,
        "settlement_currency": listing.base if listing.quote == "USD" else listing.quote,
        "settlement_period": "perpetual" if perpetual else "month",
        "tick_size": float(listing.price(1)),
        "tick_size_steps": [],
        "contract_size": 10.0 if usd and listing.base == "BTC" else step,
        "min_trade_amount": step,
        "is_active": True,
        "creation_timestamp": 1534167754000,
        "expiration_timestamp": 32503708800000 if perpetual else 1806220800000,
        "maker_commission": 0.0,
        "taker_commission": 0.0005,
    }
    if option:
        entry |= {"strike": float(pieces[2]), "option_type": "call" if pieces[3] == "C" else "put"}
    return entry


class DeribitTapeBook:
    """Levels of the last snapshot and the changes after it."""

    def __init__(self) -> None:
        self._levels = Levels()
        self._channel = ""
        self._name = ""
        self._last = 0
        self.checked, self.sound = False, True

    def take(self, payload: bytes) -> None:
        """A book push."""
        params = json.loads(payload, parse_float=str, parse_int=str)["params"]
        data = params["data"]
        if data.get("type") == "snapshot":
            self._levels.clear()
            self._channel, self._name = params["channel"], data["instrument_name"]
        for side, key in enumerate(_SIDES):
            for action, price, amount in data.get(key, []):
                self._levels.set(side, price, "0" if action == "delete" else amount)
        self._last = int(data["change_id"])

    def snapshot(self, now_ns: int) -> bytes | None:
        """A snapshot push of the book so far."""
        if not self._channel:
            return None
        bids, asks = (
            ",".join(f'["new",{price},{size}]' for price, size in self._levels.best(side)) for side in (BID, ASK)
        )
        return _snapshot(self._channel, self._name, self._last, now_ns, bids, asks)


VENUE: Emulation = Deribit()
