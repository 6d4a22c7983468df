"""Columns of exact decimals."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from postprocess.decimals import SCALE, decimals, powers_of_ten

MANTISSAS = st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, SCALE), st.booleans()), min_size=1)


@given(MANTISSAS)
def test_products_are_exact(rows: list[tuple[int, int, bool]]) -> None:
    """Any 64-bit mantissa at any power of ten is what Decimal says, and NULL where it is not given."""
    mantissas, exponents, valid = zip(*rows, strict=True)
    found = decimals(
        np.array(mantissas, dtype=np.int64),
        powers_of_ten(np.array(exponents, dtype=np.uint8)),
        np.array(valid),
    )
    with localcontext() as context:
        context.prec = 60
        wanted = [
            Decimal(mantissa) * Decimal(10) ** (exponent - SCALE) if given else None
            for mantissa, exponent, given in rows
        ]
    assert found.to_pylist() == wanted
