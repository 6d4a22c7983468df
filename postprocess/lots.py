"""Which lot and display factor hold for each record, by the definitions that stand before it in the stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tapeline.offline.tables import KINDS
from tapeline.schemas import Schema

ONE = 10**9
"""1 in DBN's 1e-9."""

_UNDEFINED = (1 << 63) - 1
DEFINITION = next(kind for kind in KINDS.values() if kind.schema is Schema.DEFINITION)


@dataclass(frozen=True, slots=True)
class Terms:
    """What an instrument's integers mean; both in 1e-9."""

    lot: int = ONE
    display_factor: int = ONE


@dataclass(frozen=True, slots=True)
class Change:
    """A definition in the data at hand: from `offset` on an instrument has these terms."""

    offset: int
    instrument: int
    terms: Terms


class Lots:
    """The terms of every instrument as of the data seen so far."""

    def __init__(self) -> None:
        self._now: dict[int, Terms] = {}

    def take(self, records: npt.NDArray[np.void], offsets: npt.NDArray[np.int64]) -> list[Change]:
        """Notes what these definition records say; the changes, in order, for `terms` of the same data."""
        changes = []
        rows = zip(
            offsets.tolist(),
            records["instrument_id"].tolist(),
            records["unit_of_measure_qty"].tolist(),
            records["display_factor"].tolist(),
            strict=True,
        )
        for offset, instrument, lot, factor in rows:
            changes.append(Change(offset, instrument, Terms(_given(lot), _given(factor))))
        return changes

    def terms(
        self, instruments: npt.NDArray[np.uint32], offsets: npt.NDArray[np.int64], changes: list[Change]
    ) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
        """Lot and display factor of each record, records being named by instrument and offset."""
        lots = np.empty(len(instruments), dtype=np.uint64)
        factors = np.empty(len(instruments), dtype=np.uint64)
        for instrument in np.unique(instruments).tolist():
            here = instruments == instrument
            now = self._now.get(instrument, Terms())
            lots[here], factors[here] = now.lot, now.display_factor
            for change in changes:
                if change.instrument == instrument:
                    after = here & (offsets > change.offset)
                    lots[after], factors[after] = change.terms.lot, change.terms.display_factor
        return lots, factors

    def settle(self, changes: list[Change]) -> None:
        """Makes the changes of the data at hand the terms of what follows."""
        for change in changes:
            self._now[change.instrument] = change.terms


def _given(value: int) -> int:
    return value if 0 < value < _UNDEFINED else ONE
