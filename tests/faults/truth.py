"""The emulator's true book, read from the venue's own snapshot without the kernel."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from emulator import exact
from emulator.live import LiveMarket
from emulator.personal import neutral
from emulator.served import Served
from emulator.venue import Ask, Asked
from tapeline.spec.meaning import BookLevels, LevelList, Levels
from tapeline.spec.subscribe import channel

Level = tuple[Decimal, Decimal]
_MOST = 100_000


class Sides(NamedTuple):
    """Prices and sizes from the best on."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]

    @staticmethod
    def of(bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> Sides:
        """From texts."""
        return Sides(
            tuple((Decimal(price), Decimal(size)) for price, size in bids),
            tuple((Decimal(price), Decimal(size)) for price, size in asks),
        )

    def top(self, depth: int) -> Sides:
        """The best levels."""
        return Sides(self.bids[:depth], self.asks[:depth])


def truth(served: Served, market: LiveMarket, channel_id: str) -> Sides:
    """The book of a channel as a client that comes now would be told."""
    for text in _snapshots(served, market, channel_id):
        value = exact.read(neutral(text))
        for part in served.shapes.parts(channel_id, value):
            emit = part.emit
            if isinstance(emit, BookLevels) and emit.snapshot:
                sides: tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]] = (
                    defaultdict(Decimal),
                    defaultdict(Decimal),
                )
                for number, levels in enumerate((emit.bids, emit.asks)):
                    found = exact.at(value, part.path(levels.path)) if levels is not None else None
                    for row in found if isinstance(found, list) else []:
                        assert levels is not None
                        side, price, size = _row(levels, number, row)
                        sides[side][price] += size
                return Sides(tuple(sorted(sides[0].items(), reverse=True)), tuple(sorted(sides[1].items())))
    raise AssertionError(f"no snapshot of {channel_id}")


def _snapshots(served: Served, market: LiveMarket, channel_id: str) -> Iterator[bytes]:
    now_ns, place = served.clock(), divmod(market.position, market.synth.period)
    known = channel(served.session, channel_id)
    assert known is not None
    yield from market.synth.opening(channel_id, 0, *place, now_ns)
    for symbol in (known.symbol, known.symbol.upper()):
        ask = Ask(Asked.SNAPSHOT, symbol, _MOST, channel_id, "1")
        body = market.synth.answer(ask, *place, now_ns)
        if body is not None:
            yield body


def _row(levels: LevelList, side: int, row: exact.Value) -> tuple[int, Decimal, Decimal]:
    """Side, price and size of a row."""

    def number(path: str) -> Decimal:
        return Decimal(str(exact.at(row, path)))

    match levels.coding:
        case Levels.OBJECT:
            return side, number(levels.keys[0]), number(levels.keys[1])
        case Levels.ACTION:
            return side, number("1"), number("2")
        case Levels.SIDED:
            return levels.keys.index(str(exact.at(row, "0"))), number("1"), number("2")
        case Levels.SIGNED | Levels.SIGNED_ORDER:
            price = number("0") if levels.coding is Levels.SIGNED else number("1")
            return int(number("2") < 0), price, abs(number("2"))
        case Levels.TEXT:
            pieces = str(row).split(",")
            return levels.keys.index(pieces[1]), Decimal(pieces[0]), Decimal(pieces[2])
    return side, number("0"), number("1")
