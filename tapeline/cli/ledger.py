"""`tapeline ledger`: how complete a published day is, for people, for machines, and as a page."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

from tapeline.errors import UsageError

HELP = "tell how complete a published day is"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("day", metavar="DAY", help="the UTC day, as 2026-08-02")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="the data directory (default: TAPELINE_DATA_DIR)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with charts as well")
    parser.add_argument("--all", action="store_true", help="print every channel, however many there are")
    parser.add_argument("--strict", action="store_true", help="end with exit code 1 where the day is not complete")


def run(args: argparse.Namespace) -> int:
    """Prints the ledger; the exit code."""
    from tapeline.offline import ledger_text
    from tapeline.offline.lake import Lake
    from tapeline.offline.ledger_day import read_day
    from tapeline.offline.ledger_findings import is_complete
    from tapeline.offline.ledger_page import page
    from tapeline.settings import Settings

    try:
        day = date.fromisoformat(args.day)
    except ValueError:
        raise UsageError(f"{args.day!r} is no day; a day is written 2026-08-02") from None
    settings = Settings.from_environment()
    if settings.lake and not args.data_dir:
        lake = Lake.at(settings.lake)
    else:
        lake = Lake.under(args.data_dir or settings.data_dir)
    ledger = read_day(lake, day)
    if args.html:
        try:
            args.html.write_text(page(ledger), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot write {args.html}: {error.strerror or error}") from None
    if args.json:
        print(ledger_text.as_json(ledger))
    else:
        for line in ledger_text.as_text(ledger, args.all):
            print(line)
    return 1 if args.strict and not is_complete(ledger) else 0
