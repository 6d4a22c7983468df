"""What OKX's messages mean (docs: www.okx.com/docs-v5, API v5, public channels).

Sizes are base units for spot, else contracts; what one is worth is `ctVal` of the instrument list.
"""

from tapeline.spec.meaning import (
    Bar,
    Book,
    BookLevels,
    BookTop,
    ChannelSymbol,
    Checksum,
    ChecksumText,
    Ids,
    Instrument,
    LevelList,
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

CHECKSUM_ENDS = "2026-06-23"
"""From then on it is always 0 (help center, "Order Book Channels Checksum Field Deprecation", 2026-05-21)."""

DATA = "data.0."
SYMBOL = "arg.instId"
TIME = Time(DATA + "ts", TimeUnit.MILLIS)
ENTRY_TIME = Time(".ts", TimeUnit.MILLIS)
SEQUENCE = DATA + "seqId"
# Messages carry a sequence since 2023; of what day the venue does not say, so that old captures are known by its absence.
NUMBERED, UNNUMBERED = Match(SEQUENCE), Match(SEQUENCE, absent=True)


def book(action: str, numbered: bool, checksum: bool) -> Message:
    """A message of a book; a snapshot's `prevSeqId` is -1, so only updates link."""
    snapshot = action == "snapshot"
    return Message(
        f"book {action}" if numbered else f"book {action} without sequence",
        channel="books*",
        when=(Match("action", (action,)), NUMBERED if numbered else UNNUMBERED),
        emits=(
            BookLevels(
                symbol=SYMBOL,
                bids=LevelList(DATA + "bids"),
                asks=LevelList(DATA + "asks"),
                snapshot=snapshot,
                book="books",
                time=TIME,
                ids=Ids(last=SEQUENCE, previous=None if snapshot else DATA + "prevSeqId") if numbered else None,
                checksum=DATA + "checksum" if checksum else None,
            ),
        ),
    )


def tops(numbered: bool) -> tuple[Message, ...]:
    """The channels that tell the whole top each time."""
    when = (NUMBERED if numbered else UNNUMBERED,)
    sequence = SEQUENCE if numbered else None
    return (
        Message(
            "five levels",
            channel="books5.*",
            when=when,
            emits=(
                BookTop(
                    symbol=SYMBOL,
                    bids=LevelList(DATA + "bids"),
                    asks=LevelList(DATA + "asks"),
                    time=TIME,
                    sequence=sequence,
                ),
            ),
        ),
        Message(
            "top of book",
            channel="bbo-tbt.*",
            when=when,
            emits=(
                # A side without orders is an empty array.
                Quote(
                    symbol=SYMBOL,
                    bid=DATA + "bids.0.0",
                    bid_size=DATA + "bids.0.1",
                    ask=DATA + "asks.0.0",
                    ask_size=DATA + "asks.0.1",
                    time=TIME,
                    sequence=sequence,
                ),
            ),
        ),
    )


def statistics(name: str, channel: str, *stats: Stat, when: tuple[Match, ...] = ()) -> Message:
    """Values of one or more instruments."""
    emit = Statistics(symbol=".instId", time=ENTRY_TIME, stats=stats)
    return Message(name, channel=channel, when=when, each="data", emits=(emit,))


def instrument(kind: str, base: str, quote: str, settle: str, *when: Match) -> Instrument:
    """One kind of instrument; sizes of all but spot count contracts."""
    spot = kind == "X"
    return Instrument(
        symbol=".instId",
        when=when,
        price_step=".tickSz",
        # Not bounded by `maxLmtSz`, which is 9999999999 for most: lots that large would round every size.
        size_step=".lotSz",
        base=base,
        quote=quote,
        settle=settle,
        unit=base if spot else "=CONTRACT",
        kind_default=kind,
        # Empty for what never ends.
        expiry=Time(".expTime", TimeUnit.MILLIS),
        activation=Time(".listTime", TimeUnit.MILLIS),
        strike=".stk" if kind in ("C", "P") else None,
        multiplier=None if spot else ".ctVal",
    )


OPTION = Match(".instType", ("OPTION",))
DERIVATIVE = Match(".instType", ("SWAP", "FUTURES"))
LISTED = tuple(
    Message(
        "instruments",
        channel=channel,
        each="data",
        emits=(
            instrument("X", ".baseCcy", ".quoteCcy", ".quoteCcy", Match(".instType", ("SPOT", "MARGIN"))),
            # A linear contract is worth so much of the base, an inverse one so many dollars.
            instrument("F", ".ctValCcy", ".settleCcy", ".settleCcy", DERIVATIVE, Match(".ctType", ("linear",))),
            instrument("F", ".settleCcy", ".ctValCcy", ".settleCcy", DERIVATIVE, Match(".ctType", ("inverse",))),
            instrument("C", ".ctValCcy", ".settleCcy", ".settleCcy", OPTION, Match(".optType", ("C",))),
            instrument("P", ".ctValCcy", ".settleCcy", ".settleCcy", OPTION, Match(".optType", ("P",))),
        ),
    )
    # Pushed, and asked for.
    for channel in ("instruments.*", "list.*")
)

# Zero, empty or absent sides are none; `last` and the figures of 24 hours are not published.
TICKER = Message(
    "ticker",
    channel="tickers.*",
    each="data",
    emits=(
        Quote(
            symbol=".instId",
            bid=".bidPx",
            bid_size=".bidSz",
            ask=".askPx",
            ask_size=".askSz",
            time=ENTRY_TIME,
        ),
    ),
)

TRADES = Message(
    "trades",
    channel="trades*",
    each="data",
    emits=(
        # `trades` joins a taker's fills at a price and has the last one's id, so ids have holes. What a retail taker
        # buys from an ELP order (`source` 1) is matched by the engine like any other, and counts.
        Trade(
            symbol=".instId",
            price=".px",
            size=".sz",
            side=Side(".side", buy=("buy",), sell=("sell",)),
            time=ENTRY_TIME,
            id=".tradeId",
            link=LinkRule.RISING,
        ),
    ),
)

OPEN_INTEREST = Stat(20005, ".oi", StatValue.QUANTITY)

OTHERS = (
    *LISTED,
    TICKER,
    TRADES,
    statistics("mark price", "mark-price.*", Stat(20001, ".markPx")),
    # An index is named like the spot pair it follows.
    statistics("index price", "index-tickers.*", Stat(20002, ".idxPx")),
    # `fundingRate` is that of the settlement at `fundingTime`; the message has no time of its own before 2024.
    statistics(
        "funding rate",
        "funding-rate.*",
        Stat(20003, ".fundingRate"),
        Stat(20004, ".fundingTime", StatValue.TIME_MS),
    ),
    statistics("open interest", "open-interest.*", OPEN_INTEREST),
    Message(
        "candle",
        channel="candle1m.*",
        when=(Match("data.0.8"),),
        each="data",
        emits=(
            Bar(
                symbol=SYMBOL,
                start=Time(".0", TimeUnit.MILLIS),
                open=".1",
                high=".2",
                low=".3",
                close=".4",
                # Contracts, or base units for spot.
                volume=".5",
                closed=(Match(".8", ("1",)),),
            ),
        ),
    ),
    Message("old candle", emits=(), channel="candle1m.*", excluded="candle without a closing mark"),
    Message("other candle", emits=(), channel="*candle*", excluded="candle of another interval or price"),
    # Spot and option settlement, greeks, limits, liquidations: no schema of ours.
    *(
        Message(name, emits=(), channel=f"{name}.*", excluded="figures we do not publish")
        for name in ("opt-summary", "price-limit", "estimated-price", "liquidation-orders", "adl-warning", "status")
    ),
    Message("API v3", emits=(), channel="v3", excluded="API v3, which ended in 2022"),
)


def books(checksum: Checksum | None) -> tuple[Book, ...]:
    """A no-change update has its own predecessor's id; after maintenance ids are lower, but linked all the same."""
    return (Book("books", snapshot=SnapshotFrom.STREAM, link=LinkRule.BACK, no_change=True, checksum=checksum),)


# What is asked for by REST, on whatever channel.
ANSWERS = (
    Message(
        "REST book",
        emits=(),
        when=(Match("code"), Match("data.0.asks")),
        excluded="REST book: the stream brings its own",
    ),
    statistics("REST open interest", "*", OPEN_INTEREST, when=(Match("code"), Match("data.0.oi"))),
)


def messages(checksum: bool) -> tuple[Message, ...]:
    """All kinds of messages; old captures may be replayed at any time, so those without sequence are known in both mappings."""
    actions = ("update", "snapshot")
    books = tuple(book(action, numbered, checksum) for numbered in (True, False) for action in actions)
    return (*ANSWERS, *tops(numbered=True), *tops(numbered=False), *books, *OTHERS)


MEANING = Meaning(
    number=7,
    default_lot="0.00000001",
    exchange="OKX",
    channel_symbols=(("*.*", ChannelSymbol(".", 1, -1)),),
    mappings=(
        Mapping(
            until=CHECKSUM_ENDS,
            messages=messages(checksum=True),
            books=books(Checksum(25, ChecksumText.RAW, interleaved=True, separator=":", signed=True, optional=True)),
        ),
        Mapping(since=CHECKSUM_ENDS, messages=messages(checksum=False), books=books(None)),
    ),
)
