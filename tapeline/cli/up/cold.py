"""The cold path's end: tables of the days a run touched."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta

from tapeline.cli.up.children import ChildFailedError, spawn
from tapeline.cli.up.pipeline import Pipeline
from tapeline.objectstore import open_store
from tapeline.offline.lake import Lake
from tapeline.offline.tables import all_tables
from tapeline.offline.views import connect
from tapeline.raw_days import day_sizes


def days_between(first_ns: int, last_ns: int) -> list[date]:
    """The UTC days from one time to another, both in ns since the epoch."""
    first, last = (datetime.fromtimestamp(ns // 1_000_000_000, UTC).date() for ns in (first_ns, last_ns))
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def make_tables(pipeline: Pipeline, since_ns: int) -> dict[str, int]:
    """Runs the post-process for the days since a run began; rows by table. Raises ChildFailedError."""
    plan = pipeline.plan
    for day in days_between(since_ns, time.time_ns()):
        if not day_sizes(open_store(plan.store), day):
            continue  # the day has just begun
        words = ["postprocess", day.isoformat(), "--store", plan.store, "--lake", str(plan.lake)]
        child = spawn("postprocess", "tapeline.cli.main", words, plan.logs)
        pipeline.children.append(child)
        child.stopping = True
        while not child.ended:
            time.sleep(0.05)
        if child.process.returncode != 0:
            raise ChildFailedError(child.why())
    with connect(Lake.at(plan.lake)) as connection:
        counts = {name: connection.sql(f'SELECT count(*) FROM "{name}"').fetchall()[0][0] for name in all_tables()}
    return {name: int(rows) for name, rows in counts.items()}
