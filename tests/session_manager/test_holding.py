"""A subscriber that is in no hurry gets the same payloads in fewer messages."""

from __future__ import annotations

import asyncio

from tapeline_kernel import Router

from session_manager.ring import Batch, Ring
from session_manager.server import IngestServer
from tapeline.ingest.v1.ingest_pb2 import SubscribeResponse
from tapeline.spec.encode import encode
from tapeline.stream import StreamClient
from tapeline.venues import load
from tests.session_manager.place import Place

EPOCH = 1_700_000_000_000_000_000
BATCHES = 200


class Source(Place):
    """One that a test fills."""

    def __init__(self) -> None:
        super().__init__(Ring(EPOCH, 64 << 20))
        self._router = Router(encode(load("kraken").session.routing), "KRAKEN", "PRIMARY", EPOCH)

    def say(self, place: int) -> None:
        """One batch of two payloads on channels that alternate."""
        for channel in (f"book.{place % 3}", f"trade.{place % 5}"):
            self._router.inject(channel, "MBO", EPOCH + place, 0, f"{channel} {place}".encode())
        taken = self._router.take()
        assert taken is not None
        self.ring.append(Batch(*taken))


def payloads(responses: list[bytes]) -> list[tuple[int, str, bytes]]:
    """Sequence, channel and bytes of all payloads."""
    found = []
    for response in responses:
        batch = SubscribeResponse.FromString(response).batch
        for sequence, payload in enumerate(batch.payloads, batch.first_sequence):
            found.append((sequence, batch.channels[payload.channel].name, payload.data))
    return found


async def taken(client: StreamClient, hold_ms: int) -> list[bytes]:
    """What a subscriber gets until it has had everything."""
    responses: list[bytes] = []
    async for response in client.subscribe("KRAKEN", "test", None, hold_ms):
        responses.append(response)
        batch = SubscribeResponse.FromString(response).batch
        if batch.first_sequence + len(batch.payloads) > 2 * BATCHES:
            break
    return responses


async def test_held_batches_come_together_and_whole() -> None:
    """Held or not, every payload comes once, in order, on its channel; held ones in far fewer messages."""
    source = Source()
    server = IngestServer({"KRAKEN": source})
    port = await server.start("127.0.0.1:0")
    async with StreamClient(f"127.0.0.1:{port}") as client:
        both = asyncio.gather(taken(client, 0), taken(client, 50))
        for place in range(BATCHES):
            source.say(place)
            await asyncio.sleep(0)
        at_once, held = await asyncio.wait_for(both, 30)
    source.ring.close()
    await server.stop(0)
    assert [sequence for sequence, *_ in payloads(held)] == list(range(1, 2 * BATCHES + 1))
    assert payloads(held) == payloads(at_once)
    assert len(at_once) == BATCHES
    assert len(held) < BATCHES / 4
