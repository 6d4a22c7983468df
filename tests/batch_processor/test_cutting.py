"""Where the raw stream is cut into objects."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st
from tapeline_kernel import BatchError

from batch_processor.split import split
from batch_processor.window import Cut, Cutter, GapRecord, Window
from tapeline.rawfile import decode_row
from tapeline.stream import Position
from tests.support.raw_split import DAY_NS, span_end
from tests.support.raw_split import split as split_in_python
from tests.support.stream_server import batch, gap

SPAN = 1_000
EPOCH = 7 * DAY_NS


def payloads(count: int, start: int = EPOCH, step: int = 100) -> list[tuple[str, str, int, bytes]]:
    """Payloads of two channels in turn."""
    return [("book" if n % 2 else "trade", "MBO" if n % 2 else "TRADES", start + n * step, b"p%d" % n) for n in range(count)]  # fmt: skip


def cut_all(responses: list[bytes], max_bytes: int = 1 << 20, position: Position | None = None) -> list[Cut]:
    """All cuts of a stream, the last by a clean stop."""
    cutter = Cutter(max_bytes, position)
    cuts: list[Cut] = []
    for response in responses:
        cuts += cutter.take(split(response, cutter.position, SPAN))
    return cuts + cutter.cut()


def sequences(cut: Cut) -> list[int]:
    """The sequences of all rows of a window, sorted."""
    assert isinstance(cut, Window)
    lines = [line for runs in cut.runs.values() for run in runs for line in run.rows.splitlines()]
    return sorted(decode_row(line).sequence for line in lines)


def test_payload_time_cuts_in_the_middle_of_a_batch() -> None:
    """Payloads 1 to 10 fall in the first span, 11 to 20 in the second, though they came in one batch."""
    cuts = cut_all([batch(EPOCH, 1, payloads(20))])
    assert [sequences(cut) for cut in cuts] == [list(range(1, 11)), list(range(11, 21))]
    assert [(cut.epoch, cut.last) for cut in cuts] == [(EPOCH, 10), (EPOCH, 20)]


def test_every_partition_of_a_span_is_cut_at_once() -> None:
    """After a cut there is one position up to which everything is out, whatever the channel."""
    first, _ = cut_all([batch(EPOCH, 1, payloads(20))])
    assert isinstance(first, Window)
    assert {place: [(run.first, run.last) for run in runs] for place, runs in first.runs.items()} == {
        ("trade", "TRADES"): [(1, 9)],
        ("book", "MBO"): [(2, 10)],
    }


def test_midnight_cuts_whatever_the_span() -> None:
    """A span that does not divide the day never mixes two days."""
    assert span_end(DAY_NS - 1, 7_000_000_000) == DAY_NS
    cuts = cut_all([batch(EPOCH, 1, payloads(4, start=EPOCH + DAY_NS - 50, step=25))])
    assert [cut.ts_recv // DAY_NS for cut in cuts if isinstance(cut, Window)] == [7, 8]


def test_a_byte_bound_cuts_before_it_is_passed() -> None:
    """No object grows beyond the bound, unless one batch alone does."""
    responses = [batch(EPOCH, 1 + n, [("c", "MBO", EPOCH + n, b"x" * 50)]) for n in range(6)]
    size = len(split(responses[0], None, SPAN).segments[0].runs[0].rows)
    cuts = cut_all(responses, max_bytes=2 * size)
    assert [sequences(cut) for cut in cuts] == [[1, 2], [3, 4], [5, 6]]
    assert [sequences(cut) for cut in cut_all(responses, max_bytes=1)] == [[n] for n in range(1, 7)]


@given(st.lists(st.integers(1, 7), min_size=1, max_size=30), st.integers(1, 40), st.integers(100, 2000))
def test_a_stream_resumed_at_any_cut_is_cut_in_the_same_places(sizes: list[int], step: int, max_bytes: int) -> None:
    """Whoever starts again where everything was durable writes the same objects again."""
    responses, first = [], 1
    rows = payloads(sum(sizes), step=step)
    for size in sizes:
        responses.append(batch(EPOCH, first, rows[first - 1 : first - 1 + size]))
        first += size
    cuts = cut_all(responses, max_bytes)
    for place, cut in enumerate(cuts[:-1]):
        again = cut_all(responses, max_bytes, Position(EPOCH, cut.last))
        assert [sequences(found) for found in again] == [sequences(found) for found in cuts[place + 1 :]]


def test_a_gap_is_recorded_with_exact_bounds() -> None:
    """What the ring no longer held stands between two windows."""
    cuts = cut_all([batch(EPOCH, 1, payloads(3)), gap(EPOCH, 4, 9), batch(EPOCH, 10, payloads(2, EPOCH + 500))])
    assert [(cut.first, cut.last) for cut in cuts] == [(1, 3), (4, 9), (10, 11)]
    assert cuts[1] == GapRecord(EPOCH, 4, 9, "fell_out_of_ring")


def test_a_jump_in_the_sequence_is_a_gap_though_nobody_said_so() -> None:
    """Both in the middle of an epoch and at the beginning of one that was joined late."""
    cuts = cut_all([batch(EPOCH, 5, payloads(3)), batch(EPOCH, 10, payloads(2, EPOCH + 500))])
    assert [cut for cut in cuts if isinstance(cut, GapRecord)] == [
        GapRecord(EPOCH, 1, 4, "late"),
        GapRecord(EPOCH, 8, 9, "hole"),
    ]


def test_who_joins_late_and_falls_out_at_once_lacks_all_before() -> None:
    """The gap that is told begins where the ring began; what lies before it is missing too."""
    cuts = cut_all([gap(EPOCH, 40, 59), batch(EPOCH, 60, payloads(2))])
    assert [cut for cut in cuts if isinstance(cut, GapRecord)] == [GapRecord(EPOCH, 1, 59, "late")]
    cuts = cut_all([batch(EPOCH, 1, payloads(3)), gap(EPOCH, 6, 9)])
    assert [cut for cut in cuts if isinstance(cut, GapRecord)] == [GapRecord(EPOCH, 4, 9, "fell_out_of_ring")]


def test_what_has_been_taken_is_not_taken_again() -> None:
    """A batch that begins before the position gives only what is new, one wholly before it nothing."""
    rows = payloads(10)
    cuts = cut_all([batch(EPOCH, 1, rows[:6]), batch(EPOCH, 4, rows[3:8]), batch(EPOCH, 2, rows[1:3])])
    assert [sequences(cut) for cut in cuts] == [list(range(1, 9))]


def test_a_new_epoch_ends_the_old_one() -> None:
    """What the old one still had is not known: a gap without end, once, however it was told."""
    told = [batch(EPOCH, 1, payloads(3)), gap(EPOCH, 4, 0), batch(EPOCH + 1, 1, payloads(2, EPOCH + 500))]
    for responses in (told, [told[0], told[2]]):
        cuts = cut_all(responses)
        assert [(cut.epoch, cut.first, cut.last) for cut in cuts] == [(EPOCH, 1, 3), (EPOCH, 4, 0), (EPOCH + 1, 1, 2)]


def test_a_clock_that_goes_back_costs_nothing() -> None:
    """Payloads out of order in time are still in order of sequence, each once."""
    rows = payloads(4) + payloads(4, start=EPOCH - 5_000) + payloads(2, start=EPOCH + 400)
    cuts = cut_all([batch(EPOCH, 1, rows)])
    assert [number for cut in cuts for number in sequences(cut)] == list(range(1, 11))


any_payload = st.tuples(
    st.sampled_from(["book", "trade", "", "kanal/ä"]),
    st.sampled_from(["MBO", ""]),
    st.integers(0, 2**63) | st.integers(EPOCH, EPOCH + 5_000),
    st.binary(max_size=40) | st.text(max_size=20).map(str.encode) | st.just(rb"\N"),
)


@given(st.lists(any_payload, max_size=12), st.integers(1, 2**40), st.integers(0, 2**40), st.integers(1, 2**50))
def test_the_kernel_splits_as_plain_python_does(
    rows: list[tuple[str, str, int, bytes]], first: int, after: int, span: int
) -> None:
    """Any payload, any time, any position: the same rows in the same runs."""
    response = batch(EPOCH, first, rows)
    for position in (None, Position(EPOCH, after), Position(EPOCH, first + 2), Position(EPOCH + 1, first + 2)):
        assert split(response, position, span) == split_in_python(response, position, span)
    assert split(gap(EPOCH, first, after), None, span) == split_in_python(gap(EPOCH, first, after), None, span)


@given(st.lists(any_payload, max_size=5), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4), st.integers(0, 400))  # fmt: skip
def test_broken_bytes_are_an_error_or_other_rows_never_a_crash(
    rows: list[tuple[str, str, int, bytes]], changes: list[tuple[int, int]], cut: int
) -> None:
    """Whatever comes in place of a batch."""
    response = bytearray(batch(EPOCH, 1, rows)[: cut or None])
    for place, value in changes:
        if place < len(response):
            response[place] = value
    with suppress(BatchError):
        split(bytes(response), None, SPAN)
