"""`tapeline postprocess`: the raw payloads of one UTC day become tables and DBN files."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "make and publish the tables of one UTC day from the raw payloads of both instances"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("day", metavar="DAY", help="the UTC day, as 2026-08-02")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="the data directory (default: TAPELINE_DATA_DIR)")
    parser.add_argument("--store", metavar="URL", help="where the raw payloads are (default: TAPELINE_STORE)")
    parser.add_argument("--lake", metavar="URL", help="where the tables go (default: TAPELINE_LAKE)")
    parser.add_argument("--executor", choices=("local", "spark"), default="local", help="who does the work")
    parser.add_argument("--workers", type=int, metavar="N", help="how many processes (default: TAPELINE_WORKERS)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")


def run(args: argparse.Namespace) -> int:
    """Makes the day; the exit code."""
    import importlib
    from dataclasses import replace

    from tapeline.cli._days import day_of
    from tapeline.errors import UsageError
    from tapeline.settings import Settings

    settings = Settings.from_environment()
    if args.data_dir:
        settings = replace(settings, data_dir=args.data_dir, store=None, lake=None)
    if args.store:
        settings = replace(settings, store=args.store)
    if args.lake:
        settings = replace(settings, lake=args.lake)
    if args.workers is not None:
        if args.workers < 0:
            raise UsageError(f"--workers {args.workers} is no number of processes")
        settings = replace(settings, workers=args.workers)
    command = importlib.import_module("postprocess.command")
    return int(command.postprocess(day_of(args.day), settings, args.executor, args.json))
