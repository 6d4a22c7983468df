"""`python -m emulator`: any venue, simulated, on one port."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from emulator import arguments
from emulator.run import Options, check, serve
from tapeline import venues
from tapeline.errors import TapelineError, UnknownVenueError, UsageError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs until SIGTERM; 1 for a capture that cannot be read, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m emulator", description=__doc__)
    parser.add_argument("--venues", default="", metavar="A,B", help="venues to serve (default: all)")
    parser.add_argument("--captures", type=Path, metavar="DIR", help="replay the captures in DIR/<venue>/")
    parser.add_argument("--capture", type=Path, metavar="FILE", help="replay this capture of the one venue")
    arguments.configure(parser)
    args = parser.parse_args(argv)
    try:
        known = venues.names()
        options = Options(
            venues=tuple(name for name in args.venues.split(",") if name) or tuple(known),
            captures=args.captures,
            capture=args.capture,
            port=args.port,
            speed=arguments.speed(args.speed),
            rate=args.rate,
            seconds=args.seconds,
            ledger=args.ledger,
        )
        check(options, known)
        return serve(options)
    except TapelineError as error:
        print(f"tapeline: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError | UnknownVenueError) else 1


if __name__ == "__main__":
    sys.exit(main())
