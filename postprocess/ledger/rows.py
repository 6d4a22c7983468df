"""What a unit tells its account of: messages as columns; and what of a session is of the day."""

from __future__ import annotations

from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from postprocess.ledger.seen import Integers

Bytes = npt.NDArray[np.uint8]


class Rows(Protocol):
    """Messages of the coalesced stream, of any channels, as arrays of one length."""

    @property
    def channel(self) -> npt.NDArray[np.int32]:
        """Its place in the account's list of channels."""

    @property
    def side(self) -> Bytes:
        """Whose copy stands, 0 or 1."""

    @property
    def seen(self) -> Bytes:
        """Who has it: 1 the first side only, 2 the second only, 3 both."""

    @property
    def epoch(self) -> Integers:
        """Of the copy."""

    @property
    def sequence(self) -> Integers:
        """Of the copy."""

    @property
    def ts_recv(self) -> Integers:
        """Of the copy, ns."""

    @property
    def other_epoch(self) -> Integers:
        """Of the second side's copy where both have it."""

    @property
    def other_sequence(self) -> Integers:
        """Of the second side's copy where both have it."""

    @property
    def other_ts_recv(self) -> Integers:
        """Of the second side's copy where both have it."""

    def payload(self, row: int) -> bytes:
        """Looked at only where an instance speaks of itself."""


class Span(msgspec.Struct, frozen=True):
    """What of a session is of the day: from which sequence and time to which, and when that was by the first side's clock."""

    first: int
    last: int
    first_ts: int
    last_ts: int
    first_place: int
    last_place: int

    def joined(self, other: Span) -> Span:
        """Both."""
        return Span(
            min(self.first, other.first),
            max(self.last, other.last),
            min(self.first_ts, other.first_ts),
            max(self.last_ts, other.last_ts),
            min(self.first_place, other.first_place),
            max(self.last_place, other.last_place),
        )
