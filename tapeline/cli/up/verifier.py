"""`python -m tapeline.cli.up.verifier`: a real consumer that counts what it gets, so that nothing can be lost unseen."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter

from tapeline.channels import MARKET_DATA
from tapeline.cli.up.tally import StreamTally, Tally
from tapeline.consumer import Consumer, Hole
from tapeline.process import cancel, first_of, run
from tapeline.telemetry import StatsPrinter, done, ready

_BUFFER_BYTES = 512 << 20


class Verifier:
    """Consumes all market data of some providers and instances."""

    def __init__(self, redis_url: str, providers: list[str], instances: list[str]) -> None:
        self._redis_url = redis_url
        self._providers = frozenset(providers)
        self._instances = instances
        self._tally = Tally()
        self._holes: Counter[str] = Counter()

    async def serve(self, stop: asyncio.Event) -> None:
        """Counts until it is asked to stop, then tells everything."""
        patterns = [f"{MARKET_DATA}.{instance}.*" for instance in self._instances]
        async with Consumer(self._redis_url, patterns, late_join=False, buffer_bytes=_BUFFER_BYTES) as consumer:
            async with StatsPrinter(self._stats):
                ready()
                task = asyncio.create_task(self._consume(consumer))
                try:
                    await first_of(stop, task)
                finally:
                    await cancel(task)
            counts = consumer.counts
            self._tally.settle()
            done(
                streams={key: _account(stream) for key, stream in self._named().items()},
                seconds=(self._tally.last_ns - self._tally.first_ns) / 1e9,
                holes=dict(self._holes),
                repeats=counts.repeats,
                malformed=counts.malformed,
            )

    async def _consume(self, consumer: Consumer) -> None:
        take, providers, clock = self._tally.take, self._providers, time.time_ns
        async for items in consumer.batches():
            for item in items:
                if isinstance(item, Hole):
                    self._holes[item.reason.value] += 1
                elif item.channel.provider in providers:
                    take(item.channel, item.data, clock())
            # A socket that always has more must not keep the statistics from being told.
            await asyncio.sleep(0)

    def _named(self) -> dict[str, StreamTally]:
        return {f"{provider}.{instance}": stream for (provider, instance), stream in self._tally.streams.items()}

    def _stats(self) -> dict[str, object]:
        self._tally.settle()
        return {"streams": {key: _moment(stream) for key, stream in self._named().items()}}


def _moment(stream: StreamTally) -> dict[str, object]:
    lag = stream.lag.drain()
    stream.lag_total.merge(lag)
    return {"payloads": stream.payloads, "records": stream.records, "lag": lag.summary()}


def _account(stream: StreamTally) -> dict[str, object]:
    stream.lag_total.merge(stream.lag.drain())
    return {
        "channels": stream.by_channel(),
        "records": stream.records,
        "lag": stream.lag_total.counts(),
        "end_to_end": stream.end_to_end.counts(),
    }


def main() -> int:
    """Runs until SIGTERM."""
    parser = argparse.ArgumentParser(prog="verifier", description=__doc__)
    parser.add_argument("--redis", required=True, metavar="URL")
    parser.add_argument("--providers", required=True, metavar="A,B")
    parser.add_argument("--instances", required=True, metavar="PRIMARY,REPLICA")
    args = parser.parse_args()
    verifier = Verifier(args.redis, args.providers.split(","), args.instances.split(","))
    return run("verifier", verifier.serve)


if __name__ == "__main__":
    sys.exit(main())
