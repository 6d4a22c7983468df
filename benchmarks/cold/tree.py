"""Runs a command and watches all processes it starts: time, CPU, and the peak of memory of each and of all together."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_EACH_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Run:
    """What a command took."""

    code: int
    output: str
    seconds: float
    cpu_seconds: float
    """Of all processes that were waited for."""
    peak_bytes: int
    """Of resident memory of all processes together, as sampled; what they share counts for each."""
    peak_each: tuple[int, ...]
    """The highest resident memory of each process, the largest first."""


def run(command: Sequence[str], environment: dict[str, str], log: Path) -> Run:
    """Runs a command to its end; what it says on stderr goes to `log`."""
    started = time.perf_counter()
    output = log.with_suffix(".out")
    with log.open("wb") as errors, output.open("wb") as said:
        child = subprocess.Popen(command, stdout=said, stderr=errors, env=environment)
        peak, each = 0, dict[int, int]()
        while True:
            ended, status, usage = os.wait4(child.pid, os.WNOHANG)
            if ended:
                break
            total = 0
            for process in _tree(child.pid):
                now, high = _memory(process)
                total += now
                each[process] = max(high, each.get(process, 0))
            peak = max(peak, total)
            time.sleep(_EACH_SECONDS)
    child.returncode = os.waitstatus_to_exitcode(status)
    return Run(
        child.returncode,
        output.read_text(),
        time.perf_counter() - started,
        usage.ru_utime + usage.ru_stime,
        peak,
        tuple(sorted(each.values(), reverse=True)),
    )


def _tree(root: int) -> list[int]:
    found = [root]
    for process in found:
        for task in Path(f"/proc/{process}/task").glob("*/children"):
            try:
                found += map(int, task.read_text().split())
            except OSError:
                continue  # has just ended
    return found


def _memory(process: int) -> tuple[int, int]:
    """Resident memory now and at most."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0, 0
    fields = {name: value for name, _, value in (line.partition(":") for line in lines)}
    now, high = (int(fields.get(name, "0 kB").split()[0]) << 10 for name in ("VmRSS", "VmHWM"))
    return now, high
