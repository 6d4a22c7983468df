"""How complete a day is: who has which payloads, which sequences are in no object, what was rejected."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from tapeline.offline.tables import LEDGER, LEDGER_GAPS
from tapeline.rawfile import RawRow

HOUR_NS = 3_600_000_000_000
PRIMARY, REPLICA, BOTH = "PRIMARY", "REPLICA", "both"


class Sequences:
    """The sequences seen of one session, a bit each."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def note(self, sequence: int) -> None:
        """Takes one in, in any order."""
        place = sequence >> 3
        if place >= len(self._bits):
            self._bits.extend(bytes(max(1 << 16, place + 1 - len(self._bits))))
        self._bits[place] |= 1 << (sequence & 7)

    def gaps(self) -> Iterator[tuple[int, int]]:
        """Runs between the first and the last sequence that were not seen, both ends inclusive."""
        seen = np.flatnonzero(np.unpackbits(np.frombuffer(self._bits, dtype=np.uint8), bitorder="little"))
        for before in np.flatnonzero(np.diff(seen) > 1).tolist():
            yield int(seen[before]) + 1, int(seen[before + 1]) - 1


class Ledger:
    """The account of one provider's day."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str, int], Counter[str]] = defaultdict(Counter)
        self._sequences: dict[tuple[str, int], Sequences] = defaultdict(Sequences)

    def note_raw(self, instance: str, row: RawRow) -> None:
        """A payload found in an instance's objects."""
        self._sequences[instance, row.epoch].note(row.sequence)

    def note_merged(self, channel: str, schema: str, ts_recv: int, seen_by: str) -> None:
        """A payload of the coalesced stream."""
        self._seen[channel, schema, ts_recv // HOUR_NS % 24][seen_by] += 1

    def note_rejected(self, channel: str, schema: str, ts_recv: int) -> None:
        """A payload the kernel could make nothing of."""
        self._seen[channel, schema, ts_recv // HOUR_NS % 24]["rejected"] += 1

    def hours(self) -> pa.Table:
        """The rows of `ledger`."""
        rows = [
            {
                "channel": channel,
                "schema": schema,
                "hour": hour,
                "primary_only": seen[PRIMARY],
                "replica_only": seen[REPLICA],
                "in_both": seen[BOTH],
                "rejected": seen["rejected"],
            }
            for (channel, schema, hour), seen in sorted(self._seen.items())
        ]
        return pa.Table.from_pylist(rows, schema=LEDGER.columns)

    def gaps(self) -> pa.Table:
        """The rows of `ledger_gaps`."""
        rows = [
            {"kind": "raw", "instance": instance, "raw_epoch": epoch, "from_sequence": first, "to_sequence": last}
            for (instance, epoch), sequences in sorted(self._sequences.items())
            for first, last in sequences.gaps()
        ]
        return pa.Table.from_pylist(rows, schema=LEDGER_GAPS.columns)
