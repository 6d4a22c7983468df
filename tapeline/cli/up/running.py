"""One run of the pipeline from start to account."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

from tapeline.cli.up.children import ChildFailedError
from tapeline.cli.up.ledger import read_sent
from tapeline.cli.up.pipeline import Pipeline
from tapeline.cli.up.plan import Plan, Source
from tapeline.cli.up.report import Observed, Report, make_report

_TICK_SECONDS = 0.25

Tick = Callable[[Pipeline, float], bool]
"""Called while it runs, with the seconds since its start; True asks for the end."""


def run_plan(plan: Plan, tick: Tick, *, tables: bool) -> Report:
    """Runs a plan; `tables` asks for the cold path's tables too. Raises ChildFailedError."""
    with Pipeline(plan) as pipeline:
        began_ns = time.time_ns()
        pipeline.start()
        started = time.monotonic()
        _watch(pipeline, started, tick)
        pipeline.drain()
        ends = pipeline.stop()
        report = dataclasses.replace(make_report(_observed(pipeline)), problem="; ".join(ends))
        return _with_tables(report, pipeline, began_ns) if tables else report


def _watch(pipeline: Pipeline, started: float, tick: Tick) -> None:
    """Until the venues have said all, the time is over, or the user has had enough."""
    while True:
        pipeline.check()
        since = time.monotonic() - started
        if tick(pipeline, since) or _ended(pipeline, since):
            break
        time.sleep(_TICK_SECONDS)
    pipeline.hush()


def _ended(pipeline: Pipeline, since: float) -> bool:
    if pipeline.emulator is not None:
        return pipeline.emulator.done is not None
    return pipeline.plan.seconds is not None and since >= pipeline.plan.seconds


def _with_tables(report: Report, pipeline: Pipeline, began_ns: int) -> Report:
    # Imported this late, so that DuckDB's threads are not there when the processes are started.
    from tapeline.cli.up.cold import make_tables

    try:
        tables, problem = make_tables(pipeline, began_ns), report.problem
    except ChildFailedError as error:
        # What the hot path did is known all the same.
        tables, problem = {}, "; ".join(filter(None, (report.problem, f"no tables: {error}")))
    cpu = {**report.cpu_seconds, **_cpu_seconds(pipeline)}
    return dataclasses.replace(report, tables=tables, problem=problem, cpu_seconds=cpu)


def _cpu_seconds(pipeline: Pipeline) -> dict[str, float]:
    return {child.name: round(child.cpu_seconds, 3) for child in pipeline.children}


def told(pipeline: Pipeline, instance: str) -> dict[str, Any]:
    """The last statistics of an instance's normalizer."""
    child = pipeline.room("normalizer", instance)
    return child.stats if child is not None else {}


def _observed(pipeline: Pipeline) -> Observed:
    plan = pipeline.plan
    return Observed(
        venues=plan.venues,
        instances=plan.instances,
        sent=None if plan.source is Source.LIVE else read_sent(pipeline.ledger),
        punctual=tuple(pipeline.emulator.await_ready(0)["punctual"]) if pipeline.emulator is not None else (),
        verifier=(pipeline.verifier.done if pipeline.verifier is not None else None) or {},
        normalizers={instance: told(pipeline, instance) for instance in plan.instances},
        cpu_seconds=_cpu_seconds(pipeline),
        startup_cpu_seconds=pipeline.startup_cpu_seconds,
    )
