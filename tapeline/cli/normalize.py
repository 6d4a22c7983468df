"""`tapeline normalize`: a capture or raw files into a DBN file, by the kernel of the live path."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tapeline.errors import UsageError

if TYPE_CHECKING:
    from tapeline.offline.normalizing import Account

HELP = "turn a capture, or raw files, into a DBN file"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("venue", metavar="VENUE", help="a venue's name; `tapeline venues` lists them")
    parser.add_argument("capture", type=Path, metavar="CAPTURE", help="a .jsonl.zst, a raw file or a directory of them")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.dbn.zst", help="the file to write")
    parser.add_argument("--json", action="store_true", help="print the account as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Writes the file and prints the account; 1 where the source could not be read to its end."""
    from tapeline.offline.normalizing import normalize_file
    from tapeline.venues import load

    venue = load(args.venue)
    if not args.output.parent.is_dir():
        raise UsageError(f"no directory {args.output.parent} to write {args.output.name} in")
    try:
        account = normalize_file(venue, args.capture, args.output)
    except OSError as error:
        raise UsageError(f"cannot write {args.output}: {error.strerror or error}") from None
    if args.json:
        fields = dataclasses.asdict(account)
        print(json.dumps({name: value for name, value in fields.items() if name != "problem" or value}))
    else:
        print("\n".join(_lines(account, args.output)))
    if account.problem:
        print(f"tapeline: {account.problem}; what stands before it was written", file=sys.stderr)
    if account.rejected and not account.records:
        print(f"tapeline: {args.capture} holds nothing that {venue.name} says", file=sys.stderr)
        return 1
    return 1 if account.problem else 0


def _lines(account: Account, output: Path) -> list[str]:
    counts = {
        "records": account.records,
        "rejected": account.rejected,
        "excluded": account.excluded,
        "control": account.control,
        "links": account.links,
        "checksums": account.checksums,
    }
    rows = [
        f"{account.payloads:,} payloads of {account.instruments} instruments to {output} in {account.seconds:.2f} s"
    ]
    for name, numbers in counts.items():
        told = ", ".join(f"{key} {count:,}" for key, count in numbers.items() if count) or "none"
        rows.append(f"{name + ':':<11} {told}")
    rows.append(f"{'resyncs:':<11} {account.resyncs}")
    return rows
