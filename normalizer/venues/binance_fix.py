"""What Binance's FIX market data means (docs: binance/binance-spot-api-docs, fix-api.md), as hook `fix_md` writes it."""

from dataclasses import replace

from tapeline.spec.decoding import Hook
from tapeline.spec.meaning import (
    Book,
    BookLevels,
    ChannelSymbol,
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
    Time,
    TimeUnit,
    Trade,
)
from tapeline.spec.routing import Match

SENT = Time("sent", TimeUnit.ISO)
SNAPSHOT = Match("35", ("W",))
UPDATE = Match("35", ("X",))
UNFINISHED = Match("893", ("N",))

TRADE = Trade(
    symbol=".symbol",
    price=".270",
    size=".271",
    side=Side(".2446", buy=("1",), sell=("2",)),
    time=Time(".time", TimeUnit.ISO),
    sent=SENT,
    id=".1003",
    link=LinkRule.NEXT,
)
DELTA = BookLevels(
    symbol=".symbol",
    bids=LevelList(".bids"),
    asks=LevelList(".asks"),
    snapshot=False,
    book="depth",
    time=SENT,
    ids=Ids(last=".last", first=".first"),
)
BEST = Quote(
    symbol=".symbol",
    bid=".bids.0.0",
    bid_size=".bids.0.1",
    ask=".asks.0.0",
    ask_size=".asks.0.1",
    time=SENT,
    sequence=".last",
)

TRADES = Message("trades", channel="*-trade", when=(UPDATE,), each="trades", emits=(TRADE,))
FRAGMENT = Message(
    "part of an update",
    channel="*-book",
    # Only the last part counts in the sequence: what holds a part back is no gap of the ids.
    when=(UPDATE, UNFINISHED),
    each="books",
    emits=(replace(DELTA, ids=None),),
)
OTHERS = (
    Message("top of book", channel="*-top", when=(SNAPSHOT,), each="books", emits=(BEST,)),
    # An update names the side that has changed; a delete has size 0.
    Message("change of top", channel="*-top", when=(UPDATE,), each="books", emits=(replace(BEST, carry=(UPDATE,)),)),
    Message(
        "book",
        channel="*-book",
        when=(SNAPSHOT,),
        each="books",
        emits=(replace(DELTA, snapshot=True, ids=Ids(last=".last")),),
    ),
    Message("book update", channel="*-book", when=(UPDATE,), each="books", emits=(DELTA,)),
    Message(
        "instruments",
        channel="instruments",
        when=(Match("35", ("y",)),),
        each="instruments",
        emits=(
            # Since October 2025 any filter may be missing.
            Instrument(
                symbol=".55",
                price_step=".969",
                size_step=".25039",
                max_size=".1140",
                quote=".15",
                settle=".15",
            ),
        ),
    ),
)
BOOKS = (Book("depth", snapshot=SnapshotFrom.STREAM, link=LinkRule.NEXT),)

MEANING = Meaning(
    number=15,
    default_lot="0.00001",
    exchange="BINA",
    decoder=Hook("fix_md", (("first", "25043"), ("last", "25044"))),
    channel_symbols=(("*-*", ChannelSymbol("-", 0, 0)),),
    mappings=(
        # AggressorSide (2446) came on 26 February 2025, five weeks after the service.
        Mapping(
            messages=(replace(TRADES, emits=(replace(TRADE, side=Side(".2446")),)), FRAGMENT, *OTHERS),
            books=BOOKS,
            until="2025-02-26T05:00:00Z",
        ),
        # Large updates came in parts (893) until 18 December 2025.
        Mapping(messages=(TRADES, FRAGMENT, *OTHERS), books=BOOKS, since="2025-02-26T05:00:00Z", until="2025-12-18"),
        Mapping(messages=(TRADES, *OTHERS), books=BOOKS, since="2025-12-18"),
    ),
)
