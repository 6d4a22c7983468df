"""Channels put beside one another."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from postprocess.batches import Batch, side_by_side


class Made:
    """A channel whose payloads come in pieces."""

    def __init__(self, number: int, orders: list[int], piece: int) -> None:
        self._number = number
        self._orders = orders
        self._piece = piece
        self._at = 0

    def take(self, limit_bytes: int) -> Batch | None:
        """The next piece."""
        orders = self._orders[self._at : self._at + self._piece]
        if not orders:
            return None
        places = np.arange(self._at, self._at + len(orders))
        self._at += len(orders)
        payloads = [b"%d of %d" % (place, self._number) * 50 for place in places.tolist()]
        lengths = np.array([len(payload) for payload in payloads])
        return Batch(
            np.full(len(orders), self._number, np.int32),
            np.zeros(len(orders), np.uint8),
            np.ones(len(orders), np.uint8),
            places,
            places,
            places,
            places,
            np.array(orders, np.int64),
            places,
            places,
            places,
            lengths,
            np.arange(len(orders)),
            ((np.cumsum([0, *lengths]).tobytes(), b"".join(payloads)),),
        )


CHANNELS = st.lists(st.tuples(st.lists(st.integers(0, 30), max_size=40).map(sorted), st.integers(1, 9)), max_size=6)


@settings(deadline=None)
@given(CHANNELS, st.sampled_from([1, 5000, 1 << 20]))
def test_channels_come_by_order_then_channel_and_keep_their_own(
    channels: list[tuple[list[int], int]], held_bytes: int
) -> None:
    """However few bytes are held and however the pieces lie: the same as sorting all of it; every payload with its own numbers."""
    streams = [Made(number, orders, piece) for number, (orders, piece) in enumerate(channels)]
    found = [
        (int(batch.order[row]), int(batch.channel[row]), int(batch.sequence[row]), batch.payload(row))
        for batch in side_by_side(streams, held_bytes)
        for row in range(len(batch))
    ]
    wanted = sorted(
        (order, number, place, b"%d of %d" % (place, number) * 50)
        for number, (orders, _) in enumerate(channels)
        for place, order in enumerate(orders)
    )
    assert found == wanted
