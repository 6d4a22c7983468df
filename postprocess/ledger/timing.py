"""When holes opened and closed, and which messages may fill them: asked of the units' place files, with bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import duckdb
import pyarrow as pa

from postprocess.ledger.places import FIRST, OWN, SECOND, STRAYED
from postprocess.ledger.seen import Integers

_SIDES = ("first", "second")
_PLACES = ("first_ts", "second_ts + skew")
"""When a side had a message, by the first side's clock."""
_AT_ONCE = 1 << 20

Edge = tuple[int, int]
"""Epoch and sequence."""


class Places:
    """All units' place files as one; `spill` is a folder for what does not fit into memory."""

    def __init__(self, files: Sequence[Path], memory_bytes: int, spill: Path) -> None:
        self._connection = duckdb.connect()
        self._connection.execute("SET threads = 1")
        self._connection.execute(f"SET memory_limit = '{max(memory_bytes, 64 << 20)}B'")
        self._connection.execute("SET temp_directory = ?", [str(spill)])
        self._files = [str(path) for path in files]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def times(self, side: int, edges: Sequence[Edge]) -> dict[Edge, tuple[int, int]]:
        """Of payloads of one side: when they came, and when that was by the first side's clock."""
        if not edges:
            return {}
        wanted = pa.table({"epoch": [epoch for epoch, _ in edges], "sequence": [sequence for _, sequence in edges]})
        name = _SIDES[side]
        self._connection.register("wanted", wanted)
        found = self._connection.execute(
            f"SELECT {name}_epoch, {name}_sequence, {name}_ts, {_PLACES[side]} FROM read_parquet($files) SEMI JOIN wanted "
            f"ON {name}_epoch = wanted.epoch AND {name}_sequence = wanted.sequence "
            f"WHERE seen & {(FIRST, SECOND)[side]} <> 0 AND {name}_sequence BETWEEN $low AND $high",
            {
                "files": self._files,
                "low": min(sequence for _, sequence in edges),
                "high": max(sequence for _, sequence in edges),
            },
        )
        return {(epoch, sequence): (stamp, place) for epoch, sequence, stamp, place in found.fetchall()}

    def only_other(self, side: int) -> Iterator[Integers]:
        """When messages came, by the first side's clock, that the other side has and this one has not."""
        return self._came(1 - side, (SECOND, FIRST)[side])

    def strayed(self, side: int) -> Iterator[Integers]:
        """When the other side had messages that were paired with one that this side had at quite another time."""
        return self._came(1 - side, FIRST | SECOND | STRAYED)

    def silent(self, opened: int, closed: int) -> bool:
        """Whether no message of the venue's came to either side between two times by the first side's clock."""
        came = " OR ".join(
            f"(seen & {bit} <> 0 AND {place} > $opened AND {place} < $closed)"
            for bit, place in zip((FIRST, SECOND), _PLACES, strict=True)
        )
        found = self._connection.execute(
            f"SELECT 1 FROM read_parquet($files) WHERE seen & {OWN} = 0 AND ({came}) LIMIT 1",
            {"files": self._files, "opened": opened, "closed": closed},
        )
        return found.fetchone() is None

    def _came(self, side: int, seen: int) -> Iterator[Integers]:
        found = self._connection.sql(
            f"SELECT {_PLACES[side]} FROM read_parquet($files) WHERE seen = $seen",
            params={"files": self._files, "seen": seen},
        )
        for batch in found.to_arrow_reader(_AT_ONCE):
            yield batch.column(0).to_numpy()
