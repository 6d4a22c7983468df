"""`python -m tests.soak`: ten venues, both instances, faults by a seed; then the account, as a report."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.soak.options import VENUES, Options
from tests.soak.outcome import text
from tests.soak.running import soak
from tests.soak.schedule import SHORT


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1200.0, metavar="N", help="how long the venues speak")
    parser.add_argument(
        "--rate", type=int, default=50_000, metavar="N", help="payloads a second in all, to each instance"
    )
    parser.add_argument("--steps", type=int, default=60, metavar="N", help="how many things go wrong at most")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="chooses them")
    parser.add_argument("--venues", default=",".join(VENUES), metavar="A,B")
    parser.add_argument("--linger-us", type=int, default=50_000, metavar="N", help="how long a busy batch may grow")
    parser.add_argument("--settle-seconds", type=float, default=6.0, metavar="N", help="quiet between two steps")
    parser.add_argument("--short", action="store_true", help="one of each sort only, and a short outage")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where everything goes (default: a temporary one)")
    parser.add_argument("--report", type=Path, metavar="FILE", help="FILE.md and FILE.json are written")
    return parser.parse_args()


def main() -> int:
    """0 where every payload is accounted for and all else is as it should be, else 1."""
    args = _arguments()
    with tempfile.TemporaryDirectory(prefix="tapeline-soak-") as temporary:
        options = Options(
            args.folder or Path(temporary), tuple(args.venues.split(",")), args.seconds, args.rate, args.steps, args.seed,
            args.linger_us, settle_seconds=args.settle_seconds,
            kinds=SHORT if args.short else (), outage_seconds=6.0 if args.short else 30.0,
        )  # fmt: skip
        outcome = soak(options)
        if args.report is not None:
            outcome.write(args.report)
    print(text(outcome))
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
