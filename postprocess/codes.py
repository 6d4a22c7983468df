"""Texts that come again and again (channels, symbols) as small numbers, while rows wait to be sorted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Codes = npt.NDArray[np.int32]

CODED = ("channel", "instance", "schema", "seen_by", "raw_symbol")
"""The columns that are kept so."""

NONE = -1
"""The code of NULL."""


class Texts:
    """Numbers for texts, in order of appearance."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._texts: list[str] = []
        self._ranks: Codes = np.zeros(1, np.int32)

    def code(self, text: str | None) -> int:
        """The number of a text."""
        if text is None:
            return NONE
        found = self._codes.get(text)
        if found is None:
            found = self._codes[text] = len(self._texts)
            self._texts.append(text)
        return found

    def text(self, code: int) -> str | None:
        """The text of a number."""
        return None if code == NONE else self._texts[code]

    def ranks(self) -> Codes:
        """By code: where its text stands among all in the order of their bytes; that of NULL, before all, is the last item."""
        if len(self._ranks) != len(self._texts) + 1:
            order = sorted(range(len(self._texts)), key=lambda code: self._texts[code].encode())
            self._ranks = np.zeros(len(self._texts) + 1, np.int32)
            self._ranks[order] = np.arange(1, len(order) + 1)
        return self._ranks

    def column(self, codes: Codes) -> pa.DictionaryArray:
        """Codes as text, with a dictionary of just those that are there, in the order of their bytes."""
        used = np.flatnonzero(np.bincount(codes - NONE)) + NONE
        ordered = used[np.argsort(self.ranks()[used])]
        missing = int(bool(used.size) and used[0] == NONE)
        words = pa.array([self._texts[code] for code in ordered[missing:].tolist()], pa.string())
        # Where there is a NULL it is the least of all, so its place is -1.
        place_of = np.zeros(int(used[-1]) - NONE + 1 if used.size else 0, np.int32)
        place_of[ordered - NONE] = np.arange(len(ordered), dtype=np.int32) - missing
        places = place_of[codes - NONE]
        return pa.DictionaryArray.from_arrays(pa.array(places, mask=places < 0 if missing else None), words)


def waiting(columns: pa.Schema) -> pa.Schema:
    """A table's columns as they wait: texts of `CODED` as numbers, payloads of which there may be more than 2 GiB."""
    return pa.schema([pa.field(c.name, _waiting_type(c)) for c in columns])


def _waiting_type(column: pa.Field) -> pa.DataType:
    if column.name in CODED:
        return pa.int32()
    return pa.large_binary() if column.type == pa.binary() else column.type


def written(rows: pa.Table, columns: pa.Schema, texts: Texts) -> pa.Table:
    """Rows that have waited, as they go into a file."""
    made = [
        texts.column(rows.column(column.name).to_numpy())
        if column.name in CODED
        else rows.column(column.name).cast(column.type)
        for column in columns
    ]
    return pa.Table.from_arrays(made, columns.names)
