"""Exact decimal text of DBN's integers."""

from __future__ import annotations

PRICE_SCALE = 9
"""DBN's prices and lots are integers of 1e-9."""


def decimal_text(mantissa: int, scale: int) -> str:
    """`mantissa` × 10^-`scale` in plain notation without trailing zeros: `61837.63`, `10`, `0`."""
    sign = "-" if mantissa < 0 else ""
    digits = str(abs(mantissa)).rjust(scale + 1, "0")
    if scale == 0:
        return sign + digits
    whole, fraction = digits[:-scale], digits[-scale:].rstrip("0")
    return f"{sign}{whole}.{fraction}" if fraction else sign + whole
