"""What an object store costs: prices, and what a month of some numbers comes to, in exact dollars."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

GIB = 1 << 30
"""A GB of S3's bills: their GB-month is byte-hours by 2^30 bytes."""
MONTH_DAYS = 30

SOURCE = "S3 Standard in us-east-1 as quoted in November 2026, see https://aws.amazon.com/s3/pricing/"


@dataclass(frozen=True, slots=True)
class Prices:
    """In US dollars."""

    put: Decimal = Decimal("0.005")
    """A thousand PUT or LIST requests."""
    get: Decimal = Decimal("0.0004")
    """A thousand GET requests."""
    storage: Decimal = Decimal("0.023")
    """A GB (2^30 bytes) for a month."""
    source: str = SOURCE

    def requests(self, puts_a_day: Decimal, gets_a_day: Decimal = Decimal(0)) -> Decimal:
        """A month of so many requests a day; a LIST costs what a PUT does."""
        return (puts_a_day * self.put + gets_a_day * self.get) * MONTH_DAYS / 1000

    def kept(self, bytes_a_day: Decimal, days: int) -> Decimal:
        """A month, where what comes in a day is kept for so many days."""
        return bytes_a_day * days / GIB * self.storage
