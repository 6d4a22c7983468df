"""KuCoin: spot and futures behind tokens; level 2 by ranges (spot), or change by change as text (futures), and REST."""

from __future__ import annotations

import json

from emulator.generic import Generic
from emulator.reel import ID_MARK, Clock, Id
from emulator.synth.listing import Listing
from emulator.synth.market import ASK, BID, Depth, Ladder, Mutation, Quote, Symbol, Trade
from emulator.synth.script import Beat, Script, View, Written
from emulator.venue import Ask, Emulation
from tapeline.spec.subscribe import Channel

_LISTINGS = (
    Listing("BTC-USDT", "BTC", "USDT", 618_021, 1, 1, 1, 8, 12_000_000),
    Listing("ETH-USDT", "ETH", "USDT", 268_451, 1, 2, 1, 6, 900_000),
    Listing("XBTUSDTM", "XBT", "USDT", 618_033, 1, 1, 1, 0, 4_000),
    Listing("ETHUSDM", "ETH", "USD", 268_460, 1, 2, 1, 0, 2_000),
)


class KucoinMarket(Script):
    """Level 2, tickers and matches."""

    clock = Clock.MILLIS
    by_change = frozenset({"futures level2"})
    stride = 1

    def write(self, known: Channel, beat: Beat) -> Written | None:
        """An event on a channel."""
        listing, event, time = beat.listing, beat.event, self.clock.mark
        price, size = listing.price, listing.quantity
        match known.family.name, event:
            case ("match", Trade()):
                data = (
                    f'"symbol":"{listing.symbol}","sequence":"{ID_MARK}","side":"{_side(event)}","size":"{size(event.size)}",'
                    f'"price":"{price(event.price)}","time":"{time}000000","type":"match","tradeId":"6085c09769bc506996295e36"'
                )
                return _push(known, "trade.l3match", data), (event.id,)
            case ("execution", Trade()):
                data = (
                    f'"symbol":"{listing.symbol}","sequence":{ID_MARK},"side":"{_side(event)}","size":{size(event.size)},'
                    f'"price":"{price(event.price)}","ts":{time}000000,"tradeId":"6057bc953c7feb667195bac9"'
                )
                return _push(known, "match", data), (event.id,)
            case ("ticker", Quote()):
                data = (
                    f'"sequence":"{ID_MARK}","bestAsk":"{price(event.ask)}","size":"1","bestBidSize":"{size(event.bid_size)}",'
                    f'"price":"{price(event.last)}","time":{time},"bestAskSize":"{size(event.ask_size)}","bestBid":"{price(event.bid)}"'
                )
                return _push(known, "trade.ticker", data), (event.id,)
            case ("tickerV2", Quote()):
                data = (
                    f'"symbol":"{listing.symbol}","sequence":{ID_MARK},"bestBidSize":{size(event.bid_size)},'
                    f'"bestBidPrice":"{price(event.bid)}","bestAskPrice":"{price(event.ask)}","ts":{time}000000,'
                    f'"bestAskSize":{size(event.ask_size)}'
                )
                return _push(known, "tickerV2", data), (event.id,)
            case ("level2", Depth()):
                return self._level2(known, listing, event)
        return None

    def _level2(self, known: Channel, listing: Listing, event: Depth) -> Written:
        rows: tuple[list[str], list[str]] = ([], [])
        for change in event.changes:
            text = f'["{listing.price(change.price)}","{listing.quantity(change.size)}","{ID_MARK}"]'
            rows[change.side].append(text)
        count = len(rows[ASK]) + len(rows[BID])
        data = (
            f'"sequenceStart":{ID_MARK},"symbol":"{listing.symbol}","changes":{{"asks":[{",".join(rows[ASK])}],'
            f'"bids":[{",".join(rows[BID])}]}},"sequenceEnd":{ID_MARK},"time":{self.clock.mark}'
        )
        ids: tuple[Id, ...] = (event.first, *(event.last,) * (count + 1))
        return _push(known, "trade.l2update", data), ids

    def write_change(self, known: Channel, symbol: Symbol, change: Mutation, book: Ladder) -> Written | None:
        """One change of a contract's book."""
        side, price, size = change.change
        listing = symbol.listing
        told = f"{listing.price(price)},{'sell' if side == ASK else 'buy'},{listing.quantity(size)}"
        data = f'"sequence":{ID_MARK},"change":"{told}","timestamp":{self.clock.mark}'
        return _push(known, "level2", data), (change.id,)

    def snapshot(self, ask: Ask, view: View) -> str | None:
        """The whole book by REST."""
        book, last = view.true()
        asks, bids = (_levels(view.listing, book, side) for side in (ASK, BID))
        data = {"time": view.now_ns // 1_000_000, "sequence": str(last), "bids": bids, "asks": asks}
        return json.dumps({"code": "200000", "data": data}, separators=(",", ":"))

    def instruments(self, ask: Ask, now_ns: int) -> str | None:
        """Spot symbols, or active contracts."""
        futures = ask.channel == "contracts"
        data = [_contract(one) if futures else _symbol(one) for one in self.listings if _is_future(one) == futures]
        return json.dumps({"code": "200000", "data": data}, separators=(",", ":"))


def _push(known: Channel, subject: str, data: str) -> str:
    return f'{{"type":"message","topic":"{known.id}","subject":"{subject}","data":{{{data}}}}}'


def _side(event: Trade) -> str:
    return "buy" if event.buy else "sell"


def _is_future(listing: Listing) -> bool:
    return "-" not in listing.symbol


def _levels(listing: Listing, book: Ladder, side: int) -> list[list[str]]:
    return [[listing.price(price), listing.quantity(size)] for price, size in book.levels(side, None)]


def _symbol(listing: Listing) -> dict[str, object]:
    return {
        "symbol": listing.symbol, "name": listing.symbol, "baseCurrency": listing.base, "quoteCurrency": listing.quote,
        "baseMinSize": listing.quantity(1), "baseMaxSize": listing.quantity(4_000_000_000), "baseIncrement": listing.quantity(1),
        "quoteIncrement": "0.000001", "priceIncrement": listing.price(1), "enableTrading": True,
    }  # fmt: skip


def _contract(listing: Listing) -> dict[str, object]:
    return {
        "symbol": listing.symbol, "rootSymbol": listing.quote, "type": "FFWCSX", "firstOpenDate": 1_585_555_200_000, "expireDate": None,
        "baseCurrency": listing.base, "quoteCurrency": listing.quote, "settleCurrency": listing.quote, "maxOrderQty": 1_000_000,
        "lotSize": 1, "tickSize": listing.price(1), "multiplier": "0.001", "markPrice": listing.price(listing.mid),
        "indexPrice": listing.price(listing.mid), "fundingFeeRate": "0.0001", "openInterest": "8131523", "status": "Open",
    }  # fmt: skip


class _Kucoin(Generic):
    channels = (
        *(f"/market/{kind}:{s}" for s in ("BTC-USDT", "ETH-USDT") for kind in ("match", "ticker", "level2")),
        *(
            f"/contractMarket/{kind}:{s}"
            for s in ("XBTUSDTM", "ETHUSDM")
            for kind in ("execution", "tickerV2", "level2")
        ),
        "symbols",
        "contracts",
    )


VENUE: Emulation = _Kucoin("kucoin", KucoinMarket, _LISTINGS)
