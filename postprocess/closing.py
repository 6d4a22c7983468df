"""The end of a version: its units' accounts as the tables of the ledger, put beside their files."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from postprocess.ledger.combine import combine
from postprocess.plan import Plan
from postprocess.units import Unit
from postprocess.work import account_folder
from tapeline.objectstore import ObjectMissingError
from tapeline.offline.lake import File, Lake
from tapeline.offline.tables import LEDGER, LEDGER_GAPS


def close_version(lake: Lake, plan: Plan, units: Sequence[Unit]) -> tuple[dict[str, list[File]], dict[str, int]] | None:
    """The ledger's files by table, and its totals; None where another run has closed it and tidied up meanwhile.

    Raises LakeError or StoreRefusedError.
    """
    with tempfile.TemporaryDirectory(prefix="tapeline-") as hidden:
        folders = [_fetched(lake, unit, Path(hidden) / str(unit.shard)) for unit in units]
        if plan.key not in lake.store.list(plan.key):
            return None
        ledger = combine(units[0].date, folders, plan.gaps, units[0].memory_bytes)
    files = {
        table.name: [_put(lake, units[0], table.name, rows)]
        for table, rows in ((LEDGER, ledger.hours), (LEDGER_GAPS, ledger.gaps))
        if rows.num_rows
    }
    return files, ledger.totals


def _fetched(lake: Lake, unit: Unit, folder: Path) -> Path:
    folder.mkdir()
    place = account_folder(unit) + "/"
    for key in lake.store.list(place):
        with suppress(ObjectMissingError):  # tidied up meanwhile, and the plan before it
            (folder / key.removeprefix(place)).write_bytes(lake.store.get(key))
    return folder


def _put(lake: Lake, unit: Unit, table: str, rows: pa.Table) -> File:
    file = io.BytesIO()
    pq.write_table(rows, file, compression="zstd", store_schema=False)
    data = file.getvalue()
    key = f"{table}/{unit.folder}/{unit.part(0)}.parquet"
    lake.store.put(key, data, if_absent=False)
    return File(key, rows.num_rows, len(data), hashlib.sha256(data).hexdigest())
