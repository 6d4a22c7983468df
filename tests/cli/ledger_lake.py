"""Puts a ledger into a lake and publishes it, as the post-process would."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tapeline.offline.lake import File, Lake, Made, Manifest, version_folder
from tapeline.offline.tables import LEDGER, LEDGER_GAPS, Table

Row = Mapping[str, object]


def publish(data_dir: Path, day: date, providers: Mapping[str, tuple[Sequence[Row], Sequence[Row]]]) -> Lake:
    """A lake under a data directory with one version of each provider: rows of `ledger` and of `ledger_gaps`."""
    lake = Lake.at(data_dir / "lake")
    for provider, (hours, gaps) in providers.items():
        tables = {
            table.name: [_put(lake, day, provider, table, rows)]
            for table, rows in ((LEDGER, hours), (LEDGER_GAPS, gaps))
            if rows
        }
        lake.add(Manifest(day.isoformat(), provider, 1, "made", tables, {}, {}, {}), Made(0, 1, 0.0, 0))
    lake.publish(day, dict.fromkeys(providers, 1))
    return lake


def _put(lake: Lake, day: date, provider: str, table: Table, rows: Sequence[Row]) -> File:
    written = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema=table.columns), written)
    data = written.getvalue()
    key = f"{table.name}/{version_folder(day, provider, 1)}/0000-0000.parquet"
    lake.store.put(key, data, if_absent=False)
    return File(key, len(rows), len(data), hashlib.sha256(data).hexdigest())


def hour(channel: str, at: int, schema: str = "TRADES", **counts: int) -> Row:
    """A row of `ledger`; what is not given is 0."""
    names = ("primary_only", "replica_only", "in_both", "duplicates", "rejected", "gaps", "bars_expected", "bars_found")
    return {"channel": channel, "schema": schema, "hour": at, **dict.fromkeys(names, 0), **counts}


def hole(instance: str, first: int, last: int | None, opened: int, closed: int, missing: int | None) -> Row:
    """A row of `ledger_gaps` that tells of a raw stream."""
    return {
        "kind": "raw", "instance": instance, "raw_epoch": 17, "from_sequence": first, "to_sequence": last,
        "from_ts": opened, "to_ts": closed, "missing": missing, "reason": "fell_out_of_ring",
    }  # fmt: skip
