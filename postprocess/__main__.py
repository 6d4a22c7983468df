"""`python -m postprocess DAY --store URL --out DIR`: makes and publishes the tables of one UTC day."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date

from postprocess.day import run_day
from tapeline import telemetry
from tapeline.errors import SettingError, TapelineError, UsageError
from tapeline.objectstore import open_store
from tapeline.offline.lake import Lake
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
        lake = Lake.at(args.out or settings.lake_url)
        result = run_day(_day(args.day), open_store(args.store or settings.store_url), lake)
    except TapelineError as error:
        print(f"postprocess: {error}", file=sys.stderr)
        return 2 if isinstance(error, SettingError | UsageError) else 1
    telemetry.done(**asdict(result))
    return 0


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no day; a day is written 2026-08-02") from None


if __name__ == "__main__":
    sys.exit(main())
