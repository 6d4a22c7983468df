"""What is asked for page by page or now and then: trades published once, windows that miss something, samples."""

from __future__ import annotations

from databento_dbn import MBOMsg, MBP10Msg, TradeMsg

from tapeline.spec.meaning import (
    Book,
    BookLevels,
    BookTop,
    Ids,
    LevelList,
    LinkRule,
    Message,
    Side,
    SnapshotFrom,
    Time,
    TimeUnit,
    Trade,
)
from tests.kernel.stream import Made, event, kinds, meaning, records

Row = tuple[int, float, float, int]


def pages(link: LinkRule = LinkRule.RISING, ids: bool = True) -> Made:
    """Pages of `[time, ±size, price, id]`."""
    trade = Trade(
        None,
        ".2",
        ".1",
        Side(".1", sign=True),
        Time(".0", TimeUnit.MILLIS),
        id=".3" if ids else None,
        link=link if ids else LinkRule.NONE,
        page=True,
    )
    return Made(made=meaning((Message("trades", each=".", emits=(trade,)),)))


def page(stream: Made, *numbers: int) -> list[int]:
    """The ids published of a page with these."""
    found = records(stream.on("trades.A", [[1_700_000_000_000 + n, 1.5, 10, n] for n in numbers]))
    return [r.sequence for r in found if isinstance(r, TradeMsg)]


def times(stream: Made, *milliseconds: int) -> list[int]:
    """The times published of a page with these, in ms."""
    base = 1_700_000_000_000
    found = records(stream.on("trades.A", [[base + ms, 1.5, 10, 0] for ms in milliseconds]))
    return [r.ts_event // 1_000_000 - base for r in found if isinstance(r, TradeMsg)]


def test_pages_that_overlap_publish_each_trade_once_whichever_way_they_are_given() -> None:
    """Oldest first always; what comes again is counted as excluded."""
    for turned in (False, True):
        stream = pages()

        def said(*numbers: int, stream: Made = stream, turned: bool = turned) -> list[int]:
            return page(stream, *(reversed(numbers) if turned else numbers))

        assert said(3, 5, 7) == [3, 5, 7]
        assert said(5, 7, 12) == [12]
        assert said(5, 7, 12) == []
        assert said(12, 13, 20) == [13, 20]
        assert not any(kinds(output).count("gap") for output in stream.outputs)
        assert stream.normalizer.counters()["excluded"] == {"repeated trade": 6}
        assert stream.normalizer.counters()["links"] == {"ok": 2, "broken": 0}


def test_a_window_that_shares_nothing_with_the_one_before_is_a_gap_with_the_ids_between() -> None:
    """Rising ids bound what may be missing; an empty page and one of old trades only say nothing."""
    stream = pages()
    page(stream, 3, 5, 7)
    page(stream)
    assert page(stream, 20, 15) == [15, 20]
    gap = event(stream.outputs[-1], "gap")
    assert (gap.reason, gap.channel, gap.symbol, gap.from_id, gap.to_id) == ("window", "trades.A", "A", 8, 14)
    assert page(stream, 21, 22) == [21, 22]
    assert kinds(stream.outputs[-1]) == []
    assert page(stream, 9, 8) == [8, 9]
    assert kinds(stream.outputs[-1]) == []
    stream.normalizer = stream.restored()
    page(stream, 30)
    gap = event(stream.outputs[-1], "gap")
    assert (gap.from_id, gap.to_id) == (23, 29)


def test_ids_that_follow_one_another_prove_themselves() -> None:
    """A page newest first is no hole, a page that follows on needs no overlap, and a hole has exact bounds."""
    stream = pages(LinkRule.NEXT)
    assert page(stream, 7, 6, 5) == [5, 6, 7]
    assert page(stream, 9, 8) == [8, 9]
    assert not any("gap" in kinds(output) for output in stream.outputs)
    page(stream, 14, 13, 9)
    gap = event(stream.outputs[-1], "gap")
    assert (gap.reason, gap.from_id, gap.to_id) == ("trade id", 10, 12)


def test_trades_without_ids_are_told_apart_by_what_they_say_and_how_often() -> None:
    """Equal trades of one page are several; the same page again is none; a window apart is a gap of unknown extent."""
    stream = pages(ids=False)
    assert times(stream, 1, 1, 2) == [1, 1, 2]
    assert times(stream, 1, 1, 2) == []
    assert times(stream, 3, 2, 2, 1) == [2, 3]
    stream.normalizer = stream.restored()
    assert times(stream, 2, 2, 3, 3) == [3]
    assert times(stream, 1, 1, 2) == []
    assert not any("gap" in kinds(output) for output in stream.outputs)
    assert times(stream, 9, 8) == [8, 9]
    gap = event(stream.outputs[-1], "gap")
    assert (gap.reason, gap.from_id, gap.to_id) == ("window", 0, 0)


def sampled(ids: bool) -> Made:
    """A book and a top that are asked for now and then."""
    bids, asks = LevelList("b"), LevelList("a")
    book = BookLevels(None, bids, asks, True, "book", ids=Ids("u") if ids else None, sampled=True)
    top = BookTop(None, bids, asks, sequence="u" if ids else None, sampled=True)
    messages = (
        Message("book", channel="book.*", emits=(book,)),
        Message("top", channel="top.*", emits=(top,)),
    )
    return Made(made=meaning(messages, Book("book", SnapshotFrom.STREAM, LinkRule.NONE)))


def test_a_sample_that_says_nothing_new_publishes_nothing() -> None:
    """By id, or by what it says; one out of a cache, with a lower id, neither."""
    for ids in (True, False):
        stream = sampled(ids)
        for channel, kind in (("book.A", MBOMsg), ("top.A", MBP10Msg)):
            first = {"b": [["10", "1"]], "a": [["11", "2"]], "u": 5}
            assert any(isinstance(r, kind) for r in records(stream.on(channel, first)))
            assert stream.on(channel, first).records == 0
            assert stream.on(channel, {**first, "b": [["10", "1.5"]], "u": 6}).records > 0
            if ids:
                assert stream.on(channel, first).records == 0
        excluded = stream.normalizer.counters()["excluded"]
        assert excluded == {"unchanged": 2} | ({"older than the last": 2} if ids else {})
        stream.normalizer = stream.restored()
        for channel in ("book.A", "top.A"):
            assert stream.on(channel, {"b": [["10", "1.5"]], "a": [["11", "2"]], "u": 6}).records == 0


def test_a_book_in_doubt_takes_the_same_sample_again() -> None:
    """It says that nothing was missed."""
    stream = sampled(ids=True)
    body = {"b": [["10", "1"]], "a": [["11", "2"]], "u": 5}
    stream.on("book.A", body)
    stream.answer("_session", {"event": "down", "connection": 0, "reason": "closed"}, "STATUS")
    assert "recovered" in kinds(stream.on("book.A", body))
    assert stream.on("book.A", body).records == 0
