"""`python -m batch_processor`: keeps every raw payload of some venues in the object store."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

from batch_processor.archive import Archive
from batch_processor.collector import Collector, Limits
from tapeline import venues
from tapeline.errors import UnknownVenueError
from tapeline.objectstore import ObjectStore, open_store
from tapeline.process import cancel, first_of, run
from tapeline.settings import Settings
from tapeline.stream import AUTO, StreamClient, follow_role
from tapeline.stream.following import Work
from tapeline.telemetry import TELEMETRY, Level, StatsPrinter, ready

_WRITERS = 4


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="batch_processor", description=__doc__)
    parser.add_argument("--venues", required=True, metavar="A,B")
    parser.add_argument(
        "--instance", default="PRIMARY", choices=("PRIMARY", "REPLICA", AUTO), help="AUTO: the session manager's"
    )
    parser.add_argument("--source", required=True, metavar="HOST:PORT", help="the session manager")
    parser.add_argument("--store", metavar="URL", help="a path, file:///path or s3://bucket/prefix")
    parser.add_argument("--threshold-seconds", type=float, metavar="N", help="payload time in one object")
    parser.add_argument("--max-bytes", type=int, metavar="N", help="bytes of rows between two cuts at most")
    args = parser.parse_args()
    if args.threshold_seconds is not None and not 0.001 <= args.threshold_seconds <= 86_400:
        parser.error(f"--threshold-seconds {args.threshold_seconds:g} is not allowed; allowed: 0.001 to 86400")
    if args.max_bytes is not None and args.max_bytes < 1:
        parser.error(f"--max-bytes {args.max_bytes} is not allowed; allowed: 1 and more")
    return args


def _providers(names: str) -> list[str]:
    known = venues.names()
    for name in names.split(","):
        if name not in known:
            raise UnknownVenueError(name, known)
    return [venues.provider(name) for name in names.split(",")]


async def _serve(args: argparse.Namespace, stop: asyncio.Event) -> None:
    settings = Settings.from_environment()
    TELEMETRY.level = Level[settings.log_level]
    limits = Limits(
        round((args.threshold_seconds or settings.threshold_seconds) * 1e9),
        args.max_bytes or settings.partition_max_bytes,
    )
    providers = _providers(args.venues)
    store = open_store(args.store or settings.store_url)
    with ThreadPoolExecutor(_WRITERS, "write") as writers:
        async with StreamClient(args.source) as client:
            feeds = [_Feed(provider, store, writers, limits) for provider in providers]
            async with StatsPrinter(lambda: {"providers": {feed.provider: feed.stats() for feed in feeds}}):
                ready()
                if args.instance == AUTO:
                    works = [follow_role(client, feed.provider, stop, feed.of(client)) for feed in feeds]
                else:
                    works = [feed.of(client)(args.instance, stop) for feed in feeds]
                await _all(stop, works)


class _Feed:
    """One provider, collected as one instance after another."""

    def __init__(self, provider: str, store: ObjectStore, writers: Executor, limits: Limits) -> None:
        self.provider = provider
        self._store = store
        self._writers = writers
        self._limits = limits
        self._instance = ""
        self._collector: Collector | None = None

    def of(self, client: StreamClient) -> Work:
        """The work of collecting what a session manager serves."""

        async def work(instance: str, over: asyncio.Event) -> None:
            archive = Archive(self._store, instance, self.provider, self._writers)
            self._instance, self._collector = instance, Collector(client, archive, self.provider, self._limits)
            try:
                await self._collector.run(over)
            finally:
                self._instance = ""

        return work

    def stats(self) -> dict[str, object]:
        """What the collector tells, and as which instance it runs (empty: none does)."""
        return {"instance": self._instance, **(self._collector.stats() if self._collector is not None else {})}


async def _all(stop: asyncio.Event, works: list[Coroutine[Any, Any, None]]) -> None:
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await first_of(stop, *tasks)
        await asyncio.gather(*tasks)
    finally:
        await cancel(*tasks)


def main() -> int:
    """Runs until SIGTERM; 0 done, 1 failure, 2 wrong usage or a refusal."""
    args = _arguments()
    return run("batch_processor", lambda stop: _serve(args, stop))


if __name__ == "__main__":
    sys.exit(main())
