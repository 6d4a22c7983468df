"""`tapeline venues`: the venues there are."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

HELP = "list the venues and what they offer"


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


def run(args: argparse.Namespace) -> int:
    """Prints a line for each venue; the exit code."""
    from tapeline.venues import load, names

    rows = []
    for name in names():
        venue = load(name)
        session = venue.session
        transports = {urlsplit(endpoint.url).scheme for endpoint in session.endpoints}
        transports |= {urlsplit(request.url).scheme for request in session.requests}
        channels = [pattern for family in session.families for pattern in family.patterns]
        rows.append(_Row(name, venue.provider, venue.meaning.number, channels, sorted(transports)))
    if args.json:
        print(json.dumps([asdict(row) for row in rows]))
        return 0
    for row in rows:
        told = ", ".join(channel.replace("${", "{") for channel in row.channels)
        print(f"{row.name:<16} {row.provider:<16} {row.number:>3}  {' '.join(row.transports):<10} {told}")
    return 0
