"""`python -m emulator`: any venue, simulated, on one port."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from emulator.run import Options, check, serve
from tapeline import telemetry, venues
from tapeline.errors import SettingError, TapelineError, UnknownVenueError, UsageError
from tapeline.settings import Settings

__all__ = ["main", "options", "serve"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m emulator", description=__doc__)
    add = parser.add_argument
    add("--venues", default="", metavar="A,B", help="venues to serve (default: all)")
    add("--captures", type=Path, metavar="DIR", help="replay the captures in DIR/<venue>/")
    add("--capture", type=Path, metavar="FILE", help="replay this capture of the one venue")
    add("--port", type=int, default=0, metavar="P", help="port on 127.0.0.1 (default: any free one)")
    add("--speed", default="1", metavar="N|max", help="replay at N times the recorded speed (default: 1)")
    add("--rate", type=int, default=0, metavar="N", help="synthetic payloads a second, all venues (default: no limit)")
    add("--seconds", type=float, default=0.0, metavar="S", help="send for S seconds (default: without end)")
    add("--ledger", type=Path, metavar="FILE", help="write what was sent: JSON lines, or with *.rows a row a payload")
    add("--live", action="store_true", help="one made-up market for all clients of a venue, paced by --rate")
    add("--token-ttl", type=float, default=86_400.0, metavar="S", help="life of connection tokens (default: a day)")
    return parser


def options(argv: Sequence[str] | None = None) -> Options:
    """What the command line asks for; raises UsageError, CaptureError or UnknownVenueError."""
    args = _parser().parse_args(argv)
    known = venues.names()
    made = Options(
        venues=tuple(dict.fromkeys(name for name in args.venues.split(",") if name)) or tuple(known),
        captures=args.captures,
        capture=args.capture,
        port=args.port,
        speed=_speed(args.speed),
        rate=args.rate,
        seconds=args.seconds,
        ledger=args.ledger,
        live=args.live,
        token_ttl=args.token_ttl,
    )
    check(made, known)
    return made


def _speed(text: str) -> float:
    """0 stands for `max`."""
    if text == "max":
        return 0.0
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise UsageError(f"--speed {text}: a number above 0, or max")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Runs until SIGTERM; 0 done, 1 a capture that cannot be read, 2 wrong usage or settings."""
    try:
        telemetry.TELEMETRY.level = telemetry.Level[Settings.from_environment().log_level]
        return serve(options(argv))
    except TapelineError as error:
        print(f"tapeline: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError | UnknownVenueError | SettingError) else 1


if __name__ == "__main__":
    sys.exit(main())
