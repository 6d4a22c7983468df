"""A reader's task in a process of its own."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from tapeline.errors import TapelineError

_READERS = Path(__file__).parent / "readers"
_ROOT = Path(__file__).parents[2]


class ReaderError(TapelineError):
    """A reader failed."""


def one(python: str, module: str, task: str, given: dict[str, Any]) -> dict[str, Any]:
    """Does a task once: `seconds`, `cpu_seconds`, `peak_bytes` and its `answer`; raises ReaderError."""
    command = [python, str(_READERS / "one.py"), str(_READERS / f"{module}.py"), task, json.dumps(given)]
    # Our own readers import Tapeline; another environment has it not.
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)} if python == sys.executable else dict(os.environ)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise ReaderError(f"reader {module}, {task}: {done.stderr.strip()[-1000:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def several(python: str, module: str, task: str, given: dict[str, Any], runs: int) -> dict[str, Any]:
    """Does a task several times: medians of times, the most of memory, the last answer."""
    done = [one(python, module, task, given) for _ in range(runs)]
    medians = {name: round(statistics.median(run[name] for run in done), 4) for name in ("seconds", "cpu_seconds")}
    return {**medians, "peak_bytes": max(run["peak_bytes"] for run in done), "answer": done[-1]["answer"]}
