"""`tapeline subscriptions`: what is to be subscribed of a venue, and what has come of it."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import TYPE_CHECKING

from tapeline.cli._subscribing import REDIS_HELP, venue_of

if TYPE_CHECKING:
    from tapeline.control import Standing, Subscriptions

HELP = "show the channels that are desired of a venue, and where each stands"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("provider", metavar="PROVIDER", help="a venue, such as kraken or KRAKEN")
    parser.add_argument("--redis", metavar="URL", help=REDIS_HELP)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Prints a line for each channel; the exit code."""
    from tapeline.cli._redis import redis_url

    found = asyncio.run(_read(redis_url(args.redis), venue_of(args.provider).provider))
    print(json.dumps(_plain(found)) if args.json else "\n".join(_lines(found)))
    return 0


async def _read(url: str, provider: str) -> Subscriptions:
    from tapeline.control import Control

    control = Control(url, provider)
    try:
        return await control.read()
    finally:
        await control.close()


def _plain(found: Subscriptions) -> dict[str, object]:
    actual = {
        instance: {name: {"status": one.status.value, "reason": one.reason} for name, one in sorted(told.items())}
        for instance, told in found.actual.items()
    }
    desired = None if found.desired is None else list(found.desired)
    return {"desired": desired, "actual": actual, "roles": found.roles}


def _lines(found: Subscriptions) -> list[str]:
    held = ", ".join(f"{role} {place}" for role, place in found.roles.items())
    lines = [f"roles: {held}"] if held else []
    if found.desired is None:
        lines.append("nothing was asked for: each session manager subscribes what it was started with")
    if not found.actual:
        lines.append("no session manager tells of this provider")
    width = max((len(name) for name in found.channels()), default=0)
    for name in found.channels():
        undesired = found.desired is not None and name not in found.desired
        states = [f"{instance} {_state(told.get(name))}" for instance, told in found.actual.items()]
        lines.append("  ".join([f"{name:<{width}}", *states, *(["(not desired)"] if undesired else [])]).rstrip())
    return lines


def _state(standing: Standing | None) -> str:
    if standing is None:
        return "unknown"
    return f"{standing.status.value} ({standing.reason})" if standing.reason else standing.status.value
