"""A connection's heir brings a snapshot of its own: from then on a book is the heir's, whatever the old one still says."""

from __future__ import annotations

from databento_dbn import MBOMsg
from tapeline_kernel import Normalizer, Output, Router

from tapeline.spec.encode import encode
from tapeline.spec.meaning import Book, BookLevels, LevelList, LinkRule, Message, SnapshotFrom
from tapeline.spec.routing import Match, Routing
from tests.kernel.stream import EPOCH, Made, kinds, meaning, records

F_MAYBE_BAD = 4
OLD, HEIR = 0, 1
MEANING = meaning(
    tuple(
        Message(
            name,
            (BookLevels(None, LevelList("b"), LevelList("a"), name == "full", "book"),),
            channel="book.*",
            when=(Match("t", (name,)),),
        )
        for name in ("full", "delta")
    ),
    Book("book", snapshot=SnapshotFrom.STREAM, link=LinkRule.NONE),
)


def full(*bids: tuple[str, str]) -> dict[str, object]:
    """A snapshot."""
    return {"t": "full", "b": bids, "a": []}


def delta(price: str, size: str) -> dict[str, object]:
    """A level that changes."""
    return {"t": "delta", "b": [(price, size)], "a": []}


def session(event: str, connection: int) -> dict[str, object]:
    """What the session manager says of a connection."""
    return {"event": event, "connection": connection, "reason": "test"}


def handed_over() -> Made:
    """A book that the old connection began and the heir has taken over."""
    stream = Made(made=MEANING)
    stream.on("book.A", full(("10", "1")), OLD)
    assert moved(stream.on("book.A", delta("11", "2"), OLD)) == [("A", 11)]
    stream.on("book.A", full(("10", "1"), ("11", "3")), HEIR)
    return stream


def moved(output: Output) -> list[tuple[str, int]]:
    """Action and price of an output's records."""
    found = [record for record in records(output) if isinstance(record, MBOMsg)]
    return [(str(record.action), record.price // 1_000_000_000) for record in found]


def stale(normalizer: Normalizer) -> int:
    """Deltas left out."""
    return normalizer.counters()["books"]["stale"]


def test_what_the_old_connection_still_says_changes_nothing() -> None:
    """The heir's snapshot holds it, or the heir says it as well; a late snapshot of the old one is none either."""
    stream = handed_over()
    for said in (delta("11", "2"), full(("10", "9")), delta("11", "0")):
        late = stream.on("book.A", said, OLD)
        assert (late.records, late.events) == (0, [])
    assert stale(stream.normalizer) == 3
    assert moved(stream.on("book.A", delta("11", "4"), HEIR)) == [("M", 11)]


def test_a_book_of_another_channel_stays_with_its_own_connection() -> None:
    """What the heir has not taken over yet goes on."""
    stream = handed_over()
    stream.on("book.B", full(("5", "1")), OLD)
    assert moved(stream.on("book.B", delta("6", "1"), OLD)) == [("A", 6)]
    assert stale(stream.normalizer) == 0


def test_an_heir_that_fails_gives_the_book_back_in_doubt() -> None:
    """The old one lives on: what it says is taken again, flagged until a snapshot comes."""
    stream = handed_over()
    stream.on("book.A", delta("11", "2"), OLD)
    down = stream.on("_session", session("down", HEIR))
    assert kinds(down) == ["gap", "resync"]
    (record,) = records(stream.on("book.A", delta("12", "1"), OLD))
    assert int(record.flags) & F_MAYBE_BAD  # type: ignore[attr-defined]
    stream.on("book.A", full(("12", "1")), OLD)
    (record,) = records(stream.on("book.A", delta("12", "2"), OLD))
    assert not int(record.flags) & F_MAYBE_BAD  # type: ignore[attr-defined]


def test_the_old_ones_end_leaves_the_heirs_book_alone() -> None:
    """Even where the last payload of the channel was the old one's."""
    stream = handed_over()
    stream.on("book.A", delta("11", "2"), OLD)
    assert kinds(stream.on("_session", session("down", OLD))) == ["gap"]


def test_a_restarted_normalizer_knows_whose_a_book_is() -> None:
    """It is in the checkpoint."""
    stream = handed_over()
    restored = stream.restored()
    stream.connection = OLD
    assert restored.normalize(stream.injected("book.A", delta("11", "2"))).records == 0
    assert stale(restored) == 1


def test_numbers_of_connections_mean_nothing_after_a_restart_of_the_session() -> None:
    """They begin anew with each epoch; the book is in doubt then, as nothing links its messages."""
    stream = handed_over()
    stream.router = Router(encode(Routing(routes=(), schemas=())), stream.provider, "PRIMARY", EPOCH + 1)
    again = stream.on("book.A", delta("12", "1"), OLD)
    assert kinds(again) == ["resync", "lost"]
    assert moved(again) == [("A", 12)]


def test_numbers_of_connections_mean_nothing_between_two_instances() -> None:
    """MERGED takes whoever is first."""
    stream = Made(made=MEANING)
    stream.normalizer = Normalizer(stream.meaning, stream.provider, "MERGED", "dbn")
    stream.on("book.A", full(("10", "1")), HEIR)
    assert moved(stream.on("book.A", delta("11", "2"), OLD)) == [("A", 11)]
