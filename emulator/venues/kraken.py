"""Kraken spot, API v2: numbers as JSON literals of fixed places, CRC32 over their text, one ack per symbol."""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from emulator.reel import ID_MARK, Clock, Id, Line
from emulator.synth.listing import Listing
from emulator.synth.market import ASK, BID, Depth, Event, Ladder, Quote, Symbol, Trade, market
from emulator.tapebook import Levels
from emulator.venue import Act, Ask, Emulation, Say, Subscribe, Unsubscribe

_LISTINGS = (
    Listing("BTC/USD", "BTC", "USD", 633_887, 1, 1, 1, 8, 30_000_000),
    Listing("ETH/USD", "ETH", "USD", 268_431, 1, 2, 1, 8, 300_000_000),
    Listing("SOL/USD", "SOL", "USD", 15_651, 1, 2, 1, 8, 1_500_000_000),
    Listing("LTC/USD", "LTC", "USD", 8_743, 1, 2, 1, 8, 1_200_000_000),
)
_USUAL_DEPTH = 10
_DEPTHS = (_USUAL_DEPTH, 25, 100, 500, 1000)
_PER_SYMBOL = ("book", "trade", "ticker", "ohlc")
Pairs = list[tuple[str, str]]


class Kraken:
    """The venue."""

    symbols: Sequence[str] = [listing.symbol for listing in _LISTINGS]

    def synth(self) -> KrakenSynth:
        """Builds the market."""
        return KrakenSynth()

    def dialogue(self, query: Mapping[str, str], known: Collection[str], url: str = "") -> KrakenDialogue:
        """A connection's; symbols of no known channel are refused."""
        return KrakenDialogue({channel.partition(".")[2] for channel in known} - {""})

    def ask(self, path: str, query: Mapping[str, str]) -> Ask | None:
        """Nothing is asked by REST: instruments and snapshots come in the stream."""
        return None

    def refusal(self, status: int, reason: str) -> bytes:
        """`{"error":[…]}`."""
        return json.dumps({"error": [f"EGeneral:{reason}"]}, separators=(",", ":")).encode()

    def book_channel(self, symbol: str) -> str:
        """The book channel of a symbol."""
        return f"book.{symbol}"

    def tape_book(self, channel: str) -> KrakenTapeBook | None:
        """A book from snapshots and updates."""
        return KrakenTapeBook() if channel.startswith("book.") else None


class KrakenDialogue:
    """subscribe, unsubscribe, ping; status on connecting; heartbeats when idle."""

    def __init__(self, symbols: Collection[str]) -> None:
        self._symbols = symbols
        self._subscribed: dict[str, None] = {}

    def greet(self, now_ns: int) -> list[Act]:
        """The status message."""
        state = {"version": "2.0.10", "system": "online", "api_version": "v2", "connection_id": now_ns}
        return [_say({"channel": "status", "type": "update", "data": [state]})]

    def hear(self, text: bytes, now_ns: int) -> list[Act]:
        """One ack per symbol, then the channel's snapshot."""
        try:
            asked = json.loads(text)
            method, params = asked["method"], asked.get("params") or {}
            tail = {"time_in": _iso(now_ns), "time_out": _iso(now_ns)}
        except (ValueError, KeyError, TypeError):
            return [_say({"error": "Malformed request", "success": False})]
        if "req_id" in asked:
            tail["req_id"] = asked["req_id"]
        if method == "ping":
            return [_say({"method": "pong", **tail})]
        if method not in ("subscribe", "unsubscribe"):
            return [_say({"error": "Unsupported method", "method": method, "success": False, **tail})]
        if params.get("channel") == "instrument":
            return self._instrument(method, params, tail)
        symbols = params.get("symbol") or []
        return [act for symbol in symbols for act in self._one(method, params, str(symbol), tail)]

    def _instrument(self, method: str, params: dict[str, Any], tail: dict[str, Any]) -> list[Act]:
        result = {"channel": "instrument", "snapshot": bool(params.get("snapshot", True))}
        said = _say({"method": method, "result": result, "success": True, **tail})
        return [said, Subscribe("instrument") if method == "subscribe" else Unsubscribe("instrument")]

    def _one(self, method: str, params: dict[str, Any], symbol: str, tail: dict[str, Any]) -> list[Act]:
        kind, depth = str(params.get("channel")), int(params.get("depth", 10))
        channel = f"{kind}.{symbol}"
        error = self._refused(method, kind, symbol, depth)
        if error:
            return [_say({"error": error, "method": method, "success": False, "symbol": symbol, **tail})]
        result: dict[str, Any] = {"channel": kind}
        if kind == "book":
            result["depth"] = depth
        if kind == "ticker":
            result["event_trigger"] = params.get("event_trigger", "trades")
        if method == "subscribe":
            result["snapshot"] = params.get("snapshot", kind != "trade")
        ack = _say({"method": method, "result": {**result, "symbol": symbol}, "success": True, **tail})
        if method == "subscribe":
            self._subscribed[channel] = None
            return [ack, Subscribe(channel, depth if kind == "book" and depth != _USUAL_DEPTH else 0)]
        del self._subscribed[channel]
        return [Unsubscribe(channel), ack]

    def _refused(self, method: str, kind: str, symbol: str, depth: int) -> str:
        if kind not in _PER_SYMBOL:
            return "Channel not found"
        if symbol not in self._symbols:
            return f"Currency pair not supported {symbol}"
        if kind == "book" and depth not in _DEPTHS:
            return "Subscription depth not supported"
        there = f"{kind}.{symbol}" in self._subscribed
        if method == "subscribe":
            return "Already subscribed" if there else ""
        return "" if there else "Subscription Not Found"

    def tick(self, now_ns: int, idle: float) -> list[Act]:
        """A heartbeat after a second of silence."""
        return [_say({"channel": "heartbeat"})] if idle >= 1.0 and self._subscribed else []


class KrakenSynth:
    """book, trade, ticker and instrument of a made market."""

    clock = Clock.ISO_MICROS
    punctual = True

    def __init__(self) -> None:
        self._market = market(_LISTINGS)
        self.period = self._market.period

    def lines(self, channel: str, depth: int) -> list[Line]:
        """Messages of one channel; `instrument` has only its snapshot."""
        kind, _, name = channel.partition(".")
        symbol = self._market.symbols.get(name)
        if symbol is None:
            return []
        if kind == "book":
            return _book_lines(channel, symbol, depth or _USUAL_DEPTH)
        writer = {"trade": _trade, "ticker": _ticker}.get(kind)
        lines: list[Line] = []
        for event in symbol.events if writer else ():
            written = writer(symbol.listing, event) if writer else None
            if written is not None:
                lines.append(Line(event.place, channel, written[0], written[1]))
        return lines

    def opening(self, channel: str, depth: int, turn: int, place: int, now_ns: int) -> list[bytes]:
        """The book's, the ticker's and the instruments' snapshot."""
        kind, _, name = channel.partition(".")
        if kind == "instrument":
            return [_instruments(_LISTINGS)]
        symbol = self._market.symbols.get(name)
        if symbol is None:
            return []
        if kind == "ticker":
            quotes = [event for event in symbol.events if isinstance(event, Quote)]
            last = next((event for event in reversed(quotes) if event.place < place), quotes[-1])
            text, _ = _ticker(symbol.listing, last, "snapshot") or ("", ())
            return [text.replace(Clock.ISO_MICROS.mark, _iso(now_ns)).encode()]
        if kind != "book":
            return []
        ladder, _ = symbol.published(place)
        sides = _view(symbol.listing, ladder, depth or _USUAL_DEPTH)
        return [_book_text(name, "snapshot", sides, sides, _iso(now_ns)).encode()]

    def answer(self, ask: Ask, turn: int, place: int, now_ns: int) -> bytes | None:
        """Nothing is asked by REST."""
        return None


def _book_lines(channel: str, symbol: Symbol, depth: int) -> list[Line]:
    ladder = symbol.start.copy()
    before = _view(symbol.listing, ladder, depth)
    lines = []
    for event in symbol.events:
        if not isinstance(event, Depth):
            continue
        for change in event.changes:
            ladder.apply(change)
        after = _view(symbol.listing, ladder, depth)
        bids, asks = (_difference(before[side], after[side], depth, symbol.listing) for side in (BID, ASK))
        if bids or asks:
            text = _book_text(symbol.listing.symbol, "update", (bids, asks), after, Clock.ISO_MICROS.mark)
            lines.append(Line(event.place, channel, text))
        before = after
    return lines


def _view(listing: Listing, ladder: Ladder, depth: int) -> tuple[Pairs, Pairs]:
    bids, asks = (
        [(listing.price(price), listing.quantity(size)) for price, size in ladder.levels(side, depth)]
        for side in (BID, ASK)
    )
    return bids, asks


def _difference(before: Pairs, after: Pairs, depth: int, listing: Listing) -> Pairs:
    """Levels to send so that a client that truncates to `depth` comes from one view to the other."""
    old, new = dict(before), {price for price, _ in after}
    gone = [price for price, _ in before if price not in new]
    if len(after) == depth:
        # What better levels have pushed out, the client drops by itself.
        first, end = _number(after[0][0]), _number(after[-1][0])
        gone = [price for price in gone if (_number(price) > end if first > end else _number(price) < end)]
    return [(price, listing.quantity(0)) for price in gone] + [pair for pair in after if old.get(pair[0]) != pair[1]]


def _number(text: str) -> int:
    return int(text.replace(".", ""))


def _book_text(symbol: str, kind: str, sides: tuple[Pairs, Pairs], book: tuple[Pairs, Pairs], time: str) -> str:
    bids, asks = (",".join(f'{{"price":{price},"qty":{size}}}' for price, size in side) for side in sides)
    return (
        f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{symbol}","bids":[{bids}],"asks":[{asks}],'
        f'"checksum":{checksum(*book)},"timestamp":"{time}"}}]}}'
    )


def checksum(bids: Pairs, asks: Pairs) -> int:
    """CRC32 of the ten best asks, then bids, digits without dot and leading zeros."""
    parts = [text.replace(".", "").lstrip("0") for side in (asks[:10], bids[:10]) for level in side for text in level]
    return zlib.crc32("".join(parts).encode())


def _trade(listing: Listing, event: Event) -> tuple[str, tuple[Id, ...]] | None:
    if not isinstance(event, Trade):
        return None
    text = (
        f'{{"channel":"trade","type":"update","data":[{{"symbol":"{listing.symbol}","side":"{_side(event.buy)}",'
        f'"price":{listing.price(event.price)},"qty":{listing.quantity(event.size)},"ord_type":"market",'
        f'"trade_id":{ID_MARK},"timestamp":"{Clock.ISO_MICROS.mark}"}}]}}'
    )
    return text, (event.id,)


def _side(buy: bool) -> str:
    return "buy" if buy else "sell"


def _ticker(listing: Listing, event: Event, kind: str = "update") -> tuple[str, tuple[Id, ...]] | None:
    if not isinstance(event, Quote):
        return None
    price, size = listing.price, listing.quantity
    text = (
        f'{{"channel":"ticker","type":"{kind}","data":[{{"symbol":"{listing.symbol}","bid":{price(event.bid)},'
        f'"bid_qty":{size(event.bid_size)},"ask":{price(event.ask)},"ask_qty":{size(event.ask_size)},'
        f'"last":{price(event.last)},"volume":{size(listing.size * 900)},"vwap":{price(listing.mid)},'
        f'"low":{price(listing.mid - 900)},"high":{price(listing.mid + 900)},"change":{price(100)},"change_pct":0.16,'
        f'"timestamp":"{Clock.ISO_MICROS.mark}"}}]}}'
    )
    return text, ()


def _instruments(listings: Sequence[Listing]) -> bytes:
    assets = ",".join(
        f'{{"id":"{name}","status":"enabled","precision":10,"precision_display":5,"borrowable":true,'
        f'"collateral_value":1.0,"margin_rate":0.02}}'
        for name in sorted({listing.base for listing in listings} | {listing.quote for listing in listings})
    )
    pairs = ",".join(
        f'{{"symbol":"{listing.symbol}","base":"{listing.base}","quote":"{listing.quote}","status":"online",'
        f'"qty_precision":{listing.size_places},"qty_increment":{listing.quantity(1)},'
        f'"price_precision":{listing.price_places},"cost_precision":5,"marginable":true,"has_index":true,'
        f'"cost_min":0.5,"margin_initial":0.2,"position_limit_long":250,"position_limit_short":200,'
        f'"tick_size":{listing.price(1)},"price_increment":{listing.price(1)},"qty_min":{listing.quantity(5000)}}}'
        for listing in listings
    )
    text = f'{{"channel":"instrument","type":"snapshot","data":{{"assets":[{assets}],"pairs":[{pairs}]}}}}'
    return text.encode()


class KrakenTapeBook:
    """Levels of the last snapshot and the updates after it, truncated to the snapshot's depth."""

    def __init__(self) -> None:
        self._levels = Levels()
        self._depth = 0
        self._symbol = ""
        self.checked, self.sound = True, True

    def take(self, payload: bytes) -> None:
        """A book frame."""
        message = json.loads(payload, parse_float=str, parse_int=str)
        for entry in message["data"]:
            bids, asks = entry.get("bids", []), entry.get("asks", [])
            if message["type"] == "snapshot":
                self._levels.clear()
                self._symbol, self._depth = entry["symbol"], max(len(bids), len(asks), 10)
            for side, levels in ((BID, bids), (ASK, asks)):
                for level in levels:
                    self._levels.set(side, level["price"], level["qty"])
            if self._depth:
                self._levels.truncate(self._depth)
            self.sound = checksum(self._levels.best(BID), self._levels.best(ASK)) == int(entry["checksum"])

    def snapshot(self, now_ns: int) -> bytes | None:
        """A snapshot frame of the book so far."""
        if not self._symbol:
            return None
        sides = self._levels.best(BID), self._levels.best(ASK)
        return _book_text(self._symbol, "snapshot", sides, sides, _iso(now_ns)).encode()


def _iso(now_ns: int) -> str:
    return Clock.ISO_MICROS.write(now_ns).decode()


def _say(message: dict[str, Any]) -> Say:
    return Say(json.dumps(message, separators=(",", ":")).encode())


VENUE: Emulation = Kraken()
