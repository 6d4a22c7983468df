"""Runs a plan before the user's eyes: the live table, the end, the summary."""

from __future__ import annotations

import dataclasses
import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import Any

from rich.console import Console
from rich.live import Live

from tapeline import venues
from tapeline.cli.up import summary
from tapeline.cli.up.ledger import read_sent
from tapeline.cli.up.pipeline import Pipeline
from tapeline.cli.up.plan import Plan, Source
from tapeline.cli.up.report import Observed, gaps, make_report, rejects
from tapeline.cli.up.table import Rates, Row, table

_TICK_SECONDS = 0.25


class Stop:
    """Whether the user has asked for the end."""

    asked = False


@contextmanager
def interruptible() -> Iterator[Stop]:
    """The first Ctrl-C or SIGTERM asks for an orderly end, the second ends at once."""
    stop = Stop()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def show(plan: Plan, *, as_json: bool) -> int:
    """Runs the plan; 1 where something was lost."""
    console = Console(stderr=as_json)
    with Pipeline(plan) as pipeline, interruptible() as stop:
        if not as_json:
            console.print(summary.opening(plan))
        began_ns = time.time_ns()
        pipeline.start()
        started = time.monotonic()
        _watch(pipeline, stop, console, started, live=not as_json)
        pipeline.drain()
        seconds = time.monotonic() - started
        pipeline.stop()
        # Imported this late, so that DuckDB's threads are not there when the processes are started.
        from tapeline.cli.up.cold import make_tables

        tables = make_tables(pipeline, began_ns)
        report = make_report(_observed(pipeline, seconds, tables))
    if as_json:
        json.dump(dataclasses.asdict(report), sys.stdout)
        print()
    else:
        summary.print_summary(console, plan, report)
    return 1 if report.failed else 0


def _watch(pipeline: Pipeline, stop: Stop, console: Console, started: float, *, live: bool) -> None:
    """Until the venues have said all, the time is over, or the user has had enough."""
    rates = Rates()
    screen = Live(console=console, auto_refresh=False) if live else nullcontext()
    with screen as shown:
        while not stop.asked and not _ended(pipeline, started):
            pipeline.check()
            if shown is not None:
                shown.update(table(_rows(pipeline, rates), _title(pipeline, started)), refresh=True)
            time.sleep(_TICK_SECONDS)
    pipeline.hush()


def _ended(pipeline: Pipeline, started: float) -> bool:
    plan = pipeline.plan
    if pipeline.emulator is not None:
        return pipeline.emulator.done is not None
    return plan.seconds is not None and time.monotonic() - started >= plan.seconds


def _title(pipeline: Pipeline, started: float) -> str:
    return f"{summary.source(pipeline.plan)} · {time.monotonic() - started:.0f} s · Ctrl-C ends"


def _rows(pipeline: Pipeline, rates: Rates) -> list[Row]:
    streams = pipeline.verifier.stats.get("streams", {}) if pipeline.verifier is not None else {}
    rows = []
    for name in pipeline.plan.venues:
        provider = venues.provider(name)
        for instance in pipeline.plan.instances:
            told = _told(pipeline, instance).get("providers", {}).get(provider, {})
            received = streams.get(f"{provider}.{instance}", {})
            rows.append(rates.row(name, instance, time.monotonic(), received, gaps(told), rejects(told)))
    return rows


def _told(pipeline: Pipeline, instance: str) -> dict[str, Any]:
    child = pipeline.room("normalizer", instance)
    return child.stats if child is not None else {}


def _observed(pipeline: Pipeline, seconds: float, tables: dict[str, int]) -> Observed:
    plan = pipeline.plan
    return Observed(
        venues=plan.venues,
        instances=plan.instances,
        sent=None if plan.source is Source.LIVE else read_sent(pipeline.ledger),
        verifier=(pipeline.verifier.done if pipeline.verifier is not None else None) or {},
        normalizers={instance: _told(pipeline, instance) for instance in plan.instances},
        cpu_seconds={child.name: child.cpu_seconds for child in pipeline.children},
        seconds=seconds,
        tables=tables,
    )
