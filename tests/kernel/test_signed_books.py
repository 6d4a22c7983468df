"""Books whose levels carry their side as a sign or a word, and the checksums that go with them."""

from __future__ import annotations

import zlib
from decimal import Decimal

import pytest
from databento_dbn import MBOMsg, TradeMsg
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeline.schemas import Schema
from tapeline.spec.meaning import (
    Book,
    BookLevels,
    Checksum,
    ChecksumText,
    Ids,
    Join,
    LevelList,
    Levels,
    LinkRule,
    Message,
    Side,
    SnapshotFrom,
    Time,
    TimeUnit,
    Trade,
)
from tapeline.spec.routing import Match
from tests.kernel.stream import Made, event, kinds, meaning, records

SUM = Checksum(25, ChecksumText.NUMBER, interleaved=True, separator=":", signed=True, negative_asks=True, optional=True)
NONE = LevelList("none")


def bitfinex(coding: Levels, by_order: bool = False) -> Made:
    """Bitfinex' two books: `[chan, [[…]]]`, `[chan, […]]`, `[chan, "cs", n]`."""
    rule = Checksum(
        25, ChecksumText.NUMBER, True, ":", signed=True, negative_asks=True, by_order=by_order, optional=True
    )
    one = LevelList("1", coding, single=True)
    messages = (
        Message(
            "snapshot",
            when=(Match("1.0.0"),),
            emits=(BookLevels(None, LevelList("1", coding), None, True, "book"),),
        ),
        Message(
            "checksum",
            when=(Match("1", ("cs",)),),
            emits=(BookLevels(None, NONE, None, False, "book", checksum="2"),),
        ),
        Message("heartbeat", when=(Match("1", ("hb",)),), emits=(), excluded="heartbeat"),
        Message("change", when=(Match("1.0"),), emits=(BookLevels(None, one, None, False, "book"),)),
    )
    book = Book("book", SnapshotFrom.STREAM, LinkRule.NONE, checksum=rule, per_order=by_order)
    return Made(made=meaning(messages, book))


def told(found: list[object]) -> list[tuple[str, str, int, int]]:
    """Action, side, price and size of the MBO records."""
    return [(str(r.action), str(r.side), r.price, r.size) for r in found if isinstance(r, MBOMsg)]


def test_a_signed_book_takes_one_level_or_many_and_deletes_by_count() -> None:
    """The sign is the side; a count of zero deletes whatever the size says; exponents are exact."""
    stream = bitfinex(Levels.SIGNED)
    first = stream.on("book.A", b"[7,[[10.5,2,1.5],[4.9e-7,1,0.001],[10.6,1,-3]],1]")
    assert told(records(first))[1:] == [
        ("A", "B", 10_500_000_000, 1500),
        ("A", "B", 490, 1),
        ("A", "A", 10_600_000_000, 3000),
    ]
    change = stream.on("book.A", b"[7,[10.6,3,-5.33E-1],2]")
    assert told(records(change)) == [("M", "A", 10_600_000_000, 533)]
    assert told(records(stream.on("book.A", b"[7,[10.5,0,1],3]"))) == [("C", "B", 10_500_000_000, 0)]
    assert told(records(stream.on("book.A", b"[7,[10.6,0,-1],4]"))) == [("C", "A", 10_600_000_000, 0)]
    assert stream.normalizer.counters()["rejected"] == {}


def test_what_no_plan_reads_may_be_any_number_and_what_one_reads_may_not_be_another_shape() -> None:
    """Forty digits elsewhere are harmless; rows where one level should be are a rejected payload."""
    stream = bitfinex(Levels.SIGNED)
    assert not kinds(stream.on("book.A", b"[1234567890123456789012345678901234567890,[[1,1,1]],1e999]")).count("reject")
    broken = stream.on("book.A", b"[7,[[1,1,1],5],2]")
    assert event(broken, "reject").reason == "syntax"
    assert stream.on("book.A", b'[7,"hb",3]').records == 0


def test_a_signed_checksum_holds_where_one_side_runs_out_and_zero_says_there_is_none() -> None:
    """Bid and ask in turn, an ask's size with a minus, numbers as JavaScript prints them, as int32."""
    stream = bitfinex(Levels.SIGNED)
    stream.on("book.A", b"[7,[[5.5e-7,2,2.50],[5e-7,1,1],[0.0000010,1,-300]],1]")
    good = zlib.crc32(b"5.5e-7:2.5:0.000001:-300:5e-7:1")
    signed = good - 2**32 if good >= 2**31 else good
    assert kinds(stream.on("book.A", [7, "cs", signed, 2])) == []
    assert kinds(stream.on("book.A", [7, "cs", 0, 3])) == []
    assert stream.normalizer.counters()["checksums"] == {"ok": 1, "bad": 0}
    assert set(kinds(stream.on("book.A", [7, "cs", signed ^ 1, 4]))) == {"checksum", "resync"}


def test_a_book_of_signed_orders_goes_by_id_and_proves_itself_by_id() -> None:
    """`[id, price, ±size]`: a known id changes, price zero takes it out, an unknown one that goes is nothing."""
    stream = bitfinex(Levels.SIGNED_ORDER, by_order=True)
    first = stream.on("raw.A", b"[7,[[103,10.5,1.5],[101,10.5,2],[102,10.6,-4]],1]")
    assert [(str(r.action), r.order_id) for r in records(first) if isinstance(r, MBOMsg)][1:] == [
        ("A", 103),
        ("A", 101),
        ("A", 102),
    ]
    text = b"101:2:102:-4:103:1.5"
    assert kinds(stream.on("raw.A", [7, "cs", zlib.crc32(text), 2])) == []
    assert told(records(stream.on("raw.A", b"[7,[101,10.5,1],3]"))) == [("M", "B", 10_500_000_000, 10)]
    assert told(records(stream.on("raw.A", b"[7,[101,10.4,1],4]"))) == [("M", "B", 10_400_000_000, 10)]
    assert told(records(stream.on("raw.A", b"[7,[102,0,-1],5]"))) == [("C", "A", 10_600_000_000, 40)]
    assert told(records(stream.on("raw.A", b"[7,[999,0,1],6]")))[0][0] == "N"
    assert kinds(stream.on("raw.A", [7, "cs", zlib.crc32(b"103:1.5:101:1"), 7])) == []
    assert stream.normalizer.counters()["checksums"] == {"ok": 2, "bad": 0}


def kucoin() -> Made:
    """KuCoin's spot and futures books: rows with an id of their own, and one change as a text."""
    messages = (
        Message(
            "snapshot",
            when=(Match("snapshot"),),
            emits=(BookLevels(None, LevelList("bids"), LevelList("asks"), True, "book", ids=Ids("snapshot")),),
        ),
        Message(
            "text",
            when=(Match("change"),),
            emits=(
                BookLevels(
                    None,
                    LevelList("change", Levels.TEXT, ("buy", "sell"), single=True),
                    None,
                    False,
                    "book",
                    ids=Ids("end"),
                ),
            ),
        ),
        Message(
            "changes",
            when=(Match("kind", like=("lev*", "l?3")),),
            emits=(
                BookLevels(
                    None,
                    LevelList("bids", row_id=2, skip_zero_price=True),
                    LevelList("asks", row_id=2, skip_zero_price=True),
                    False,
                    "book",
                    ids=Ids("end", first="start"),
                ),
            ),
        ),
    )
    return Made(made=meaning(messages, Book("book", SnapshotFrom.REQUEST, LinkRule.NEXT, join=(Join.SPANS_NEXT,))))


def test_rows_older_than_the_snapshot_are_left_out_and_rows_of_price_zero_only_count() -> None:
    """KuCoin: `sequenceStart <= local + 1 < = sequenceEnd`; null sides are empty; the sequence goes on in any case."""
    stream = kucoin()
    stream.on("book.A", {"kind": "level2", "start": 98, "end": 102, "bids": [["1", "9", "99"], ["2", "5", "102"]]})
    stream.on("book.A", {"snapshot": "100", "bids": [["1", "1"]], "asks": None})
    [*_, last] = stream.outputs
    assert told(records(last)) == [
        ("R", "N", 2**63 - 1, 0),
        ("A", "B", 1_000_000_000, 1),
        ("A", "B", 2_000_000_000, 5),
    ]
    zero = stream.on("book.A", {"kind": "l23", "start": 103, "end": 103, "bids": None, "asks": [["0", "0", "103"]]})
    assert told(records(zero)) == [("N", "N", 2**63 - 1, 0)]
    text = stream.on("book.A", {"change": "2.5,sell,7", "end": 104})
    assert told(records(text)) == [("A", "A", 2_500_000_000, 7)]
    gone = stream.on("book.A", {"change": "2.5,sell,0", "end": 105})
    assert told(records(gone)) == [("C", "A", 2_500_000_000, 0)]
    assert stream.normalizer.counters()["links"]["broken"] == 0
    assert event(stream.on("book.A", {"change": "2.5,sold,0", "end": 106}), "reject").reason == "bad_side"
    assert event(stream.on("book.A", {"kind": "other", "start": 106, "end": 106}), "reject").reason == "unknown_message"
    gap = event(stream.on("book.A", {"change": "2.5,sell,7", "end": 108}), "gap")
    assert (gap.from_id, gap.to_id) == (106, 107)


def test_kept_rows_are_held_against_the_snapshot_after_a_restart_too() -> None:
    """The snapshot's id is part of the checkpoint."""
    stream = kucoin()
    stream.on("book.A", {"snapshot": "100", "bids": [["1", "1"]], "asks": []})
    stream.normalizer = stream.restored()
    late = stream.on(
        "book.A", {"kind": "level2", "start": 99, "end": 101, "bids": [["1", "9", "100"], ["1", "3", 101]]}
    )
    assert told(records(late)) == [("M", "B", 1_000_000_000, 3)]


def test_a_side_told_by_sign_and_a_constant_symbol() -> None:
    """A negative size is a sell, published without its sign; a path that starts with `=` is its own text."""
    trade = Trade("=B", ".3", ".2", Side(".2", sign=True), Time(".1", TimeUnit.MILLIS), id=".0")
    stream = Made(made=meaning((Message("trades", each="1", emits=(trade,)),)))
    done = stream.on("trades.A", b"[7,[[1,1700000000000,-0.5,10],[2,1700000000000,1.5e0,11],[3,1700000000000,x,11]]]")
    assert event(done, "reject").reason == "syntax"
    done = stream.on("trades.A", b"[7,[[1,1700000000000,-0.5,10],[2,1700000000000,1.5e0,11],[3,1700000000000,1,null]]]")
    assert [(str(r.side), r.price, r.size) for r in records(done) if isinstance(r, TradeMsg)] == [
        ("A", 10_000_000_000, 500),
        ("B", 11_000_000_000, 1500),
    ]
    assert "B" in stream.normalizer.symbols().values()
    assert Schema.TRADES.value in {schema for _, schema in stream.normalizer.channels()}


NUMBER = st.decimals(min_value="0.001", max_value="1000", places=3)
CHANGE = st.tuples(NUMBER, st.integers(0, 3), NUMBER, st.booleans())


@settings(max_examples=60, deadline=None)
@given(changes=st.lists(CHANGE, min_size=1, max_size=60))
def test_a_signed_book_is_what_a_plain_model_of_it_says(changes: list[tuple[Decimal, int, Decimal, bool]]) -> None:
    """The checksum over the kernel's book equals the one over a dict of decimals, after every change."""
    stream = bitfinex(Levels.SIGNED)
    stream.on("book.A", b"[7,[[500,1,1],[501,1,-1]],1]")
    book: dict[bool, dict[Decimal, Decimal]] = {False: {Decimal(500): Decimal(1)}, True: {Decimal(501): Decimal(1)}}
    for price, count, size, ask in changes:
        amount = -size if ask else size
        stream.on("book.A", f"[7,[{price},{count},{amount}],2]".encode())
        if count:
            book[ask][price] = size
        else:
            book[ask].pop(price, None)
        stream.on("book.A", [7, "cs", zlib.crc32(text_of(book).encode()), 3])
    assert stream.normalizer.counters()["checksums"]["bad"] == 0


def text_of(book: dict[bool, dict[Decimal, Decimal]]) -> str:
    """Bitfinex' text of the top 25, from a model of the book."""
    sides = (sorted(book[False].items(), reverse=True)[:25], sorted(book[True].items())[:25])
    pieces = []
    for place in range(25):
        for side, sign in zip(sides, ("", "-"), strict=True):
            if place < len(side):
                price, size = side[place]
                pieces.append(f"{short(price)}:{sign}{short(size)}")
    return ":".join(pieces)


def short(number: Decimal) -> str:
    """A number without trailing zeros."""
    return f"{number.normalize():f}"


@pytest.mark.parametrize("place", [3, 9])
def test_a_row_id_beyond_the_three_columns_is_refused(place: int) -> None:
    """A spec the kernel cannot run is refused at start, with the place."""
    message = Message("m", emits=(BookLevels(None, LevelList("b", row_id=place), None, True, "book"),))
    with pytest.raises(ValueError, match="row_id"):
        Made(made=meaning((message,), Book("book", SnapshotFrom.STREAM, LinkRule.NONE)))
