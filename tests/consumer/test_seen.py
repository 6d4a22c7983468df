"""What was had already: properties over any way of publishing and publishing again."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tapeline.consumer.layout import F_LAST, LAYOUTS
from tapeline.consumer.seen import Seen
from tapeline.schemas import Schema
from tests.consumer.publishing import record

INSTRUMENTS = (7, 8, 0x0107)
SCHEMAS = [Schema.MBO, Schema.TRADES, Schema.STATISTICS]


@st.composite
def streams(draw: st.DrawFn) -> tuple[Schema, list[bytes], list[int]]:
    """A schema, records of payloads with rising times, and where payloads begin; their last records end them."""
    schema = draw(st.sampled_from(SCHEMAS))
    one = draw(st.booleans())
    records: list[bytes] = []
    starts: list[int] = []
    time = 0
    for _ in range(draw(st.integers(1, 12))):
        time += draw(st.integers(1, 3))
        starts.append(len(records))
        size = draw(st.integers(1, 4))
        for place in range(size):
            instrument = INSTRUMENTS[0] if one else draw(st.sampled_from(INSTRUMENTS))
            flags = F_LAST if place == size - 1 else 0
            records.append(record(time, schema=schema, flags=flags, instrument=instrument, sequence=place))
    return schema, records, starts


def cut(random: Random, records: list[bytes], ends: list[int]) -> list[bytes]:
    """Messages of whole payloads, some of them together, as the kernel cuts them."""
    messages: list[bytes] = []
    begin = 0
    for end in ends:
        if end == ends[-1] or random.random() < 0.5:
            messages.append(b"".join(records[begin:end]))
            begin = end
    return messages


@given(streams(), st.integers(0, 5), st.integers())
def test_any_repeats_leave_the_stream_as_it_was(
    stream: tuple[Schema, list[bytes], list[int]], restarts: int, seed: int
) -> None:
    """However often a publisher goes back some payloads and publishes again, cut up anew, all is taken once and in order."""
    schema, records, starts = stream
    random = Random(seed)
    seen = Seen(LAYOUTS[schema])
    ends = [*starts[1:], len(records)]
    last = len(starts) - 1
    taken: list[bytes] = []
    begin = 0
    for turn in range(restarts + 1):
        reach = last if turn == restarts else random.randint(begin, last)
        part = records[starts[begin] : ends[reach]]
        for message in cut(random, part, [end - starts[begin] for end in ends[begin : reach + 1]]):
            fresh = seen.take(message)
            assert fresh is not None
            taken.append(fresh)
        begin = random.randint(max(0, reach - 3), min(last, reach + 1))
    assert b"".join(taken) == b"".join(records)


@given(streams(), st.integers(0, 12))
def test_a_snapshot_takes_the_place_of_what_it_holds(stream: tuple[Schema, list[bytes], list[int]], place: int) -> None:
    """After a snapshot as of some payload, exactly what is newer is taken, for each instrument by itself."""
    schema, records, starts = stream
    limit = [*starts, len(records)][min(place, len(starts))]
    layout = LAYOUTS[schema]
    seen = Seen(layout)
    newest: dict[int, bytes] = {}
    for one in records[:limit]:
        newest[layout.head.unpack_from(one)[0]] = one
    snapshot = b"".join(newest.values())
    if snapshot:
        assert seen.snapshot(snapshot) == snapshot
        assert seen.snapshot(snapshot) == b""
    taken = seen.take(b"".join(records))
    if starts:
        assert taken == b"".join(records[limit:])


@given(st.sampled_from(list(Schema)), st.binary(max_size=120), st.integers(1, 40))
def test_foreign_bytes_are_told_apart(schema: Schema, data: bytes, count: int) -> None:
    """Bytes that are no whole records of the schema are refused, whole ones of any number are taken."""
    layout = LAYOUTS[schema]
    seen = Seen(layout)
    if not data or len(data) % layout.stride or data[0] != layout.stride // 4:
        assert seen.take(data) is None
    rows = np.zeros(count, layout.dtype)
    rows["length"], rows[layout.time] = layout.stride // 4, np.arange(1, count + 1)
    if layout.has_flags:
        rows["flags"] = F_LAST
    whole = rows.tobytes()
    assert seen.take(whole) == whole
    broken = bytearray(whole)
    broken[-layout.stride] ^= 1
    assert seen.take(bytes(broken)) is None
