"""What Bitfinex's messages mean (docs: docs.bitfinex.com, ws-public-books, -raw-books, -trades, -ticker, -status)."""

from tapeline.spec.meaning import (
    Book,
    BookLevels,
    ChannelSymbol,
    Checksum,
    ChecksumText,
    Counter,
    Instrument,
    LevelList,
    Levels,
    LinkRule,
    Mapping,
    Meaning,
    Message,
    Quote,
    Side,
    SnapshotFrom,
    Stat,
    Statistics,
    StatValue,
    Time,
    TimeUnit,
    Trade,
)
from tapeline.spec.routing import Match

HEARTBEAT = Message("heartbeat", when=(Match("1", ("hb",)),), emits=(), excluded="heartbeat of a channel")
# A snapshot is told from an update only by its nesting: an array of rows, or an empty one.
ROWS, NO_ROWS, ROW = (Match("1.0.0"),), (Match("1.0", absent=True),), (Match("1.0"),)
# Frames end with the connection's counter and, where the flag is set, the time of sending.
WORD = Match("1", ("te", "tu", "fte", "ftu", "cs"))


def book(kind: str, glob: str, name: str, coding: Levels, when: tuple[Match, ...]) -> Message:
    """A message of a book: `kind` is snapshot, update or checksum."""
    checksum = kind == "checksum"
    return Message(
        f"{name} {kind}",
        channel=glob,
        when=when,
        emits=(
            BookLevels(
                symbol=None,
                # A checksum moves nothing; no frame has a tenth place.
                bids=LevelList("9" if checksum else "1", coding, single=kind == "update"),
                asks=None,
                snapshot=kind == "snapshot",
                book=name,
                time=Time("4" if checksum else "3", TimeUnit.MILLIS),
                checksum="2" if checksum else None,
            ),
        ),
    )


def books(glob: str, name: str, coding: Levels) -> tuple[Message, ...]:
    """All messages of one kind of book."""
    return (
        book("checksum", glob, name, coding, (Match("1", ("cs",)),)),
        book("snapshot", glob, name, coding, ROWS),
        book("update", glob, name, coding, ROW),
        book("snapshot", glob, name, coding, NO_ROWS),
    )


def instruments(channel: str, kind: str) -> Message:
    """A list of pairs; prices have five significant digits and no step, sizes eight decimals."""
    return Message(
        channel,
        channel=channel,
        each="0",
        emits=(
            Instrument(
                symbol=".0",
                prefix="t",
                size_step="=0.00000001",
                max_size=".1.4",
                kind_default=kind,
            ),
        ),
    )


MEANING = Meaning(
    number=10,
    default_lot="0.00000001",
    exchange="BFNX",
    channel_symbols=(
        ("book.*", ChannelSymbol(".", 4, -1)),
        ("candles.*", ChannelSymbol(":", 2, -1)),
        ("status.*", ChannelSymbol(":", 1, -1)),
        ("*.*", ChannelSymbol(".", 1, -1)),
    ),
    mappings=(
        Mapping(
            messages=(
                HEARTBEAT,
                *books("book.R0.*", "orders", Levels.SIGNED_ORDER),
                *books("book.*", "book", Levels.SIGNED),
                Message(
                    "trade",
                    channel="trades.*",
                    when=(Match("1", ("te",)),),
                    emits=(
                        # The amount's sign is the taker's side.
                        Trade(
                            symbol=None,
                            price="2.3",
                            size="2.2",
                            side=Side("2.2", sign=True),
                            time=Time("2.1", TimeUnit.MILLIS),
                            id="2.0",
                            sent=Time("4", TimeUnit.MILLIS),
                            link=LinkRule.RISING,
                        ),
                    ),
                ),
                Message(
                    "trade update",
                    channel="trades.*",
                    when=(Match("1", ("tu",)),),
                    emits=(),
                    excluded="tells a te again",
                ),
                Message(
                    "funding trade",
                    channel="trades.*",
                    when=(Match("1", ("fte", "ftu")),),
                    emits=(),
                    excluded="loans, not trades",
                ),
                Message(
                    "trades before", channel="trades.*", when=ROWS, emits=(), excluded="trades before the subscription"
                ),
                Message("no trades before", channel="trades.*", emits=(), excluded="trades before the subscription"),
                Message("loans", channel="ticker.f*", emits=(), excluded="loans, not trades"),
                Message(
                    "ticker",
                    channel="ticker.*",
                    emits=(
                        Quote(
                            symbol=None,
                            bid="1.0",
                            bid_size="1.1",
                            ask="1.2",
                            ask_size="1.3",
                            time=Time("3", TimeUnit.MILLIS),
                        ),
                    ),
                ),
                Message(
                    "derivative status",
                    channel="status.deriv:*",
                    emits=(
                        Statistics(
                            symbol=None,
                            time=Time("1.0", TimeUnit.MILLIS),
                            stats=(
                                Stat(20001, "1.14"),
                                Stat(20002, "1.3"),
                                Stat(20003, "1.11"),
                                Stat(20004, "1.7", StatValue.TIME_MS),
                                Stat(20005, "1.17", StatValue.QUANTITY),
                            ),
                        ),
                    ),
                ),
                Message("liquidation", channel="status.liq:*", emits=(), excluded="liquidations"),
                Message("candle", channel="candles.*", emits=(), excluded="nothing says that a candle is final"),
                instruments("pairs", "X"),
                instruments("futures", "F"),
            ),
            books=(
                Book(
                    "book",
                    SnapshotFrom.STREAM,
                    LinkRule.NONE,
                    checksum=Checksum(
                        25, ChecksumText.NUMBER, interleaved=True, separator=":", signed=True, negative_asks=True
                    ),
                ),
                Book(
                    "orders",
                    SnapshotFrom.STREAM,
                    LinkRule.NONE,
                    checksum=Checksum(
                        25,
                        ChecksumText.NUMBER,
                        interleaved=True,
                        separator=":",
                        signed=True,
                        negative_asks=True,
                        by_order=True,
                    ),
                    per_order=True,
                ),
            ),
            counters=(Counter("3", when=(WORD,)), Counter("2")),
        ),
    ),
)
