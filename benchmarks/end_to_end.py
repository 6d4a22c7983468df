"""The whole pipeline on this machine: emulator, session manager, normalizer, Redis, batch processor and a verifying consumer."""

from __future__ import annotations

import shutil
import signal
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import RUNS
from tapeline import venues
from tapeline.cli.up.pipeline import Pipeline
from tapeline.cli.up.plan import Plan, Source
from tapeline.cli.up.report import Report
from tapeline.cli.up.running import run_plan

RATES = (10_000, 80_000)
STEPS = (100_000, 150_000, 200_000, 250_000, 300_000, 350_000, 400_000, 450_000, 500_000, 600_000, 700_000, 800_000)
"""Rates tried one after another until one does not hold."""

ALL = "all venues"
ONE = "one venue"
STOPPED = "all venues, batch processor stopped"
VENUE = "kraken"
"""The one venue: it tells microseconds, so that the delay counts from its sending."""

_SECONDS = 8.0
_SEARCH_SECONDS = 6.0
_KEPT_UP = 0.85
_P99_US = 500_000


@dataclass(frozen=True, slots=True)
class Level:
    """What some runs at one rate gave; medians."""

    asked: int
    setting: str
    """What ran: `all venues`, `one venue`, or with the batch processor stopped."""
    payloads_per_second: float
    records_per_second: float
    lost: int
    latency_us: dict[str, float]
    latency_from: str
    cpu_seconds_per_million: dict[str, float]
    """By process: CPU-seconds for a million payloads."""
    runs: int


def measure(home: Path, say: Callable[[str], None]) -> list[Level]:
    """Figures at the fixed rates, with a stopped batch processor, and at the highest rate that holds, which comes last.

    A rate holds if nothing is lost and p99 stays under half a second.
    """
    run = Runner(home, say)
    levels = [run.level(rate, ONE) for rate in RATES]
    levels += [run.level(rate, ALL) for rate in RATES]
    levels.append(run.level(RATES[-1], STOPPED))
    best = run.highest()
    while best is not None:
        level = run.level(best, ALL)
        if level.lost == 0 and _kept_up(best, level.payloads_per_second):
            return [*levels, level]
        # It held once, but not in the median of some runs.
        best = max((step for step in STEPS if step < best), default=None)
    return levels


class Runner:
    """Runs the pipeline at some rate."""

    def __init__(self, home: Path, say: Callable[[str], None]) -> None:
        self._home = home
        self._say = say

    def level(self, rate: int, setting: str) -> Level:
        """Medians of some runs."""
        level = _median(rate, setting, [self._run(rate, _SECONDS, setting) for _ in range(RUNS)])
        self._say(
            f"{rate:,}/s, {setting}: p50 {level.latency_us['p50']} µs, p99 {level.latency_us['p99']} µs, lost {level.lost}"
        )
        return level

    def highest(self) -> int | None:
        """The highest of the steps that holds in one run."""
        best = None
        for rate in STEPS:
            report = self._run(rate, _SEARCH_SECONDS, ALL)
            speed, p99 = report.payloads / report.seconds, report.latency_us["p99"] or 0.0
            held = not report.lost and _kept_up(rate, speed) and p99 < _P99_US
            self._say(
                f"{rate:,}/s asked: {speed:,.0f}/s, lost {report.lost}, p99 {p99} µs{'' if held else ': too much'}"
            )
            if not held:
                break
            best = rate
        return best

    def _run(self, rate: int, seconds: float, setting: str) -> Report:
        tick = _hold_batch_processor if setting == STOPPED else _no_tick
        names = tuple(venues.names()) if setting != ONE else (VENUE,)
        report = run_plan(_plan(rate, seconds, self._home, names), tick, tables=False)
        shutil.rmtree(self._home / "store", ignore_errors=True)
        return report


def _kept_up(asked: int, reached: float) -> bool:
    return reached >= _KEPT_UP * asked


def _median(rate: int, setting: str, reports: list[Report]) -> Level:
    middle = statistics.median
    return Level(
        asked=rate,
        setting=setting,
        payloads_per_second=middle(report.payloads / report.seconds for report in reports),
        records_per_second=middle(report.records / report.seconds for report in reports),
        lost=max(report.lost or 0 for report in reports),
        latency_us={key: middle(report.latency_us[key] or 0.0 for report in reports) for key in reports[0].latency_us},
        latency_from=reports[0].latency_from,
        cpu_seconds_per_million={
            name.removesuffix("-PRIMARY"): middle(
                1e6 * report.cpu_seconds[name] / report.payloads for report in reports
            )
            for name in reports[0].cpu_seconds
        },
        runs=len(reports),
    )


def _spent(report: Report, name: str) -> float:
    """CPU-seconds of a process from the first payload on."""
    return max(0.0, report.cpu_seconds[name] - report.startup_cpu_seconds.get(name, 0.0))


def _plan(rate: int, seconds: float, home: Path, names: tuple[str, ...]) -> Plan:
    return Plan(
        source=Source.SYNTHETIC,
        venues=names,
        instances=("PRIMARY",),
        captures=None,
        speed="1",
        rate=rate,
        seconds=seconds,
        data_dir=home,
        store=str(home / "store"),
        redis_url=None,
    )


def _no_tick(_pipeline: Pipeline, _since: float) -> bool:
    return False


def _hold_batch_processor(pipeline: Pipeline, _since: float) -> bool:
    child = pipeline.room("batch_processor", "PRIMARY")
    if child is not None and not child.ended:
        child.process.send_signal(signal.SIGSTOP)
    return False
