"""All files of a unit: filled in the order of the stream, sorted with bounded memory, put into the lake when whole."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from postprocess.batches import Batch, Integers
from postprocess.codes import Codes, Texts
from postprocess.columns import Part
from postprocess.dbn_parts import DbnParts
from postprocess.parquet import Parts, group_sizes, groups
from postprocess.spool import Spool
from postprocess.units import Unit
from tapeline.offline.channel_index import IndexWriter
from tapeline.offline.lake import DBN, INDEX, File, Lake
from tapeline.offline.standing import STATE
from tapeline.offline.tables import Table, all_tables, record_tables
from tapeline.schemas import Schema

_PREFIX = "tapeline-unit-"
_KEPT = frozenset(("trades", "ohlcv_1m"))
"""Tables that the ledger reads once more."""


class UnitFiles:
    """The files of one unit; a context that leaves nothing behind on this machine."""

    def __init__(self, lake: Lake, unit: Unit, texts: Texts) -> None:
        self._lake = lake
        self._unit = unit
        self._texts = texts
        _sweep()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        """A place for files on the way; gone at the end."""
        self._spools: dict[str, Spool] = {}
        self._dbn: dict[Schema, DbnParts] = {}
        self._index: IndexWriter | None = None
        self.tables: dict[str, list[File]] = {}
        """What was put into the lake, by table."""
        self.dbn: dict[str, list[File]] = {}
        """The same, by DBN schema."""
        self.index: list[File] = []
        self.state: list[File] = []
        self.local: dict[str, list[Path]] = {name: [] for name in _KEPT}
        """What the ledger reads, on this machine."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for spool in self._spools.values():
            spool.close()
        for parts in self._dbn.values():
            parts.abandon()
        if self._index is not None:
            self._index.abandon()
        shutil.rmtree(self.folder, ignore_errors=True)

    def add_rows(self, table: Table, rows: pa.Table, keys: Codes, payloads: Batch | None = None) -> None:
        """Rows of a table, texts as codes, in the order of the stream, and the code that each is sorted by; see `Spool.add`."""
        spool = self._spools.get(table.name)
        if spool is None:
            spool = self._spools[table.name] = Spool(self._texts, self._unit.memory_bytes)
        spool.add(rows, keys, payloads)
        # Half of what a unit may hold: to sort rows takes as much again.
        while sum(spool.bytes for spool in self._spools.values()) > self._unit.memory_bytes // 2:
            max(self._spools.values(), key=lambda spool: spool.bytes).spill()

    def add_part(self, part: Part, symbols: Mapping[int, str]) -> None:
        """Records of one kind and their rows; `symbols` by instrument."""
        schema = part.kind.schema
        self.add_rows(record_tables()[schema], part.rows, part.symbols)
        parts = self._dbn.get(schema)
        if parts is None:
            places = self._places(f"{DBN}-{schema.dbn}")
            parts = self._dbn[schema] = DbnParts(places, self._unit.provider, part.kind)
        for path, rows in parts.add(part.data, part.stamps, symbols):
            self._put_dbn(schema, path, rows)

    def add_places(self, channels: list[tuple[str, str]], numbers: npt.NDArray[np.uint16], stamps: Integers) -> None:
        """Of records of all schemas, in the order of the stream: their channels, by number, and `ts_recv`, ns."""
        if self._index is None and len(numbers):
            self._index = IndexWriter(next(self._places(INDEX)))
        if self._index is not None:
            self._index.add(channels, numbers, stamps)

    def finish(self, symbols: Mapping[int, str]) -> None:
        """Sorts, writes and puts everything."""
        for schema, parts in self._dbn.items():
            for path, rows in parts.finish(symbols):
                self._put_dbn(schema, path, rows)
        if self._index is not None:
            self._index.finish()
            key = f"{INDEX}/{self._unit.folder}/{self._unit.part(0)}.parquet"
            self.index.append(self._put(key, self.folder / f"{INDEX}-0", self._index.rows))
            self._index = None
        for name in sorted(self._spools):
            self._write(all_tables()[name], self._spools[name])

    def put_state(self, data: bytes) -> None:
        """What stands when the unit is through."""
        key = f"{STATE}/{self._unit.folder}/{self._unit.part(0)}.zst"
        self._lake.store.put(key, data, if_absent=False)
        self.state.append(File(key, 0, len(data), hashlib.sha256(data).hexdigest()))

    def _write(self, table: Table, spool: Spool) -> None:
        sizes = group_sizes(count for _, count in spool.counts())
        parts = Parts(table, self._texts, self._places(table.name))
        found = self.tables.setdefault(table.name, [])
        for path, rows in parts.write(groups(spool.sorted(), sizes)):
            key = f"{table.name}/{self._unit.folder}/{self._unit.part(len(found))}.parquet"
            found.append(self._put(key, path, rows, table.name in _KEPT))
            if table.name in _KEPT:
                self.local[table.name].append(path)

    def _put_dbn(self, schema: Schema, path: Path, rows: int) -> None:
        found = self.dbn.setdefault(schema.dbn, [])
        name = self._unit.part(len(found))
        found.append(self._put(f"{DBN}/schema={schema.dbn}/{self._unit.folder}/{name}.dbn.zst", path, rows))

    def _put(self, key: str, path: Path, rows: int, keep: bool = False) -> File:
        data = path.read_bytes()
        self._lake.store.put(key, data, if_absent=False)
        if not keep:
            path.unlink()
        return File(key, rows, len(data), hashlib.sha256(data).hexdigest())

    def _places(self, name: str) -> Iterator[Path]:
        number = 0
        while True:
            yield self.folder / f"{name}-{number}"
            number += 1


def _sweep() -> None:
    """Removes what units that were killed have left on this machine."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        process = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if process.isdecimal() and not _alive(int(process)):
            shutil.rmtree(folder, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
