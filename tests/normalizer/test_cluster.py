"""The normalizer and the SDK on a real Redis cluster that loses a node."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np

from normalizer.pipeline import Pipeline
from tapeline.consumer import Consumer, Message
from tapeline.consumer.layout import LAYOUTS
from tapeline.redis_place import RedisPlace
from tapeline.schemas import Schema
from tapeline.stream import StreamClient
from tests.normalizer.test_pipeline import CHANNEL, CURSOR, PROVIDER, make_kernel, trades, until
from tests.support.redis_cluster import RedisCluster
from tests.support.stream_server import StreamServer


async def test_a_node_lost_costs_no_record_and_repeats_none(tmp_path: Path) -> None:
    """The node that holds the feed's keys is killed in mid-stream; its replica takes over, and every trade arrives once."""
    with RedisCluster(tmp_path) as cluster:
        owner = cluster.owner(CURSOR)
        others = [f"127.0.0.1:{node.port}" for node in cluster.nodes if node is not owner]
        stop = asyncio.Event()
        ids: list[int] = []

        async def listen(consumer: Consumer) -> None:
            async for item in consumer:
                assert isinstance(item, Message)
                ids.extend(np.frombuffer(item.data, LAYOUTS[Schema.TRADES].dtype)["sequence"].tolist())

        async with (
            StreamServer(trades(1, 500)) as server,
            StreamClient(server.address) as client,
            Consumer(f"redis://{','.join(others)}/0", [CHANNEL], late_join=False) as consumer,
        ):
            listening = asyncio.create_task(listen(consumer))
            pipeline = Pipeline(client, RedisPlace(cluster.url), make_kernel, PROVIDER, "PRIMARY", 1 << 20, 0.05)
            running = asyncio.create_task(pipeline.run(stop, asyncio.Event()))
            await until(lambda: len(ids) > 200)
            await asyncio.to_thread(cluster.kill, owner)
            await server.add(trades(501, 1_000))
            await asyncio.to_thread(cluster.wait_until_whole)
            assert cluster.owner(CURSOR) is not owner
            await server.add(trades(1_001, 1_500))
            await until(lambda: len(ids) >= 1_500)
            stop.set()
            await running
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        assert ids == list(range(1, 1_501))
        assert consumer.counts.holes == 0
