"""Levels kept as the venue wrote them, ordered exactly; for books rebuilt from captures."""

from __future__ import annotations

from decimal import Decimal


class Levels:
    """Two sides of price and size texts, keyed by the price's value; side 0 is bids."""

    def __init__(self) -> None:
        self._sides: tuple[dict[Decimal, tuple[str, str]], dict[Decimal, tuple[str, str]]] = ({}, {})

    def clear(self) -> None:
        """Forgets all levels."""
        for side in self._sides:
            side.clear()

    def set(self, side: int, price: str, size: str) -> None:
        """Sets a level; a size of zero deletes it."""
        if Decimal(size):
            self._sides[side][Decimal(price)] = (price, size)
        else:
            self._sides[side].pop(Decimal(price), None)

    def best(self, side: int, depth: int | None = None) -> list[tuple[str, str]]:
        """Prices and sizes from the best on."""
        ordered = sorted(self._sides[side], reverse=side == 0)[:depth]
        return [self._sides[side][price] for price in ordered]

    def truncate(self, depth: int) -> None:
        """Drops what lies deeper than `depth` levels."""
        for number, side in enumerate(self._sides):
            for price in sorted(side, reverse=number == 0)[depth:]:
                del side[price]
