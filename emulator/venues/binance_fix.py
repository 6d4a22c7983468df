"""Binance spot by FIX: MarketDataRequest, InstrumentListRequest, and a market written as W, X and y messages."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from emulator.fix.acceptor import Acceptor, Rules, Seats
from emulator.fix.messages import SOH, Reader, body
from emulator.reel import ID_MARK, Clock, Id, Line
from emulator.synth.listing import Listing
from emulator.synth.market import ASK, BID, Depth, Event, Market, Quote, Symbol, Trade, market
from emulator.venue import Act, Ask, Asked, Carrier, Dialogue, Reply, Say, Subscribe, TapeBook, Unsubscribe
from tapeline.spec.session import FixSession

SPEC = FixSession(sender="", target="SPOT", resend=False)
"""As the venue answers; names and signatures are the client's to bring."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,36}")
_KINDS = {("0", "1"): "book", ("2",): "trade"}
_DUPLICATE, _TOO_MANY = 1, 2
_SIMILAR, _BAD_SYMBOL = -1191, -1121
_DEEPEST = 5000


class BinanceFixDialogue:
    """Requests of one client; `renamed` maps the ids that the market writes to the client's own."""

    def __init__(self, symbols: Collection[str]) -> None:
        self._symbols = symbols
        self._active: dict[str, list[str]] = {}
        self.renamed: dict[bytes, bytes] = {}

    def greet(self, now_ns: int) -> list[Act]:
        """The logon says enough."""
        return []

    def hear(self, text: bytes, now_ns: int) -> list[Act]:
        """V subscribes and unsubscribes, x asks for instruments."""
        reader = Reader()
        told, raw = reader.feed(text)[0]
        groups = _groups(raw)
        match told.get(35):
            case "V":
                return self._request(told, groups)
            case "x":
                symbol = told.get(55, "") if told.get(559) == "0" else ""
                if symbol and symbol not in self._symbols:
                    return [_reject(told, 55, "Invalid symbol.")]
                return [Reply(Ask(Asked.INSTRUMENTS, symbol=symbol, number=told.get(320, "")))]
        return [_reject(told, 35, "Message type is not supported.")]

    def tick(self, now_ns: int, idle: float) -> list[Act]:
        """Nothing but heartbeats, which are the session's."""
        return []

    def _request(self, told: dict[int, str], groups: dict[int, list[str]]) -> list[Act]:
        name = told.get(262, "")
        if not _NAME.fullmatch(name):
            return [_reject(told, 262, "MDReqID is wrong.")]
        if told.get(263) == "2":
            channels = self._active.pop(name, None)
            if channels is None:
                return [_reject(told, 262, "Unknown MDReqID.")]
            return [Unsubscribe(channel) for channel in channels]
        kind, depth = _KINDS.get(tuple(sorted(groups.get(269, []))), ""), told.get(264, "1")
        symbols = groups.get(55, [])
        if told.get(263) != "1" or not kind or not symbols or not depth.isdigit() or not 1 <= int(depth) <= _DEEPEST:
            return [_reject(told, 263, "Request is wrong.")]
        for symbol in symbols:
            if symbol not in self._symbols:
                return [_reject(told, 55, "Invalid symbol.")]
        if name in self._active:
            return [_refuse(name, _DUPLICATE, _SIMILAR, "MDReqID is in use.")]
        if kind == "book" and depth == "1":
            kind = "top"
        channels = [f"{symbol}-{kind}" for symbol in symbols]
        taken = {channel: other for other, some in self._active.items() for channel in some}
        for channel in channels:
            if channel in taken:
                text = f"Similar subscription is already active on this connection: '{taken[channel]}'."
                return [_refuse(name, _TOO_MANY, _SIMILAR, text)]
        self._active[name] = channels
        self.renamed.update({_id_field(one): _id_field(name) for one in channels if one != name})
        return [Subscribe(channel, int(depth) if kind == "book" else 0) for channel in channels]


def _id_field(name: str) -> bytes:
    return b"\x01262=" + name.encode() + SOH


def _groups(raw: bytes) -> dict[int, list[str]]:
    """Every value of every tag."""
    found: dict[int, list[str]] = {}
    for field in raw.split(SOH):
        tag, _, value = field.partition(b"=")
        if tag.isdigit():
            found.setdefault(int(tag), []).append(value.decode())
    return found


def _reject(told: dict[int, str], tag: int, text: str) -> Say:
    given = ((45, told[34]), (371, tag), (372, told[35]), (373, 5), (25016, _BAD_SYMBOL), (58, text))
    return Say(body("3", *given))


def _refuse(name: str, reason: int, code: int, text: str) -> Say:
    return Say(body("Y", (262, name), (281, reason), (25016, code), (58, text)))


class BinanceFixSynth:
    """Depth, book ticker and trade streams of a made market."""

    clock = Clock.FIX_MICROS
    punctual = True

    def __init__(self, listings: Sequence[Listing]) -> None:
        self._listings = listings
        self._market: Market = market(listings)
        self.period = self._market.period

    def lines(self, channel: str, depth: int) -> list[Line]:
        """Messages of one channel."""
        name, _, kind = channel.rpartition("-")
        symbol = self._market.symbols.get(name)
        if symbol is None:
            return []
        made = []
        before: Quote | None = None
        for event in symbol.events:
            written = _update(symbol, event, kind, before)
            if isinstance(event, Quote):
                before = event
            if written is not None:
                entries, ids = written
                text = _text("X", (262, channel), (268, len(entries))) + "".join(entries)
                made.append(Line(event.place, channel, text, ids))
        return made

    def opening(self, channel: str, depth: int, turn: int, place: int, now_ns: int) -> list[bytes]:
        """A snapshot, but for trades."""
        name, _, kind = channel.rpartition("-")
        symbol = self._market.symbols.get(name)
        if symbol is None or kind == "trade":
            return []
        ladder, last = symbol.published(place) if kind == "book" else symbol.book(place)
        levels = [
            _text(None, (269, side), (270, symbol.listing.price(price)), (271, symbol.listing.quantity(size)))
            for side in (BID, ASK)
            for price, size in ladder.levels(side, (depth or _DEEPEST) if kind == "book" else 1)
        ]
        head = _text("W", (262, channel), (55, name), (25044, last.at(turn)), (268, len(levels)))
        return [(head + "".join(levels)).encode()]

    def answer(self, ask: Ask, turn: int, place: int, now_ns: int) -> bytes | None:
        """The instrument list."""
        if ask.asked is not Asked.INSTRUMENTS:
            return None
        listed = [one for one in self._listings if ask.symbol in ("", one.symbol)]
        entries = [
            _text(
                None,
                (55, one.symbol),
                (15, one.quote),
                (562, one.quantity(1)),
                (1140, one.quantity(4_000_000_000)),
                (25039, one.quantity(1)),
                (969, one.price(1)),
            )
            for one in listed
        ]
        return (_text("y", (320, ask.number), (146, len(entries))) + "".join(entries)).encode()


def _text(kind: str | None, *pairs: tuple[int, object]) -> str:
    given = ((35, kind), *pairs) if kind else pairs
    return "".join(f"{tag}={value}\x01" for tag, value in given)


def _update(symbol: Symbol, event: Event, kind: str, before: Quote | None) -> tuple[list[str], tuple[Id, ...]] | None:
    """The entries of an X message for an event, where it belongs to the channel."""
    listing = symbol.listing
    price, size = listing.price, listing.quantity
    if isinstance(event, Trade) and kind == "trade":
        deal = ((279, 0), (270, price(event.price)), (271, size(event.size)), (269, 2), (55, listing.symbol))
        more = ((60, BinanceFixSynth.clock.mark), (1003, ID_MARK), (2446, 1 if event.buy else 2))
        return [_text(None, *deal, *more)], (event.id,)
    if isinstance(event, Quote) and kind == "top":
        sides = [(BID, event.bid, event.bid_size), (ASK, event.ask, event.ask_size)]
        if before is not None:
            known = ((BID, before.bid, before.bid_size), (ASK, before.ask, before.ask_size))
            # The side that has not changed is not told again.
            sides = [side for side in sides if side not in known]
        told = [((279, 1), (270, price(at)), (271, size(much)), (269, side)) for side, at, much in sides]
        return _once(told, ((55, listing.symbol), (25044, ID_MARK))), (event.id,)
    if isinstance(event, Depth) and kind == "book":
        changes = [
            (
                (279, 1 if c.size else 2),
                (270, price(c.price)),
                *(((271, size(c.size)),) if c.size else ()),
                (269, c.side),
            )
            for c in event.changes
        ]
        ids = ((55, listing.symbol), (25043, ID_MARK), (25044, ID_MARK))
        # The range begins right after the one before it.
        first = Id(event.previous.counter, event.previous.value + 1)
        return _once(changes, ids), (first, event.last)
    return None


def _once(entries: Sequence[Sequence[tuple[int, object]]], ids: Sequence[tuple[int, object]]) -> list[str]:
    """Entries of which only the first says what is the same for all."""
    return [_text(None, *entry, *(ids if place == 0 else ())) for place, entry in enumerate(entries)]


class BinanceFix:
    """The venue."""

    def __init__(self, listings: Sequence[Listing]) -> None:
        self._listings = listings
        self._rules, self._seats = Rules(SPEC, _signature, (5, 60)), Seats()
        self.symbols: Sequence[str] = [listing.symbol for listing in listings]

    def synth(self) -> BinanceFixSynth:
        """Builds the market."""
        return BinanceFixSynth(self._listings)

    def dialogue(self, query: Mapping[str, str], known: Collection[str], url: str = "") -> BinanceFixDialogue:
        """A connection's."""
        return BinanceFixDialogue({name.rpartition("-")[0] for name in known})

    def ask(self, path: str, query: Mapping[str, str]) -> Ask | None:
        """There is no REST."""
        return None

    def refusal(self, status: int, reason: str) -> bytes:
        """As Binance's REST says it."""
        return b""

    def book_channel(self, symbol: str) -> str:
        """Books are snapshots of the stream."""
        return f"{symbol}-book"

    def tape_book(self, channel: str) -> TapeBook | None:
        """A capture begins with its own snapshots."""
        return None

    def accept(self, known: Collection[str], clock: Callable[[], int] = time.time_ns) -> tuple[Dialogue, Carrier]:
        """A new connection's: the session's side and the venue's in one."""
        desk = self.dialogue({}, known)
        session = Acceptor(self._rules, self._seats, desk, clock, desk.renamed)
        return session, session


def _signature(told: dict[int, str]) -> str:
    """What is wrong with a logon's signature."""
    signed = "\x01".join(told.get(tag, "") for tag in (35, 49, 56, 34, 52)).encode()
    private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(told.get(553, "").encode()).digest())
    try:
        private.public_key().verify(base64.b64decode(told.get(96, ""), validate=True), signed)
    except (InvalidSignature, ValueError):
        return "Signature verification failed."
    return "" if told.get(25035) in ("1", "2") else "MessageHandling is required."


VENUE = BinanceFix(
    (
        Listing("BTCUSDT", "BTC", "USDT", 6_183_764, 1_000_000, 8, 1_000, 8, 50_000),
        Listing("ETHUSDT", "ETH", "USDT", 268_412, 1_000_000, 8, 10_000, 8, 60_000),
        Listing("SOLUSDT", "SOL", "USDT", 15_643, 1_000_000, 8, 100_000, 8, 40_000),
    )
)
