"""The kernel's hand-written wire format against generated code, in both directions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tapeline_kernel import Router

from tapeline.ingest.v1 import ingest_pb2
from tapeline.spec.encode import encode
from tapeline.spec.routing import Routing

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
NAMES = st.text(st.characters(codec="utf-8"), max_size=40)
PAYLOADS = st.lists(st.tuples(NAMES, NAMES, U64, U32, st.binary(max_size=300)), min_size=1, max_size=30)

NOTHING = encode(Routing(routes=(), schemas=()))


@given(provider=NAMES, instance=NAMES, epoch=U64, batches=st.lists(PAYLOADS, min_size=1, max_size=3))
def test_the_kernel_writes_what_generated_code_would(
    provider: str, instance: str, epoch: int, batches: list[list[tuple[str, str, int, int, bytes]]]
) -> None:
    """Batches of any payloads have the very bytes that protobuf's own writer gives the same message."""
    router = Router(NOTHING, provider, instance, epoch)
    sequence = 1
    for payloads in batches:
        expected = ingest_pb2.SubscribeResponse()
        batch = expected.batch
        batch.provider, batch.instance, batch.epoch, batch.first_sequence = provider, instance, epoch, sequence
        places: dict[tuple[str, str], int] = {}
        for channel, schema, ts_recv, connection, data in payloads:
            assert router.inject(channel, schema, ts_recv, connection, data) == sequence
            if (channel, schema) not in places:
                places[channel, schema] = len(places)
                batch.channels.add(name=channel, schema=schema)
            index = places[channel, schema]
            batch.payloads.add(channel=index, ts_recv=ts_recv, connection=connection, data=data)
            sequence += 1
        taken = router.take()
        assert taken is not None
        first, last, response = taken
        assert (first, last) == (batch.first_sequence, sequence - 1)
        assert response == expected.SerializeToString(deterministic=True)


def test_lengths_around_each_size_of_varint_agree() -> None:
    """Payloads on both sides of every varint boundary are read back whole by generated code."""
    router = Router(NOTHING, "P", "I", 1)
    lengths = [0, 1, 110, 127, 128, 16_100, 16_383, 16_384, 2_097_151, 2_097_152]
    for length in lengths:
        router.inject("c", "", 1, 300, b"x" * length)
    taken = router.take()
    assert taken is not None
    response = ingest_pb2.SubscribeResponse.FromString(taken[2])
    assert [len(payload.data) for payload in response.batch.payloads] == lengths
    assert response.SerializeToString(deterministic=True) == taken[2]
