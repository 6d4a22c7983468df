"""Exact 128-bit decimals from 64-bit integers, a column at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tapeline.offline.tables import DECIMAL

Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

SCALE: int = DECIMAL.scale
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_POWERS = np.array([10**n for n in range(SCALE + 1)], dtype=np.uint64)


def powers_of_ten(exponents: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """10^n for each n up to `SCALE`."""
    return _POWERS[exponents]


def decimals(mantissa: Integers, factor: npt.NDArray[np.uint64], valid: Mask) -> pa.Array:
    """`mantissa` × `factor` as unscaled values of `DECIMAL`; NULL where not `valid`.

    The product must stay within 38 digits, which any int64 times 10^18 does.
    """
    high, low = _product(mantissa, factor)
    words = np.empty((len(mantissa), 2), dtype="<u8")
    words[:, 0] = low
    words[:, 1] = high
    bitmap = pa.py_buffer(np.packbits(valid, bitorder="little").tobytes())
    nulls = int(len(valid) - np.count_nonzero(valid))
    return pa.Array.from_buffers(DECIMAL, len(mantissa), [bitmap, pa.py_buffer(words.tobytes())], nulls)


def _product(
    mantissa: Integers, factor: npt.NDArray[np.uint64]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Two's complement halves of a signed 64 × unsigned 64 bit product, by schoolbook multiplication of 32-bit halves."""
    negative = mantissa < 0
    size = mantissa.astype(np.uint64)
    size = np.where(negative, ~size + np.uint64(1), size)
    a_high, a_low = size >> _HALF, size & _LOW
    b_high, b_low = factor >> _HALF, factor & _LOW
    low_low, low_high, high_low = a_low * b_low, a_low * b_high, a_high * b_low
    middle = (low_low >> _HALF) + (low_high & _LOW) + (high_low & _LOW)
    low = (low_low & _LOW) | (middle << _HALF)
    high = a_high * b_high + (low_high >> _HALF) + (high_low >> _HALF) + (middle >> _HALF)
    low = np.where(negative, ~low + np.uint64(1), low)
    high = np.where(negative, ~high + (low == 0).astype(np.uint64), high)
    return high, low
