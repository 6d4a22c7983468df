"""`tapeline book`: the final book of one symbol, from the DBN records alone."""

from __future__ import annotations

import argparse
import json
from itertools import zip_longest
from pathlib import Path

from tapeline.errors import UsageError

HELP = "show the final book of a symbol, built from a DBN file's records"

Level = tuple[str, str]


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("file", type=Path, metavar="FILE.dbn.zst", help="a DBN file, compressed or not")
    parser.add_argument("symbol", metavar="SYMBOL", help="the venue's own symbol, such as BTCUSDT")
    parser.add_argument("--depth", type=int, metavar="N", help="only the best N levels of each side")
    parser.add_argument("--json", action="store_true", help='print {"bids": [[price, size], …], "asks": […]}')


def run(args: argparse.Namespace) -> int:
    """Prints the book; the exit code."""
    from tapeline.offline.dbn_file import read_records
    from tapeline.offline.final_book import final_book

    if args.depth is not None and args.depth < 1:
        raise UsageError(f"--depth {args.depth} is not allowed; allowed: 1 and more")
    book = final_book(read_records(args.file), args.symbol)
    bids, asks = book.side(True, args.depth), book.side(False, args.depth)
    if args.json:
        print(json.dumps({"bids": bids, "asks": asks}))
    else:
        print("\n".join(_table(args.symbol, bids, asks)))
    return 0


def _table(symbol: str, bids: list[Level], asks: list[Level]) -> list[str]:
    rows = [f"{symbol}: {len(bids)} bids, {len(asks)} asks", ""]
    widths = [max([len(level[place]) for level in (*bids, *asks)] + [8]) for place in (0, 1)]
    price, size = widths
    rows.append(f"{'bid size':>{size}} {'bid':>{price}} │ {'ask':<{price}} {'ask size':<{size}}".rstrip())
    for bid, ask in zip_longest(bids, asks, fillvalue=("", "")):
        rows.append(f"{bid[1]:>{size}} {bid[0]:>{price}} │ {ask[0]:<{price}} {ask[1]:<{size}}".rstrip())
    return rows
