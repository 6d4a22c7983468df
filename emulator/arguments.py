"""The emulator's command line, shared by `python -m emulator` and `tapeline emulate`."""

from __future__ import annotations

import argparse
from pathlib import Path

from tapeline.errors import UsageError


def configure(parser: argparse.ArgumentParser) -> None:
    """The options both have."""
    parser.add_argument("--port", type=int, default=0, metavar="P", help="port on 127.0.0.1 (default: any free one)")
    parser.add_argument("--speed", default="1", metavar="N|max", help="replay at N times the recorded speed (default 1)")
    parser.add_argument("--rate", type=int, default=0, metavar="N", help="synthetic payloads a second (default: no limit)")
    parser.add_argument("--seconds", type=float, default=0.0, metavar="S", help="send for S seconds (default: no end)")
    parser.add_argument(
        "--ledger", type=Path, metavar="FILE", help="write what was sent: JSON lines, or one binary row a payload (*.rows)"
    )


def speed(text: str) -> float:
    """A speed as given; 0 stands for `max`. Raises UsageError."""
    if text == "max":
        return 0.0
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise UsageError(f"--speed {text}: a number above 0, or max")
    return value
