"""Payloads in columns give what the same payloads give in an encoded batch, byte for byte."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tapeline_kernel import BatchError, Normalizer, Output, gather

from tapeline.offline.feed import Feed
from tapeline.spec.encode import encode
from tapeline.venues import load, names
from tests.kernel.columns import Rows, columns

PAYLOADS = 8_000
"""Of one recording, at the most."""


def told(output: Output) -> dict[str, object]:
    """All that an output says."""
    found = {name: getattr(output, name) for name in dir(output) if not name.startswith("_") and name != "events"}
    events = [
        (
            event.kind,
            event.channel,
            event.symbol,
            event.reason,
            event.sequence,
            event.from_id,
            event.to_id,
            event.sample,
        )
        for event in output.events
    ]
    return {**found, "events": events}


def batches(venue: str, path: Path) -> list[bytes]:
    """A recording's first batches."""
    found: list[bytes] = []
    count = 0
    for batch in Feed(load(venue), "PRIMARY").capture(path):
        found.append(batch)
        count += len(columns(batch).channel) // 4
        if count >= PAYLOADS:
            break
    return found


@pytest.mark.parametrize("sink", ["dbn", "resp"])
@pytest.mark.parametrize("venue", [name for name in names() if name != "mexc"])  # nobody has recorded it
def test_columns_give_what_an_encoded_batch_gives(recordings: Path, venue: str, sink: str) -> None:
    """Every recording of every venue: records, sidecar, events, figures."""
    loaded = load(venue)
    folder = recordings / {"binance_fix": "fix", "kraken_rest": "kraken"}.get(venue, venue)
    paths = sorted(folder.glob("*.jsonl.zst"))
    assert paths
    for path in paths:
        one, two = (Normalizer(encode(loaded.meaning), loaded.provider, "PRIMARY", sink) for _ in range(2))  # type: ignore[arg-type]
        for batch in batches(venue, path):
            assert told(two.normalize_rows(*columns(batch).arguments())) == told(one.normalize(batch))
        assert two.counters() == one.counters()
        assert two.channels() == one.channels()


def test_an_epoch_can_begin_without_payloads() -> None:
    """A new session is told of even where it has said nothing yet."""
    loaded = load("kraken")
    kernel = Normalizer(encode(loaded.meaning), loaded.provider, "PRIMARY", "dbn")
    nothing = Rows(1, 1, [], b"", b"", b"", b"", [])
    assert kernel.normalize_rows(*nothing.arguments()).events == []
    empty = kernel.normalize_rows(*replace(nothing, epoch=2).arguments())
    assert [(event.kind, event.reason) for event in empty.events] == [("lost", "epoch")]
    assert (empty.epoch, empty.first, empty.last, empty.payloads, empty.data) == (2, 1, 0, 0, b"")


def test_arrays_do_as_well_as_bytes() -> None:
    """Any buffer is a column."""
    loaded = load("kraken")
    one, two = (Normalizer(encode(loaded.meaning), loaded.provider, "PRIMARY", "dbn") for _ in range(2))
    data = b'{"event":"up","connection":"3"}{"nonsense":1}'
    ends = np.array([0, 31, len(data)])
    stamps, channels = np.array([5, 6]), [("_session", ""), ("_unknown", "")]
    numbers, connections = np.arange(2, dtype="u4"), np.zeros(2, dtype="i8")
    chunks, places = [(ends.data, bytearray(data))], np.arange(2)
    output = one.normalize_rows(7, 1, channels, numbers.data, stamps.data, connections.data, places.data, chunks)
    same = Rows(
        7,
        1,
        channels,
        bytes([0, 0, 0, 0, 1, 0, 0, 0]),
        stamps.tobytes(),
        bytes(16),
        places.tobytes(),
        [(ends.tobytes(), data)],
    )
    assert told(output) == told(two.normalize_rows(*same.arguments()))
    assert (output.records, [event.reason for event in output.events]) == (1, ["unknown_channel"])


def test_columns_that_do_not_belong_together_change_nothing() -> None:
    """Nothing of a bad batch is taken."""
    loaded = load("kraken")
    kernel = Normalizer(encode(loaded.meaning), loaded.provider, "PRIMARY", "dbn")
    ends = (2).to_bytes(8, "little")
    good = Rows(7, 1, [("_session", "")], bytes(4), bytes(8), bytes(8), bytes(8), [(bytes(8) + ends, b"{}")])
    for bad in [
        replace(good, channels=[]),
        replace(good, channel=bytes(3)),
        replace(good, channel=bytes(8)),
        replace(good, ts_recv=b""),
        replace(good, connection=b"\xff" * 8),
        replace(good, places=b""),
        replace(good, places=b"\x01" + bytes(7)),
        replace(good, places=bytes(4) + b"\x01" + bytes(3)),
        replace(good, chunks=[]),
        replace(good, chunks=[(bytes(8), b"{}")]),
        replace(good, chunks=[(ends + bytes(8), b"{}")]),
        replace(good, chunks=[(bytes(8) + ends, b"{")]),
        replace(good, first=(1 << 64) - 1),
    ]:
        with pytest.raises(BatchError):
            kernel.normalize_rows(*bad.arguments())
    assert kernel.counters()["payloads"] == {"total": 0}
    assert kernel.normalize_rows(*good.arguments()).payloads == 1


CHUNKED = st.lists(st.lists(st.binary(max_size=9), max_size=5), min_size=1, max_size=4)


@given(CHUNKED, st.data())
def test_payloads_are_found_wherever_they_lie(chunked: list[list[bytes]], data: st.DataObject) -> None:
    """In any order, any number of times, from any chunk; as one chunk of the same payloads."""
    chunks = [(np.cumsum([0, *map(len, chunk)], dtype="<i8").tobytes(), b"".join(chunk)) for chunk in chunked]
    known = {number << 32 | row: payload for number, chunk in enumerate(chunked) for row, payload in enumerate(chunk)}
    places = data.draw(st.lists(st.sampled_from(sorted(known)), max_size=20)) if known else []
    wanted = [known[place] for place in places]
    offsets, found = gather(chunks, np.array(places, dtype="<i8").tobytes())
    assert found == b"".join(wanted)
    assert np.frombuffer(offsets, "<i8").tolist() == np.cumsum([0, *map(len, wanted)]).tolist()
    for bad in (len(chunks) << 32, len(chunked[0]), -1):
        with pytest.raises(BatchError):
            gather(chunks, np.array([*places, bad], dtype="<i8").tobytes())
    with pytest.raises(BatchError):
        gather(chunks, bytes(7))
