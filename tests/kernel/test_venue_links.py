"""The links of venues whose rules have exceptions: legal resets, standing still, restarts, joins of a requested snapshot."""

from __future__ import annotations

import zlib
from typing import Any

from databento_dbn import MBOMsg

from tapeline.spec.meaning import (
    Book,
    BookLevels,
    Checksum,
    ChecksumText,
    Ids,
    Join,
    LevelList,
    LinkRule,
    Message,
    SnapshotFrom,
)
from tapeline.spec.routing import Match
from tests.kernel.stream import Made, event, kinds, meaning, records


def books(book: Book, snapshot: Ids, change: Ids, checksum: str | None = None) -> Made:
    """A venue of `{"action": "snapshot" | "update", "b": …, "a": …}`."""
    messages = tuple(
        Message(
            action,
            when=(Match("action", (action,)),),
            emits=(
                BookLevels(
                    None,
                    LevelList("b"),
                    LevelList("a"),
                    action == "snapshot",
                    "book",
                    ids=ids,
                    checksum=checksum,
                ),
            ),
        )
        for action, ids in (("snapshot", snapshot), ("update", change))
    )
    return Made(made=meaning(messages, book))


def say(stream: Made, action: str, **fields: Any) -> list[str]:
    """The kinds of events of one message, after `flagged` where its records are."""
    output = stream.on("book.A", {"action": action, "b": [], "a": [], **fields})
    flagged = any(int(r.flags) & 0x04 for r in records(output) if isinstance(r, MBOMsg))
    return (["flagged"] if flagged else []) + kinds(output)


def okx() -> Made:
    """OKX v5: prevSeqId leads back, may stand still and may be reset; the checksum is zero where it is retired."""
    rule = Checksum(25, ChecksumText.RAW, interleaved=True, separator=":", signed=True, optional=True)
    book = Book("book", SnapshotFrom.STREAM, LinkRule.BACK, no_change=True, checksum=rule)
    return books(book, Ids("seqId", previous="prevSeqId"), Ids("seqId", previous="prevSeqId"), "checksum")


def test_okx_keeps_alive_resets_and_gaps() -> None:
    """A frame that stands still and one that leads to a lower id link; one that leads back to what was not seen does not."""
    stream = okx()
    first = [["8476.98", "415", "0", "13"]]
    assert "inferred" in say(stream, "snapshot", b=first, seqId=123456, prevSeqId=-1, checksum=0)
    for previous, last in ((123456, 123460), (123460, 123460), (123460, 15), (15, 20)):
        assert say(stream, "update", seqId=last, prevSeqId=previous, checksum=0) == []
    stream.on("book.A", {"action": "update", "b": [], "a": [], "seqId": 20, "prevSeqId": 15})
    assert stream.normalizer.counters()["books"]["stale"] == 1
    assert say(stream, "update", seqId=40, prevSeqId=30) == ["flagged", "gap", "resync"]
    gap = event(stream.outputs[-1], "gap")
    assert (gap.from_id, gap.to_id) == (21, 30)
    assert "recovered" in say(stream, "snapshot", b=first, seqId=50, prevSeqId=-1)
    assert say(stream, "update", seqId=3, prevSeqId=60) == ["flagged", "gap", "resync"]
    gap = event(stream.outputs[-1], "gap")
    assert (gap.from_id, gap.to_id) == (51, 60)


def test_okx_checksum_of_raw_strings_over_sides_of_unequal_depth() -> None:
    """`bid:ask` in turn, then what is left of the longer side; int32; zero is none."""
    stream = okx()
    bids = [["3366.1", "7", "0", "3"], ["3366", "6", "3", "4"], ["3365.5", "5.10", "0", "1"]]
    text = b"3366.1:7:3366.8:9:3366:6:3365.5:5.10"
    signed = zlib.crc32(text) - (2**32 if zlib.crc32(text) >= 2**31 else 0)
    asks = [["3366.8", "9", "10", "3"]]
    assert "checksum" not in say(stream, "snapshot", b=bids, a=asks, seqId=1, prevSeqId=-1, checksum=signed)
    assert stream.normalizer.counters()["checksums"] == {"ok": 1, "bad": 0}
    assert say(stream, "update", seqId=2, prevSeqId=1, checksum=0) == []
    assert say(stream, "update", seqId=3, prevSeqId=2, checksum=signed + 1) == ["flagged", "checksum", "resync"]


def test_bybit_takes_a_snapshot_at_any_time() -> None:
    """A restart of the venue's service begins again at 1, without a gap."""
    stream = books(Book("book", SnapshotFrom.STREAM, LinkRule.NEXT), Ids("u"), Ids("u"))
    say(stream, "snapshot", b=[["10", "1"]], u=18521288)
    assert say(stream, "update", b=[["10", "2"]], u=18521289) == []
    assert say(stream, "snapshot", b=[["9", "1"]], u=1) == []
    assert say(stream, "update", b=[["9", "0"]], u=2) == []
    assert say(stream, "update", u=4) == ["flagged", "gap", "resync"]
    assert stream.normalizer.counters()["links"] == {"ok": 2, "broken": 1}


def test_htx_joins_where_the_previous_is_the_snapshot_and_takes_a_missing_side_as_none() -> None:
    """A snapshot whose seqNum no kept delta follows is asked for again."""
    book = Book("book", SnapshotFrom.REQUEST, LinkRule.BACK, join=(Join.PREVIOUS_IS,))
    stream = books(book, Ids("seqNum"), Ids("seqNum", previous="prevSeqNum"))
    assert say(stream, "update", b=[["9", "9"]], seqNum=100020146795, prevSeqNum=100020146790) == ["resync"]
    say(stream, "update", b=[["10", "3"]], a=None, seqNum=100020146799, prevSeqNum=100020146795)
    assert say(stream, "snapshot", b=[["10", "1"]], seqNum=100020146792) == ["resync"]
    joined = stream.on("book.A", {"action": "snapshot", "seqNum": 100020146795, "b": [["10", "1"]]})
    assert [str(r.action) for r in records(joined) if isinstance(r, MBOMsg)] == ["R", "A", "M"]
    assert say(stream, "update", seqNum=100020146801, prevSeqNum=100020146799) == []
    assert say(stream, "update", seqNum=100020146809, prevSeqNum=100020146805) == ["flagged", "gap", "resync"]


def test_mexc_ranges_join_and_follow_on() -> None:
    """`fromVersion ≤ lastUpdateId + 1 ≤ toVersion`, then each range begins where the one before ended."""
    book = Book("book", SnapshotFrom.REQUEST, LinkRule.NEXT, join=(Join.SPANS_NEXT,))
    stream = books(book, Ids("lastUpdateId"), Ids("toVersion", first="fromVersion"))
    say(stream, "snapshot", b=[["10", "1"]], lastUpdateId="10589632359")
    assert say(stream, "update", fromVersion="10589632350", toVersion="10589632359") == []
    assert stream.normalizer.counters()["books"]["stale"] == 1
    assert say(stream, "update", fromVersion="10589632358", toVersion="10589632361", b=[["10", 0]]) == []
    assert say(stream, "update", fromVersion="10589632362", toVersion="10589632363") == []
    assert say(stream, "update", fromVersion="10589632365", toVersion="10589632366") == ["flagged", "gap", "resync"]
    gap = event(stream.outputs[-1], "gap")
    assert (gap.from_id, gap.to_id) == (10589632364, 10589632364)


def test_a_checkpoint_of_another_version_is_left_out_and_its_books_start_anew() -> None:
    """Nothing of it is misread: the book asks for a snapshot, the position holds."""
    stream = books(Book("book", SnapshotFrom.STREAM, LinkRule.NEXT), Ids("u"), Ids("u"))
    say(stream, "snapshot", b=[["10", "1"]], u=5)
    say(stream, "update", b=[["10", "2"]], u=6)
    restored = stream.fresh()
    # The first version's field of this channel: sequence 2, connection 0, no chains, no books.
    assert restored.restore({b"position": b"1700000000000000000:2", b"MBO|book.A": bytes([2, 0, 0, 0])}) == 2
    stream.normalizer = restored
    assert say(stream, "update", b=[["10", "3"]], u=7) == ["resync"]
