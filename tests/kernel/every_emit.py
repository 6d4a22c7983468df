"""A venue that does not exist, with one message of every kind the meaning language has: food for the kernel's fuzzing.

`python -m tests.kernel.every_emit` writes it where the Rust tests read it.
"""

from __future__ import annotations

from pathlib import Path

from tapeline.schemas import Schema
from tapeline.spec.encode import encode
from tapeline.spec.meaning import (
    Bar,
    Block,
    Book,
    BookLevels,
    BookOrder,
    BookTop,
    ChannelSymbol,
    Checksum,
    ChecksumText,
    Counter,
    Discard,
    Ids,
    InBlock,
    Instrument,
    Join,
    LevelList,
    Levels,
    LinkRule,
    Mapping,
    Meaning,
    Message,
    OrderEvent,
    Quote,
    Side,
    SnapshotFrom,
    Stat,
    Statistics,
    StatValue,
    Time,
    TimeUnit,
    Trade,
    Word,
)
from tapeline.spec.routing import ChannelSchema, Match, Route, Routing

FOLDER = Path(__file__).resolve().parents[2] / "kernel" / "tests" / "specs"

SIDE = Side("side", buy=("b",), sell=("s",))
IDS = Ids(last="u", first="U", previous="pu")


def levels(
    name: str, kind: str, book: str, coding: Levels, keys: tuple[str, ...] = (), ids: Ids | None = None
) -> Message:
    """A snapshot (`s`) or delta (`d`) of one book."""
    sided = coding in (Levels.SIDED, Levels.SIGNED, Levels.SIGNED_ORDER, Levels.TEXT)
    return Message(
        f"{name} {kind}",
        channel=f"{name}.*",
        when=(Match("t", (kind,)),),
        emits=(
            BookLevels(
                symbol=None,
                bids=LevelList("b", coding, keys),
                asks=None if sided else LevelList("a", coding, keys),
                snapshot=kind == "s",
                book=book,
                time=Time("E", TimeUnit.MILLIS),
                sent=Time("T", TimeUnit.MICROS),
                ids=ids,
                checksum="c" if book == "summed" else None,
            ),
        ),
    )


def order(kind: str, event: OrderEvent) -> Message:
    """An event of the order book."""
    return Message(
        f"order {kind}",
        channel="order.*",
        when=(Match("t", (kind,)),),
        emits=(
            BookOrder(
                symbol=None,
                event=event,
                book="orders",
                order_id="o",
                price="p",
                size="q",
                side=SIDE,
                time=Time("E", TimeUnit.NANOS),
                ids=Ids(last="u"),
            ),
        ),
    )


SIGNED = Side(".1", sign=True)
COUNTED = (Match("cnt"),)

MESSAGES = (
    Message(
        "page",
        channel="page.*",
        when=(Match("t", like=("id*",)),),
        each="d",
        emits=(Trade(None, ".2", ".1", SIGNED, Time(".0", TimeUnit.MILLIS), id=".3", link=LinkRule.RISING, page=True),),
    ),
    Message(
        "page without ids",
        channel="page.*",
        each="d",
        emits=(Trade("=B", ".2", ".1", SIGNED, Time(".0", TimeUnit.MILLIS), page=True),),
    ),
    Message(
        "head",
        channel="chain.*",
        when=(Match("t", ("h",)),),
        emits=(Block("n", "h", "p", Time("E", TimeUnit.SECONDS)),),
    ),
    Message(
        "trades in blocks",
        channel="chain.*",
        each="d",
        emits=(
            Trade(
                "=B",
                ".2",
                ".1",
                SIGNED,
                Time(".0", TimeUnit.MILLIS),
                id=".3",
                page=True,
                block=InBlock(".3", ".4", ".5", removed=(Match(".6"),)),
            ),
        ),
    ),
    Message(
        "sampled book",
        channel="sampled.*",
        when=(Match("t", ("s",)),),
        emits=(BookLevels(None, LevelList("b"), LevelList("a"), True, "sided", ids=Ids(last="u"), sampled=True),),
    ),
    Message(
        "sampled top",
        channel="sampled.*",
        emits=(BookTop(None, LevelList("b"), LevelList("a"), sampled=True),),
    ),
    Message(
        "carried quote",
        channel="carried.*",
        emits=(Quote(None, "b", "B", "a", "A", time=None, carry=(Match("t", ("d",)),)),),
    ),
    Message(
        "signed snapshot",
        channel="signed.*",
        when=(Match("1.0.0"),),
        emits=(BookLevels(None, LevelList("1", Levels.SIGNED), None, True, "signed"),),
    ),
    Message(
        "signed checksum",
        channel="signed.*",
        when=(Match("1", ("cs",)),),
        emits=(BookLevels(None, LevelList("none"), None, False, "signed", checksum="2"),),
    ),
    Message(
        "signed change",
        channel="signed.*",
        emits=(BookLevels(None, LevelList("1", Levels.SIGNED, single=True), None, False, "signed"),),
    ),
    Message(
        "signed orders",
        channel="raw.*",
        when=(Match("1.0.0"),),
        emits=(BookLevels(None, LevelList("1", Levels.SIGNED_ORDER), None, True, "raw"),),
    ),
    Message(
        "signed order",
        channel="raw.*",
        emits=(BookLevels(None, LevelList("1", Levels.SIGNED_ORDER, single=True), None, False, "raw", checksum="2"),),
    ),
    Message(
        "text snapshot",
        channel="text.*",
        when=(Match("t", ("s",)),),
        emits=(
            BookLevels(None, LevelList("b", Levels.TEXT, ("buy", "sell")), None, True, "marked", ids=Ids(last="u")),
        ),
    ),
    Message(
        "text change",
        channel="text.*",
        when=(Match("one"),),
        emits=(
            BookLevels(
                None,
                LevelList("one", Levels.TEXT, ("buy", "sell"), single=True),
                None,
                False,
                "marked",
                ids=Ids(last="u"),
            ),
        ),
    ),
    Message(
        "marked change",
        channel="text.*",
        emits=(
            BookLevels(
                None,
                LevelList("b", row_id=2, skip_zero_price=True),
                LevelList("a", Levels.OBJECT, ("p", "q", "i"), row_id=2, single=True),
                False,
                "marked",
                ids=IDS,
            ),
        ),
    ),
    Message(
        "trade",
        channel="trade.*",
        each="d",
        emits=(
            Trade(
                symbol=".s",
                price=".p",
                size=".q",
                side=Side(".side", ("b", "true"), ("s", "false")),
                time=Time(".E", TimeUnit.BY_DIGITS),
                sent=Time("T", TimeUnit.SECONDS),
                id=".i",
                link=LinkRule.NEXT,
                exclude=(("block", Match(".block", ("true",))),),
            ),
        ),
    ),
    Message(
        "quote",
        channel="quote.*",
        emits=(
            Quote("s", "b", "B", "a", "A", time=Time("E", TimeUnit.ISO), sequence="u", sent=Time("T", TimeUnit.MILLIS)),
        ),
    ),
    levels("stream", "s", "summed", Levels.OBJECT, ("p", "q")),
    levels("stream", "d", "summed", Levels.OBJECT, ("p", "q")),
    levels("asked", "s", "asked", Levels.PAIR, ids=Ids(last="u")),
    levels("asked", "d", "asked", Levels.PAIR, ids=IDS),
    levels("back", "s", "back", Levels.ACTION, ids=Ids(last="u")),
    levels("back", "d", "back", Levels.ACTION, ids=Ids(last="u", previous="pu")),
    levels("sided", "s", "sided", Levels.SIDED, ("b", "s"), ids=Ids(last="u")),
    levels("sided", "d", "sided", Levels.SIDED, ("b", "s"), ids=Ids(last="u")),
    levels("order", "s", "orders", Levels.ORDER, ids=Ids(last="u")),
    order("open", OrderEvent.OPEN),
    order("change", OrderEvent.CHANGE),
    order("done", OrderEvent.DONE),
    order("match", OrderEvent.MATCH),
    order("none", OrderEvent.NONE),
    Message(
        "top",
        channel="top.*",
        emits=(BookTop("s", LevelList("b"), LevelList("a"), time=Time("E", TimeUnit.SECONDS), sequence="u"),),
    ),
    Message(
        "statistics",
        channel="stats.*",
        emits=(
            Statistics(
                "s",
                Time("E", TimeUnit.MILLIS),
                (Stat(9, "oi", StatValue.QUANTITY), Stat(20001, "mark"), Stat(20002, "next", StatValue.TIME_MS)),
            ),
        ),
    ),
    Message(
        "bar",
        channel="bar.*",
        emits=(Bar("s", Time("E", TimeUnit.MILLIS), "o", "h", "l", "c", "v", closed=(Match("x", ("true",)),)),),
    ),
    Message("open bar", channel="bar.*", emits=(), excluded="candle still open"),
    Message(
        "instruments",
        channel="instruments",
        each=".",
        emits=(
            Instrument(
                symbol=".s",
                prefix="",
                price_step=".ps",
                price_decimals=".pd",
                size_step=".filters[k=LOT].step",
                size_decimals=".qd",
                max_size=".max",
                base=".base",
                quote=".quote",
                settle=".settle",
                unit=".base",
                kind=".kind",
                kinds=(Word("PERP", "F"),),
                expiry=Time(".expiry", TimeUnit.MILLIS),
                activation=Time(".listed", TimeUnit.ISO),
                strike=".strike",
                multiplier=".multiplier",
            ),
        ),
    ),
)

BOOKS = (
    Book(
        "signed",
        snapshot=SnapshotFrom.STREAM,
        link=LinkRule.NONE,
        checksum=Checksum(
            3, ChecksumText.NUMBER, interleaved=True, separator=":", signed=True, negative_asks=True, optional=True
        ),
    ),
    Book(
        "raw",
        snapshot=SnapshotFrom.STREAM,
        link=LinkRule.NONE,
        checksum=Checksum(3, ChecksumText.RAW, interleaved=True, separator=":", by_order=True),
        per_order=True,
    ),
    Book("marked", snapshot=SnapshotFrom.REQUEST, link=LinkRule.NEXT, join=(Join.SPANS_NEXT,)),
    Book(
        "summed",
        snapshot=SnapshotFrom.STREAM,
        link=LinkRule.NONE,
        depth_from=(("stream.DEEP", 5), ("*", 0)),
        checksum=Checksum(3, ChecksumText.DIGITS, interleaved=True, separator=":", signed=True),
    ),
    Book(
        "asked",
        snapshot=SnapshotFrom.REQUEST,
        link=LinkRule.NEXT,
        discard=Discard.LAST_AT_OR_BELOW,
        join=(Join.SPANS_NEXT, Join.FIRST_IS_NEXT),
        max_buffered=5,
        skip_far=True,
    ),
    Book(
        "back",
        snapshot=SnapshotFrom.REQUEST,
        link=LinkRule.BACK,
        discard=Discard.LAST_BELOW,
        join=(Join.SPANS, Join.PREVIOUS_IS),
        no_change=True,
    ),
    Book("sided", snapshot=SnapshotFrom.STREAM, link=LinkRule.RISING),
    Book(
        "orders",
        snapshot=SnapshotFrom.REQUEST,
        link=LinkRule.NEXT,
        join=(Join.FIRST_IS_NEXT,),
        per_order=True,
    ),
)

MEANING = Meaning(
    number=250,
    default_lot="0.001",
    exchange="NONE",
    mappings=(
        Mapping(
            messages=MESSAGES,
            books=BOOKS,
            until="2030-01-01",
            counters=(Counter("-1", when=(Match("1"),)), Counter("cnt", when=COUNTED)),
        ),
        Mapping(messages=(), since="2030-01-01T00:00:00Z"),
    ),
    channel_symbols=(("page.*", ChannelSymbol(".", 1, -1, prefix="p")), ("*.*", ChannelSymbol(".", 1, -1, upper=True))),
    symbol_aliases=(("OLD", "NEW"),),
    collisions=(("TWIN", 7),),
)

ROUTING = Routing(
    routes=(
        Route("{t}.{s}", when=(Match("t", ("trade", "quote")), Match("error", absent=True)), words=(("quote", "top"),)),
        Route("book.{d.0.s}", when=(Match("d.-1.t", ("s", "d")),)),
        Route("{stream}", when=(Match("stream", ("!bye",), absent=True),)),
    ),
    schemas=(ChannelSchema("trade.*", Schema.TRADES), ChannelSchema("b??k.*", Schema.MBO)),
)

FILES = {"meaning.json": encode(MEANING), "routing.json": encode(ROUTING)}

if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in FILES.items():
        (FOLDER / name).write_bytes(text + b"\n")
