"""A driver: made-up units on Spark, one that goes well, one that never does, one that does the second time, one that kills."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from postprocess.executor.spark import SparkExecutor
from postprocess.units import Report, Unit, failure
from tapeline.settings import Settings

KINDS = ("WELL", "NEVER", "REFUSED", "LATER", "KILLER")


def work(unit: Unit) -> Report:
    """What each kind of unit does on an executor; every attempt leaves a file."""
    attempts = Path(unit.store)
    number = len([name for name in attempts.iterdir() if name.name.startswith(unit.provider)])
    (attempts / f"{unit.provider}-{number}-{os.getpid()}").touch()
    match unit.provider, number:
        case "NEVER", _:
            raise ValueError("it is never done")
        case "REFUSED", _:
            return failure(unit, "no permission")
        case "LATER", 0:
            raise ValueError("not yet")
        case "KILLER", _:
            os.kill(_parent(_parent(os.getpid())), signal.SIGKILL)
            raise SystemExit(1)
    return Report(unit, {}, {}, {"payloads": number}, 0.0, 0.0, 0, [])


def _parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def main() -> None:
    """Runs the units and prints each report in a line."""
    executor = SparkExecutor(Settings.from_environment(), work)
    units = [Unit("2026-08-02", kind, 1, 0, 1, sys.argv[1], "", None, 1 << 20) for kind in KINDS]
    for report in executor.run(units):
        print(report.encode().decode(), flush=True)
    executor.close()


if __name__ == "__main__":
    main()
