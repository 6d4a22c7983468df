"""Coinbase Exchange: tickers and levels derived from the single orders of a made market."""

from __future__ import annotations

import json
from collections.abc import Sequence

from emulator.reel import ID_MARK, Clock, Line
from emulator.synth.listing import Listing, trimmed
from emulator.synth.market import ASK, BID
from emulator.synth.orders import Order, Product, What, rest
from emulator.venues._coinbase_books import SIDES

_CHANGES_AT_ONCE = 4


def price_text(listing: Listing, ticks: int) -> str:
    """A price as Coinbase writes it."""
    return trimmed(listing.price(ticks))


def size_text(listing: Listing, lots: int) -> str:
    """A size as Coinbase writes it."""
    return trimmed(listing.quantity(lots))


def ticker_lines(channel: str, product: Product) -> list[Line]:
    """A ticker with each match."""
    listing = product.listing
    resting = {order.name: order for order in product.outer}
    lines = []
    for one in product.happenings:
        rest(resting, one)
        if one.what is not What.MATCH or one.trade is None:
            continue
        (bid, bid_size), (ask, ask_size) = (_top(list(resting.values()), side) for side in (BID, ASK))
        mid = price_text(listing, listing.mid)
        text = (
            f'{{"type":"ticker","sequence":{ID_MARK},"product_id":"{listing.symbol}",'
            f'"price":"{price_text(listing, one.order.price)}","open_24h":"{mid}","volume_24h":"9123.10041","low_24h":"{mid}",'
            f'"high_24h":"{mid}","volume_30d":"281734.5","best_bid":"{price_text(listing, bid)}",'
            f'"best_bid_size":"{listing.quantity(bid_size)}","best_ask":"{price_text(listing, ask)}",'
            f'"best_ask_size":"{listing.quantity(ask_size)}","side":"{SIDES[1 - one.order.side]}",'
            f'"time":"{Clock.ISO_MICROS.mark}","trade_id":{ID_MARK},"last_size":"{size_text(listing, one.size)}"}}'
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


def level2_lines(channel: str, product: Product) -> list[Line]:
    """An l2update for every few levels that have changed."""
    listing = product.listing
    resting = {order.name: order for order in product.outer}
    steps = iter(_steps(product))
    place, levels = next(steps)
    lines = []
    for one in product.happenings:
        rest(resting, one)
        if one.place != place:
            continue
        sums = _sums(list(resting.values()))
        changes = ",".join(
            f'["{SIDES[side]}","{price_text(listing, price)}","{listing.quantity(sums.get((side, price), 0))}"]'
            for side, price in levels
        )
        text = f'{{"type":"l2update","product_id":"{listing.symbol}","changes":[{changes}],"time":"{Clock.ISO_MICROS.mark}"}}'
        lines.append(Line(place, channel, text))
        place, levels = next(steps, (-1, ()))
    return lines


def level2_snapshot(product: Product, place: int) -> bytes:
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
        [[price_text(product.listing, price), product.listing.quantity(size)] for price, size in _ranked(sums, side)]
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
