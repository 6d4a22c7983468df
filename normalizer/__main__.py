"""`python -m normalizer`: turns what some venues say into DBN on Redis."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Coroutine
from functools import partial
from typing import Any

from tapeline_kernel import Normalizer

from normalizer.pipeline import Pipeline
from tapeline import venues
from tapeline.errors import UsageError
from tapeline.process import cancel, first_of, run
from tapeline.publish.address import RedisAddress
from tapeline.redis_place import RedisPlace
from tapeline.redis_url import seeds
from tapeline.settings import Settings
from tapeline.spec.encode import encode
from tapeline.stream import AUTO, StreamClient, follow_role
from tapeline.stream.following import Work
from tapeline.telemetry import TELEMETRY, Level, StatsPrinter, ready
from tapeline.venues import Venue


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="normalizer", description=__doc__)
    parser.add_argument("--venues", required=True, metavar="A,B", help="names, joined by commas")
    parser.add_argument(
        "--instance", default="PRIMARY", choices=("PRIMARY", "REPLICA", AUTO), help="AUTO: the session manager's"
    )
    parser.add_argument("--source", required=True, metavar="HOST:PORT", help="the session manager")
    parser.add_argument("--redis", metavar="URL", help="where to publish (default: TAPELINE_REDIS_URL)")
    return parser.parse_args()


async def _serve(args: argparse.Namespace, stop: asyncio.Event) -> None:
    settings = Settings.from_environment()
    TELEMETRY.level = Level[settings.log_level]
    url = args.redis or settings.redis_url
    if not url:
        raise UsageError("no Redis: give --redis URL or set TAPELINE_REDIS_URL")
    for seed in seeds(url):
        RedisAddress.parse(seed)
    feeds = [_Feed(venues.load(name), url, settings) for name in dict.fromkeys(args.venues.split(","))]
    for feed in feeds:
        feed.buffer_bytes = settings.publish_buffer_bytes // len(feeds)
    async with (
        StreamClient(args.source) as client,
        StatsPrinter(lambda: {"providers": {feed.venue.provider: feed.stats() for feed in feeds}}),
    ):
        if args.instance == AUTO:
            ready()
            await _all(stop, [follow_role(client, feed.venue.provider, stop, feed.of(client)) for feed in feeds])
        else:
            announcing = asyncio.create_task(_announce(feeds))
            try:
                await _all(stop, [feed.of(client)(args.instance, stop) for feed in feeds])
            finally:
                await cancel(announcing)


class _Feed:
    """One provider, normalized as one instance after another."""

    def __init__(self, venue: Venue, url: str, settings: Settings) -> None:
        self.venue = venue
        self.started = asyncio.Event()
        self.buffer_bytes = settings.publish_buffer_bytes
        self._url = url
        self._settings = settings
        self._instance = ""
        self._pipeline: Pipeline | None = None

    def of(self, client: StreamClient) -> Work:
        """The work of normalizing what a session manager serves."""

        async def work(instance: str, over: asyncio.Event) -> None:
            provider = self.venue.provider
            make_kernel = partial(Normalizer, encode(self.venue.meaning), provider, instance)
            self._instance, self._pipeline = instance, Pipeline(
                client, RedisPlace(self._url), make_kernel, provider, instance, self.buffer_bytes, self._settings.flush_seconds
            )  # fmt: skip
            try:
                await self._pipeline.run(over, self.started)
            finally:
                self._instance = ""

        return work

    def stats(self) -> dict[str, object]:
        """What the pipeline tells, and as which instance it runs (empty: none does)."""
        return {"instance": self._instance, **(self._pipeline.stats() if self._pipeline is not None else {})}


async def _all(stop: asyncio.Event, works: list[Coroutine[Any, Any, None]]) -> None:
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await first_of(stop, *tasks)
        await asyncio.gather(*tasks)
    finally:
        await cancel(*tasks)


async def _announce(feeds: list[_Feed]) -> None:
    for feed in feeds:
        await feed.started.wait()
    ready()


def main() -> int:
    """Runs until SIGTERM; 0 done, 1 failure, 2 wrong usage or a refusal."""
    args = _arguments()
    return run("normalizer", lambda stop: _serve(args, stop))


if __name__ == "__main__":
    sys.exit(main())
