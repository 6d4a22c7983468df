"""A normalizer that is killed and restored goes on as if nothing had happened."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tapeline.offline.feed import Feed
from tapeline.venues import load
from tests.kernel.stream import Stream, commands

CAPTURES = ["binance_spot", "kraken", "coinbase", "deribit"]
FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "captures"


def published(resp: list[bytes]) -> dict[bytes, bytes]:
    """All that was published, by channel."""
    found: dict[bytes, bytes] = {}
    for chunk in resp:
        for command in commands(chunk):
            if command[0] == b"PUBLISH":
                found[command[1]] = found.get(command[1], b"") + command[2]
    return found


def small(batches: list[bytes], venue: str) -> list[bytes]:
    """The same payloads, a few to a batch."""
    from tapeline_kernel import Router

    from tapeline.ingest.v1.ingest_pb2 import SubscribeResponse
    from tapeline.spec.encode import encode

    router = Router(encode(load(venue).session.routing), load(venue).provider, "PRIMARY", 7)
    cut: list[bytes] = []
    for encoded in batches:
        batch = SubscribeResponse.FromString(encoded).batch
        for place, payload in enumerate(batch.payloads):
            channel = batch.channels[payload.channel]
            router.inject(channel.name, channel.schema, payload.ts_recv, payload.connection, payload.data)
            if place % 7 == 6:
                taken = router.take()
                assert taken is not None
                cut.append(taken[2])
    taken = router.take()
    return [*cut, taken[2]] if taken else cut


@pytest.mark.parametrize("venue", CAPTURES)
def test_restoring_a_checkpoint_publishes_exactly_what_was_still_to_come(venue: str) -> None:
    """Checkpoint at one place, killed at a later one: before plus after is what an unbroken run publishes, byte for byte."""
    stream = Stream(venue, sink="resp")
    batches = small(list(Feed(load(venue), "PRIMARY").capture(FIXTURES / f"{venue}.jsonl.zst")), venue)
    whole = stream.fresh()
    unbroken = [whole.normalize(batch).data for batch in batches]
    dice = random.Random(venue)
    for _ in range(5):
        checkpoint_at = dice.randrange(1, len(batches) - 2)
        killed_at = dice.randrange(checkpoint_at, len(batches) - 1)
        first = stream.fresh()
        before: list[bytes] = []
        fields: dict[bytes, bytes] = {}
        for place, batch in enumerate(batches[:killed_at]):
            output = first.normalize(batch)
            before.append(output.data)
            cursor = f"{output.epoch}:{output.last}".encode()
            if place < checkpoint_at:
                for command in commands(first.flush()[0]):
                    if command[0] == b"HSET":
                        fields.update(zip(command[2::2], command[3::2], strict=True))
        second = stream.fresh()
        position = second.restore({**fields, b"published": cursor})
        assert position > 0
        after = [second.normalize(batch).data for batch in batches[checkpoint_at:]]
        assert published(before + after) == published(unbroken)
