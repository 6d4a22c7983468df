"""`python -m benchmarks.cold.synthetic_day DIR --payloads N`: fills a local object store with a day of raw objects of both instances.

What the batch processor would have written: five providers, a made market each, with losses of either instance that the
other makes good, holes in the stored stream with their gap records, and clocks that differ. The truth about it goes to
`DIR.truth.json` beside it. The same arguments always give the same bytes.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime
from multiprocessing import get_context
from pathlib import Path

import msgspec

from benchmarks.cold.exchanges.listed import EXCHANGES
from benchmarks.cold.provider_day import Plan, Truth, make

DAY = date(2026, 10, 20)
"""Of the synthetic day; OKX's books have no checksum any more."""

_INSTANCES = 2


class Made(msgspec.Struct):
    """What was made, and what it took."""

    day: str
    seed: int
    minutes: int
    payloads: int
    """Venue messages that either instance has: what post-process gives."""
    rows: int
    """Raw payloads in the store, of both instances."""
    row_bytes: int
    objects: int
    object_bytes: int
    seconds: float
    cpu_seconds: float
    providers: list[Truth]


def fill(
    root: Path,
    rows: int,
    *,
    minutes: int = 1440,
    seed: int = 1,
    workers: int = 2,
    threshold: float = 60.0,
    trades_only: bool = False,
) -> Made:
    """Fills `root` with about so many raw payloads, of both instances together, spread over the day's first minutes.

    `threshold` is the batch processor's, seconds.
    """
    begin = int(datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC).timestamp()) * 1_000_000_000
    plans = [
        Plan(
            root,
            place,
            int(rows / _INSTANCES * exchange.weight),
            begin,
            minutes,
            int(threshold * 1e9),
            seed,
            trades_only,
        )
        for place, exchange in enumerate(EXCHANGES)
    ]
    started, cpu = time.perf_counter(), _cpu()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        truths = list(pool.map(make, plans))
    return Made(
        DAY.isoformat(),
        seed,
        minutes,
        sum(truth.payloads for truth in truths),
        sum(truth.rows for truth in truths),
        sum(truth.row_bytes for truth in truths),
        sum(truth.objects for truth in truths),
        sum(truth.object_bytes for truth in truths),
        round(time.perf_counter() - started, 3),
        round(_cpu() - cpu, 3),
        truths,
    )


def _cpu() -> float:
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in spent)


def main(argv: Sequence[str] | None = None) -> int:
    """Makes a day and says what it holds."""
    parser = argparse.ArgumentParser(prog="synthetic_day", description=__doc__)
    parser.add_argument("root", type=Path, metavar="DIR", help="the object store, new or empty")
    parser.add_argument(
        "--payloads", type=int, default=1_000_000, metavar="N", help="raw payloads of both instances together"
    )
    parser.add_argument(
        "--minutes", type=int, default=1440, metavar="N", help="how much of the day, from its begin on, 2 to 1440"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes, of which five have work")
    parser.add_argument("--threshold", type=float, default=60.0, metavar="SECONDS", help="the batch processor's (60)")
    parser.add_argument("--trades-only", action="store_true", help="neither quotes nor books")
    args = parser.parse_args(argv)
    if not 2 <= args.minutes <= 1440:
        parser.error("a day has 2 to 1440 minutes")
    if args.root.is_dir() and any(args.root.iterdir()):
        parser.error(f"{args.root} is not empty")
    made = fill(
        args.root,
        args.payloads,
        minutes=args.minutes,
        seed=args.seed,
        workers=args.workers,
        threshold=args.threshold,
        trades_only=args.trades_only,
    )
    args.root.with_name(f"{args.root.name}.truth.json").write_bytes(msgspec.json.format(msgspec.json.encode(made)))
    print(
        f"{made.day}: {made.rows:,} raw payloads of {made.payloads:,} messages, {made.objects:,} objects, "
        f"{made.row_bytes / 1e6:,.0f} MB of rows in {made.object_bytes / 1e6:,.0f} MB, in {made.seconds:.1f} s "
        f"({made.cpu_seconds / made.rows * 1e6:.2f} CPU-s per million)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
