"""Counters over all messages of a connection: what a hole, a repeat and a restart mean."""

from __future__ import annotations

from databento_dbn import MBOMsg, StatusMsg

from tapeline.spec.meaning import (
    Book,
    BookLevels,
    Counter,
    LevelList,
    Levels,
    LinkRule,
    Message,
    Quote,
    SnapshotFrom,
)
from tapeline.spec.routing import Match
from tests.kernel.stream import Made, event, kinds, meaning, records


def counted() -> Made:
    """Signed books and quotes with a counter at the end of every message but one kind."""
    one = LevelList("1", Levels.SIGNED, single=True)
    messages = (
        Message(
            "snapshot",
            channel="book.*",
            when=(Match("1.0.0"),),
            emits=(BookLevels(None, LevelList("1", Levels.SIGNED), None, True, "book"),),
        ),
        Message("heartbeat", when=(Match("1", ("hb",)),), emits=(), excluded="heartbeat"),
        Message("change", channel="book.*", when=(Match("1.0"),), emits=(BookLevels(None, one, None, False, "book"),)),
        Message(
            "quote",
            channel="quote.*",
            emits=(Quote(None, "1.b", "1.B", "1.a", "1.A", time=None, carry=(Match("1.delta"),)),),
        ),
    )
    counters = (Counter("none", when=(Match("1.uncounted"),)), Counter("-1"))
    return Made(made=meaning(messages, Book("book", SnapshotFrom.STREAM, LinkRule.NONE), counters=counters))


def snapshot(number: int) -> list[object]:
    """A book of one level."""
    return [7, [[10, 1, 1.5]], number]


def change(number: int) -> list[object]:
    """The level's size changes."""
    return [7, [10, 1, number], number]


def doubtful(stream: Made, channel: str, number: int, connection: int = 0) -> bool:
    """Whether the next change of a book is published flagged."""
    flags = [int(r.flags) for r in records(stream.on(channel, change(number), connection)) if isinstance(r, MBOMsg)]
    assert flags
    return bool(flags[0] & 0x04)


def test_a_hole_puts_every_book_of_the_connection_in_doubt_and_no_other() -> None:
    """The gap has exact bounds on the channel that showed it; each book asks once for a resync; a snapshot ends it."""
    stream = counted()
    for number, channel in enumerate(("book.A", "book.B"), start=5):
        stream.on(channel, snapshot(number))
    stream.on("book.C", snapshot(1), connection=1)
    stream.on("book.A", [7, "hb", 7])
    hole = stream.on("book.A", change(11))
    gap = event(hole, "gap")
    assert (gap.reason, gap.channel, gap.from_id, gap.to_id) == ("counter", "book.A", 8, 10)
    assert sorted(e.channel for e in hole.events if e.kind == "resync") == ["book.A", "book.B"]
    assert len([r for r in records(hole) if isinstance(r, StatusMsg)]) == 2
    assert doubtful(stream, "book.A", 12)
    assert doubtful(stream, "book.B", 13)
    assert not doubtful(stream, "book.C", 2, connection=1)
    second = stream.on("book.B", change(15))
    assert kinds(second) == ["gap"]
    assert "recovered" in kinds(stream.on("book.A", snapshot(16)))
    assert not doubtful(stream, "book.A", 17)
    assert doubtful(stream, "book.B", 18)
    assert stream.normalizer.counters()["links"]["broken"] == 2


def test_a_repeated_message_is_excluded_and_a_late_one_is_taken() -> None:
    """A number that was missing may still come; one that has been changes nothing."""
    stream = counted()
    stream.on("book.A", snapshot(1))
    stream.on("book.A", change(2))
    assert stream.on("book.A", change(2)).records == 0
    assert stream.normalizer.counters()["excluded"] == {"repeated message": 1}
    gap = event(stream.on("book.A", change(4)), "gap")
    assert (gap.from_id, gap.to_id) == (3, 3)
    assert stream.on("book.A", change(3)).records == 1
    assert stream.on("book.A", change(3)).records == 0
    assert stream.on("book.A", snapshot(1)).records == 0


def test_a_connection_counts_anew_after_its_session_event_and_in_a_new_epoch() -> None:
    """Numbers start at one again where the connection does."""
    stream = counted()
    stream.on("book.A", snapshot(100))
    stream.answer("_session", {"event": "down", "connection": 0, "reason": "closed"}, "STATUS")
    stream.answer("_session", {"event": "up", "connection": 0, "reason": ""}, "STATUS")
    again = stream.on("book.A", snapshot(1))
    assert "recovered" in kinds(again)
    assert not doubtful(stream, "book.A", 2)


def test_messages_without_the_number_do_not_count_and_one_that_is_no_number_is_rejected() -> None:
    """A first counter that fits but finds nothing keeps the next from looking."""
    stream = counted()
    stream.on("quote.A", [7, {"b": 1, "B": 1, "a": 2, "A": 1}, 1])
    assert not kinds(stream.on("quote.A", [7, {"b": 1, "B": 1, "a": 2, "A": 1, "uncounted": 1}, 9]))
    assert not kinds(stream.on("quote.A", [7, {"b": 1, "B": 1, "a": 2, "A": 1}, 2]))
    assert event(stream.on("quote.A", [7, {"b": 1}, "x"]), "reject").reason == "bad_id"


def test_the_counter_outlives_a_restart() -> None:
    """A hole across the restart is found."""
    stream = counted()
    stream.on("book.A", snapshot(1))
    stream.normalizer = stream.restored()
    gap = event(stream.on("book.A", change(3)), "gap")
    assert (gap.from_id, gap.to_id) == (2, 2)


def test_a_hole_forgets_what_quotes_carry() -> None:
    """A change of the quote may have been lost: the channel asks for a resync, nothing is made up meanwhile."""
    stream = counted()
    stream.on("quote.A", [7, {"b": 1, "B": 1, "a": 2, "A": 1}, 1])
    assert stream.on("quote.A", [7, {"b": 1.5, "delta": True}, 2]).records == 1
    hole = stream.on("quote.A", [7, {"b": 1.25, "delta": True}, 4])
    assert kinds(hole) == ["gap", "resync"]
    assert hole.records == 0
    assert stream.normalizer.counters()["excluded"] == {"quote with nothing to carry over": 1}
    assert stream.on("quote.A", [7, {"b": 1, "B": 1, "a": 2, "A": 1}, 5]).records == 1
