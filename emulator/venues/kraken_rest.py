"""Kraken by REST: pages of trades behind a cursor, the book and the top as they are when they are asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping

from emulator.generic import Generic
from emulator.reel import Clock
from emulator.synth.listing import Listing
from emulator.synth.market import ASK, BID
from emulator.synth.pages import trades
from emulator.synth.script import Beat, Script, View, Written
from emulator.venue import Ask, Emulation
from tapeline.spec.subscribe import Channel

_LISTINGS = (
    Listing("XBTUSD", "XXBT", "ZUSD", 637_105, 1, 1, 1, 8, 12_000_000),
    Listing("ETHUSD", "XETH", "ZUSD", 268_451, 1, 2, 1, 8, 90_000_000),
    Listing("SOLUSD", "SOL", "ZUSD", 15_633, 1, 2, 1, 8, 900_000_000),
    Listing("XRPUSD", "XXRP", "ZUSD", 52_117, 1, 5, 1, 8, 90_000_000),
)
_PAGE = 1000
_KEPT = 20_000
"""So many trades can be asked for; whoever stays away for longer has lost some."""
_SINCE = 10**18
"""A cursor is a number like a time in ns, of which nothing is promised but that it rises."""


class KrakenRestMarket(Script):
    """Nothing is pushed: answers only."""

    clock = Clock.MILLIS

    def write(self, known: Channel, beat: Beat) -> Written | None:
        """Nothing."""
        return None

    def page(self, ask: Ask, view: View) -> str | None:
        """Whichever a channel asks for."""
        match ask.channel.partition("@")[0]:
            case "trades":
                return self._trades(ask, view)
            case "book":
                return self._book(ask, view)
            case "ticker":
                return self._ticker(view)
        return None

    def _trades(self, ask: Ask, view: View) -> str:
        count = min(ask.limit or _PAGE, _PAGE)
        if ask.cursor:
            after = int(ask.cursor) - _SINCE
            told = trades(view, ask, self.period, after_id=after, limit=view.symbol.trades.step * (view.turn + 1))
            told = told[-_KEPT:][:count]
        else:
            told = trades(view, ask, self.period, limit=count)
        rows = [
            [
                view.listing.price(one.trade.price), view.listing.quantity(one.trade.size), one.ts // 1000 / 1e6,
                "b" if one.trade.buy else "s", "m", "", one.id,
            ]
            for one in told
        ]  # fmt: skip
        last = str(_SINCE + told[-1].id) if told else ask.cursor
        return _answer({_inside(view.listing): rows, "last": last})

    def _book(self, ask: Ask, view: View) -> str:
        book, _ = view.true()
        second = view.now_ns // 1_000_000_000
        bids, asks = (
            [
                [view.listing.price(price), view.listing.quantity(size), second]
                for price, size in book.levels(side, ask.limit or 100)
            ]
            for side in (BID, ASK)
        )
        return _answer({_inside(view.listing): {"asks": asks, "bids": bids}})

    def _ticker(self, view: View) -> str:
        quote, listing = view.quote(), view.listing
        sides = {
            name: [listing.price(price), str(max(size // 10**listing.size_places, 1)), listing.quantity(size)]
            for name, price, size in (("a", quote.ask, quote.ask_size), ("b", quote.bid, quote.bid_size))
        }
        return _answer({_inside(listing): {**sides, "c": [listing.price(quote.last), listing.quantity(1)]}})

    def instruments(self, ask: Ask, now_ns: int) -> str | None:
        """What is listed, by the pairs' inner names."""
        return _answer(
            {
                _inside(one): {
                    "altname": one.symbol, "wsname": f"{one.base}/{one.quote}", "base": one.base, "quote": one.quote,
                    "pair_decimals": one.price_places, "lot_decimals": one.size_places, "tick_size": one.price(1),
                    "status": "online",
                }
                for one in self.listings
            }
        )  # fmt: skip


class KrakenRest(Generic):
    """Errors are told in a list."""

    def ask(self, path: str, query: Mapping[str, str]) -> Ask | None:
        """As in the session half; `count` bounds an answer."""
        found = super().ask(path, query)
        count = query.get("count", "")
        return found._replace(limit=int(count)) if found and count.isdigit() else found

    def refusal(self, status: int, reason: str) -> bytes:
        """Also with status 200."""
        return json.dumps({"error": ["EAPI:Rate limit exceeded"]}, separators=(",", ":")).encode()


def _inside(listing: Listing) -> str:
    return f"{listing.base}{listing.quote}"


def _answer(result: object) -> str:
    return json.dumps({"error": [], "result": result}, separators=(",", ":"))


VENUE: Emulation = KrakenRest("kraken_rest", KrakenRestMarket, _LISTINGS)
