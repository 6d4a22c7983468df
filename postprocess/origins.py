"""Which raw payload a record comes from: the kernel's sequence of it, and where that lies in the instances' raw streams."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

REMEMBERED = 1_000_000
"""Payloads looked back for: deltas that waited for their book's first snapshot are published with it."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The payloads of a batch; the arrays are indexed by payload in the batch."""

    first: int
    """Sequence that the kernel knows the batch's first payload by."""
    channels: Sequence[str]
    """The venue's channel ids, as in the raw stream."""
    instances: Sequence[str]
    epochs: npt.NDArray[np.int64]
    sequences: npt.NDArray[np.int64]
    stamps: npt.NDArray[np.int64]
    """When each was received, ns."""


class Origins:
    """The newest batches' origins."""

    def __init__(self) -> None:
        self._batches: deque[Origin] = deque()
        self._size = 0

    def add(self, origin: Origin) -> None:
        """A batch comes; one whose sequences start again is of a new session, and the older ones are forgotten."""
        if self._batches and origin.first <= self._batches[-1].first:
            self._batches.clear()
            self._size = 0
        self._batches.append(origin)
        self._size += len(origin.channels)
        while len(self._batches) > 1 and self._size > REMEMBERED:
            self._size -= len(self._batches.popleft().channels)

    def columns(self, sequences: npt.NDArray[np.uint64]) -> dict[str, pa.Array]:
        """Channel, instance, epoch, sequence and time of receipt in the raw stream; NULL for a payload too long ago."""
        newest = self._batches[-1]
        places = sequences.astype(np.int64) - newest.first
        if places.size and int(places.min()) < 0:
            return self._scattered(sequences)
        taken = pa.array(places)
        return {
            "channel": pa.array(newest.channels, pa.string()).take(taken),
            "instance": pa.array(newest.instances, pa.string()).take(taken),
            "raw_epoch": pa.array(newest.epochs[places]),
            "raw_sequence": pa.array(newest.sequences[places]),
            "ts_recv": pa.array(newest.stamps[places]),
        }

    def _scattered(self, sequences: npt.NDArray[np.uint64]) -> dict[str, pa.Array]:
        firsts = [batch.first for batch in self._batches]
        rows: list[tuple[str | None, str | None, int | None, int | None, int | None]] = []
        for sequence in sequences.tolist():
            at = bisect_right(firsts, sequence) - 1
            batch = self._batches[at] if at >= 0 else None
            place = sequence - batch.first if batch is not None else 0
            if batch is None or place >= len(batch.channels):
                rows.append((None, None, None, None, None))
                continue
            rows.append(
                (
                    batch.channels[place],
                    batch.instances[place],
                    int(batch.epochs[place]),
                    int(batch.sequences[place]),
                    int(batch.stamps[place]),
                )
            )
        channels, instances, epochs, numbers, stamps = zip(*rows, strict=True)
        return {
            "channel": pa.array(channels, pa.string()),
            "instance": pa.array(instances, pa.string()),
            "raw_epoch": pa.array(epochs, pa.int64()),
            "raw_sequence": pa.array(numbers, pa.int64()),
            "ts_recv": pa.array(stamps, pa.int64()),
        }
