"""What `tapeline subscribe` and `unsubscribe` share."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from tapeline.errors import UsageError

if TYPE_CHECKING:
    from tapeline.venues import Venue

REDIS_HELP = "default: TAPELINE_REDIS_URL, else the Redis of a running `tapeline up`"


def configure(parser: argparse.ArgumentParser, verb: str) -> None:
    """Adds the arguments of both."""
    parser.add_argument("provider", metavar="PROVIDER", help="a venue, such as kraken or KRAKEN")
    parser.add_argument("channels", nargs="*", metavar="CHANNEL", help=f"the venue's own channel ids to {verb}")
    parser.add_argument("--symbols", metavar="A,B", default="", help="all usual channels of these symbols")
    parser.add_argument("--redis", metavar="URL", help=REDIS_HELP)


def venue_of(text: str) -> Venue:
    """A venue by its name or its provider; raises UnknownVenueError."""
    from tapeline.venues import load

    return load(text.lower())


def change(args: argparse.Namespace, *, wanted: bool) -> int:
    """Adds channels to the desired (or takes them away) and tells the session managers; the exit code."""
    from tapeline.cli._redis import redis_url
    from tapeline.control import chosen

    venue = venue_of(args.provider)
    symbols = [symbol for symbol in args.symbols.split(",") if symbol]
    channels = chosen(venue.session, args.channels, symbols)
    if not channels:
        raise UsageError("nothing named: give channels or --symbols")
    changed = asyncio.run(_change(redis_url(args.redis), venue, channels, wanted))
    before = len(channels) - changed
    done, already = ("subscribed", "were already") if wanted else ("unsubscribed", "were not")
    print(f"{venue.provider}: {changed} {done}" + (f", {before} {already}" if before else ""))
    return 0


async def _change(url: str, venue: Venue, channels: list[str], wanted: bool) -> int:
    from tapeline.control import Control

    control = Control(url, venue.provider)
    try:
        verb = control.subscribe if wanted else control.unsubscribe
        return await verb(channels, venue.session)
    finally:
        await control.close()
