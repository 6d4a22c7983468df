"""`python -m postprocess DAY --store URL --out DIR`: makes and publishes the tables of one UTC day."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date

from postprocess.day import Places, run_day
from postprocess.executor.local import LocalExecutor
from tapeline import telemetry
from tapeline.errors import SettingError, TapelineError, UsageError
from tapeline.settings import Settings


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one day; the exit code: 0 done, 1 failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="postprocess", description="Make the tables of one UTC day from raw payloads."
    )
    parser.add_argument("day", metavar="DAY", help="the UTC day, as 2026-08-02")
    parser.add_argument("--store", metavar="URL", help="where the raw payloads are (default: TAPELINE_STORE)")
    parser.add_argument("--out", metavar="URL", help="where the tables go (default: TAPELINE_LAKE)")
    args = parser.parse_args(argv)
    try:
        settings = Settings.from_environment()
        places = Places(args.store or settings.store_url, args.out or settings.lake_url, settings.s3_endpoint)
        executor = LocalExecutor(settings.workers)
        result = run_day(_day(args.day), places, executor, settings.task_memory_bytes)
    except TapelineError as error:
        print(f"postprocess: {error}", file=sys.stderr)
        return 2 if isinstance(error, SettingError | UsageError) else 1
    for problem in result.problems:
        telemetry.event(problem.kind, telemetry.Level.ERROR, key=problem.key, reason=problem.reason)
    telemetry.done(**{**asdict(result), "problems": len(result.problems)})
    return 1 if result.problems else 0


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no day; a day is written 2026-08-02") from None


if __name__ == "__main__":
    sys.exit(main())
