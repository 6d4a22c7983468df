"""HTX: gzip all over, spot books asked for on the socket, contracts' books told whole at first."""

from __future__ import annotations

import json

from emulator.generic import Generic
from emulator.reel import ID_MARK, Clock
from emulator.synth.listing import Listing
from emulator.synth.market import ASK, BID, Depth, Ladder, Quote, Trade
from emulator.synth.script import Beat, Script, View, Written
from emulator.venue import Ask, Emulation
from tapeline.spec.subscribe import Channel

_LISTINGS = (
    Listing("BTC-USDT", "BTC", "USDT", 618_021, 1, 1, 1, 0, 4_000),
    Listing("ETH-USDT", "ETH", "USDT", 268_451, 1, 2, 1, 0, 9_000),
    Listing("BTC-USD", "BTC", "USD", 618_033, 1, 1, 1, 0, 2_000),
    Listing("btcusdt", "btc", "usdt", 6_180_010, 1, 2, 1, 6, 120_000),
)


class HtxMarket(Script):
    """Trades, tops and books of spot and contracts."""

    clock = Clock.MILLIS
    stride = 1

    def write(self, known: Channel, beat: Beat) -> Written | None:
        """An event on a channel."""
        listing, event, time = beat.listing, beat.event, self.clock.mark
        price, size = listing.price, listing.quantity
        spot = _is_spot(listing)
        kind = known.family.name.rpartition(" ")[2]
        match kind, event:
            case ("trades", Trade()):
                own = f'"id":1005{ID_MARK}887569077664,"tradeId":{ID_MARK}' if spot else f'"id":{ID_MARK}0000'
                trade = (
                    f'{{{own},"ts":{time},"amount":{size(event.size)},"price":{price(event.price)},'
                    f'"direction":"{"buy" if event.buy else "sell"}"}}'
                )
                text = self._push(known, f'"id":{ID_MARK},"ts":{time},"data":[{trade}]')
                return text, (event.id,) * (3 if spot else 2)
            case ("bbo", Quote()):
                bid, bid_size, ask, ask_size = (
                    price(event.bid),
                    size(event.bid_size),
                    price(event.ask),
                    size(event.ask_size),
                )
                if spot:
                    told = (
                        f'"seqId":{ID_MARK},"ask":{ask},"askSize":{ask_size},"bid":{bid},"bidSize":{bid_size},'
                        f'"quoteTime":{time},"symbol":"{listing.symbol}"'
                    )
                    return self._push(known, told), (event.id,)
                told = (
                    f'"mrid":{ID_MARK},"id":1654031781,"bid":[{bid},{bid_size}],"ask":[{ask},{ask_size}],"ts":{time},'
                    f'"version":{ID_MARK},"ch":"{known.id}"'
                )
                return self._push(known, told), (event.id, event.id)
            case ("changes", Depth()):
                sides = _sides(listing, _changed(event))
                told = f'{sides},"ch":"{known.id}","event":"update","id":{ID_MARK},"mrid":{ID_MARK},"ts":{time},"version":{ID_MARK}'
                return self._push(known, told), (event.last, event.last, beat.serial)
            case ("mbp", Depth()):
                told = f'"seqNum":{ID_MARK},"prevSeqNum":{ID_MARK},{_sides(listing, _changed(event))}'
                return self._push(known, told), (event.last, event.previous)
            case ("depth", Depth()):
                told = f'"mrid":{ID_MARK},{_sides(listing, beat.book, 20)},"ts":{time},"version":{ID_MARK}'
                return self._push(known, told), (event.last, event.last)
        return None

    def begin(self, known: Channel, view: View, depth: int) -> list[str]:
        """A contract's whole book."""
        if not known.family.name.endswith(" changes"):
            return []
        book, _ = view.published()
        told = (
            f'{_sides(view.listing, book, 150)},"ch":"{known.id}","event":"snapshot","id":1,"mrid":1,'
            f'"ts":{_ms(view)},"version":{view.serial}'
        )
        return [f'{{"ch":"{known.id}","tick":{{{told}}},"ts":{_ms(view)}}}']

    def snapshot(self, ask: Ask, view: View) -> str | None:
        """The whole book, asked for on the socket."""
        book, last = view.published()
        told = f'"seqNum":{last},{_sides(view.listing, book, 150)}'
        return f'{{"id":"{ask.number}","rep":"{ask.channel}","status":"ok","ts":{_ms(view)},"data":{{{told}}}}}'

    def instruments(self, ask: Ask, now_ns: int) -> str | None:
        """Spot symbols, contracts, open interest."""
        data = [made for one in self.listings if (made := _listed(ask.channel, one)) is not None]
        return json.dumps({"status": "ok", "data": data, "ts": now_ns // 1_000_000}, separators=(",", ":"))

    def _push(self, known: Channel, tick: str) -> str:
        return f'{{"ch":"{known.id}","ts":{self.clock.mark},"tick":{{{tick}}}}}'


def _is_spot(listing: Listing) -> bool:
    return listing.symbol.islower()


def _changed(event: Depth) -> Ladder:
    changed = Ladder()
    for change in event.changes:
        changed.sides[change.side][change.price] = change.size
    return changed


def _sides(listing: Listing, book: Ladder, depth: int | None = None) -> str:
    bids, asks = (
        ",".join(f"[{listing.price(price)},{listing.quantity(size)}]" for price, size in book.levels(side, depth))
        for side in (BID, ASK)
    )
    return f'"bids":[{bids}],"asks":[{asks}]'


def _ms(view: View) -> int:
    return view.now_ns // 1_000_000


def _listed(channel: str, listing: Listing) -> dict[str, object] | None:
    if channel == "symbols":
        made: dict[str, object] = {
            "sc": listing.symbol, "bc": listing.base, "qc": listing.quote, "state": "online", "tpp": listing.price_places,
            "tap": listing.size_places,
        }  # fmt: skip
        return made if _is_spot(listing) else None
    if _is_spot(listing) or (listing.quote == "USDT") is not channel.startswith("linear"):
        return None
    code = {"symbol": listing.base, "contract_code": listing.symbol}
    if channel.endswith("open_interest"):
        return {**code, "volume": 288491.0, "amount": 288.491}
    return {
        **code,
        "contract_size": 0.001,
        "price_tick": float(listing.price(1)),
        "contract_status": 1,
        "delivery_time": "",
    }


class _Htx(Generic):
    channels = (
        *(f"market.{one.symbol}.{kind}" for one in _LISTINGS for kind in ("trade.detail", "bbo")),
        *(f"market.{one.symbol}.depth.size_150.high_freq" for one in _LISTINGS[:3]),
        "market.btcusdt.mbp.150",
        "symbols",
        "linear_contracts",
        "swap_contracts",
        "linear_open_interest",
        "swap_open_interest",
    )


VENUE: Emulation = _Htx("htx", HtxMarket, _LISTINGS)
