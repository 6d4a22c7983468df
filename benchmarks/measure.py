"""How things are measured: medians of several runs, in CPU time of the process that does the work."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

RUNS = 3
_LEAST_SECONDS = 0.4


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured thing: the median of `runs`, each in things per CPU-second."""

    name: str
    unit: str
    median: float
    runs: tuple[float, ...]

    @property
    def cpu_seconds_per_million(self) -> float:
        """CPU-seconds for a million of them."""
        return 1e6 / self.median if self.median else float("inf")


def per_cpu_second(name: str, unit: str, prepare: Callable[[], T], work: Callable[[T], int]) -> Figure:
    """Runs `work` on what `prepare` gives (untimed) until a run has taken long enough; the median of some runs.

    `work` returns how many things it did.
    """
    work(prepare())
    return figure(name, unit, [_one_run(prepare, work) for _ in range(RUNS)])


def figure(name: str, unit: str, runs: list[float]) -> Figure:
    """A figure of runs that were measured elsewhere."""
    return Figure(name, unit, statistics.median(runs), tuple(runs))


def _one_run(prepare: Callable[[], T], work: Callable[[T], int]) -> float:
    count = 0
    spent = 0.0
    while spent < _LEAST_SECONDS:
        given = prepare()
        started = time.process_time()
        count += work(given)
        spent += time.process_time() - started
    return count / spent


def machine() -> dict[str, str]:
    """What it was measured on."""
    return {
        "cpu": _cpu(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
