"""The core that merges two instances, without I/O or a clock: any loss, any interleaving."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeline.consumer.layout import F_LAST, F_MAYBE_BAD_BOOK, LAYOUTS
from tapeline.consumer.merging import MergeOptions, Mode, new_merger
from tapeline.schemas import Schema
from tests.consumer.publishing import F_SNAPSHOT, record

BOOK = "MARKET_DATA.MERGED.MBO.X.a"
TRADES = "MARKET_DATA.MERGED.TRADES.X.a"
MS = 1_000_000
PRIMARY, REPLICA = 0, 1


@dataclass
class Bench:
    """A merger and what it handed out."""

    options: MergeOptions = field(default_factory=MergeOptions)
    mode: Mode = Mode.MERGE
    name: str = BOOK

    def __post_init__(self) -> None:
        self.merger = new_merger(self.mode, self.options)
        self.lane = self.merger.lane(self.name)
        self.now = 1_000_000_000
        self.stamps = [10_000, 10_001]
        self.rows: list[np.void] = []
        self.gaps: list[tuple[int, int]] = []

    def feed(self, side: int, *messages: bytes) -> None:
        """One Redis message of some venue messages."""
        self.merger.feed(2 * self.lane + side, b"".join(messages), self.now)
        self._take()

    def later(self, ms: float) -> None:
        """Time goes by."""
        self.now += round(ms * MS)
        self.merger.tick(self.now)
        self._take()

    def _take(self) -> None:
        for _, kind, data, low, high in self.merger.take():
            if kind == 2:
                self.gaps.append((low, high))
            self.rows += list(np.frombuffer(data, LAYOUTS[Schema.MBO if self.name == BOOK else Schema.TRADES].dtype))

    def stamp(self, side: int) -> int:
        """The next `ts_recv` of a side."""
        self.stamps[side] += 10
        return self.stamps[side]

    def delta(self, side: int, sequence: int, flags: int = 0, event: int | None = None) -> bytes:
        """A book message."""
        return changed(record(self.stamp(side), flags=F_LAST | flags, sequence=sequence), event or sequence * MS)

    def snapshot(self, side: int, sequence: int) -> bytes:
        """A whole book."""
        time = self.stamp(side)
        rows = [record(time, action="R", flags=F_SNAPSHOT, sequence=sequence), record(time, flags=F_SNAPSHOT | F_LAST, sequence=sequence)]  # fmt: skip
        return b"".join(changed(row, sequence * MS) for row in rows)

    def trade(self, side: int, ident: int, price: int = 1) -> bytes:
        """A trade; without an id (0) only its content tells it."""
        row = record(self.stamp(side), schema=Schema.TRADES, action="T", sequence=ident)
        return changed(row, price * MS, Schema.TRADES, price)

    @property
    def deltas(self) -> list[int]:
        """The ids of what was handed out beside snapshots."""
        return [int(row["sequence"]) for row in self.rows if not row["flags"] & F_SNAPSHOT]

    @property
    def snapshots(self) -> list[int]:
        """The ids of snapshots handed out."""
        return [int(row["sequence"]) for row in self.rows if row["action"] == b"R"]

    @property
    def doubtful(self) -> list[int]:
        """The ids of what was flagged."""
        return [int(row["sequence"]) for row in self.rows if row["flags"] & F_MAYBE_BAD_BOOK]


def changed(data: bytes, event: int, schema: Schema = Schema.MBO, price: int | None = None) -> bytes:
    row = np.frombuffer(data, LAYOUTS[schema].dtype).copy()
    row["ts_event"] = event
    if price is not None:
        row["price"] = price
    return row.tobytes()


def started(**changes: object) -> Bench:
    """A book whose snapshot both sides have had."""
    bench = Bench(**changes)  # type: ignore[arg-type]
    bench.feed(PRIMARY, bench.snapshot(PRIMARY, 100))
    bench.feed(REPLICA, bench.snapshot(REPLICA, 100))
    return bench


ORDERS = st.lists(st.booleans(), max_size=80)
LOSSES = st.sets(st.integers(101, 130))


def interleaved(order: list[bool], one: list[int], two: list[int]) -> list[tuple[int, int]]:
    """Both sides' messages, each in its order, mixed as `order` says."""
    left = [list(one), list(two)]
    turns = [*map(int, order), *[0] * len(one), *[1] * len(two)]
    return [(turn, left[turn].pop(0)) for turn in turns if left[turn]]


@given(ORDERS, LOSSES, LOSSES, st.integers(1, 4))
@settings(max_examples=300, deadline=None)
def test_any_interleaving_and_loss_gives_the_union_in_the_venues_order(
    order: list[bool], lost_one: set[int], lost_two: set[int], at_once: int
) -> None:
    """A book whose ids have no holes: whatever each side lacks, in whatever order messages come."""
    bench = started(options=MergeOptions(dense_after=0))
    one, two = ([one for one in range(101, 131) if one not in lost] for lost in (lost_one, lost_two))
    pending: tuple[int, list[bytes]] = (0, [])
    for side, ident in interleaved(order, one, two):
        if pending[1] and (pending[0] != side or len(pending[1]) >= at_once):
            bench.feed(pending[0], *pending[1])
            pending = (side, [])
        pending = (side, [*pending[1], bench.delta(side, ident)])
    if pending[1]:
        bench.feed(pending[0], *pending[1])
    bench.later(300)
    assert bench.deltas == sorted(set(one) | set(two))
    assert bench.snapshots == [100]
    times = [int(row["ts_recv"]) for row in bench.rows]
    assert times == sorted(times)
    bench.later(31_000)
    bench.later(1_100)
    missed = bench.merger.counters()["missed"]
    assert missed == {"PRIMARY": len(set(two) - set(one)), "REPLICA": len(set(one) - set(two))}
    assert bench.merger.memory_bytes == 0


@given(ORDERS, st.lists(st.integers(0, 5), min_size=1, max_size=25), LOSSES, LOSSES)
@settings(max_examples=300, deadline=None)
def test_trades_are_handed_out_once_each_whatever_is_lost(
    order: list[bool], prices: list[int], lost_one: set[int], lost_two: set[int]
) -> None:
    """With ids: the union, each once, and nothing waits."""
    bench = Bench(name=TRADES)
    all_of = range(101, 101 + len(prices))
    one, two = ([ident for ident in all_of if ident not in lost] for lost in (lost_one, lost_two))
    had: set[int] = set()
    for side, ident in interleaved(order, one, two):
        bench.feed(side, bench.trade(side, ident, prices[ident - 101]))
        had.add(ident)
        assert sorted(bench.deltas) == sorted(had)


@given(ORDERS, st.lists(st.integers(0, 3), max_size=20))
@settings(max_examples=200, deadline=None)
def test_equal_content_is_paired_by_its_place(order: list[bool], prices: list[int]) -> None:
    """Without ids: both sides whole, so as often as the venue said it, in its order."""
    bench = Bench(name=TRADES)
    for side, place in interleaved(order, list(range(len(prices))), list(range(len(prices)))):
        bench.feed(side, bench.trade(side, 0, prices[place]))
    assert [int(row["price"]) for row in bench.rows] == prices


@dataclass
class Instance:
    """What a normalizer makes of a venue's messages: flags after a loss, until a snapshot comes."""

    lost: set[int]
    recover_after: int
    doubt: int = 0

    def take(self, bench: Bench, side: int, ident: int) -> list[bytes]:
        if ident in self.lost:
            self.doubt = self.recover_after
            return []
        if not self.doubt:
            return [bench.delta(side, ident)]
        self.doubt -= 1
        flagged = bench.delta(side, ident, F_MAYBE_BAD_BOOK)
        return [flagged] if self.doubt else [flagged, bench.snapshot(side, ident)]


@given(ORDERS, LOSSES, LOSSES, st.integers(1, 6), st.sampled_from([Mode.MERGE, Mode.FAILOVER]))
@settings(max_examples=400, deadline=None)
def test_losses_that_instances_flag_leave_a_whole_stream_where_one_has_each_message(
    order: list[bool], lost_one: set[int], lost_two: set[int], recover_after: int, mode: Mode
) -> None:
    """Ids with holes of their own: what flags tell decides; at the end the book is right if one instance's is."""
    bench = started(mode=mode)
    sides = (Instance(lost_one, recover_after), Instance(lost_two, recover_after))
    ids = list(range(101, 131))
    for side, ident in interleaved(order, ids, ids):
        # Ids of a range venue: each message bears the last of three.
        for message in sides[side].take(bench, side, ident):
            bench.feed(side, message)
    bench.later(600)
    bench.later(600)
    carried = set(ids) - (lost_one & lost_two)
    assert bench.deltas == sorted(carried)
    if not sides[0].doubt or not sides[1].doubt:
        last = bench.rows[-1]
        assert not last["flags"] & F_MAYBE_BAD_BOOK
    if not lost_one or not lost_two:
        assert (bench.doubtful, bench.snapshots, bench.gaps) == ([], [100], [])


def test_a_flagged_message_waits_for_the_clean_one_of_the_other_side() -> None:
    """One side has lost something and says so; the other is a little behind."""
    bench = started()
    bench.feed(PRIMARY, bench.delta(PRIMARY, 103))
    bench.feed(PRIMARY, bench.delta(PRIMARY, 109, F_MAYBE_BAD_BOOK))
    assert bench.deltas == [103]
    for ident in (103, 106, 109):
        bench.feed(REPLICA, bench.delta(REPLICA, ident))
    assert (bench.deltas, bench.doubtful) == ([103, 106, 109], [])


def test_where_the_other_side_stays_silent_the_flagged_message_is_handed_out_after_the_wait() -> None:
    """The book is in doubt then, and no more once the other side has caught up: by a snapshot, without a second copy."""
    bench = started()
    bench.feed(PRIMARY, bench.delta(PRIMARY, 109, F_MAYBE_BAD_BOOK))
    bench.later(240)
    assert bench.deltas == []
    bench.later(20)
    assert (bench.deltas, bench.doubtful) == ([109], [109])
    for ident in (103, 106, 109, 112):
        bench.feed(REPLICA, bench.delta(REPLICA, ident))
    assert bench.deltas == [109, 112]
    assert bench.snapshots == [100, 109]
    assert bench.doubtful == [109]


def test_a_hole_that_neither_fills_is_told_after_the_wait() -> None:
    """Ids in a row, then one is missing on both sides; one of them lags."""
    bench = started(options=MergeOptions(dense_after=2))
    for ident in (101, 102, 103):
        bench.feed(PRIMARY, bench.delta(PRIMARY, ident))
    bench.feed(PRIMARY, bench.delta(PRIMARY, 105))
    assert bench.deltas == [101, 102, 103]
    bench.later(251)
    assert (bench.deltas, bench.gaps) == ([101, 102, 103, 105], [(103, 105)])


def test_a_snapshot_of_one_side_alone_is_not_passed_on() -> None:
    """A side that made its connection anew sends its book again; the merged one needs it not."""
    bench = started()
    bench.feed(PRIMARY, bench.delta(PRIMARY, 103))
    bench.feed(REPLICA, bench.delta(REPLICA, 103))
    bench.feed(REPLICA, bench.snapshot(REPLICA, 106))
    bench.feed(PRIMARY, bench.delta(PRIMARY, 106))
    bench.feed(REPLICA, bench.delta(REPLICA, 109))
    bench.feed(PRIMARY, bench.delta(PRIMARY, 109))
    assert (bench.deltas, bench.snapshots) == ([103, 106, 109], [100])


def test_a_snapshot_is_passed_on_where_the_other_side_has_gone() -> None:
    """The side that was followed falls silent, the other starts anew further on."""
    bench = started()
    bench.feed(PRIMARY, bench.delta(PRIMARY, 103))
    bench.feed(REPLICA, bench.snapshot(REPLICA, 120))
    bench.feed(REPLICA, bench.delta(REPLICA, 121))
    bench.later(260)
    assert (bench.deltas, bench.snapshots, bench.gaps) == ([103, 121], [100, 120], [(103, 120)])


def test_numbers_that_begin_anew_on_both_sides_are_followed() -> None:
    """A venue restarts: a snapshot with a low id, then ids from there."""
    bench = started()
    for side in (PRIMARY, REPLICA):
        bench.feed(side, bench.delta(side, 103))
    for side in (PRIMARY, REPLICA):
        bench.feed(side, bench.snapshot(side, 1))
        bench.feed(side, bench.delta(side, 2))
    assert (bench.deltas, bench.snapshots) == ([103, 2], [100, 1])


def test_repeats_of_a_restarted_publisher_are_dropped() -> None:
    """What a normalizer publishes again is no second occurrence."""
    bench = Bench(name=TRADES)
    again = bench.trade(PRIMARY, 0, 5)
    bench.feed(PRIMARY, again)
    bench.feed(PRIMARY, again)
    assert len(bench.rows) == 1
    assert bench.merger.counters()["repeats"] == 1


def test_memory_is_bounded_by_bytes() -> None:
    """One side is away for long: messages are remembered for a shorter time, and what it missed is still counted."""
    bench = Bench(name=TRADES, options=MergeOptions(memory_bytes=1 << 16))
    for ident in range(1, 5001):
        bench.feed(PRIMARY, bench.trade(PRIMARY, ident))
        assert bench.merger.memory_bytes <= 1 << 16
    bench.later(31_000)
    assert bench.merger.counters()["missed"] == {"PRIMARY": 0, "REPLICA": 5000}


def test_failover_speaks_for_primary_and_comes_back_after_it_has_been_well() -> None:
    """PRIMARY is slow to die: nothing is missing and nothing said twice across both changes."""
    bench = Bench(name=TRADES, mode=Mode.FAILOVER)
    for ident in range(1, 10):
        bench.feed(REPLICA, bench.trade(REPLICA, ident))
    assert bench.deltas == []
    for ident in range(1, 6):
        bench.feed(PRIMARY, bench.trade(PRIMARY, ident))
    assert bench.deltas == [1, 2, 3, 4, 5]
    bench.later(510)
    assert bench.deltas == list(range(1, 10))
    bench.feed(REPLICA, bench.trade(REPLICA, 10))
    assert bench.deltas == list(range(1, 11))
    for ident in range(6, 11):
        bench.feed(PRIMARY, bench.trade(PRIMARY, ident))
    assert bench.deltas == list(range(1, 11))
    for ident in range(11, 80):
        bench.later(100)
        bench.feed(REPLICA, bench.trade(REPLICA, ident))
        bench.feed(PRIMARY, bench.trade(PRIMARY, ident))
    assert bench.deltas == list(range(1, 80))
    bench.feed(REPLICA, bench.trade(REPLICA, 80))
    assert bench.deltas == list(range(1, 80))
    bench.feed(PRIMARY, bench.trade(PRIMARY, 80))
    assert bench.deltas == list(range(1, 81))


def test_failover_fills_in_what_primary_passed_over() -> None:
    """PRIMARY goes on after a hole: REPLICA's copy comes at its place, as soon as that is known."""
    bench = Bench(name=TRADES, mode=Mode.FAILOVER)
    for ident in (1, 2, 3):
        bench.feed(REPLICA, bench.trade(REPLICA, ident))
    bench.feed(PRIMARY, bench.trade(PRIMARY, 1))
    bench.feed(PRIMARY, bench.trade(PRIMARY, 3))
    assert bench.deltas == [1, 2, 3]


def test_a_side_that_is_behind_is_waited_for_longer_than_one_that_is_gone() -> None:
    """REPLICA lags, which its other channels show: its copy still comes in time, and the book is never in doubt."""
    bench = started()
    trades = bench.merger.lane(TRADES)
    bench.feed(PRIMARY, bench.delta(PRIMARY, 109, F_MAYBE_BAD_BOOK))
    for ident in range(1, 9):
        bench.merger.feed(2 * trades + REPLICA, bench.trade(REPLICA, ident), bench.now)
        bench.merger.take()
        bench.later(200)
    assert bench.deltas == []
    for ident in (103, 106, 109):
        bench.feed(REPLICA, bench.delta(REPLICA, ident))
    assert (bench.deltas, bench.doubtful) == ([103, 106, 109], [])
    bench.feed(PRIMARY, bench.delta(PRIMARY, 115, F_MAYBE_BAD_BOOK))
    for ident in range(9, 21):
        bench.merger.feed(2 * trades + REPLICA, bench.trade(REPLICA, ident), bench.now)
        bench.merger.take()
        bench.later(200)
    assert (bench.deltas[-1], bench.doubtful) == (115, [115])


def test_a_book_that_is_only_told_whole_is_passed_on_each_time() -> None:
    """Sampled books: each side's samples come once each, the newest last; a second side's first is not needed."""
    bench = Bench()

    def sample(side: int, event: int) -> bytes:
        return changed(record(bench.stamp(side), action="R", flags=F_SNAPSHOT | F_LAST), event, price=5)

    for side, event in [(PRIMARY, 1), (REPLICA, 1), (PRIMARY, 2), (REPLICA, 2), (REPLICA, 3), (PRIMARY, 3)]:
        bench.feed(side, sample(side, event))
    assert [int(row["ts_event"]) for row in bench.rows] == [1, 2, 3]


def test_a_doubt_of_one_side_alone_is_none_of_the_merged_stream() -> None:
    """STATUS: told when both are in doubt, and again when either is right."""
    merger = new_merger(Mode.MERGE, MergeOptions())
    lane = merger.lane("MARKET_DATA.MERGED.STATUS.X.a")
    trades = merger.lane(TRADES)
    merger.feed(2 * trades + REPLICA, Bench(name=TRADES).trade(REPLICA, 1), 1)
    merger.take()
    told = []
    for time, (side, quoting) in enumerate([(PRIMARY, b"N"), (REPLICA, b"N"), (PRIMARY, b"Y"), (REPLICA, b"Y")], 10):
        row = np.frombuffer(record(time, schema=Schema.STATUS), LAYOUTS[Schema.STATUS].dtype).copy()
        row["is_quoting"] = quoting
        merger.feed(2 * lane + side, row.tobytes(), time)
        told.append([bytes(np.frombuffer(data, row.dtype)["is_quoting"][0]) for _, _, data, _, _ in merger.take()])
    assert told == [[], [b"N"], [b"Y"], []]
