"""Decoders against the encoders everybody uses, alone and on the way from a frame to records."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.message import DecodeError, Message
from hypothesis import given
from hypothesis import strategies as st
from tapeline_kernel import Decoder, Normalizer, Router, SpecError

from tapeline.schemas import Schema
from tapeline.spec import meaning as m
from tapeline.spec.decoding import Compression, Hook, Inflate, Protobuf, ProtoField, ProtoKind, ProtoMessage
from tapeline.spec.encode import encode
from tapeline.spec.routing import ChannelSchema, Route, Routing

START = 1_700_000_000_000_000_000


def raw_deflate(text: bytes) -> bytes:
    """RFC 1951 with nothing around it."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(text) + packer.flush()


PACKERS: dict[Compression, Callable[[bytes], bytes]] = {
    Compression.GZIP: gzip.compress,
    Compression.ZLIB: zlib.compress,
    Compression.RAW_DEFLATE: raw_deflate,
}


def decoder(spec: Inflate | Protobuf | Hook) -> Decoder:
    return Decoder(encode(spec))


def outcome(of: Decoder, frame: bytes) -> tuple[bytes | None, str]:
    """The text of a frame, or why there is none."""
    try:
        return of.decode(frame), ""
    except ValueError as error:
        return None, str(error)


@pytest.mark.parametrize("compression", list(Compression))
@given(text=st.binary(max_size=5000), times=st.integers(1, 50))
def test_what_is_packed_comes_back(compression: Compression, text: bytes, times: int) -> None:
    """Any bytes, once packed, are unpacked to the same; what begins as JSON is left alone."""
    one = decoder(Inflate(compression))
    text = b"x" + text * times
    assert one.decode(PACKERS[compression](text)) == text
    frame = b" [" + text.hex().encode() + b"]"
    assert one.decode(frame) is frame


@given(parts=st.lists(st.binary(max_size=200), min_size=1, max_size=5), end=st.integers(0, 10))
def test_a_frame_of_several_gzip_members_is_read_as_python_reads_it(parts: list[bytes], end: int) -> None:
    """Members are joined, and a frame that is cut or has anything behind its last member is refused."""
    one = decoder(Inflate(Compression.GZIP))
    frame = b"".join(gzip.compress(part) for part in parts)
    assert one.decode(frame) == gzip.decompress(frame) == b"".join(parts)
    for broken in (frame[: -1 - end], frame + b"\0", frame + b"x"):
        with pytest.raises(ValueError, match="bad_gzip"):
            one.decode(broken)


@given(st.binary(max_size=300))
def test_any_bytes_are_unpacked_as_zlib_does_or_refused(frame: bytes) -> None:
    """Where Python's zlib gives a text, so do we, and nowhere else."""
    try:
        expected = zlib.decompress(frame)
    except zlib.error:
        expected = None
    text, reason = outcome(decoder(Inflate(Compression.ZLIB)), frame)
    assert text is frame or (text == expected and reason == ("bad_zlib" if expected is None else ""))


@pytest.mark.parametrize("compression", list(Compression))
def test_a_bomb_is_refused_where_it_becomes_larger_than_allowed(compression: Compression) -> None:
    """The bound is exact, and the decoder goes on working."""
    one = decoder(Inflate(compression, largest=1 << 20))
    with pytest.raises(ValueError, match="too_large"):
        one.decode(PACKERS[compression](bytes(100 << 20)))
    assert len(one.decode(PACKERS[compression](bytes(1 << 20)))) == 1 << 20
    with pytest.raises(ValueError, match="too_large"):
        one.decode(PACKERS[compression](bytes((1 << 20) + 1)))


LEVELS = Protobuf(
    "Wrapper",
    (
        ProtoMessage(
            "Wrapper",
            (
                ProtoField(1, "channel"),
                ProtoField(2, "version", ProtoKind.INTEGER),
                ProtoField(3, "change", ProtoKind.ZIGZAG),
                ProtoField(5, "asks", ProtoKind.MESSAGE, "Level", repeated=True),
                ProtoField(6, "ids", ProtoKind.INTEGER, repeated=True),
                ProtoField(7, "moves", ProtoKind.ZIGZAG, repeated=True),
                ProtoField(8, "words", repeated=True),
                ProtoField(301, "inner", ProtoKind.MESSAGE, "Wrapper"),
            ),
        ),
        ProtoMessage("Level", (ProtoField(1, "price"), ProtoField(2, "quantity"))),
    ),
)


def factory() -> type[Message]:
    """The same schema for Google's implementation, with a field more, which ours does not know."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="levels.proto", package="t", syntax="proto2")
    types = {
        ProtoKind.TEXT: kinds.TYPE_STRING,
        ProtoKind.INTEGER: kinds.TYPE_INT64,
        ProtoKind.ZIGZAG: kinds.TYPE_SINT64,
        ProtoKind.MESSAGE: kinds.TYPE_MESSAGE,
    }
    for message in LEVELS.messages:
        made = file.message_type.add(name=message.name)
        for field in message.fields:
            made.field.add(
                name=field.name,
                json_name=field.name,
                number=field.number,
                type=types[field.kind],
                label=kinds.LABEL_REPEATED if field.repeated else kinds.LABEL_OPTIONAL,
                type_name=f".t.{field.message}" if field.message else None,
                # Half of the repeated numbers packed, half one by one.
                options=descriptor_pb2.FieldOptions(packed=True) if field.name == "ids" else None,
            )
    file.message_type[0].field.add(name="price", number=4, type=kinds.TYPE_DOUBLE, label=kinds.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Wrapper"))


WRAPPER = factory()
NUMBERS = st.integers(-(1 << 63), (1 << 63) - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
LEVEL = st.fixed_dictionaries({}, optional={"price": TEXTS, "quantity": TEXTS})


def wrappers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "channel": TEXTS,
            "version": NUMBERS,
            "change": NUMBERS,
            "price": st.floats(0, 1),
            "asks": st.lists(LEVEL, max_size=3),
            "ids": st.lists(NUMBERS, max_size=3),
            "moves": st.lists(NUMBERS, max_size=3),
            "words": st.lists(TEXTS, max_size=3),
            "inner": inner,
        },
    )


MESSAGES = wrappers(wrappers(wrappers(st.nothing())))


def as_ours(message: Message) -> object:
    """A message as our JSON has it: numbers as numbers, empty lists there, fields we do not know left out."""
    found: dict[str, object] = {}
    for field in LEVELS.messages[0 if message.DESCRIPTOR.name == "Wrapper" else 1].fields:
        value = getattr(message, field.name)
        if field.repeated:
            found[field.name] = [as_ours(one) if field.message else one for one in value]
        elif message.HasField(field.name):
            found[field.name] = as_ours(value) if field.message else value
    return found


@given(MESSAGES, MESSAGES)
def test_messages_become_what_protobuf_itself_reads(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Of a message written by Google's encoder, and of two back to back, which are one."""
    one = decoder(LEVELS)
    parts = [json_format.ParseDict(part, WRAPPER()).SerializeToString() for part in (first, second)]
    for frame in (parts[0], b"".join(parts)):
        assert json.loads(one.decode(frame)) == as_ours(WRAPPER.FromString(frame))


@given(MESSAGES, st.data())
def test_damaged_messages_are_refused_or_read_as_protobuf_reads_them(
    content: dict[str, Any], data: st.DataObject
) -> None:
    """Whatever both take, they agree on; only what is told apart as JSON passes."""
    frame = bytearray(json_format.ParseDict(content, WRAPPER()).SerializeToString() or b"\x10\x00")
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(frame[: data.draw(st.integers(0, len(frame)))])
    text, reason = outcome(decoder(LEVELS), damaged)
    assert reason in ("", "bad_protobuf", "too_deep")
    if text is None:
        return
    if text is damaged:
        assert damaged[:1] in (b"{", b"[")
        return
    found = json.loads(text)
    try:
        expected = WRAPPER.FromString(damaged)
    except DecodeError:
        return
    assert found == as_ours(expected)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (Hook("nothing"), 'no hook is named "nothing"'),
        (Protobuf("A", ()), 'no message is named "A"'),
        (Protobuf("A", (ProtoMessage("A", (ProtoField(1, "b", ProtoKind.MESSAGE, "B"),)),)), '"B"'),
        (Protobuf("A", (ProtoMessage("A", (ProtoField(1, "b"), ProtoField(1, "c"))),)), "A.c"),
    ],
)
def test_a_decoder_that_cannot_be_compiled_is_refused_wherever_it_stands(spec: Protobuf | Hook, words: str) -> None:
    """The error says what is wrong, for the decoder alone, in a routing and in a meaning."""
    with pytest.raises(SpecError, match=words):
        decoder(spec)
    with pytest.raises(SpecError, match=f"routing: decoder: .*{words}"):
        Router(encode(Routing((), (), spec)), "P", "PRIMARY", 1)
    with pytest.raises(SpecError, match=f"meaning: decoder: .*{words}"):
        Normalizer(encode(m.Meaning(99, "1", "TEST", (), decoder=spec)), "P", "PRIMARY")


TRADES = m.Meaning(
    number=99,
    default_lot="1",
    exchange="TEST",
    mappings=(
        m.Mapping(
            (
                m.Message(
                    "trade",
                    (
                        m.Trade(
                            symbol="s",
                            price="p",
                            size="q",
                            side=m.Side("d", ("buy",), ("sell",)),
                            time=m.Time("t", m.TimeUnit.MILLIS),
                        ),
                    ),
                ),
            )
        ),
    ),
    decoder=Inflate(Compression.GZIP),
)


def test_compressed_payloads_are_routed_kept_as_they_came_and_normalised() -> None:
    """Gzip and plain frames of one channel become records; what is broken is rejected with the reason and its bytes."""
    routing = Routing((Route("trades.{s}"),), (ChannelSchema("trades.*", Schema.TRADES),), Inflate(Compression.GZIP))
    router = Router(encode(routing), "TEST", "PRIMARY", START)
    text = b'{"s":"A","p":"1.5","q":"2","d":"buy","t":%d}' % (START // 1_000_000)
    packed = gzip.compress(text)
    odd = gzip.compress(text.replace(b'"1.5"', b'"x"'))
    frames = [packed, text, odd, packed[:-1], b"pong"]
    left, done = router.push(0, range(START, START + 2 * len(frames), 2), frames)
    assert (left, done) == ([(3, packed[:-1]), (4, b"pong")], len(frames))
    assert router.decode(packed) == text
    for _, frame in left:
        with pytest.raises(ValueError, match="bad_gzip"):
            router.decode(frame)
        router.inject("_unknown", "", START + 100, 0, frame)
    taken = router.take()
    assert taken is not None
    output = Normalizer(encode(TRADES), "TEST", "PRIMARY", "dbn").normalize(taken[2])
    assert (output.payloads, output.records) == (5, 3)  # two trades and the inferred definition
    rejects = [(event.reason, event.sample) for event in output.events if event.kind == "reject"]
    assert rejects == [
        ("bad_number", text.replace(b'"1.5"', b'"x"')),
        ("bad_gzip", packed[:-1]),
        ("bad_gzip", b"pong"),
    ]
