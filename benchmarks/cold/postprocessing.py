"""Post-process of a day as a user runs it, watched from outside."""

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
    environment = {**os.environ, "TAPELINE_STORE": str(store), "TAPELINE_DATA_DIR": str(data)}
    environment |= {"TAPELINE_LAKE": str(data / "lake"), "TAPELINE_WORKERS": str(workers)}
    if task_memory is not None:
        environment["TAPELINE_TASK_MEMORY_BYTES"] = str(task_memory)
    log = data / "postprocess.log"
    spent = run([sys.executable, "-m", "postprocess", day.isoformat()], environment, log)
    if spent.code:
        raise FailedError(f"post-process ended with {spent.code}: {log.read_text()[-2000:]}{spent.output[-2000:]}")
    return spent
