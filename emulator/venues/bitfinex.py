"""Bitfinex: keys instead of names, one change a message, a counter over all, checksums after snapshots."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from zlib import crc32

from emulator.dialogue import GenericDialogue
from emulator.generic import Generic
from emulator.reel import COUNTER_MARK, ID_MARK, KEY_MARK, Clock
from emulator.synth.listing import Listing, trimmed
from emulator.synth.market import ASK, BID, Ladder, Mutation, Quote, Symbol, Trade
from emulator.synth.script import Beat, Script, View, Written
from emulator.venue import Act, Ask, Dialogue, Emulation, Say, Unsubscribe
from tapeline.spec.subscribe import Channel, Command, Operation

_LISTINGS = (
    Listing("tBTCUSD", "BTC", "USD", 61_802, 1, 0, 1, 5, 12_000),
    Listing("tETHUSD", "ETH", "USD", 26_845, 1, 1, 1, 4, 9_000),
    Listing("tDUSK:USD", "DUSK", "USD", 18_341, 1, 5, 1, 2, 90_000),
    Listing("tBTCF0:USTF0", "BTC", "UST", 61_811, 1, 0, 1, 5, 12_000),
)
_CHECKED = 25


class BitfinexMarket(Script):
    """Books of levels, trades told twice, tickers."""

    clock = Clock.MILLIS
    by_change = frozenset({"book"})

    def write_change(self, known: Channel, symbol: Symbol, change: Mutation, book: Ladder) -> Written | None:
        """One level of the book."""
        if known.id.startswith("book.R"):
            return None
        return self._frame(_level(symbol.listing, *change.change)), ()

    def write(self, known: Channel, beat: Beat) -> Written | None:
        """An event on a channel."""
        listing, event = beat.listing, beat.event
        price, size = listing.price, listing.quantity
        match known.family.name, event:
            case ("trades", Trade()):
                sign = "" if event.buy else "-"
                trade = f'"te",[{ID_MARK},{self.clock.mark},{sign}{trimmed(size(event.size))},{trimmed(price(event.price))}]'
                return self._frame(trade), (event.id,)
            case ("ticker", Quote()):
                values = [price(event.bid), size(event.bid_size), price(event.ask), size(event.ask_size)]
                told = ",".join(map(trimmed, values))
                return self._frame(f"[{told},-12,-0.0002,{trimmed(price(event.last))},1234.5,1,1]"), ()
        return None

    def begin(self, known: Channel, view: View, depth: int) -> list[str]:
        """A book's levels and their checksum, the last trades."""
        if known.family.name == "trades":
            return [
                self._frame(
                    f"[[1,{view.now_ns // 1_000_000},0.5,{trimmed(view.listing.price(view.listing.mid))}]]", view
                )
            ]
        if known.family.name != "book" or known.id.startswith("book.R"):
            return []
        book, _ = view.true()
        rows = [_level(view.listing, side, price, size) for side in (BID, ASK) for price, size in book.levels(side)]
        checksum = _checksum(view.listing, book)
        return [self._frame(f"[{','.join(rows)}]", view), self._frame(f'"cs",{checksum}', view)]

    def _frame(self, body: str, view: View | None = None) -> str:
        time = self.clock.mark if view is None else str(view.now_ns // 1_000_000)
        return f"[{KEY_MARK},{body},{COUNTER_MARK},{time}]"

    def instruments(self, ask: Ask, now_ns: int) -> str | None:
        """The pairs, without the t."""
        futures = ask.channel == "futures"
        pairs = [one.symbol[1:] for one in self.listings if ("F0:" in one.symbol) == futures]
        none = [None] * 3
        return json.dumps([[[pair, [*none, "0.00006", "2000.0", None, None, None, 0.1, 0.05]] for pair in pairs]])


class BitfinexDialogue(GenericDialogue):
    """Unsubscribing names a key, and so does its answer."""

    def granted(self, asked: Command, now_ns: int) -> list[Act]:
        """What a subscribe or unsubscribe message brings about."""
        if asked.operation is not Operation.UNSUBSCRIBE:
            return super().granted(asked, now_ns)
        acts: list[Act] = [Unsubscribe(name) for name in self._of_key(asked.key)]
        for name in self._of_key(asked.key):
            del self._subscribed[name]
        answer = {"event": "unsubscribed", "status": "OK", "chanId": int(asked.key)}
        return [*acts, Say(json.dumps(answer).encode())]


class _Bitfinex(Generic):
    def dialogue(self, query: Mapping[str, str], known: Collection[str], url: str = "") -> Dialogue:
        return BitfinexDialogue(self.session, known, url)


def _level(listing: Listing, side: int, price: int, size: int) -> str:
    """`[price, count, amount]`; a level that is gone has no orders, and its amount only tells the side."""
    amount = trimmed(listing.quantity(size)) if size else "1"
    return f"[{trimmed(listing.price(price))},{1 if size else 0},{'-' if side == ASK else ''}{amount}]"


def _checksum(listing: Listing, book: Ladder) -> int:
    parts: list[str] = []
    sides = [book.levels(side, _CHECKED) for side in (BID, ASK)]
    for place in range(_CHECKED):
        for side, levels in zip((BID, ASK), sides, strict=True):
            if place < len(levels):
                price, size = levels[place]
                sign = "-" if side == ASK else ""
                parts += [trimmed(listing.price(price)), sign + trimmed(listing.quantity(size))]
    value = crc32(":".join(parts).encode())
    return value - (1 << 32) if value >> 31 else value


VENUE: Emulation = _Bitfinex("bitfinex", BitfinexMarket, _LISTINGS)
