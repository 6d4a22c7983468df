"""What Binance's two futures venues (USD-M, COIN-M) say in the same words."""

from collections.abc import Callable

from normalizer.venues._binance import AGGREGATE_TRADE, EVENT, SENT, trade
from tapeline.spec.meaning import (
    Book,
    BookLevels,
    BookTop,
    Discard,
    Ids,
    Instrument,
    Join,
    LevelList,
    LinkRule,
    Message,
    Quote,
    SnapshotFrom,
    Stat,
    Statistics,
    StatValue,
    Time,
    TimeUnit,
    Word,
)
from tapeline.spec.routing import Match

TRADES_AND_BOOKS = (
    # Ids of trades that are not pushed (insurance fund, ADL) are holes, so the chain proves no loss.
    trade(
        "trade",
        "trade",
        "data.t",
        LinkRule.RISING,
        exclude=(
            ("insurance fund", Match("data.X", ("INSURANCE_FUND",))),
            ("auto-deleveraging", Match("data.X", ("ADL",))),
            ("not a book trade", Match("data.X", ("NA",))),
        ),
    ),
    AGGREGATE_TRADE,
    Message(
        "top of book",
        channel="*bookTicker",
        when=(Match("data.e", ("bookTicker",)),),
        emits=(
            Quote(
                symbol="data.s",
                bid="data.b",
                bid_size="data.B",
                ask="data.a",
                ask_size="data.A",
                time=EVENT,
                sent=SENT,
                sequence="data.u",
            ),
        ),
    ),
    # A partial depth looks like an update, but is the whole top each time.
    *(
        Message(
            "partial depth",
            channel=f"*@depth{levels}*",
            when=(Match("data.e", ("depthUpdate",)),),
            emits=(
                BookTop(
                    symbol="data.s",
                    bids=LevelList("data.b"),
                    asks=LevelList("data.a"),
                    time=EVENT,
                    sequence="data.u",
                ),
            ),
        )
        for levels in (5, 10, 20)
    ),
    Message(
        "depth update",
        channel="*@depth*",
        when=(Match("data.e", ("depthUpdate",)),),
        emits=(
            BookLevels(
                symbol="data.s",
                bids=LevelList("data.b"),
                asks=LevelList("data.a"),
                snapshot=False,
                book="depth",
                time=EVENT,
                sent=SENT,
                ids=Ids(last="data.u", first="data.U", previous="data.pu"),
            ),
        ),
    ),
    Message(
        "REST depth",
        channel="*@depth*",
        when=(Match("lastUpdateId"), Match("bids")),
        emits=(
            BookLevels(
                symbol=None,
                bids=LevelList("bids"),
                asks=LevelList("asks"),
                snapshot=True,
                book="depth",
                time=Time("T", TimeUnit.BY_DIGITS),
                sent=Time("E", TimeUnit.BY_DIGITS),
                ids=Ids(last="lastUpdateId"),
            ),
        ),
    ),
)
"""Trades, top of book, books and their snapshots."""

OPEN_INTEREST = Message(
    "open interest",
    channel="*@openInterest",
    emits=(
        Statistics(
            symbol="symbol",
            time=Time("time", TimeUnit.BY_DIGITS),
            stats=(Stat(20005, "openInterest", StatValue.QUANTITY),),
        ),
    ),
)

DEPTH = Book(
    "depth",
    snapshot=SnapshotFrom.REQUEST,
    link=LinkRule.BACK,
    discard=Discard.LAST_BELOW,
    join=(Join.SPANS, Join.PREVIOUS_IS),
)


def mark_prices(stats: Callable[[str], tuple[Stat, ...]]) -> tuple[Message, ...]:
    """Of one contract and of all; `stats` gives the figures at a path."""

    def figures(at: str) -> Statistics:
        return Statistics(symbol=at + "s", time=Time(at + "E", TimeUnit.BY_DIGITS), stats=stats(at))

    return (
        Message(
            "mark price",
            channel="*@markPrice*",
            when=(Match("data.e", ("markPriceUpdate",)),),
            emits=(figures("data."),),
        ),
        Message("mark prices", channel="!markPrice@arr*", each="data", emits=(figures("."),)),
    )


def instruments(unit: str, multiplier: str | None = None) -> Message:
    """The list of contracts; `unit` is what a size counts, `multiplier` where it says how much a contract is."""
    return Message(
        "instruments",
        channel="exchangeInfo",
        each="symbols",
        emits=(
            Instrument(
                symbol=".symbol",
                price_step=".filters[filterType=PRICE_FILTER].tickSize",
                size_step=".filters[filterType=LOT_SIZE].stepSize",
                max_size=".filters[filterType=LOT_SIZE].maxQty",
                base=".baseAsset",
                quote=".quoteAsset",
                settle=".marginAsset",
                unit=unit,
                multiplier=multiplier,
                kind=".contractType",
                kinds=(Word("PERPETUAL", "F"), Word("CURRENT_QUARTER", "F"), Word("NEXT_QUARTER", "F")),
                kind_default="F",
                expiry=Time(".deliveryDate", TimeUnit.BY_DIGITS),
                activation=Time(".onboardDate", TimeUnit.BY_DIGITS),
            ),
        ),
    )
