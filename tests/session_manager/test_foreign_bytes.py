"""Whatever a venue says, the session goes on: no frame raises, and what is not known is said to be so."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from session_manager.batch import ChannelReader
from session_manager.halves import names
from session_manager.session.plan import for_symbols
from tapeline.ingest.v1 import ingest_pb2
from tapeline.spec.subscribe import command
from tapeline.spec.template import decode, read, render
from tests.session_manager.desk import Connect, Desk, Sign

_WORDS = st.sampled_from(
    ["id", "req_id", "result", "error", "code", "msg", "method", "success", "channel", "channels", "type", "stream",
     "symbol", "params", "reason", "name", "product_ids", "subscribe", "subscriptions", "heartbeat", "test_request",
     "true", "false", "null", "1", "2", "BTC/USD", "BTC-USD", "pong", "status", "²", "9" * 30]
)  # fmt: skip
_VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-5, 2**70), st.floats(allow_nan=False, allow_infinity=False), _WORDS
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_WORDS, inner, max_size=5)),
    max_leaves=12,
)
_FRAMES = st.one_of(st.binary(max_size=60), _VALUES.map(lambda value: json.dumps(value).encode()))


@pytest.mark.parametrize("venue", names())
@given(frames=st.lists(_FRAMES, max_size=8))
@settings(max_examples=60, deadline=None)
def test_no_frame_stops_the_session(venue: str, frames: list[bytes]) -> None:
    """Damage, nonsense and near-misses: the session answers each and can still be stopped."""
    desk = Desk(venue, for_symbols(Desk(venue, []).spec, []))
    desk.start()
    for sign in desk.of(Sign):
        desk.take(desk.session.signed(desk.now, sign.connection, {}))
    for connect in desk.of(Connect):
        desk.connect(connect.connection)
    for frame in frames:
        known, actions = desk.session.frame(desk.now, 0, frame)
        assert isinstance(known, bool)
        desk.take(actions)
        desk.wait(0.3)
    desk.take(desk.session.stop(desk.now))
    desk.wait(2.0)
    assert desk.session.stopped


def test_an_error_without_a_reason_is_still_one() -> None:
    """Found by the test above."""
    desk = Desk("binance_spot", ["btcusdt@trade"])
    desk.open()
    assert desk.frame('{"error":{"code":null}}')
    assert desk.reports("venue_error") == [{"rule": "error", "reason": "", "connection": 0}]


def test_json_too_deep_to_read_is_unknown() -> None:
    """Nesting without end is damage like any other."""
    desk = Desk("kraken", ["book.BTC/USD"])
    desk.open()
    assert not desk.frame("[" * 100_000)


@given(text=st.one_of(st.text(max_size=40), _VALUES.map(json.dumps)))
@settings(max_examples=100, deadline=None)
def test_any_client_text_can_be_read_as_a_command(text: str) -> None:
    """The reading side of the language refuses what is none."""
    for venue in names():
        command(Desk(venue, []).spec, text)


@given(symbol=st.text("ABCDEFGHIJ0123456789-/_", min_size=1, max_size=20))
def test_patterns_and_templates_are_inverse(symbol: str) -> None:
    """What a pattern reads is what the template was filled with."""
    assert read("book.${symbol}", render("book.${symbol}", {"symbol": symbol})) == {"symbol": symbol}


@given(
    channels=st.lists(st.tuples(st.text(max_size=200), st.sampled_from(["", "MBO", "TRADES"])), max_size=5),
    payloads=st.lists(st.binary(max_size=300), max_size=5),
)
@settings(max_examples=100, deadline=None)
def test_the_channel_table_is_read_as_protobuf_reads_it(channels: list[tuple[str, str]], payloads: list[bytes]) -> None:
    """The few bytes this room reads itself agree with the generated code."""
    batch = ingest_pb2.RawBatch(
        provider="BINANCE_SPOT",
        instance="PRIMARY",
        epoch=1_723_161_253_937_085_768,
        first_sequence=2**40,
        channels=[ingest_pb2.Channel(name=name, schema=schema) for name, schema in channels],
        payloads=[ingest_pb2.Payload(channel=1, ts_recv=5, data=data) for data in payloads],
    )
    encoded = ingest_pb2.SubscribeResponse(batch=batch).SerializeToString()
    assert ChannelReader().channels(encoded) == [name for name, _ in channels]


def test_decode_keeps_what_json_says() -> None:
    """Large integers are not floats."""
    assert decode(b'{"id":18446744073709551615}') == {"id": 18446744073709551615}
