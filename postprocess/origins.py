"""Which raw payload a record comes from: the kernel's sequence of it, and where that lies in the instances' raw streams."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from postprocess.batches import Integers
from postprocess.codes import NONE, Codes

REMEMBERED = 1_000_000
"""Payloads looked back for: deltas that waited for their book's first snapshot are published with it."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The payloads of a batch; the arrays are indexed by payload in the batch."""

    first: int
    """Sequence that the kernel knows the batch's first payload by."""
    channels: Codes
    """The venue's channel ids, as in the raw stream."""
    instances: Codes
    epochs: Integers
    sequences: Integers
    stamps: Integers
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
        self._size += len(origin.stamps)
        while len(self._batches) > 1 and self._size > REMEMBERED:
            self._size -= len(self._batches.popleft().stamps)

    def columns(self, sequences: Integers) -> tuple[dict[str, pa.Array], Integers]:
        """Channel, instance, epoch and sequence in the raw stream, NULL for a payload too long ago; and its `ts_recv`, then 0."""
        newest = self._batches[-1]
        places = sequences - newest.first
        if not places.size or (int(places.min()) >= 0 and int(places.max()) < len(newest.stamps)):
            return _columns(_taken(newest, places), None), newest.stamps[places]
        found = Origin(
            0,
            np.full(len(sequences), NONE, np.int32),
            np.full(len(sequences), NONE, np.int32),
            *(np.zeros(len(sequences), np.int64) for _ in range(3)),
        )
        unknown = np.ones(len(sequences), np.bool_)
        firsts = np.array([batch.first for batch in self._batches])
        of_batch = np.searchsorted(firsts, sequences, "right") - 1
        for number in np.unique(of_batch[of_batch >= 0]).tolist():
            batch = self._batches[number]
            here = np.flatnonzero(of_batch == number)
            places = sequences[here] - batch.first
            here, places = here[places < len(batch.stamps)], places[places < len(batch.stamps)]
            unknown[here] = False
            taken = _taken(batch, places)
            found.channels[here], found.instances[here] = taken.channels, taken.instances
            found.epochs[here], found.sequences[here] = taken.epochs, taken.sequences
            found.stamps[here] = taken.stamps
        return _columns(found, unknown), found.stamps


def _taken(origin: Origin, places: Integers) -> Origin:
    return Origin(
        0,
        origin.channels[places],
        origin.instances[places],
        origin.epochs[places],
        origin.sequences[places],
        origin.stamps[places],
    )


def _columns(origin: Origin, unknown: npt.NDArray[np.bool_] | None) -> dict[str, pa.Array]:
    return {
        "channel": pa.array(origin.channels),
        "instance": pa.array(origin.instances),
        "raw_epoch": pa.array(origin.epochs, mask=unknown),
        "raw_sequence": pa.array(origin.sequences, mask=unknown),
    }
