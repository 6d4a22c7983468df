"""The seam to whoever runs units; units are independent, and the same unit always gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from postprocess.units import Report, Unit


class Executor(Protocol):
    """Runs units."""

    def run(self, units: Sequence[Unit]) -> Iterator[Report]:
        """A report of every unit, in the order in which they end; one that fails has a report that says so."""
