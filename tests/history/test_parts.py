"""The parts that a replay is made of, against plainer ways of doing the same."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeline.channels import matches
from tapeline.errors import RefusedError, UsageError
from tapeline.history.blocks import DTYPES, OPAQUE, PLACES, Block, side_by_side, timed
from tapeline.history.choice import replay_pattern
from tapeline.history.late_join import LateJoin
from tapeline.history.messages import MESSAGE_BYTES, Run, moments
from tapeline.history.schedule import speed_of
from tapeline.history.span import Span, iso, nanoseconds
from tapeline.offline import channel_index
from tapeline.offline.channel_index import ChannelIndex, ChannelIndexError, IndexWriter
from tapeline.schemas import Schema
from tests.history.playing import book

MBO, TRADES, STATISTICS = PLACES[Schema.MBO], PLACES[Schema.TRADES], PLACES[Schema.STATISTICS]
SECOND = 1_000_000_000


def rows(place: int, **columns: Sequence[object]) -> np.ndarray:
    """Records of a schema with these fields."""
    made = np.zeros(len(next(iter(columns.values()))), dtype=DTYPES[place])
    for name, values in columns.items():
        made[name] = values
    return made


# Channel, instrument, order, action, side, price: few of each, so that they meet.
CHANGES = st.lists(
    st.tuples(
        st.integers(0, 2), st.integers(1, 2), st.integers(1, 6), st.sampled_from("AAAMMCCNTR"), st.sampled_from("BA"),
        st.integers(1, 4),
    ),
    max_size=120,
)  # fmt: skip


def mbo(changes: list[tuple[int, int, int, str, str, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Channels and records."""
    channel, instrument, order, action, side, price = [list(one) for one in zip(*changes, strict=True)] or [[]] * 6
    made = rows(
        MBO, instrument_id=instrument, order_id=order, action=[one.encode() for one in action],
        side=[one.encode() for one in side], price=price, size=list(range(1, len(changes) + 1)), flags=[0x80] * len(changes),
        ts_recv=list(range(len(changes))), sequence=list(range(len(changes))),
    )  # fmt: skip
    return np.array(channel, dtype=np.int32), made


@settings(max_examples=200, deadline=None)
@given(CHANGES, st.lists(st.integers(0, 120), max_size=4))
def test_late_joiners_are_told_the_books_that_records_make(
    changes: list[tuple[int, int, int, str, str, int]], cuts: list[int]
) -> None:
    """However the records are cut, each channel's book is that of applying them one by one; only what has changed is told."""
    late = LateJoin()
    told: dict[int, bytes] = {}
    places = [0, *sorted(min(cut, len(changes)) for cut in cuts), len(changes)]
    all_channels, all_records = mbo(changes)
    for start, end in itertools.pairwise(places):
        if start == end:
            continue
        channels = all_channels[start:end]
        late.take(Run(MBO, all_channels, all_records.view(OPAQUE[MBO]), start, end))
        fresh = late.told()
        assert set(fresh) == set(channels.tolist())
        told |= fresh
        for channel, data in told.items():
            assert book(data) == book(all_records[:end][all_channels[:end] == channel].tobytes())
            shown = np.frombuffer(data, DTYPES[MBO])
            assert shown["action"][0] == b"R"
            assert shown["flags"][-1] & 0xA0 == 0xA0
            assert not (shown["flags"][:-1] & 0x80)[shown["instrument_id"][:-1] == shown["instrument_id"][1:]].any()
    assert late.told(all_of_it=True) == told


def test_a_doubtful_book_is_told_as_doubtful() -> None:
    """The flag of the newest record stands on every record of the snapshot, and goes with it."""
    late = LateJoin()
    for flags, doubtful in ((0x84, True), (0x80, False)):
        channels, records = mbo([(0, 1, 1, "A", "B", 5)])
        records["flags"] = flags
        late.take(Run(MBO, channels, records.view(OPAQUE[MBO]), 0, 1))
        shown = np.frombuffer(late.told()[0], DTYPES[MBO])
        assert [bool(one & 4) for one in shown["flags"]] == [doubtful] * 2


def test_late_joiners_are_told_the_newest_of_each_kind() -> None:
    """Of a statistic the newest of each type and instrument, of other records the newest of each instrument."""
    late = LateJoin()
    statistics = rows(STATISTICS, instrument_id=[1, 1, 2, 1], stat_type=[7, 8, 7, 7], ts_recv=[1, 2, 3, 4])
    late.take(Run(STATISTICS, np.zeros(4, np.int32), statistics.view(OPAQUE[STATISTICS]), 0, 4))
    trades = rows(TRADES, instrument_id=[1, 1], ts_recv=[1, 2])
    late.take(Run(TRADES, np.ones(2, np.int32), trades.view(OPAQUE[TRADES]), 0, 2))
    told = late.told()
    found = np.frombuffer(told[0], DTYPES[STATISTICS])
    assert sorted(zip(found["instrument_id"].tolist(), found["stat_type"].tolist(), found["ts_recv"].tolist(), strict=True)) == [
        (1, 7, 4), (1, 8, 2), (2, 7, 3),
    ]  # fmt: skip
    assert np.frombuffer(told[1], DTYPES[TRADES])["ts_recv"].tolist() == [2]
    assert late.told() == {}


# Payloads: how long after the one before, on which channel, of which schema, and how many records.
PAYLOADS = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 2), st.sampled_from((MBO, TRADES)), st.integers(1, 4)),
    min_size=1, max_size=40,
)  # fmt: skip


def block(payloads: list[tuple[int, int, int, int]], first: int = 0) -> Block:
    """A block; each record's `sequence` is its place, its `ts_recv` the time of its payload."""
    time, stamps, channels, places = 1000, [], [], []
    for wait, channel, place, count in payloads:
        time += wait
        stamps += [time] * count
        channels += [channel + 3 * (place == TRADES)] * count
        places += [place] * count
    when, payload = timed(np.array(stamps), 0, 0)
    schema = np.array(places, dtype=np.uint8)
    records = {}
    for place in (MBO, TRADES):
        here = np.flatnonzero(schema == place)
        records[place] = rows(place, sequence=(here + first).tolist(), ts_recv=np.array(stamps)[here].tolist()).view(
            OPAQUE[place]
        )
    return Block(when, payload, np.array(channels, dtype=np.int32), schema, records)


@settings(max_examples=200, deadline=None)
@given(PAYLOADS, st.integers(1, 500))
def test_moments_hold_everything_once_and_in_order(payloads: list[tuple[int, int, int, int]], length: int) -> None:
    """Each channel's records in order, no payload torn apart, nothing before it was there, no moment longer than asked for."""
    whole = block(payloads)
    found: dict[int, list[int]] = {}
    last = 0
    for moment in moments([whole], length):
        told = [np.frombuffer(data, DTYPES[TRADES if channel > 2 else MBO]) for channel, data in moment.messages]
        stamps = np.concatenate([one["ts_recv"] for one in told]).astype(np.int64)
        assert moment.due == stamps.max()
        assert len(set((stamps // length).tolist())) == 1
        assert stamps.min() > last or last == 0
        last = moment.due
        assert len({channel for channel, _ in moment.messages}) == len(moment.messages)
        assert sum(run.end - run.start for run in moment.runs) == len(stamps)
        for (channel, _), one in zip(moment.messages, told, strict=True):
            found.setdefault(channel, []).extend(one["sequence"].tolist())
    for channel in set(whole.channel.tolist()):
        assert found[channel] == np.flatnonzero(whole.channel == channel).tolist()


def test_a_large_message_is_cut_where_a_payload_ends() -> None:
    """What is far beyond the size of a message becomes several; a payload never does, however large."""
    many = [(0, 0, MBO, 700)] + [(1, 0, MBO, 300)] * 20 + [(1, 0, MBO, 3000)]
    (moment,) = moments([block(many)], 1 << 40)
    sizes = [len(data) for _, data in moment.messages]
    assert sum(sizes) == (700 + 300 * 20 + 3000) * 56
    assert len(sizes) > 4
    assert all(size < MESSAGE_BYTES + 3000 * 56 + 300 * 56 for size in sizes)
    starts = [np.frombuffer(data, DTYPES[MBO])["ts_recv"][[0, -1]].tolist() for _, data in moment.messages]
    assert all(before[1] < after[0] for before, after in itertools.pairwise(starts))


@settings(max_examples=100, deadline=None)
@given(st.lists(PAYLOADS, min_size=1, max_size=4), st.integers(1, 30))
def test_streams_stand_side_by_side_by_time(
    streams: list[list[tuple[int, int, int, int]]], rows_at_a_time: int
) -> None:
    """Lists of blocks follow one another in time; each stream keeps its order and nothing is lost."""

    def cut(whole: Block) -> Iterator[Block]:
        while len(whole):
            first, whole = whole.cut(rows_at_a_time)
            yield first

    wholes = [block(payloads, number * 10_000) for number, payloads in enumerate(streams)]
    found: list[int] = []
    last = 0
    for blocks in side_by_side([cut(whole) for whole in wholes]):
        assert min(int(one.when[0]) for one in blocks) >= last
        last = max(int(one.when[-1]) for one in blocks)
        for one in blocks:
            found += one.records[MBO].view(DTYPES[MBO])["sequence"].tolist()
    for number, whole in enumerate(wholes):
        mine = [place for place in found if place // 10_000 == number]
        assert mine == whole.records[MBO].view(DTYPES[MBO])["sequence"].tolist()


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-02", 86_400 * SECOND),
        ("2026-01-01T00:00", 1_767_225_600 * SECOND),
        ("2026-01-01T02:00:00.000000001+02:00", 1_767_225_600 * SECOND + 1),
        ("2026-01-01 00:00:01.25Z", 1_767_225_601 * SECOND + SECOND // 4),
        ("1767225600000000007", 1_767_225_600 * SECOND + 7),
    ],
)
def test_times_are_read_down_to_the_nanosecond(text: str, ns: int) -> None:
    """ISO dates and times, UTC where no offset is given, and plain ns; what is printed reads back."""
    assert nanoseconds(text, "--from") == ns
    assert nanoseconds(iso(ns), "--from") == ns


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "2026-01-01T25:00", "26-1-1", "-5", "1960-01-01", "123"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """With the option's name and what is allowed."""
    with pytest.raises(UsageError, match=r"--from .* is no time; allowed: 2026-08-02"):
        nanoseconds(text, "--from")


def test_a_span_has_a_length_and_days() -> None:
    """Its end is not part of it."""
    with pytest.raises(UsageError, match="is not after --from"):
        Span.parse("2026-01-02", "2026-01-02")
    assert [str(day) for day in Span.parse("2026-01-01T12:00", "2026-01-03").days()] == ["2026-01-01", "2026-01-02"]


@pytest.mark.parametrize(("text", "speed"), [("max", 0.0), ("0", 0.0), ("2.5", 2.5)])
def test_speeds(text: str, speed: float) -> None:
    """A number, or `max` for no waiting."""
    assert speed_of(text) == speed


@pytest.mark.parametrize("text", ["-1", "fast", "nan", "1e10"])
def test_what_is_no_speed_is_refused(text: str) -> None:
    """With what is allowed."""
    with pytest.raises(UsageError, match="allowed: a number from 0 to 1e9"):
        speed_of(text)


@pytest.mark.parametrize(
    "pattern",
    [
        "MARKET_DATA.REPLAY.TRADES.KRAKEN.*", "MARKET_DATA.PRIMARY.TRADES.*", "TRADES.KRAKEN.*", "*.TRADES.*", "*",
        "[M]ARKET_DATA.*", "MARKET_DATA.*",
    ],
)  # fmt: skip
def test_patterns_may_be_shorter(pattern: str) -> None:
    """A live instance's pattern, one without the beginning that all have, one that begins with a glob."""
    assert matches(replay_pattern(pattern), "MARKET_DATA.REPLAY.TRADES.KRAKEN.trade.BTC/USD")
    assert replay_pattern("MARKET_DATA.MERGED.MBO.*") == "MARKET_DATA.REPLAY.MBO.*"


def test_an_index_says_what_was_written(tmp_path: Path) -> None:
    """Numbers and times in order, and in its footer the channels with how much there is of each."""
    writer = IndexWriter(tmp_path / "index.parquet")
    writer.add([("a", "MBO")], np.zeros(3, np.uint16), np.array([5, 4, 6]))
    writer.add([("a", "MBO"), ("b", "TRADES"), ("c", "MBP_1")], np.array([1, 0], np.uint16), np.array([7, 8]))
    writer.finish()
    index = ChannelIndex(tmp_path / "index.parquet", "index")
    told = [(one.schema, one.channel, one.records, one.first, one.last) for one in index.channels]
    assert told == [("MBO", "a", 4, 4, 8), ("TRADES", "b", 1, 7, 7), ("MBP_1", "c", 0, 0, 0)]
    (numbers,), (stamps,) = zip(*index.blocks(100), strict=True)
    assert (numbers.tolist(), stamps.tolist()) == ([0, 0, 0, 1, 0], [5, 4, 6, 7, 8])
    index.close()


def test_an_index_is_the_same_bytes_however_its_records_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In row groups of one size, whatever the batches; how large these are is a matter of the memory there is."""
    monkeypatch.setattr(channel_index, "_ROWS", 64)
    numbers, stamps = np.arange(1000, dtype=np.uint16) % 7, np.arange(1000) * 3
    channels = [(f"c{number}", "MBO") for number in range(7)]
    made = set()
    for piece in (1, 63, 64, 65, 300, 1000):
        path = tmp_path / f"{piece}.parquet"
        writer = IndexWriter(path)
        for start in range(0, 1000, piece):
            writer.add(channels, numbers[start : start + piece], stamps[start : start + piece])
        writer.finish()
        made.add(path.read_bytes())
    assert len(made) == 1
    index = ChannelIndex(tmp_path / "300.parquet", "index")
    assert np.concatenate([block for block, _ in index.blocks(100)]).tolist() == numbers.tolist()
    index.close()


def test_what_is_no_index_is_refused(tmp_path: Path) -> None:
    """A file of another kind, and more channels than the kernel can number."""
    (tmp_path / "other").write_bytes(b"PAR1 no")
    with pytest.raises(ChannelIndexError, match="other is no channel index"):
        ChannelIndex(tmp_path / "other", "other")
    writer = IndexWriter(tmp_path / "many.parquet")
    with pytest.raises(RefusedError, match="more than 65535 published channels"):
        writer.add([("x", "MBO")] * 70_000, np.array([65_535], np.uint16), np.array([1]))
    writer.abandon()
