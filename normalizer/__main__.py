"""`python -m normalizer`: turns what some venues say into DBN on Redis."""

from __future__ import annotations

import argparse
import asyncio
import sys
from functools import partial

from tapeline_kernel import Normalizer

from normalizer.pipeline import Pipeline
from normalizer.publisher_address import RedisAddress
from tapeline import venues
from tapeline.errors import UsageError
from tapeline.process import cancel, first_of, run
from tapeline.redis_place import RedisPlace
from tapeline.redis_url import seeds
from tapeline.settings import Settings
from tapeline.spec.encode import encode
from tapeline.stream import StreamClient
from tapeline.telemetry import TELEMETRY, Level, StatsPrinter, ready


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="normalizer", description=__doc__)
    parser.add_argument("--venues", required=True, metavar="A,B", help="names, joined by commas")
    parser.add_argument("--instance", default="PRIMARY", choices=("PRIMARY", "REPLICA"))
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
    async with StreamClient(args.source) as client:
        pipelines = {}
        for name in dict.fromkeys(args.venues.split(",")):
            venue = venues.load(name)
            make_kernel = partial(Normalizer, encode(venue.meaning), venue.provider, args.instance)
            pipelines[venue.provider] = Pipeline(
                client, RedisPlace(url), make_kernel, venue.provider, args.instance,
                settings.publish_buffer_bytes // len(args.venues.split(",")), settings.flush_seconds,
            )  # fmt: skip

        def read() -> dict[str, object]:
            return {"providers": {provider: pipeline.stats() for provider, pipeline in pipelines.items()}}

        async with StatsPrinter(read):
            await _all(stop, list(pipelines.values()))


async def _all(stop: asyncio.Event, pipelines: list[Pipeline]) -> None:
    started = [asyncio.Event() for _ in pipelines]
    tasks = [asyncio.create_task(one.run(stop, begun)) for one, begun in zip(pipelines, started, strict=True)]
    announcing = asyncio.create_task(_announce(started))
    try:
        await first_of(stop, *tasks)
        await asyncio.gather(*tasks)
    finally:
        await cancel(*tasks, announcing)


async def _announce(started: list[asyncio.Event]) -> None:
    for begun in started:
        await begun.wait()
    ready()


def main() -> int:
    """Runs until SIGTERM; 0 done, 1 failure, 2 wrong usage or a refusal."""
    args = _arguments()
    return run("normalizer", lambda stop: _serve(args, stop))


if __name__ == "__main__":
    sys.exit(main())
