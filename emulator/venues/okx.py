"""OKX: books that link backwards, one ack for each argument, text pings, an end after 30 s of silence."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any
from zlib import crc32

from emulator.dialogue import GenericDialogue
from emulator.generic import Generic
from emulator.reel import ID_MARK, Clock
from emulator.synth.listing import Listing, trimmed
from emulator.synth.market import ASK, BID, Depth, Ladder, Quote, Trade
from emulator.synth.script import Beat, Script, View, Written
from emulator.tapebook import Levels
from emulator.venue import Act, Ask, Asked, Dialogue, Emulation, Hang, Say
from tapeline.spec.subscribe import Channel, Command, Operation, channel, command

_SILENCE = 30.0
_LISTINGS = (
    Listing("BTC-USDT", "BTC", "USDT", 618_021, 1, 1, 1, 8, 12_000_000),
    Listing("ETH-USDT", "ETH", "USDT", 268_451, 1, 2, 1, 6, 900_000),
    Listing("BTC-USDT-SWAP", "BTC", "USDT", 618_033, 1, 1, 1, 2, 4_000),
    Listing("ETH-USD-SWAP", "ETH", "USD", 268_460, 1, 2, 1, 0, 2_000),
)
_CHECKED = 25


class OkxMarket(Script):
    """Books, tops, trades and figures."""

    clock = Clock.MILLIS
    stride = 9

    def write(self, known: Channel, beat: Beat) -> Written | None:
        """An event on a channel."""
        listing, event, time = beat.listing, beat.event, self.clock.mark
        price, size = listing.price, listing.quantity
        family = known.family.name
        if isinstance(event, Depth) and family.startswith("books"):
            if family == "books5":
                data = f'{_sides(listing, beat.book, 5)},"instId":"{listing.symbol}","ts":"{time}","seqId":{ID_MARK}'
                return _push(known, data), (event.last,)
            changed = Ladder()
            for change in event.changes:
                # A deleted level stands there with size 0 too.
                changed.sides[change.side][change.price] = change.size
            data = f'{_sides(listing, changed)},"ts":"{time}","checksum":0,"prevSeqId":{ID_MARK},"seqId":{ID_MARK}'
            return _push(known, data, "update"), (event.previous, event.last)
        if isinstance(event, Quote) and family == "bbo-tbt":
            data = f'{_top(listing, event)},"ts":"{time}","seqId":{ID_MARK}'
            return _push(known, data), (event.id,)
        if isinstance(event, Quote) and family == "tickers":
            data = (
                f'"instType":"{_kind(listing)}","instId":"{listing.symbol}","last":"{price(event.last)}","lastSz":"1",'
                f'"askPx":"{price(event.ask)}","askSz":"{size(event.ask_size)}","bidPx":"{price(event.bid)}",'
                f'"bidSz":"{size(event.bid_size)}","open24h":"{price(listing.mid)}","vol24h":"15411","ts":"{time}"'
            )
            return _push(known, data), ()
        if isinstance(event, Trade) and family in ("trades", "trades-all"):
            data = (
                f'"instId":"{listing.symbol}","tradeId":"{ID_MARK}","px":"{price(event.price)}",'
                f'"sz":"{size(event.size)}","side":"{"buy" if event.buy else "sell"}","ts":"{time}","source":"0"'
            )
            if family == "trades":
                return _push(known, f'{data},"count":"1","seqId":{ID_MARK}'), (event.id, event.id)
            return _push(known, data), (event.id,)
        # Figures change with the trades.
        figures = self._figures(family, listing, price(event.price)) if isinstance(event, Trade) else None
        return (_push(known, figures), ()) if figures else None

    def _figures(self, family: str, listing: Listing, price: str) -> str | None:
        kind, time = f'"instType":"{_kind(listing)}","instId":"{listing.symbol}"', self.clock.mark
        return {
            "mark-price": f'{kind},"markPx":"{price}","ts":"{time}"',
            "index-tickers": f'"instId":"{listing.symbol}","idxPx":"{price}","ts":"{time}"',
            "open-interest": f'{kind},"oi":"2216113.01","oiCcy":"22161.1301","oiUsd":"1390000000","ts":"{time}"',
            "funding-rate": (
                f'{kind},"fundingRate":"0.0000345","fundingTime":"{time}","nextFundingRate":"","nextFundingTime":"{time}",'
                f'"ts":"{time}"'
            ),
        }.get(family)

    def begin(self, known: Channel, view: View, depth: int) -> list[str]:
        """A book's snapshot, a top's last state, an instrument kind's whole list."""
        family = known.family.name
        if family in ("books", "books-l2-tbt", "books50-l2-tbt"):
            book, last = view.published()
            levels = 50 if family == "books50-l2-tbt" else 400
            ids = f'"checksum":0,"prevSeqId":-1,"seqId":{last}'
            return [_push(known, f'{_sides(view.listing, book, levels)},"ts":"{_ms(view)}",{ids}', "snapshot")]
        if family == "bbo-tbt":
            quote = view.quote()
            return [_push(known, f'{_top(view.listing, quote)},"ts":"{_ms(view)}","seqId":{quote.id.at(view.turn)}')]
        if family == "instruments":
            arg = {"channel": "instruments", "instType": known.symbol}
            return [_json({"arg": arg, "data": [_instrument(entry) for entry in self._of(known.symbol)]})]
        return []

    def instruments(self, ask: Ask, now_ns: int) -> str | None:
        """One kind's list."""
        kind = ask.channel.split(".")[1]
        return _json({"code": "0", "msg": "", "data": [_instrument(entry) for entry in self._of(kind)]})

    def _of(self, kind: str) -> list[Listing]:
        return [listing for listing in self.listings if _kind(listing) == kind]


def _push(known: Channel, data: str, action: str = "") -> str:
    told = f'"action":"{action}",' if action else ""
    return f'{{"arg":{_arg(known.id)},{told}"data":[{{{data}}}]}}'


def _arg(identifier: str) -> str:
    name, _, symbol = identifier.partition(".")
    return f'{{"channel":"{name}","instId":"{symbol}"}}'


def _sides(listing: Listing, book: Ladder, depth: int | None = None) -> str:
    asks, bids = (
        ",".join(
            f'["{trimmed(listing.price(price))}","{trimmed(listing.quantity(size))}","0","{1 if size else 0}"]'
            for price, size in book.levels(side, depth)
        )
        for side in (ASK, BID)
    )
    return f'"asks":[{asks}],"bids":[{bids}]'


def _top(listing: Listing, event: Quote) -> str:
    return _sides(listing, Ladder(({event.bid: event.bid_size}, {event.ask: event.ask_size})))


def _ms(view: View) -> int:
    return view.now_ns // 1_000_000


def _json(message: dict[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"))


def _kind(listing: Listing) -> str:
    return "SWAP" if listing.symbol.endswith("-SWAP") else "SPOT"


def _instrument(listing: Listing) -> dict[str, str]:
    swap, linear = _kind(listing) == "SWAP", listing.quote == "USDT"
    pair = f"{listing.base}-{listing.quote}"
    return {
        "instType": _kind(listing),
        "instId": listing.symbol,
        "uly": pair if swap else "",
        "instFamily": pair if swap else "",
        "baseCcy": "" if swap else listing.base,
        "quoteCcy": "" if swap else listing.quote,
        "settleCcy": (listing.quote if linear else listing.base) if swap else "",
        "ctVal": ("0.01" if linear else "10") if swap else "",
        "ctMult": "1" if swap else "",
        "ctValCcy": (listing.base if linear else listing.quote) if swap else "",
        "ctType": ("linear" if linear else "inverse") if swap else "",
        "optType": "",
        "stk": "",
        "listTime": "1548133413000",
        "expTime": "",
        "tickSz": trimmed(listing.price(1)),
        "lotSz": trimmed(listing.quantity(1)),
        "minSz": trimmed(listing.quantity(1)),
        "maxLmtSz": "100000000" if swap else "10",
        "state": "live",
    }


class OkxDialogue(GenericDialogue):
    """Acks name the argument; what the socket has not is refused, and what is silent is cut."""

    def hear(self, text: bytes, now_ns: int) -> list[Act]:
        """Sees what is asked of the wrong socket too."""
        asked = command(self._session, text)
        if asked is None:
            return super().hear(text, now_ns)
        self._heard_ns = now_ns
        return self.granted(asked, now_ns)

    def granted(self, asked: Command, now_ns: int) -> list[Act]:
        """Grants what this socket serves and refuses the rest."""
        mine = tuple(name for name in asked.channels if self._serves(name))
        if asked.operation is Operation.UNSUBSCRIBE:
            return super().granted(asked, now_ns)
        refused: list[Act] = [_refusal(asked.number, name) for name in asked.channels if name not in mine]
        return [*refused, *super().granted(Command(asked.operation, asked.number, mine), now_ns)]

    def _serves(self, name: str) -> bool:
        read = channel(self._session, name)
        if read is None or (self._place is not None and read.family.endpoint != self._place.name):
            return False
        symbols = {other.symbol for known in self._known if (other := channel(self._session, known)) is not None}
        return read.family.name == "instruments" or read.symbol in symbols

    def tick(self, now_ns: int, idle: float) -> list[Act]:
        """The end of a connection on which neither side has said anything for 30 s."""
        silent = (now_ns - self._heard_ns) / 1e9
        return [Hang(4004, "No data received in 30s.")] if idle >= _SILENCE and silent >= _SILENCE else []


def _refusal(number: str, name: str) -> Say:
    what, _, symbol = name.partition(".")
    message = f"Wrong URL or channel:{what},instId:{symbol} doesn't exist. Please use the correct URL, channel and parameters."
    return Say(_json({"event": "error", "code": "60018", "msg": message, "connId": "a4d3ae55", "id": number}).encode())


class OkxTapeBook:
    """Levels of the last snapshot and the updates after it."""

    def __init__(self, identifier: str) -> None:
        self._arg = _arg(identifier)
        self._levels = Levels()
        self._begun = False
        self._last: int | None = None
        self.checked, self.sound = True, True

    def take(self, payload: bytes) -> None:
        """A book frame."""
        message = json.loads(payload)
        (entry,) = message["data"]
        if message["action"] == "snapshot":
            self._levels.clear()
            self._begun = True
        for side, key in ((BID, "bids"), (ASK, "asks")):
            for price, size, *_ in entry[key]:
                self._levels.set(side, price, size)
        self._last = entry.get("seqId")
        told = entry.get("checksum", 0)
        self.sound = not told or told == self._checksum()

    def _checksum(self) -> int:
        bids, asks = (self._levels.best(side, _CHECKED) for side in (BID, ASK))
        words = [
            word for place in range(_CHECKED) for side in (bids, asks) if place < len(side) for word in side[place]
        ]
        number = crc32(":".join(words).encode())
        return number - (1 << 32) if number >> 31 else number

    def snapshot(self, now_ns: int) -> bytes | None:
        """A snapshot frame of the book so far."""
        if not self._begun:
            return None
        asks, bids = ([[price, size, "0", "1"] for price, size in self._levels.best(side)] for side in (ASK, BID))
        ids = {} if self._last is None else {"prevSeqId": -1, "seqId": self._last}
        entry = {"asks": asks, "bids": bids, "ts": str(now_ns // 1_000_000), "checksum": self._checksum(), **ids}
        return f'{{"arg":{self._arg},"action":"snapshot","data":[{_json(entry)}]}}'.encode()


class Okx(Generic):
    """The venue."""

    def dialogue(self, query: Mapping[str, str], known: Collection[str], url: str = "") -> Dialogue:
        """A connection's."""
        return OkxDialogue(self.session, known, url)

    def ask(self, path: str, query: Mapping[str, str]) -> Ask | None:
        """Each kind of instruments has a list of its own."""
        ask = super().ask(path, query)
        return ask._replace(symbol=ask.channel) if ask is not None and ask.asked is Asked.INSTRUMENTS else ask

    def refusal(self, status: int, reason: str) -> bytes:
        """A REST error."""
        code = {429: "50011", 404: "51001"}.get(status, "50001")
        return _json({"code": code, "msg": reason, "data": []}).encode()

    def tape_book(self, channel: str) -> OkxTapeBook | None:
        """A book from snapshots and updates; five levels are none."""
        return OkxTapeBook(channel) if channel.startswith("books") and not channel.startswith("books5.") else None


VENUE: Emulation = Okx("okx", OkxMarket, _LISTINGS)
