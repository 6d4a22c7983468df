"""`python -m session_manager`: talks to venues and serves what they say as raw batches."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

import msgspec

from session_manager.addresses import Addresses
from session_manager.control import Wishes
from session_manager.halves import load
from session_manager.process import SessionManager, Venue
from session_manager.provider import Provider, Running
from session_manager.session.plan import for_symbols
from tapeline import telemetry, venues
from tapeline.errors import TapelineError, UsageError
from tapeline.process import run
from tapeline.redis_link import checked_place
from tapeline.settings import Settings
from tapeline.spec.session import Session
from tapeline.stream import AUTO


def _parser(settings: Settings) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="session_manager", description=__doc__)
    parser.add_argument("--venues", required=True, help="names, joined by commas")
    parser.add_argument(
        "--instance",
        default="PRIMARY",
        choices=("PRIMARY", "REPLICA", AUTO),
        help="AUTO: whichever role is free, by a lease in Redis",
    )
    parser.add_argument(
        "--redis", metavar="URL", help="roles and desired subscriptions (AUTO: default TAPELINE_REDIS_URL)"
    )
    parser.add_argument("--endpoint-base", help="an emulator's http://host:port in place of the venues")
    parser.add_argument("--channels", type=Path, help='a JSON file {"venue": ["channel id", …]}')
    parser.add_argument("--symbols", action="append", default=[], help="venue:S1,S2; may be given several times")
    parser.add_argument("--listen", default="127.0.0.1:0", help="host:port of the gRPC server")
    parser.add_argument("--ring-bytes", type=int, default=settings.ring_bytes, help="kept for each provider")
    parser.add_argument("--linger-us", type=int, default=settings.linger_us, help="how long a busy batch may grow")
    return parser


def _channels(venue: str, session: Session, file: Path | None, symbols: dict[str, list[str]]) -> list[str]:
    if file is not None:
        try:
            listed = msgspec.json.decode(file.read_bytes(), type=dict[str, list[str]])
        except (OSError, msgspec.MsgspecError) as error:
            raise UsageError(f"--channels {file}: {error}") from None
        if venue in listed:
            return listed[venue]
    return for_symbols(session, symbols.get(venue, []))


def _symbols(given: list[str], known: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for entry in given:
        venue, colon, names = entry.partition(":")
        if not colon or venue not in known or not names:
            raise UsageError(f"--symbols {entry!r} is not venue:S1,S2 with a venue of --venues")
        found.setdefault(venue, []).extend(name for name in names.split(",") if name)
    return found


def _venue(arguments: argparse.Namespace, name: str, session: Session, given: list[str]) -> Venue:
    def make(instance: str, channels: list[str]) -> Provider:
        running = Running(
            venue=name,
            provider=venues.provider(name),
            instance=instance,
            epoch=time.time_ns(),
            ring_bytes=arguments.ring_bytes,
            linger=arguments.linger_us / 1e6,
            endpoint_base=arguments.endpoint_base,
        )
        return Provider(session, channels, running)

    # Refused now, not when a role is taken.
    Addresses(arguments.endpoint_base, name)
    return Venue(make, Wishes(session, given))


async def _serve(arguments: argparse.Namespace, settings: Settings, stop: asyncio.Event) -> None:
    names = [name for name in dict.fromkeys(arguments.venues.split(",")) if name]
    if arguments.ring_bytes < 1 or arguments.linger_us < 0 or not names:
        raise UsageError("--venues names none, --ring-bytes is below 1 or --linger-us below 0")
    # A fixed role needs no Redis: only where it is named on the command line are subscriptions looked up there.
    url = arguments.redis or (settings.redis_url if arguments.instance == AUTO else None)
    if arguments.instance == AUTO and not url:
        raise UsageError("--instance AUTO takes its role in Redis: give --redis URL or set TAPELINE_REDIS_URL")
    symbols = _symbols(arguments.symbols, names)
    sessions = {name: load(name) for name in names}
    made = {
        venues.provider(name): _venue(arguments, name, session, _channels(name, session, arguments.channels, symbols))
        for name, session in sessions.items()
    }
    manager = SessionManager(made, arguments.instance, checked_place(url) if url else None, settings.lease_seconds)
    try:
        await manager.run(arguments.listen, stop)
    except OSError as error:
        raise UsageError(str(error)) from None


def main() -> int:
    """Runs until SIGTERM; 0 done, 1 failure, 2 wrong usage or settings."""
    try:
        settings = Settings.from_environment()
        telemetry.TELEMETRY.level = telemetry.Level[settings.log_level]
        arguments = _parser(settings).parse_args()
    except TapelineError as error:
        print(f"tapeline: {error}", file=sys.stderr)
        return 2
    return run("tapeline", lambda stop: _serve(arguments, settings, stop))


if __name__ == "__main__":
    sys.exit(main())
