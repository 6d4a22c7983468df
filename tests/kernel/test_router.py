"""Routing as the session halves of real venues and hostile frames exercise it."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tapeline_kernel import Router, SpecError

from tapeline.ingest.v1.ingest_pb2 import RawBatch, SubscribeResponse
from tapeline.schemas import Schema
from tapeline.spec.encode import encode
from tapeline.spec.routing import ChannelSchema, Match, Route, Routing

ROUTING = Routing(
    routes=(
        Route("{channel}.{data.0.symbol}", when=(Match("channel", ("book", "trade")),)),
        Route("level2.{product_id}", when=(Match("type", ("l2update", "snapshot")),)),
        Route("{type}.{product_id}", words=(("match", "matches"),)),
        Route("{stream}", when=(Match("stream", ("!bye",), absent=True), Match("error", absent=True))),
        Route("last.{list.-1}"),
    ),
    schemas=(
        ChannelSchema("book.*", Schema.MBO),
        ChannelSchema("level?.*", Schema.MBO),
        ChannelSchema("m*s.*", Schema.TRADES),
    ),
)


def router(routing: Routing = ROUTING) -> Router:
    return Router(encode(routing), "KRAKEN", "PRIMARY", 7)


def taken(of: Router) -> RawBatch:
    """The open batch, closed and read by generated code."""
    closed = of.take()
    assert closed is not None
    batch = SubscribeResponse.FromString(closed[2]).batch
    assert (batch.first_sequence, batch.first_sequence + len(batch.payloads) - 1) == closed[:2]
    return batch


def channels(frames: Sequence[object]) -> list[str | None]:
    """The channel of each frame; None where no route takes it."""
    texts = [frame if isinstance(frame, bytes) else json.dumps(frame).encode() for frame in frames]
    one = router()
    left, done = one.push(0, range(1, len(texts) + 1), texts)
    assert done == len(texts)
    assert all(texts[place] is frame for place, frame in left)
    places = {place for place, _ in left}
    names: list[str | None] = [None] * len(texts)
    if len(places) < len(texts):
        batch = taken(one)
        for place, payload in zip(sorted(set(range(len(texts))) - places), batch.payloads, strict=True):
            assert payload.data == texts[place]
            assert payload.ts_recv == place + 1
            names[place] = batch.channels[payload.channel].name
    return names


def test_routes_are_tried_in_order_over_paths_words_and_conditions() -> None:
    """Each frame lands on the channel its route's template names; control frames come back as the same objects."""
    assert channels(
        [
            {"channel": "book", "type": "update", "data": [{"symbol": "BTC/USD"}]},
            {"channel": "ticker", "type": "update", "data": [{"symbol": "BTC/USD"}]},
            {"type": "l2update", "product_id": "BTC-USD"},
            {"type": "match", "product_id": "BTC-USD"},
            {"type": "l2updates", "product_id": 5},
            {"stream": "btcusdt@trade", "data": {}},
            {"stream": "!bye", "data": {}},
            {"stream": "x", "error": "no"},
            {"list": ["a", "b", "c"]},
            {"list": []},
            {"id": 1, "result": None},
            b"pong",
            b"",
            b"\xff\xfe",
            {"channel": "book", "data": []},
        ]
    ) == [
        "book.BTC/USD",
        None,
        "level2.BTC-USD",
        "matches.BTC-USD",
        "l2updates.5",
        "btcusdt@trade",
        None,
        None,
        "last.c",
        None,
        None,
        None,
        None,
        None,
        None,
    ]


def test_escaped_names_are_the_names_they_stand_for() -> None:
    """A solidus or letter written as an escape names the same channel as the plain one."""
    frames = [
        rb'{"stream":"BTC\/USD"}',
        b'{"stream":"BTC/USD"}',
        rb'{"stream":"\u0042TC/USD"}',
        rb'{"stream":"\ud83d\ude00"}',
    ]
    assert channels(frames) == ["BTC/USD", "BTC/USD", "BTC/USD", "😀"]


def test_a_batch_lists_each_of_its_channels_once_with_its_schema() -> None:
    """Channels start anew with every batch, injected payloads share those of routed ones, and sequences go on."""
    one = router()
    frame = b'{"channel":"book","data":[{"symbol":"A"}]}'
    for round_ in range(3):
        assert one.push(4, [10, 11], [frame, frame]) == ([], 2)
        assert one.inject("book.A", "MBO", 12, 5, b"{}") == 3 * round_ + 3
        assert (one.open_payloads, one.next_sequence) == (3, 3 * round_ + 4)
        assert one.open_bytes > 2 * len(frame)
        batch = taken(one)
        assert [(channel.name, channel.schema) for channel in batch.channels] == [("book.A", "MBO")]
        assert [(payload.connection, payload.ts_recv) for payload in batch.payloads] == [(4, 10), (4, 11), (5, 12)]
        assert (batch.provider, batch.instance, batch.epoch) == ("KRAKEN", "PRIMARY", 7)
    assert one.take() is None
    assert (one.open_payloads, one.open_bytes) == (0, 0)


def test_a_frame_too_large_for_the_interpreter_lock_is_routed_the_same() -> None:
    """Megabytes in one push come out as they went in."""
    one = router()
    frames = [b'{"stream":"s%d","pad":"%s"}' % (place, b"x" * 300_000) for place in range(10)]
    assert one.push(0, list(range(1, 11)), [*frames[:9], b"control"]) == ([(9, b"control")], 10)
    assert [payload.data for payload in taken(one).payloads] == frames[:9]


def test_wrong_arguments_are_refused_and_change_nothing() -> None:
    """Neither a wrong count nor a wrong type leaves anything in the batch."""
    one = router()
    frame = b'{"stream":"s"}'
    with pytest.raises(ValueError, match="1 stamps for 2 frames"):
        one.push(0, [1], [frame, frame])
    with pytest.raises(TypeError):
        one.push(0, [1, 2], [frame, "text"])  # type: ignore[list-item]
    with pytest.raises(OverflowError):
        one.push(0, [1, -1], [frame, frame])
    assert one.take() is None


@pytest.mark.parametrize(
    ("channel", "words"), [("", "it is empty"), ("a{b", "not closed"), ("a}", "not opened"), ("{}", "one path each")]
)
def test_a_routing_that_cannot_be_compiled_names_the_place(channel: str, words: str) -> None:
    """A template's fault is told with the route it stands in."""
    with pytest.raises(SpecError, match=rf"routes\[0\].*{words}"):
        router(Routing(routes=(Route(channel),), schemas=()))


def test_threads_that_meet_in_one_router_get_an_error_or_a_turn() -> None:
    """Two threads in one router lose no frame they were told was taken."""
    one = router()
    frames = [b'{"stream":"s"}' + b" " * 7000] * 100
    stamps = list(range(1, 101))
    done: list[int] = []

    def work() -> None:
        for _ in range(20):
            try:
                one.push(0, stamps, frames)
            except RuntimeError:
                continue
            done.append(len(frames))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert one.open_payloads == sum(done)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["channel", "type", "data", "symbol", "product_id", "stream", "list", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


def reference(frame: object) -> str | None:
    """The routing of this page, done slowly with a JSON parser."""

    def value(path: str) -> object:
        here: object = frame
        for key in path.split("."):
            if isinstance(here, dict) and key in here and not key.lstrip("-").isdigit():
                here = here[key]
            elif isinstance(here, list) and key.lstrip("-").isdigit() and -len(here) <= int(key) < len(here):
                here = here[int(key)]
            else:
                return None
        return here

    def text(path: str) -> str | None:
        found = value(path)
        return (
            None
            if found is None or isinstance(found, (dict, list))
            else found
            if isinstance(found, str)
            else json.dumps(found)
        )

    for route in ROUTING.routes:
        holds = [
            (value(on.path) is not None and (not on.equals or text(on.path) in on.equals)) != on.absent
            for on in route.when
        ]
        pieces = route.channel.replace("}", "{").split("{")
        found = [text(piece) if place % 2 else piece for place, piece in enumerate(pieces)]
        if all(holds) and None not in found:
            words = dict(route.words)
            name = "".join(
                words.get(piece or "", piece or "") if place % 2 else piece or "" for place, piece in enumerate(found)
            )
            return name if name and all(ord(c) > 31 and not 127 <= ord(c) < 160 for c in name) else None
    return None


@given(st.lists(JSON, min_size=1, max_size=12))
def test_routing_agrees_with_a_json_parser_whatever_came_before(frames: list[object]) -> None:
    """What the router has learnt from frames before never changes where a frame goes."""
    assert channels(frames) == [reference(frame) for frame in frames]


KEYED = Routing(
    routes=(
        Route("{@0}"),
        Route("{type}", when=(Match("type", like=("book*", "trade?")),), endpoints=("public",), cursor="data.-1.n"),
    ),
    schemas=(ChannelSchema("*", Schema.TRADES),),
)


def test_a_push_stops_where_a_key_may_be_told_and_goes_on_from_there() -> None:
    """Frames behind a control frame wait; places and frames are those of the whole read, and nothing is routed twice."""
    one = router(KEYED)
    frames = [b"[5,0]", b'{"event":"subscribed"}', b"[5,1]", b"[5,2]", b'{"event":"info"}', b"[5,3]"]
    stamps = range(10, 10 + len(frames))
    assert one.push(3, stamps, frames) == ([(0, frames[0])], 1)
    assert one.push(3, stamps, frames, 1) == ([(1, frames[1])], 2)
    one.learn(3, "5", "book.A")
    left, done = one.push(3, stamps, frames, 2)
    assert (left, done) == ([(4, frames[4])], 5)
    assert left[0][1] is frames[4]
    assert one.push(3, stamps, frames, done) == ([], 6)
    assert one.push(3, stamps, frames, 6) == ([], 6)
    assert one.push(3, [], []) == ([], 0)
    batch = taken(one)
    assert [(payload.ts_recv, payload.data) for payload in batch.payloads] == [
        (12, b"[5,1]"),
        (13, b"[5,2]"),
        (15, b"[5,3]"),
    ]
    assert [(channel.name, channel.schema) for channel in batch.channels] == [("book.A", "TRADES")]


def test_keys_belong_to_their_connection_and_end_with_it() -> None:
    """What one connection has learnt another does not know; a new beginning, or the end, forgets."""
    one = router(KEYED)

    def names(connection: int) -> bool:
        return one.push(connection, [1], [b'["k",1]']) == ([], 1)

    one.connected(1, "public")
    one.connected(2, "public")
    one.learn(1, "k", "book.A")
    assert (names(1), names(2)) == (True, False)
    one.learn(2, "k", "book.B")
    one.connected(1, "public")
    assert (names(1), names(2)) == (False, True)
    one.learn(1, "k", "book.C")
    one.forget(2, "k")
    assert (names(1), names(2)) == (True, False)
    one.forget(1)
    assert (names(1), names(2)) == (False, False)
    assert [channel.name for channel in taken(one).channels] == ["book.A", "book.B", "book.C"]


def test_an_endpoint_s_routes_take_only_what_comes_from_there_and_cursors_are_remembered() -> None:
    """The newest value at the path counts; a frame without one changes nothing."""
    one = router(KEYED)
    one.connected(1, "public")
    one.connected(2, "private")
    frame = b'{"type":"books5","data":[{"n":"0x1"},{"n":"0x2"}]}'
    assert one.cursor("books5") == ""
    assert one.push(2, [1], [frame]) == ([(0, frame)], 1)
    assert one.push(9, [1], [frame]) == ([(0, frame)], 1)
    assert one.push(1, [1], [frame]) == ([], 1)
    assert one.cursor("books5") == "0x2"
    assert one.push(1, [2, 3], [b'{"type":"books5","data":[]}', b'{"type":"trade1","data":[{"n":7}]}']) == ([], 2)
    assert (one.cursor("books5"), one.cursor("trade1"), one.cursor("trade22")) == ("0x2", "7", "")
    assert one.push(1, [4], [b'{"type":"trade22"}'])[1] == 1
    assert one.decode(frame) is frame


@pytest.mark.parametrize("channel", ["{@}", "a.{@0}", "{@0}.b", "{@a{b}"])
def test_a_key_that_does_not_stand_alone_is_refused(channel: str) -> None:
    """It is the whole channel or none of it."""
    with pytest.raises(SpecError, match=r"routes\[0\].*a key stands alone"):
        router(Routing(routes=(Route(channel),), schemas=()))
