"""What Bybit's messages mean (docs: bybit-exchange.github.io/docs/v5, public topics).

A spot pair and a perpetual may have one name: raw symbols of spot are `spot.BTCUSDT`. Sizes are base units, but dollars
for inverse contracts.
"""

from tapeline.spec.meaning import (
    Bar,
    Book,
    BookLevels,
    ChannelSymbol,
    Ids,
    Instrument,
    Join,
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
    Word,
)
from tapeline.spec.routing import Match

SENT = Time("ts", TimeUnit.MILLIS)
# When the matching engine made it.
MATCHED = Time("cts", TimeUnit.MILLIS)
DELTA = Match("type", ("delta",))
SNAPSHOT = Match("type", ("snapshot",))


def book(kind: Match, snapshot: bool, symbol: str | None, channel: str) -> Message:
    """A message of a book; a snapshot may come at any time, with `u` 1 after a restart."""
    return Message(
        f"book {kind.equals[0]}",
        channel=channel,
        when=(kind,),
        emits=(
            BookLevels(
                symbol=symbol,
                bids=LevelList("data.b"),
                asks=LevelList("data.a"),
                snapshot=snapshot,
                book="book",
                time=MATCHED,
                sent=SENT,
                ids=Ids(last="data.u"),
            ),
        ),
    )


def messages(prefix: str, symbol: str | None, entry: str | None) -> tuple[Message, ...]:
    """Topics that all products share; where symbols have a prefix they are the channel's, not the payload's."""
    return (
        Message("book with RPI", emits=(), channel=f"{prefix}orderbook.rpi.*", excluded="sizes told apart by RPI"),
        # Snapshots only, repeated each 3 s where nothing changes; a side without orders is an empty array.
        Message(
            "top of book",
            channel=f"{prefix}orderbook.1.*",
            emits=(
                Quote(
                    symbol=symbol,
                    bid="data.b.0.0",
                    bid_size="data.b.0.1",
                    ask="data.a.0.0",
                    ask_size="data.a.0.1",
                    time=MATCHED,
                    sent=SENT,
                    sequence="data.u",
                ),
            ),
        ),
        book(DELTA, snapshot=False, symbol=symbol, channel=f"{prefix}orderbook.*"),
        book(SNAPSHOT, snapshot=True, symbol=symbol, channel=f"{prefix}orderbook.*"),
        Message(
            "trades",
            channel=f"{prefix}publicTrade.*",
            each="data",
            emits=(
                # `seq` is shared by several trades and `i` is no number, so trades have no sequence. What a retail order
                # takes from an RPI order is matched by the engine like any other and counts; a block trade was agreed
                # elsewhere and does not.
                Trade(
                    symbol=entry,
                    price=".p",
                    size=".v",
                    side=Side(".S", buy=("Buy",), sell=("Sell",)),
                    time=Time(".T", TimeUnit.MILLIS),
                    sent=SENT,
                    exclude=(("block trade", Match(".BT", ("true",))),),
                ),
            ),
        ),
        Message(
            "candle",
            channel=f"{prefix}kline.1.*",
            each="data",
            emits=(
                Bar(
                    symbol=None,
                    start=Time(".start", TimeUnit.MILLIS),
                    open=".open",
                    high=".high",
                    low=".low",
                    close=".close",
                    volume=".volume",
                    closed=(Match(".confirm", ("true",)),),
                ),
            ),
        ),
        Message("other candle", emits=(), channel=f"{prefix}kline.*", excluded="candle of another interval"),
    )


# Absent in a delta: unchanged. Of a contract without funding both values are empty.
FIGURES = Statistics(
    symbol="data.symbol",
    time=SENT,
    stats=(
        Stat(20001, "data.markPrice"),
        Stat(20002, "data.indexPrice"),
        Stat(20003, "data.fundingRate"),
        Stat(20004, "data.nextFundingTime", StatValue.TIME_MS),
        Stat(20005, "data.openInterest", StatValue.QUANTITY),
    ),
)


def tickers(prefix: str) -> Message:
    """Of derivatives: a snapshot, then what has changed."""
    channel = f"{prefix}tickers.*"
    quote = Quote(
        symbol="data.symbol",
        bid="data.bid1Price",
        bid_size="data.bid1Size",
        ask="data.ask1Price",
        ask_size="data.ask1Size",
        time=SENT,
        carry=(DELTA,),
    )
    # One that changes figures only tells the top again.
    return Message("ticker", channel=channel, emits=(quote, FIGURES))


OPTION_TICKER = Message(
    "option ticker",
    channel="option.tickers.*",
    emits=(
        # Zero where a side has no orders.
        Quote(
            symbol="data.symbol",
            bid="data.bidPrice",
            bid_size="data.bidSize",
            ask="data.askPrice",
            ask_size="data.askSize",
            time=SENT,
        ),
        Statistics(
            symbol="data.symbol",
            time=SENT,
            stats=(
                Stat(20001, "data.markPrice"),
                Stat(20002, "data.indexPrice"),
                Stat(20005, "data.openInterest", StatValue.QUANTITY),
                Stat(20006, "data.markPriceIv"),
                Stat(20009, "data.underlyingPrice"),
            ),
        ),
    ),
)
SPOT_TICKER = Message(
    "spot ticker",
    channel="spot.tickers.*",
    # No top of book; the index is empty for coins that are no collateral.
    emits=(Statistics(symbol=None, time=SENT, stats=(Stat(20002, "data.usdIndexPrice"),)),),
)


def full_book() -> tuple[Message, ...]:
    """Deltas of the whole book, joined to a REST snapshot by `u`; one with `u` 1 never comes here (see the session half)."""
    return (
        Message(
            "full book delta",
            channel="spot.orderbook.full.*",
            when=(DELTA,),
            emits=(
                BookLevels(
                    symbol=None,
                    bids=LevelList("data.b"),
                    asks=LevelList("data.a"),
                    snapshot=False,
                    book="full",
                    time=MATCHED,
                    sent=SENT,
                    ids=Ids(last="data.u"),
                ),
            ),
        ),
        Message(
            "full book",
            channel="spot.orderbook.full.*",
            when=(Match("result.u"),),
            emits=(
                BookLevels(
                    symbol=None,
                    bids=LevelList("result.b"),
                    asks=LevelList("result.a"),
                    snapshot=True,
                    book="full",
                    time=Time("result.cts", TimeUnit.MILLIS),
                    sent=Time("result.ts", TimeUnit.MILLIS),
                    ids=Ids(last="result.u"),
                ),
            ),
        ),
    )


def instrument(category: str, kind: str, unit: str) -> Instrument:
    """An entry of one product's list; an option's strike stands in its name only."""
    spot = category == "spot"
    return Instrument(
        symbol=".symbol",
        prefix="spot." if spot else "",
        when=(Match("result.category", (category,)),),
        price_step=".priceFilter.tickSize",
        size_step=".lotSizeFilter.basePrecision" if spot else ".lotSizeFilter.qtyStep",
        max_size=".lotSizeFilter.maxLimitOrderQty" if spot else ".lotSizeFilter.maxOrderQty",
        base=".baseCoin",
        quote=".quoteCoin",
        settle=".quoteCoin" if spot else ".settleCoin",
        unit=unit,
        kind=".optionsType" if category == "option" else None,
        kinds=(Word("Call", "C"), Word("Put", "P")),
        kind_default=kind,
        # Zero for perpetuals.
        expiry=None if spot else Time(".deliveryTime", TimeUnit.MILLIS),
        activation=None if spot else Time(".launchTime", TimeUnit.MILLIS),
    )


LISTED = tuple(
    Message(
        "instruments",
        channel=channel,
        when=(Match("result.list"),),
        each="result.list",
        emits=(
            instrument("spot", "X", ".baseCoin"),
            instrument("linear", "F", ".baseCoin"),
            instrument("inverse", "F", ".quoteCoin"),
            instrument("option", "C", ".baseCoin"),
        ),
    )
    for channel in ("instruments.*", "pages.*")
)

# The API before v5, in old captures.
OLD = (
    Message("old answer", emits=(), when=(Match("ret_code"),), excluded="API v2, which ended"),
    *(
        Message("old topic", emits=(), channel=f"{name}.*", excluded="API v2, which ended")
        for name in ("trade", "orderBookL2_25", "orderBook_200", "klineV2", "candle", "instrument_info")
    ),
)

MEANING = Meaning(
    number=8,
    default_lot="0.0001",
    exchange="BYBT",
    channel_symbols=(
        ("spot.*", ChannelSymbol(".", -1, -1, prefix="spot.")),
        ("kline.*", ChannelSymbol(".", 2, -1)),
        ("inverse.kline.*", ChannelSymbol(".", 3, -1)),
        ("option.kline.*", ChannelSymbol(".", 3, -1)),
    ),
    mappings=(
        Mapping(
            messages=(
                *OLD,
                *full_book(),
                SPOT_TICKER,
                *messages("spot.", symbol=None, entry=None),
                OPTION_TICKER,
                tickers("inverse."),
                tickers(""),
                *messages("inverse.", symbol="data.s", entry=".s"),
                *messages("option.", symbol="data.s", entry=".s"),
                *messages("", symbol="data.s", entry=".s"),
                *LISTED,
                *(
                    Message(name, emits=(), channel=f"*{name}.*", excluded="figures we do not publish")
                    for name in ("liquidation", "allLiquidation", "insurance", "adlAlert", "priceLimit", "lt")
                ),
            ),
            books=(
                Book("book", snapshot=SnapshotFrom.STREAM, link=LinkRule.NEXT),
                Book("full", snapshot=SnapshotFrom.REQUEST, link=LinkRule.NEXT, join=(Join.FIRST_IS_NEXT,)),
            ),
        ),
    ),
)
