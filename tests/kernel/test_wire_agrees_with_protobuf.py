"""The kernel's hand-written wire format against generated code, in both directions."""

from __future__ import annotations

from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from tapeline_kernel import BatchError, Normalizer, Output, Router

from tapeline.ingest.v1 import ingest_pb2
from tapeline.spec.encode import encode
from tapeline.spec.routing import Routing
from tests.kernel.every_emit import FILES

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


def read(response: bytes) -> Output | None:
    """What the kernel reads; None where it refuses."""
    try:
        return Normalizer(FILES["meaning.json"], "P", "PRIMARY", "dbn").normalize(response)
    except BatchError:
        return None


@given(epoch=U64, first=st.integers(1, 2**63), payloads=PAYLOADS)
def test_the_kernel_reads_what_generated_code_writes(
    epoch: int, first: int, payloads: list[tuple[str, str, int, int, bytes]]
) -> None:
    """Sequences, epoch and oldest time come out as they went in."""
    response = ingest_pb2.SubscribeResponse()
    response.batch.provider, response.batch.epoch, response.batch.first_sequence = "P", epoch, first
    for index, (channel, schema, ts_recv, connection, data) in enumerate(payloads):
        response.batch.channels.add(name=channel, schema=schema)
        response.batch.payloads.add(channel=index, ts_recv=ts_recv, connection=connection, data=data)
    output = read(response.SerializeToString())
    assert output is not None
    assert (output.epoch, output.first, output.last) == (epoch, first, first + len(payloads) - 1)
    assert output.payloads == len(payloads)
    # The largest time of all is never older than another.
    oldest = min(payload[2] for payload in payloads)
    assert output.oldest_ts_recv == (0 if oldest == 2**64 - 1 else oldest)


@given(epoch=U64, lost=st.tuples(U64, U64))
def test_the_kernel_reads_gaps(epoch: int, lost: tuple[int, int]) -> None:
    """A gap's sequences come out, and it is told of as lost."""
    response = ingest_pb2.SubscribeResponse()
    response.gap.epoch, response.gap.from_sequence, response.gap.to_sequence = epoch, min(lost), max(lost)
    output = read(response.SerializeToString())
    assert output is not None
    assert (output.epoch, output.first, output.last, output.payloads) == (epoch, min(lost), max(lost), 0)
    assert "lost" in {event.kind for event in output.events}


@given(payloads=PAYLOADS, at=st.integers(0), byte=st.integers(0, 255), tail=st.binary(max_size=12))
def test_what_generated_code_refuses_the_kernel_refuses(
    payloads: list[tuple[str, str, int, int, bytes]], at: int, byte: int, tail: bytes
) -> None:
    """Damaged batches are refused where protobuf refuses them; beyond that only for what the contract forbids."""
    response = ingest_pb2.SubscribeResponse()
    response.batch.first_sequence = 1
    for index, (channel, schema, ts_recv, connection, data) in enumerate(payloads):
        response.batch.channels.add(name=channel, schema=schema)
        response.batch.payloads.add(channel=index, ts_recv=ts_recv, connection=connection, data=data)
    damaged = bytearray(response.SerializeToString())
    damaged[at % len(damaged)] = byte
    damaged += tail
    output = read(bytes(damaged))
    try:
        theirs = ingest_pb2.SubscribeResponse.FromString(bytes(damaged))
    except DecodeError:
        assert output is None
        return
    if output is not None:
        assert output.payloads == len(theirs.batch.payloads)
        assert output.first == (theirs.batch.first_sequence or theirs.gap.from_sequence)
