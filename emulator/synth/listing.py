"""What a synthetic venue lists: symbols with their steps, and numbers written without floats."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Listing:
    """An instrument: a price counts ticks, a size counts lots; `mid` is the first middle price in ticks.

    `tick` and `lot` are in units of 10^-price_places and 10^-size_places, the decimals prices and sizes are written with.
    """

    symbol: str
    base: str
    quote: str
    mid: int
    tick: int
    price_places: int
    lot: int
    size_places: int
    size: int
    """A usual size, in lots."""

    def price(self, ticks: int) -> str:
        """A price as decimal text."""
        return fixed(ticks * self.tick, self.price_places)

    def quantity(self, lots: int) -> str:
        """A size as decimal text."""
        return fixed(lots * self.lot, self.size_places)


def fixed(units: int, places: int) -> str:
    """Units of 10^-places as decimal text with exactly that many places."""
    if places == 0:
        return str(units)
    whole, part = divmod(units, 10**places)
    return f"{whole}.{part:0{places}d}"


def trimmed(text: str) -> str:
    """Decimal text without zeros at its end, as many venues write it."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def floating(text: str) -> str:
    """Decimal text as a language prints a float: at least one place."""
    short = trimmed(text)
    return short if "." in short else short + ".0"
