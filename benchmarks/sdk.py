"""The consumer SDK alone: records a CPU-second, off a real Redis, as arrays and as objects.

`python -m benchmarks.sdk MODE URL RECORDS` is the measured consumer, a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
import time
from pathlib import Path
from select import select
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from tapeline_kernel import Normalizer, Router

from benchmarks.material import Material
from benchmarks.measure import RUNS, Figure, figure
from tapeline.cli.up.children import spawn
from tapeline.consumer import Consumer, Message
from tapeline.errors import UsageError
from tapeline.process import run
from tapeline.redis_server import start_redis
from tapeline.spec import subscribe
from tapeline.spec.encode import encode
from tapeline.telemetry import done, ready

MODES = {"batches": 1_000_000, "arrays": 1_000_000, "objects": 500_000}
"""By mode: records of a run. `batches` takes what each socket read brought; `arrays` item by item, as numpy; `objects` as databento's."""

_TURN = 512
_PIECE = 1 << 18
_SECONDS = 60.0


def measure_sdk(materials: list[Material]) -> list[Figure]:
    """Figures of each mode."""
    best = max((m for m in materials if m.schema in ("MBP_1", "TRADES")), key=lambda m: len(m.payloads), default=None)
    if best is None:
        raise UsageError("no quotes or trades to measure the SDK with")
    commands = _commands(best, max(MODES.values()))
    with TemporaryDirectory() as folder, start_redis(Path(folder)) as redis:
        return [
            figure(
                f"consumer, {mode}",
                "records",
                [_consume(mode, redis.url, records, commands, Path(folder)) for _ in range(RUNS)],
            )
            for mode, records in MODES.items()
        ]


def _commands(material: Material, records: int) -> tuple[bytes, int]:
    """Redis commands that publish so many records, with receive times that rise; and their number."""
    venue = material.venue
    channels = list(dict.fromkeys(channel for channel, _, _ in material.payloads))
    router = Router(encode(subscribe.routing(venue.session, channels)), venue.provider, "PRIMARY", 1)
    kernel = Normalizer(encode(venue.meaning), venue.provider, "PRIMARY", "resp")
    stamp, made, commands = time.time_ns(), 0, 0
    out = bytearray()
    while made < records:
        for start in range(0, len(material.payloads), _TURN):
            turn = [data for _, _, data in material.payloads[start : start + _TURN]]
            router.push(0, range(stamp, stamp + len(turn)), turn)
            stamp += len(turn)
            if (taken := router.take()) is not None:
                output = kernel.normalize(taken[2])
                made += output.records
                commands += output.commands
                out += output.data
    return bytes(out), commands


def _consume(mode: str, url: str, records: int, commands: tuple[bytes, int], folder: Path) -> float:
    child = spawn(f"consumer-{mode}", "benchmarks.sdk", [mode, url, str(records)], folder)
    try:
        child.await_ready(30)
        place = urlsplit(url)
        with socket.create_connection((place.hostname or "127.0.0.1", place.port or 6379)) as link:
            link.settimeout(_SECONDS)
            _publish(link, *commands)
        end = time.monotonic() + _SECONDS
        while child.done is None and not child.ended and time.monotonic() < end:
            time.sleep(0.05)
        if child.done is None:
            raise UsageError(
                child.why() if child.ended else f"the consumer had not {records} records in {_SECONDS:g} s"
            )
        return float(child.done["records"] / child.done["cpu_seconds"])
    finally:
        child.kill()


def _publish(link: socket.socket, commands: bytes, replies: int) -> None:
    """Sends, and takes the replies, without which Redis would stop reading."""
    view = memoryview(commands)
    for start in range(0, len(view), _PIECE):
        link.sendall(view[start : start + _PIECE])
        while select([link], [], [], 0)[0]:
            replies -= link.recv(_PIECE).count(b"\n")
    while replies > 0:
        replies -= link.recv(_PIECE).count(b"\n")


async def _measured(mode: str, url: str, records: int) -> None:
    had = 0
    async with Consumer(url, ["MARKET_DATA.*"], late_join=False, buffer_bytes=1 << 30) as consumer:
        ready()
        started: float | None = None
        async for items in consumer.batches():
            started = time.process_time() if started is None else started
            for item in items:
                if isinstance(item, Message):
                    had += _use(mode, item)
            if had >= records:
                break
        done(records=had, cpu_seconds=time.process_time() - (started or 0.0))


def _use(mode: str, message: Message) -> int:
    match mode:
        case "objects":
            return len(message.records())
        case "arrays":
            return int(message.array()["ts_recv"].size)
        case _:
            return len(message)


def main() -> int:
    """The consumer that is measured."""
    parser = argparse.ArgumentParser(prog="benchmarks.sdk", description=__doc__)
    parser.add_argument("mode", choices=tuple(MODES))
    parser.add_argument("url")
    parser.add_argument("records", type=int)
    args = parser.parse_args()

    async def serve(stop: asyncio.Event) -> None:
        work = asyncio.create_task(_measured(args.mode, args.url, args.records))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()

    return run("benchmarks.sdk", serve)


if __name__ == "__main__":
    sys.exit(main())
