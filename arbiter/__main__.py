"""`python -m arbiter`: makes one stream of two instances' channels, and publishes it as MERGED."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from arbiter.feed import Feed
from tapeline import venues
from tapeline.channels import MARKET_DATA
from tapeline.consumer import Consumer, Hole, MergeOptions
from tapeline.consumer.merging import MERGED, TICK_SECONDS, Listening, both
from tapeline.consumer.snapshots import Snapshots
from tapeline.errors import UsageError
from tapeline.process import cancel, first_of, run
from tapeline.publish import RedisAddress
from tapeline.redis_place import RedisPlace
from tapeline.redis_url import seeds
from tapeline.settings import Settings
from tapeline.telemetry import TELEMETRY, Level, StatsPrinter, count, event, ready

_CONNECT_SECONDS = 5.0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="arbiter", description=__doc__)
    parser.add_argument("--venues", required=True, metavar="A,B", help="names, joined by commas")
    parser.add_argument("--redis", metavar="URL", help="where both are published (default: TAPELINE_REDIS_URL)")
    parser.add_argument(
        "--wait-ms", type=int, default=250, metavar="MS", help="how long a book's hole waits for the other instance"
    )
    parser.add_argument(
        "--listeners",
        type=int,
        default=2,
        choices=(1, 2),
        help="at how many nodes of a Redis cluster it listens (default: 2)",
    )
    return parser.parse_args()


async def _serve(args: argparse.Namespace, stop: asyncio.Event) -> None:
    settings = Settings.from_environment()
    TELEMETRY.level = Level[settings.log_level]
    url = args.redis or settings.redis_url
    if not url:
        raise UsageError("no Redis: give --redis URL or set TAPELINE_REDIS_URL")
    for seed in seeds(url):
        RedisAddress.parse(seed)
    providers = [venues.provider(name) for name in dict.fromkeys(args.venues.split(","))]
    options = MergeOptions(wait_seconds=args.wait_ms / 1000)
    epoch = time.time_ns()
    share = settings.publish_buffer_bytes // len(providers)
    place = RedisPlace(url)
    feeds = {one: Feed(place, one, epoch, share, settings.flush_seconds, options) for one in providers}
    async with Snapshots(url, _CONNECT_SECONDS) as snapshots:
        for feed in feeds.values():
            await feed.restore(snapshots)
    patterns = both([f"{MARKET_DATA}.{MERGED}.*.{provider}.*" for provider in providers])
    async with (
        StatsPrinter(lambda: {"providers": {provider: feed.stats() for provider, feed in feeds.items()}}),
        Consumer(url, patterns, listeners=args.listeners) as consumer,
    ):
        clock = Listening(time.monotonic_ns())
        taking = [asyncio.create_task(_follow(consumer, feeds, clock)), asyncio.create_task(_tick(feeds, clock))]
        over = asyncio.Event()
        publishing = [asyncio.create_task(feed.run(over)) for feed in feeds.values()]
        ready()
        try:
            await first_of(stop, *taking, *publishing)
            await cancel(*taking)
            over.set()
            await asyncio.gather(*publishing)
        finally:
            await cancel(*taking, *publishing)


async def _follow(consumer: Consumer, feeds: dict[str, Feed], clock: Listening) -> None:
    async for batch in consumer.batches():
        touched: dict[str, Feed] = {}
        now = clock.at(time.monotonic_ns())
        for item in batch:
            if isinstance(item, Hole):
                # Of one instance it is the other's to fill; of the connections, both start again with what is known.
                count("arbiter_holes", reason=item.reason.value)
                event("hole", Level.WARNING, pattern=item.pattern, reason=item.reason.value)
                continue
            provider = item.channel.provider
            feed = feeds.get(provider)
            if feed is None:
                continue
            feed.take(item, now)
            touched[provider] = feed
        for feed in touched.values():
            feed.publish()
        for feed in touched.values():
            await feed.room()


async def _tick(feeds: dict[str, Feed], clock: Listening) -> None:
    while True:
        await asyncio.sleep(TICK_SECONDS)
        now = clock.at(time.monotonic_ns())
        for feed in feeds.values():
            feed.tick(now)


def main() -> int:
    """Runs until SIGTERM; 0 done, 1 failure, 2 wrong usage or a refusal."""
    args = _arguments()
    return run("arbiter", lambda stop: _serve(args, stop))


if __name__ == "__main__":
    sys.exit(main())
