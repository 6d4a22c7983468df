"""A consumer at two nodes of a real cluster: one of them dies, and there is no hole."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tapeline.consumer import Consumer, Hole
from tapeline.schemas import Schema
from tests.consumer.publishing import TRADES, record, until
from tests.support.redis_cluster import RedisCluster

pytestmark = pytest.mark.timeout(50)


def listening(cluster: RedisCluster) -> list[int]:
    """The nodes a consumer is subscribed at."""
    living = [node for node in cluster.nodes if node.process.poll() is None]
    return [node.port for node in living if "tapeline-consumer" in str(node.redis.client_list(_type="pubsub"))]


@pytest.mark.parametrize("listeners", [1, 2])
async def test_the_second_connection_takes_over_where_the_first_is_lost(listeners: int, tmp_path: Path) -> None:
    """All messages come once and in order without a hole by two connections, and not by one."""
    with RedisCluster(tmp_path) as cluster:
        publisher = Redis(port=cluster.nodes[1].port)
        got: list[int] = []
        holes: list[Hole] = []
        async with Consumer(cluster.url, ["MARKET_DATA.*"], late_join=False, listeners=listeners) as consumer:

            async def listen() -> None:
                async for item in consumer:
                    if isinstance(item, Hole):
                        holes.append(item)
                    else:
                        got.extend(int(one) for one in item.array()["ts_recv"])

            task = asyncio.create_task(listen())
            await until(lambda: len(listening(cluster)) == listeners)
            sent = 0

            async def say(count: int) -> None:
                nonlocal sent
                for _ in range(count):
                    sent += 1
                    await publisher.publish(TRADES, record(sent, schema=Schema.TRADES))

            # A second connection that is quite new cannot vouch for what came before it.
            begun = time.monotonic()
            await until(lambda: time.monotonic() - begun > 1.5)
            await say(200)
            first = next(node for node in cluster.nodes if f":{node.port}" in consumer.place)
            await say(200)
            cluster.kill(first)
            await say(200)
            await until(lambda: consumer.counts.reconnects == 1)
            await until(lambda: len(listening(cluster)) == listeners)
            await say(100)
            await until(lambda: bool(got) and got[-1] == sent)
            task.cancel()
        await publisher.aclose()
    if listeners == 2:
        assert got == list(range(1, sent + 1))
        assert holes == []
    else:
        assert holes
