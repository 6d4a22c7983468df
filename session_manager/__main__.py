"""`python -m session_manager`: talks to venues and serves what they say as raw batches."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from pathlib import Path

import msgspec
import uvloop

from session_manager.halves import load
from session_manager.provider import Provider, Running
from session_manager.server import IngestServer
from session_manager.session.plan import for_symbols
from tapeline import telemetry, venues
from tapeline.errors import TapelineError, UsageError
from tapeline.settings import Settings
from tapeline.spec.session import Session
from tapeline.telemetry import StatsPrinter, ready


def _parser(settings: Settings) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="session_manager", description=__doc__)
    parser.add_argument("--venues", required=True, help="names, joined by commas")
    parser.add_argument("--instance", default="PRIMARY", choices=("PRIMARY", "REPLICA"))
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


async def _serve(arguments: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    names = [name for name in dict.fromkeys(arguments.venues.split(",")) if name]
    if arguments.ring_bytes < 1 or arguments.linger_us < 0 or not names:
        raise UsageError("--venues names none, --ring-bytes is below 1 or --linger-us below 0")
    symbols = _symbols(arguments.symbols, names)
    sessions = {name: load(name) for name in names}
    providers: dict[str, Provider] = {}
    for name, session in sessions.items():
        running = Running(
            venue=name,
            provider=venues.provider(name),
            instance=arguments.instance,
            epoch=time.time_ns(),
            ring_bytes=arguments.ring_bytes,
            linger=arguments.linger_us / 1e6,
            endpoint_base=arguments.endpoint_base,
        )
        providers[running.provider] = Provider(session, _channels(name, session, arguments.channels, symbols), running)
    server = IngestServer(arguments.instance, providers)
    try:
        port = await server.start(arguments.listen)
    except OSError as error:
        raise UsageError(str(error)) from None
    async with StatsPrinter(lambda: {"providers": {name: one.stats() for name, one in providers.items()}}):
        ready(port=port, providers=sorted(providers))
        for provider in providers.values():
            provider.start()
        await stop.wait()
        await asyncio.gather(*(provider.stop() for provider in providers.values()))
        await server.stop()


def main() -> int:
    """Runs until SIGTERM; 0 done, 1 failure, 2 wrong usage or settings."""
    try:
        settings = Settings.from_environment()
        telemetry.TELEMETRY.level = telemetry.Level[settings.log_level]
        arguments = _parser(settings).parse_args()
        uvloop.run(_serve(arguments))
    except TapelineError as error:
        print(f"tapeline: {error}", file=sys.stderr)
        return 2 if error.action.value == "refuse" else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
