"""Bitstamp: diffs that are joined by time, whole books, single orders at a price of their own.

The venue's microseconds are its only order, so here they are a number that rises with every update: as long as a time of
2026, but not the present one.
"""

from __future__ import annotations

import json

from emulator.generic import Generic
from emulator.reel import ID_MARK, Clock
from emulator.synth.listing import Listing
from emulator.synth.market import ASK, BID, Depth, Ladder, Trade
from emulator.synth.script import Beat, Script, View, Written
from emulator.venue import Ask, Emulation
from tapeline.spec.subscribe import Channel

_LISTINGS = (
    Listing("btcusd", "BTC", "USD", 6_180_210, 1, 2, 1, 8, 12_000_000),
    Listing("ethusd", "ETH", "USD", 268_451, 1, 2, 1, 8, 90_000_000),
    Listing("xrpusd", "XRP", "USD", 215_633, 1, 5, 1, 8, 4_000_000_000),
    Listing("ltceur", "LTC", "EUR", 9_021, 1, 2, 1, 8, 90_000_000),
)
_MICROS = f"1780{ID_MARK}"
_SECONDS = "1780000000"
_TOP = 100


class BitstampMarket(Script):
    """Diffs, tops of a hundred levels, trades."""

    clock = Clock.MICROS
    punctual = False
    stride = 1

    def write(self, known: Channel, beat: Beat) -> Written | None:
        """An event on a channel."""
        listing, event = beat.listing, beat.event
        match known.family.name, event:
            case ("live_trades", Trade()):
                price, size = listing.price(event.price), listing.quantity(event.size)
                time = self.clock.mark
                data = (
                    f'"id":{ID_MARK},"timestamp":"{_SECONDS}","amount":{size},"amount_str":"{size}","price":{price},'
                    f'"price_str":"{price}","type":{0 if event.buy else 1},"microtimestamp":"{time}",'
                    f'"buy_order_id":1341285759094784,"sell_order_id":1341285698236416'
                )
                return _push(known, "trade", data), (event.id,)
            case ("diff_order_book", Depth()):
                changed = Ladder()
                for change in event.changes:
                    changed.sides[change.side][change.price] = change.size
                return _push(known, "data", _book(listing, changed, None)), (event.last,)
            case ("order_book", Depth()):
                return _push(known, "data", _book(listing, beat.book, _TOP)), (event.last,)
        return None

    def snapshot(self, ask: Ask, view: View) -> str | None:
        """The whole book by REST."""
        book, last = view.true()
        return "{" + _book(view.listing, book, None).replace(ID_MARK, f"{last:012d}") + "}"

    def instruments(self, ask: Ask, now_ns: int) -> str | None:
        """What is listed."""
        return json.dumps(
            [
                {
                    "name": f"{one.base}/{one.quote}", "market_symbol": one.symbol, "base_currency": one.base,
                    "base_decimals": one.size_places, "counter_currency": one.quote, "counter_decimals": one.price_places,
                    "minimum_order_value": "10", "trading": "Enabled", "market_type": "SPOT",
                }
                for one in self.listings
            ],
            separators=(",", ":"),
        )  # fmt: skip


def _push(known: Channel, event: str, data: str) -> str:
    return f'{{"data":{{{data}}},"channel":"{known.id}","event":"{event}"}}'


def _book(listing: Listing, book: Ladder, depth: int | None) -> str:
    bids, asks = (
        ",".join(f'["{listing.price(price)}","{listing.quantity(size)}"]' for price, size in book.levels(side, depth))
        for side in (BID, ASK)
    )
    return f'"timestamp":"{_SECONDS}","microtimestamp":"{_MICROS}","bids":[{bids}],"asks":[{asks}]'


class _Bitstamp(Generic):
    channels = (
        *(f"{kind}_{one.symbol}" for one in _LISTINGS for kind in ("live_trades", "diff_order_book", "order_book")),
        "markets",
    )


VENUE: Emulation = _Bitstamp("bitstamp", BitstampMarket, _LISTINGS)
