"""`tapeline emulate`: a venue, simulated, for whatever connects to it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HELP = "simulate a venue: replay a capture of it, or make its market up"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("venue", metavar="VENUE", help="a venue's name; `tapeline venues` lists them")
    parser.add_argument(
        "capture", nargs="?", type=Path, metavar="CAPTURE", help="replay this capture (default: synthetic)"
    )
    parser.add_argument("--port", type=int, default=0, metavar="P", help="port on 127.0.0.1 (default: any free one)")
    parser.add_argument(
        "--speed", default="1", metavar="N|max", help="replay at N times the recorded speed (default: 1)"
    )
    parser.add_argument(
        "--rate", type=int, default=0, metavar="N", help="synthetic payloads a second (default: no limit)"
    )


def run(args: argparse.Namespace) -> int:
    """Serves until SIGTERM or SIGINT; the exit code."""
    import importlib

    # By name: what all rooms agree on imports none of them.
    room = importlib.import_module("emulator.__main__")
    words = ["--venues", args.venue, "--port", str(args.port), "--speed", args.speed, "--rate", str(args.rate)]
    options = room.options([*words, *(["--capture", str(args.capture)] if args.capture else [])])
    print(
        f"tapeline: {args.venue} at ws://127.0.0.1:PORT/{args.venue}/<the venue's host><path>, PORT as told below; "
        "stop with Ctrl-C",
        file=sys.stderr,
    )
    return int(room.serve(options))
