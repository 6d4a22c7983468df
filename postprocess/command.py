"""A day from the command line: progress while it runs, and what came of it, for people and machines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import date
from typing import Self

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from postprocess.day import DayRun, Places
from postprocess.executor import open_executor
from postprocess.outcome import Outcome, lines, outcome
from postprocess.sharing import run_in_steps
from postprocess.units import Report
from postprocess.working import tidy
from tapeline.settings import Settings

_WIDE = 160


def postprocess(day: date, settings: Settings, executor: str, as_json: bool) -> int:
    """Makes and publishes a day, and tells it; the exit code: 1 where something was not used, not made or not there."""
    started = time.perf_counter()
    places = Places(settings.store_url, settings.lake_url, settings.s3_endpoint)
    run = DayRun(day, places, settings.task_memory_bytes)
    steps = run.steps()
    units = run.begin(steps)
    seconds: dict[str, float] = {}
    with _Shown(len(units)) as shown:
        for report in run_in_steps(open_executor(executor, settings), units):
            run.take(report)
            seconds[report.unit.provider] = seconds.get(report.unit.provider, 0.0) + report.seconds
            shown.told(report)
    run.finish()
    run.publish()
    tidy(run.lake, settings.keep_work_days)
    found = outcome(run, seconds, round(time.perf_counter() - started, 3))
    if as_json:
        print(msgspec.json.encode(found).decode())
    else:
        _print(found)
    for problem in found.problems:
        print(f"tapeline: {problem.kind} {problem.key}: {problem.reason}", file=sys.stderr)
    if not found.versions:
        print(f"tapeline: {places.store} has no raw payloads of {day}; the day is published empty", file=sys.stderr)
    return 1 if found.problems or not found.versions else 0


def _print(found: Outcome) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDE  # nobody's line ends at 80
    for line in lines(found):
        console.print(line)


class _Shown:
    """Progress on stderr: a bar on a terminal, else a line for each unit."""

    def __init__(self, units: int) -> None:
        console = Console(stderr=True, highlight=False)
        self._bar: Progress | None = None
        self.told: Callable[[Report], None] = self._line
        if console.is_terminal and units:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=console,
                transient=True,
            )
            self._task = self._bar.add_task("units", total=units)
            self.told = self._advance

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _advance(self, report: Report) -> None:
        assert self._bar is not None
        self._bar.update(self._task, advance=1, description=report.unit.provider.lower())

    def _line(self, report: Report) -> None:
        print(progress_line(report), file=sys.stderr, flush=True)


def progress_line(report: Report) -> str:
    """A unit that is done, in a line."""
    if report.failed:
        return f"  {report.unit.name}: failed"
    payloads, peak = report.counts.get("payloads", 0), report.peak_rss_bytes >> 20
    return f"  {report.unit.name}: {payloads:,} payloads in {report.seconds:.1f} s, {peak:,} MiB at most"
