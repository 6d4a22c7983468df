"""`tapeline postprocess` as a user runs it, watched from outside."""

from __future__ import annotations

import os
import sys
from datetime import date
from pathlib import Path

from benchmarks.cold.tree import Run, run
from tapeline.errors import TapelineError


class FailedError(TapelineError):
    """Post-process did not end well."""


def process(day: date, store: Path, data: Path, workers: int, task_memory: int | None = None) -> Run:
    """Makes the tables of a day of the store in `data`/lake; raises FailedError with the last it said."""
    environment = dict(os.environ)
    if task_memory is not None:
        environment["TAPELINE_TASK_MEMORY_BYTES"] = str(task_memory)
    command = [sys.executable, "-m", "tapeline.cli.main", "postprocess", day.isoformat(), "--json"]
    command += ["--data-dir", str(data), "--store", str(store), "--workers", str(workers)]
    log = data / "postprocess.log"
    spent = run(command, environment, log)
    if spent.code:
        raise FailedError(f"post-process ended with {spent.code}: {log.read_text()[-2000:]}{spent.output[-2000:]}")
    return spent
