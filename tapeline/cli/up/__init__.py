"""`tapeline up`: the whole pipeline on one machine, with a live table and a proof at its end that nothing was lost."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "run everything on one machine, on captures, synthesised load or the real venues"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "--venues", metavar="A,B", help="venues to run (default: all; with --captures all that have any)"
    )
    parser.add_argument(
        "--captures",
        type=Path,
        metavar="DIR",
        help="replay DIR/VENUE/*.jsonl.zst, all captures of a venue one after another; without it load is synthesised",
    )
    parser.add_argument(
        "--speed", metavar="N|max", help="replay at N times the recorded speed, or as fast as possible (default: 1)"
    )
    parser.add_argument("--rate", metavar="N", help="synthesise N payloads a second over all venues (default: 10000)")
    parser.add_argument("--seconds", metavar="S", help="end after S seconds (default: captures end, else Ctrl-C)")
    parser.add_argument(
        "--replica", action="store_true", help="both streams, PRIMARY and REPLICA, each with its own processes"
    )
    parser.add_argument("--live", action="store_true", help="the venues' real endpoints; nothing is emulated")
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="where everything is kept (default: TAPELINE_DATA_DIR or ./data)"
    )
    parser.add_argument("--json", action="store_true", help="no table; one JSON object at the end")


def run(args: argparse.Namespace) -> int:
    """Runs the pipeline; 1 where something was lost or a process failed."""
    from tapeline.cli.up.plan import make_plan
    from tapeline.cli.up.show import show
    from tapeline.settings import Settings

    return show(make_plan(args, Settings.from_environment()), as_json=args.json)
