"""`tapeline cost`: what the raw store costs at several thresholds, and how much only the ring holds meanwhile."""

from __future__ import annotations

import argparse
import json
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

from tapeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from tapeline.offline.cost import GivenLoad, Limits, Line
    from tapeline.offline.cost_prices import Prices
    from tapeline.offline.cost_sample import Feed
    from tapeline.settings import Settings

HELP = "what the raw store costs at several thresholds, and what is at risk"
_THRESHOLDS = "10,60,300,900,3600"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    store = parser.add_argument_group("of what a store holds: its rows are cut and compressed again at each threshold")
    store.add_argument("day", nargs="?", metavar="DAY", help="a UTC day, 2026-08-02 (default: the store's last)")
    store.add_argument("--store", metavar="URL", help="the object store (default: TAPELINE_STORE)")
    store.add_argument("--data-dir", type=Path, metavar="DIR", help="the data directory, for its store")
    store.add_argument("--sample-bytes", type=int, default=16_000_000, metavar="N", help="compressed bytes to read (default: 16000000)")  # fmt: skip
    given = parser.add_argument_group("of stated rates, without a store")
    given.add_argument("--rate", type=_number, metavar="N", help="payloads a second")
    given.add_argument("--bytes", type=_number, default=Decimal(300), metavar="N", help="of a payload (default: 300)")
    given.add_argument("--channels", type=int, default=10, metavar="N", help="(default: 10)")
    given.add_argument("--ratio", type=_number, default=Decimal("0.2"), metavar="N", help="bytes after gzip for one before it (default: 0.2)")  # fmt: skip
    parser.add_argument("--thresholds", type=_numbers, default=_numbers(_THRESHOLDS), metavar="S,…", help=f"seconds (default: {_THRESHOLDS})")  # fmt: skip
    parser.add_argument("--keep-days", type=int, default=30, metavar="N", help="raw objects are kept so long (default: 30)")  # fmt: skip
    parser.add_argument("--max-bytes", type=int, metavar="N", help="of rows between two cuts (default: TAPELINE_PARTITION_MAX_BYTES)")  # fmt: skip
    parser.add_argument(
        "--ring-bytes", type=int, metavar="N", help="of a provider's ring (default: TAPELINE_RING_BYTES)"
    )
    parser.add_argument("--put-price", type=_number, metavar="USD", help="a thousand PUTs or LISTs (default: 0.005)")
    parser.add_argument("--get-price", type=_number, metavar="USD", help="a thousand GETs (default: 0.0004)")
    parser.add_argument("--storage-price", type=_number, metavar="USD", help="a GB (2^30 bytes) for a month (default: 0.023)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Prints a line for each threshold; the exit code."""
    from tapeline.offline.cost import GivenLoad, Limits, line
    from tapeline.settings import Settings

    settings = Settings.from_environment()
    counts = (args.keep_days, args.channels, args.sample_bytes, args.max_bytes, args.ring_bytes)
    if any(count is not None and count < 1 for count in counts):
        raise UsageError("--keep-days, --channels, --sample-bytes, --max-bytes and --ring-bytes begin at 1")
    limits = Limits(
        args.max_bytes or settings.partition_max_bytes, args.ring_bytes or settings.ring_bytes, args.keep_days
    )
    prices = _prices(args)
    if args.rate is None:
        args.day, feeds = _feeds(args, settings)
        loads: Sequence[Feed | GivenLoad] = feeds
        about = _measured(args.day, feeds)
    elif args.day or args.store or args.data_dir:
        raise UsageError("give a DAY of a store or a --rate, not both")
    else:
        # What a row adds to its payload: epoch, sequence, connection and time.
        loads = [GivenLoad(args.channels, args.rate, args.rate * (args.bytes + 58), args.ratio)]
        about = [
            (
                f"As stated: {args.rate:,} payloads/s of {args.bytes:,} bytes on {args.channels:,} channels of one provider "
                f"and instance; gzip to {args.ratio * 100:g} % whatever the threshold."
            )
        ]
    lines = [line(loads, threshold, limits, prices) for threshold in args.thresholds]
    write = _json if args.json else _text
    write(args, settings, limits, prices, loads, about, lines)
    return 0


def _feeds(args: argparse.Namespace, settings: Settings) -> tuple[date, list[Feed]]:
    from tapeline.cli._days import day_of
    from tapeline.errors import RefusedError
    from tapeline.objectstore import open_store
    from tapeline.offline.cost_sample import sample_day
    from tapeline.raw_days import last_day

    if args.store and args.data_dir:
        raise UsageError("give --store or --data-dir, not both")
    url = args.store or (str(args.data_dir / "store") if args.data_dir else settings.store_url)
    store = open_store(url, must_exist=True)
    day = day_of(args.day) if args.day else last_day(store)
    if day is None:
        raise RefusedError(f"the store {url} has no raw objects; --rate N says what rates come to")
    return day, sample_day(store, day, args.sample_bytes)


def _measured(day: date, feeds: Sequence[Feed]) -> list[str]:
    from tapeline.offline.cost import bytes_text, seconds_text

    told = [
        f"  {feed.provider} {feed.instance}: {feed.channels:,} channel{'s' * (feed.channels > 1)}, {feed.payloads:,.0f} payloads/s, "
        f"{bytes_text(feed.row_bytes)}/s of rows, over {seconds_text(feed.seconds)}; "
        f"the store has {feed.objects:,} objects of {bytes_text(Decimal(feed.stored))}"
        for feed in feeds
    ]
    return [f"{day}: the rates of what was read, taken to last all day.", *told]


def _text(
    args: argparse.Namespace, settings: Settings, limits: Limits, prices: Prices, loads: Sequence[Feed | GivenLoad],
    about: list[str], lines: list[Line],
) -> None:  # fmt: skip
    from tapeline.offline.cost import as_table, bytes_text, month, reach, seconds_text

    print(*about, "", *as_table(lines, Decimal(str(settings.threshold_seconds))), "", sep="\n")
    ring = min(reach(load, limits) for load in loads)
    print(f"At risk is what only the ring holds, at the latest just before a cut; a ring of {bytes_text(Decimal(limits.ring_bytes))} reaches back {seconds_text(ring)} at the busiest provider.")  # fmt: skip
    if any(one.beyond_ring for one in lines):
        print("!: a ring reaches less far than that: whatever stops a batch processor for long loses payloads (TAPELINE_RING_BYTES, or a lower threshold).")  # fmt: skip
    if any(one.risk_seconds < one.threshold * Decimal("0.9") for one in lines):
        print(f"Cuts come sooner than the threshold where rows pass {bytes_text(Decimal(limits.max_bytes))} (TAPELINE_PARTITION_MAX_BYTES).")  # fmt: skip
    short = [load for load in loads if _is_shorter(load, args.thresholds)]
    if short:
        print("Where the sample is shorter than a threshold, larger objects may compress a little better than shown.")
    print(f"Money is for a month of {month()}, with raw objects kept for {limits.keep_days} days: PUT ${prices.put} and GET ${prices.get} a thousand, storage ${prices.storage} a GB-month; {prices.source}.")  # fmt: skip


def _is_shorter(load: Feed | GivenLoad, thresholds: list[Decimal]) -> bool:
    from tapeline.offline.cost_sample import Feed

    return isinstance(load, Feed) and load.seconds < max(thresholds)


def _json(
    args: argparse.Namespace, settings: Settings, limits: Limits, prices: Prices, loads: Sequence[Feed | GivenLoad],
    about: list[str], lines: list[Line],
) -> None:  # fmt: skip
    from tapeline.offline.cost import as_json, reach

    document = {
        "day": str(args.day) if args.day else None,
        "channels": sum(load.channels for load in loads),
        "payloads_per_second": round(float(sum(load.payloads for load in loads)), 3),
        "row_bytes_per_second": round(float(sum(load.row_bytes for load in loads)), 3),
        "ring_reach_seconds": round(float(min(reach(load, limits) for load in loads)), 3),
        "threshold_seconds": settings.threshold_seconds,
        "keep_days": limits.keep_days,
        "prices": {
            "put": str(prices.put),
            "get": str(prices.get),
            "storage": str(prices.storage),
            "source": prices.source,
        },
        "thresholds": as_json(lines),
    }
    print(json.dumps(document))


def _prices(args: argparse.Namespace) -> Prices:
    from tapeline.offline.cost_prices import Prices

    given = {"put": args.put_price, "get": args.get_price, "storage": args.storage_price}
    chosen = {name: price for name, price in given.items() if price is not None}
    return Prices(**chosen, source="as given") if len(chosen) == len(given) else Prices(**chosen)


def _number(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if not value.is_finite() or value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0")
    return value


def _numbers(text: str) -> list[Decimal]:
    return [_number(part) for part in text.split(",")]
