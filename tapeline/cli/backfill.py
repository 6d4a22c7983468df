"""`tapeline backfill`: makes a range of days anew where their mapping or their raw payloads have changed."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "make the tables of a range of days anew where their mapping or their raw payloads have changed"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--from", dest="first", required=True, metavar="DAY", help="the first UTC day, as 2026-08-02")
    parser.add_argument("--to", dest="last", required=True, metavar="DAY", help="the last UTC day, itself too")
    parser.add_argument("--providers", metavar="A,B", help="of these only (default: all that have raw payloads)")
    parser.add_argument("--executor", choices=("local", "spark"), default="local", help="who does the work")
    parser.add_argument(
        "--together", action="store_true", help="publish nothing before all days are made (default: each when it is)"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be made, and write nothing")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="the data directory (default: TAPELINE_DATA_DIR)")
    parser.add_argument("--json", action="store_true", help="print a JSON object for each day and provider")


def run(args: argparse.Namespace) -> int:
    """Makes what has changed; the exit code."""
    import importlib
    from dataclasses import replace

    from tapeline import venues
    from tapeline.cli._days import day_of
    from tapeline.errors import UnknownVenueError, UsageError
    from tapeline.settings import Settings

    settings = Settings.from_environment()
    if args.data_dir:
        settings = replace(settings, data_dir=args.data_dir, store=None, lake=None)
    first, last = day_of(args.first), day_of(args.last)
    if last < first:
        raise UsageError(f"--to {last} is before --from {first}")
    providers = None
    if args.providers is not None:
        providers = frozenset(venues.provider(name.strip()) for name in args.providers.split(","))
        known = venues.names()
        for provider in sorted(providers):
            if provider.lower() not in known:
                raise UnknownVenueError(provider, known)
    days = importlib.import_module("postprocess.backfill").Range(first, last, providers)
    told = importlib.import_module("postprocess.backfill_told")
    return int(told.backfill(days, settings, args.executor, args.together, args.dry_run, args.json))
