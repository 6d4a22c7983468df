"""`tapeline postprocess` as a user runs it, watched from outside."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from benchmarks.cold.tree import Run, run
from tapeline.errors import TapelineError


class FailedError(TapelineError):
    """Post-process did not end well."""


@dataclass(frozen=True, slots=True)
class How:
    """Who does the work, and with how much memory for each task (None: its own default)."""

    executor: str
    workers: int
    task_memory: int | None = None


def process(day: date, store: Path, data: Path, how: How) -> Run:
    """Makes the tables of a day of the store in `data`/lake; raises FailedError with the last it said."""
    environment = dict(os.environ)
    if how.task_memory is not None:
        environment["TAPELINE_TASK_MEMORY_BYTES"] = str(how.task_memory)
    command = [sys.executable, "-m", "tapeline.cli.main", "postprocess", day.isoformat(), "--json"]
    command += ["--data-dir", str(data), "--store", str(store), "--workers", str(how.workers)]
    command += ["--executor", how.executor]
    log = data / "postprocess.log"
    spent = run(command, environment, log)
    if spent.code:
        raise FailedError(f"post-process ended with {spent.code}: {log.read_text()[-2000:]}{spent.output[-2000:]}")
    return spent
