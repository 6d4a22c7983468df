"""The kernel's coalescer gives what the rule written in plain Python gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tapeline_kernel import Coalescer, Merged, SpecError

from tapeline.captures import Kind, read_capture
from tapeline.identity import WINDOW_NS, of_payload, of_payloads
from tapeline.rawfile import RawRow, encode_rows
from tapeline.spec.encode import encode
from tapeline.venues import Venue, load
from tests.oracle.coalesce import coalesce

SECOND = 1_000_000_000
PLAIN = load("binance_spot")


class Message(NamedTuple):
    """A row of the coalesced stream."""

    side: int
    seen: int
    row: RawRow
    order: int
    other: tuple[int, int, int]


def messages(merged: Merged) -> Iterator[Message]:
    """What the columns say, row by row."""
    side, seen = np.frombuffer(merged.side, "u1"), np.frombuffer(merged.seen, "u1")
    names = ("epoch", "sequence", "connection", "ts_recv", "order", "other_epoch", "other_sequence", "other_ts_recv")
    columns = [np.frombuffer(getattr(merged, name), "<i8").tolist() for name in names]
    ends = np.frombuffer(merged.offsets, "<i8").tolist()
    assert len(ends) == merged.count + 1
    assert len(side) == len(seen) == merged.count
    assert (ends[0], ends[-1]) == (0, len(merged.data))
    for place, (epoch, sequence, connection, ts_recv, order, *other) in enumerate(zip(*columns, strict=True)):
        row = RawRow(epoch, sequence, connection, ts_recv, merged.data[ends[place] : ends[place + 1]])
        yield Message(int(side[place]), int(seen[place]), row, order, (other[0], other[1], other[2]))


def opened(venue: Venue = PLAIN, window_ns: int = WINDOW_NS, sides: int = 2) -> Coalescer:
    return Coalescer(encode(venue.session.routing), encode(venue.meaning), window_ns, sides)


def run(coalescer: Coalescer, streams: list[bytes], piece: int, limit: int = 1 << 16) -> list[Message]:
    """Everything, fed in pieces as they are asked for."""
    left = [memoryview(stream) for stream in streams]
    found: list[Message] = []
    while True:
        while (merged := coalescer.take(limit)) is not None:
            found.extend(messages(merged))
        needs = coalescer.needs()
        if not needs:
            return found
        for side in range(2):
            if needs & 1 << side:
                if left[side]:
                    coalescer.feed(side, bytes(left[side][:piece]))
                    left[side] = left[side][piece:]
                else:
                    coalescer.end(side)


def expected(
    first: Iterable[RawRow], second: Iterable[RawRow], identity: Callable[[bytes], bytes] = of_payload
) -> list[tuple[RawRow, int, int, int]]:
    """Row, whose, who has it and order, by the slow rule."""
    return [
        (item.row, 0 if item.first else 1, 3 if item.both else 1 if item.first else 2, item.order)
        for item in coalesce(first, second, identity)
    ]


def agreed(first: list[RawRow], second: list[RawRow], venue: Venue = PLAIN, piece: int = 1 << 16) -> list[Message]:
    """The coalesced stream, after holding it against the slow rule and counting every row of both sides once."""
    identity = of_payloads(venue.session.routing, venue.meaning)
    found = run(opened(venue), [encode_rows(first), encode_rows(second)], piece)
    assert [(item.row, item.side, item.seen, item.order) for item in found] == expected(first, second, identity)
    for side, rows in enumerate((first, second)):
        other = [item.other for item in found if item.seen == 3 and item.side != side]
        own = [(item.row.epoch, item.row.sequence, item.row.ts_recv) for item in found if item.side == side]
        assert sorted(own + other) == sorted((row.epoch, row.sequence, row.ts_recv) for row in rows)
    for item in found:
        if item.seen == 3:
            twin = next(row for row in second if (row.epoch, row.sequence) == item.other[:2])
            assert identity(twin.payload) == identity(item.row.payload)
        else:
            assert item.other == (0, 0, 0)
    return found


@st.composite
def pairs(draw: st.DrawFn) -> tuple[list[RawRow], list[RawRow]]:
    """Two instances' views of a stream: contents that come again, losses, repeats, another order, skewed clocks."""
    steps = st.sampled_from([0, 1, SECOND // 3, 5 * SECOND, WINDOW_NS - 1, WINDOW_NS, WINDOW_NS + 1])
    contents = st.sampled_from([b"", b"a", b"b", b"c\td", b"\xff\x00", b"\\N", "é".encode(), b"long" * 40])
    sent = draw(st.lists(st.tuples(contents, steps), max_size=30))
    sides: list[list[RawRow]] = []
    for skew in (0, draw(st.sampled_from([0, 3, -SECOND, 40 * SECOND]))):
        at = 100 * SECOND + skew
        rows: list[tuple[int, bytes]] = []
        for content, step in sent:
            at += step
            copies = draw(st.sampled_from([1, 1, 1, 1, 0, 2]))
            rows += [(at + draw(st.sampled_from([0, 0, 7, SECOND])), content)] * copies
        if rows:
            moved = rows.pop(draw(st.integers(0, len(rows) - 1)))
            rows.insert(draw(st.integers(0, len(rows))), moved)
        epoch = draw(st.integers(1, 3))
        cut = draw(st.integers(0, len(rows)))
        sides.append(
            [
                RawRow(epoch + (place >= cut), place + 1, place % 3, ts_recv, content)
                for place, (ts_recv, content) in enumerate(rows)
            ]
        )
    return sides[0], sides[1]


@settings(max_examples=400)
@given(pairs(), st.sampled_from([1, 13, 200, 1 << 16]))
def test_any_two_streams_become_what_the_slow_rule_makes_of_them(
    streams: tuple[list[RawRow], list[RawRow]], piece: int
) -> None:
    """Losses, repeats, another order, equal contents, skewed clocks, rows cut anywhere."""
    agreed(*streams, piece=piece)


@given(st.lists(st.sampled_from([b"a", b"a", b"b"]), max_size=60), st.lists(st.booleans(), min_size=60, max_size=60))
def test_quotes_that_return_again_and_again_are_paired_in_order(contents: list[bytes], lost: list[bool]) -> None:
    """Where all contents are alike, place alone tells them apart."""
    rows = [RawRow(1, place + 1, 0, place * SECOND, content) for place, content in enumerate(contents)]
    kept = [row for row, gone in zip(rows, lost, strict=False) if not gone]
    agreed(rows, [row._replace(ts_recv=row.ts_recv + 5) for row in kept], piece=50)


def seconds(messages: Sequence[bytes], missing: set[int], late: int = 0) -> list[RawRow]:
    """Messages a second apart, of which some never came."""
    return [
        RawRow(1, place + 1, 0, 100 * SECOND + place * SECOND + late, text)
        for place, text in enumerate(messages)
        if place not in missing
    ]


@given(st.integers(1, 40), st.data())
def test_each_fills_the_holes_of_the_other(size: int, data: st.DataObject) -> None:
    """What one lost and the other has is there, in the venue's order; what neither has is all that is missing."""
    messages = [b"%d" % place for place in range(size)]
    places = st.sets(st.integers(0, size - 1))
    one, two = data.draw(places), data.draw(places)
    late = data.draw(st.integers(-SECOND // 3, SECOND // 3))
    found = agreed(seconds(messages, one), seconds(messages, two, late))
    expected = [text for place, text in enumerate(messages) if place not in one & two]
    assert [item.row.payload for item in found] == expected


def test_a_quote_that_returns_is_not_taken_for_a_repeat() -> None:
    """The same content later on is a message of its own, also where one side lost the first or the last of them."""
    messages = [b"x", b"y", b"x"]
    nothing: set[int] = set()
    for one, two in [({0}, nothing), (nothing, {2})]:
        found = agreed(seconds(messages, one), seconds(messages, two, 3))
        assert [item.row.payload for item in found] == messages


def test_the_same_content_far_apart_is_two_messages() -> None:
    """Beyond the window a match by content proves nothing."""
    first, second = RawRow(1, 1, 0, 0, b"x"), RawRow(1, 1, 0, WINDOW_NS * 3, b"x")
    assert [item.seen for item in agreed([first], [second])] == [1, 2]


@pytest.mark.parametrize(
    ("venue", "path"),
    [
        ("binance_spot", "binance_spot/ten_symbols_20210405.jsonl.zst"),
        ("coinbase", "coinbase/advanced_2026.jsonl.zst"),
        ("bitfinex", "bitfinex/20210405.jsonl.zst"),
        ("binance_fix", "fix/session_first_half.jsonl.zst"),
        ("htx", "htx/swap.jsonl.zst"),
    ],
)
def test_halves_of_a_recording_become_what_the_slow_rule_makes_of_them(recordings: Path, venue: str, path: str) -> None:
    """Real payloads, of which each instance lost some and got some late; also where a connection has numbers of its own."""
    loaded = load(venue)
    received = (frame for frame in read_capture(recordings / path) if frame.kind is Kind.RECV)
    payloads = [(frame.ts, frame.data) for frame in islice(received, 3000)]
    sides = []
    for side in range(2):
        rows = [
            RawRow(side + 1, place + 1, side, ts_recv + side * 7_000_000, payload)
            for place, (ts_recv, payload) in enumerate(payloads)
            if (place * 7919 + side * 31) % 11 != side
        ]
        if side:
            for place in range(50, len(rows) - 20, 97):
                rows.insert(place + 13, rows.pop(place))
        sides.append([row._replace(sequence=place + 1) for place, row in enumerate(rows)])
    found = agreed(sides[0], sides[1], loaded)
    assert sum(item.seen == 3 for item in found) > len(payloads) * 0.7


def test_one_side_passes_as_it_is() -> None:
    """A provider with one instance: nothing is paired, nothing waits, what comes twice in the store comes once."""
    rows = [RawRow(1, place + 1, 2, 60 * SECOND * place, b"same") for place in range(5)]
    coalescer = opened(sides=1)
    coalescer.feed(0, encode_rows(rows[:3]))
    merged = coalescer.take(1 << 20)
    assert merged is not None
    assert [item.row for item in messages(merged)] == rows[:3]
    assert (coalescer.take(1), coalescer.needs()) == (None, 1)
    coalescer.boundary(0)
    coalescer.feed(0, encode_rows(rows[1:]))
    coalescer.end(0)
    rest = coalescer.take(1 << 20)
    assert rest is not None
    assert [(item.row, item.seen, item.side) for item in messages(rest)] == [(row, 1, 0) for row in rows[3:]]
    assert (coalescer.duplicates, coalescer.needs(), coalescer.take(1)) == ((2, 0), 0, None)


def test_a_broken_object_gives_what_is_whole_in_it_and_the_next_begins_clean() -> None:
    """As `read_rows` does: rows before the broken one count, the error says which and why."""
    rows = [RawRow(1, place + 1, 2, place, b"%d" % place) for place in range(6)]
    coalescer = opened(sides=1)
    coalescer.feed(0, encode_rows(rows[:2]) + b"1\t3\tx\t0\ttext\t\n" + encode_rows(rows[2:3]))
    coalescer.feed(0, b"and more of it\n")
    with pytest.raises(ValueError, match='row 3: "x" is no number'):
        coalescer.boundary(0)
    coalescer.feed(0, encode_rows(rows[3:5])[:-1])
    with pytest.raises(ValueError, match="row 2: row is cut short"):
        coalescer.boundary(0)
    coalescer.feed(0, encode_rows(rows[5:]) + b"1\t7")
    with pytest.raises(ValueError, match="row 2: row is cut short"):
        coalescer.end(0)
    merged = coalescer.take(1 << 20)
    assert merged is not None
    assert [item.row for item in messages(merged)] == [rows[0], rows[1], rows[3], rows[5]]
    assert coalescer.needs() == 0
    with pytest.raises(ValueError, match="has ended"):
        coalescer.feed(0, b"")


def test_memory_is_the_window_and_not_the_stream() -> None:
    """What has gone out is given up, on both sides, also where one side loses nothing and the other much."""
    coalescer = opened(window_ns=SECOND)
    largest = place = 0
    while place < 60_000:
        assert coalescer.needs()
        rows = [RawRow(1, at + 1, 0, at * 1_000_000, b"%032d" % at) for at in range(place, place + 500)]
        coalescer.feed(0, encode_rows(rows))
        coalescer.feed(1, encode_rows(row for row in rows if row.sequence % 3))
        while coalescer.take(1 << 30):
            pass
        largest = max(largest, coalescer.memory_bytes)
        place += 500
    assert 100_000 < largest < 3_000_000


def test_specs_and_sides_that_are_none_are_refused() -> None:
    """What the coalescer cannot be made of is said at once."""
    routing, meaning = encode(PLAIN.session.routing), encode(PLAIN.meaning)
    for arguments in [
        (b"{", meaning, 1, 2),
        (routing, b"[]", 1, 2),
        (routing, meaning, 1, 0),
        (routing, meaning, 1, 3),
    ]:
        with pytest.raises(SpecError):
            Coalescer(*arguments)
