"""Runs a plan before the user's eyes: the live table, the end, the summary."""

from __future__ import annotations

import dataclasses
import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self

from rich.console import Console
from rich.live import Live

from tapeline import venues
from tapeline.cli.up import summary
from tapeline.cli.up.pipeline import Pipeline
from tapeline.cli.up.plan import Plan
from tapeline.cli.up.report import gaps, rejects
from tapeline.cli.up.running import run_plan, told
from tapeline.cli.up.table import Rates, Row, table

_AGAIN_SECONDS = 1.0


class Stop:
    """Whether the user has asked for the end."""

    asked = False
    asked_at = 0.0


@contextmanager
def interruptible() -> Iterator[Stop]:
    """The first Ctrl-C or SIGTERM asks for an orderly end, a later one ends at once."""
    stop = Stop()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        # A terminal, or whoever stands between, may give the same one twice.
        if stop.asked and time.monotonic() - stop.asked_at > _AGAIN_SECONDS:
            raise KeyboardInterrupt
        if not stop.asked:
            stop.asked, stop.asked_at = True, time.monotonic()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def show(plan: Plan, *, as_json: bool) -> int:
    """Runs the plan; 1 where something was lost."""
    with interruptible() as stop:
        if as_json:
            report = run_plan(plan, lambda _pipeline, _since: stop.asked, tables=True)
            json.dump(dataclasses.asdict(report), sys.stdout)
            print()
        else:
            console = Console()
            console.print(summary.opening(plan), highlight=False, soft_wrap=True)
            with Screen(console, stop) as screen:
                report = run_plan(plan, screen.tick, tables=True)
            summary.print_summary(console, plan, report)
    if report.problem:
        print(f"tapeline: {report.problem}", file=sys.stderr)
    return 1 if report.failed else 0


class Screen:
    """The live table."""

    def __init__(self, console: Console, stop: Stop) -> None:
        self._live = Live(console=console, auto_refresh=False)
        self._stop = stop
        self._rates = Rates()

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def tick(self, pipeline: Pipeline, since: float) -> bool:
        """Shows the moment; whether the user wants the end."""
        title = f"{summary.source(pipeline.plan)} · {since:.0f} s · Ctrl-C ends"
        self._live.update(table(_rows(pipeline, self._rates), title), refresh=True)
        return self._stop.asked


def _rows(pipeline: Pipeline, rates: Rates) -> list[Row]:
    if pipeline.verifier is None:
        return []
    streams, at = pipeline.verifier.stats.get("streams", {}), pipeline.verifier.stats_at
    rows = []
    for name in pipeline.plan.venues:
        provider = venues.provider(name)
        for instance in pipeline.plan.instances:
            own = told(pipeline, instance).get("providers", {}).get(provider, {})
            received = streams.get(f"{provider}.{instance}", {})
            rows.append(rates.row(name, instance, at, received, gaps(own), rejects(own)))
    return rows
