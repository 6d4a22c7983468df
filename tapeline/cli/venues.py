"""`tapeline venues`: the venues there are, what is covered of them, and what one still lacks."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

HELP = "list the venues and what they offer; check one; write the page of what is covered"
_CHECK = "what a venue still lacks: its halves, its captures, a session with the emulator"
_COVERAGE = "what is covered of each venue, as a page"


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    provider: str
    number: int
    channels: list[str]
    transports: list[str]


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print a JSON array of objects")
    parser.set_defaults(venues_action="list")
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    check = actions.add_parser("check", help=_CHECK, description=_CHECK)
    check.set_defaults(venues_action="check")
    check.add_argument("name", metavar="NAME", help="a venue's name")
    check.add_argument("--captures", type=Path, metavar="DIR", help="also normalise DIR/NAME/*.jsonl.zst")
    check.add_argument("--project", type=Path, default=Path(), metavar="DIR", help="the source tree (default: here)")
    check.add_argument("--seconds", type=float, default=5.0, metavar="S", help="of the emulated session (default: 5)")
    page = actions.add_parser("coverage", help=_COVERAGE, description=_COVERAGE)
    page.set_defaults(venues_action="coverage")
    page.add_argument("--captures", type=Path, metavar="DIR", help="count what DIR/VENUE/*.jsonl.zst come to")
    page.add_argument("-o", "--output", type=Path, metavar="FILE", help="where to write it (default: standard output)")


def run(args: argparse.Namespace) -> int:
    """Does what was asked; the exit code."""
    return {"list": _list, "check": _check, "coverage": _coverage}[args.venues_action](args)


def _list(args: argparse.Namespace) -> int:
    from tapeline.venues import load, names

    rows = []
    for name in names():
        venue = load(name)
        session = venue.session
        transports = {urlsplit(endpoint.url).scheme for endpoint in session.endpoints if endpoint.url}
        transports |= {urlsplit(request.url).scheme for request in session.requests if request.url}
        channels = [pattern for family in session.families for pattern in family.patterns]
        rows.append(_Row(name, venue.provider, venue.meaning.number, channels, sorted(filter(None, transports))))
    if args.json:
        print(json.dumps([asdict(row) for row in rows]))
        return 0
    for row in rows:
        told = ", ".join(channel.replace("${", "{") for channel in row.channels)
        print(f"{row.name:<16} {row.provider:<16} {row.number:>3}  {' '.join(row.transports):<10} {told}")
    return 0


def _check(args: argparse.Namespace) -> int:
    from tapeline.offline.checking import Verdict, check

    wrong = missing = 0
    for finding in check(args.name, args.captures, args.project, args.seconds):
        wrong += finding.verdict is Verdict.WRONG
        missing += finding.verdict is Verdict.MISSING
        print(f"{finding.verdict.value:<8} {finding.what:<24} {finding.told}", flush=True)
    print(f"{args.name}: {wrong} wrong, {missing} missing")
    return 1 if wrong else 0


def _coverage(args: argparse.Namespace) -> int:
    from tapeline.offline.coverage import coverage
    from tapeline.offline.coverage_page import page
    from tapeline.venues import load, names

    found = [coverage(load(name), args.captures) for name in names()]
    text = page(found)
    if args.output is None:
        print(text, end="")
    else:
        args.output.write_text(text)
    bad = [row for row in found if any(told.rejected or told.problem for told in row.captures.values())]
    for row in bad:
        print(f"tapeline: {row.venue}: not every payload of its captures is known", file=sys.stderr)
    return 1 if bad else 0
