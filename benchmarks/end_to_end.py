"""The whole pipeline on this machine: emulator, session manager, normalizer, Redis, batch processor and a verifying consumer."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import RUNS
from tapeline import venues
from tapeline.cli.up.plan import Plan, Source
from tapeline.cli.up.report import Report
from tapeline.cli.up.running import run_plan

RATES = (10_000, 80_000)
STEPS = (100_000, 150_000, 200_000, 250_000, 300_000, 350_000, 400_000, 450_000, 500_000, 600_000, 700_000, 800_000)
"""Rates tried one after another until one does not hold."""

_SECONDS = 8.0
_SEARCH_SECONDS = 6.0
_KEPT_UP = 0.85
_P99_US = 500_000


@dataclass(frozen=True, slots=True)
class Level:
    """What some runs at one rate gave; medians."""

    asked: int
    payloads_per_second: float
    records_per_second: float
    lost: int
    latency_us: dict[str, float]
    latency_from: str
    cpu_seconds_per_million: dict[str, float]
    """By process: CPU-seconds for a million payloads."""
    runs: int


def measure(home: Path, say: Callable[[str], None]) -> list[Level]:
    """Figures at the fixed rates, and at the highest rate at which nothing is lost and p99 stays under half a second."""
    levels = [_level(rate, home, say) for rate in RATES]
    best = _highest(home, say)
    while best is not None:
        level = _level(best, home, say)
        if level.lost == 0 and _kept_up(best, level.payloads_per_second):
            return [*levels, level]
        # It held once, but not in the median of some runs.
        best = max((step for step in STEPS if step < best), default=None)
    return levels


def _highest(home: Path, say: Callable[[str], None]) -> int | None:
    best = None
    for rate in STEPS:
        report = run_plan(_plan(rate, _SEARCH_SECONDS, home), _no_tick, tables=False)
        speed = report.payloads / report.seconds
        held = not report.lost and _kept_up(rate, speed) and (report.latency_us["p99"] or 0) < _P99_US
        say(
            f"{rate:,}/s asked: {speed:,.0f}/s, lost {report.lost}, p99 {report.latency_us['p99']} µs{'' if held else ': too much'}"
        )
        if not held:
            break
        best = rate
    return best


def _kept_up(asked: int, reached: float) -> bool:
    return reached >= _KEPT_UP * asked


def _level(rate: int, home: Path, say: Callable[[str], None]) -> Level:
    reports = [run_plan(_plan(rate, _SECONDS, home), _no_tick, tables=False) for _ in range(RUNS)]
    level = _median(rate, reports)
    say(f"{rate:,}/s: p50 {level.latency_us['p50']} µs, p99 {level.latency_us['p99']} µs, lost {level.lost}")
    return level


def _median(rate: int, reports: list[Report]) -> Level:
    middle = statistics.median
    return Level(
        asked=rate,
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


def _plan(rate: int, seconds: float, home: Path) -> Plan:
    return Plan(
        source=Source.SYNTHETIC,
        venues=tuple(venues.names()),
        instances=("PRIMARY",),
        captures=None,
        speed="1",
        rate=rate,
        seconds=seconds,
        data_dir=home,
        store=str(home / "store"),
        redis_url=None,
    )


def _no_tick(_pipeline: object, _since: float) -> bool:
    return False
