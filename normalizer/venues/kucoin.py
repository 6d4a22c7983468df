"""What KuCoin's messages mean (docs: www.kucoin.com/docs-new; older: Kucoin/kucoin-api-docs)."""

from tapeline.spec.meaning import (
    Book,
    BookLevels,
    BookTop,
    ChannelSymbol,
    Emit,
    Ids,
    Instrument,
    Join,
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
    Word,
)
from tapeline.spec.routing import Match

MILLIS = TimeUnit.MILLIS
TAKER = Side("data.side", buy=("buy",), sell=("sell",))


def trade(time: Time) -> Trade:
    """`side` is the taker's; the id of a trade is hexadecimal, so its sequence, which only it has, stands for it."""
    return Trade(
        symbol="data.symbol",
        price="data.price",
        size="data.size",
        side=TAKER,
        time=time,
        id="data.sequence",
        link=LinkRule.RISING,
    )


def tops(bids: str, asks: str, sequence: str | None, time: Time) -> BookTop:
    """A full top-N book."""
    return BookTop(symbol=None, bids=LevelList(bids), asks=LevelList(asks), sequence=sequence, time=time)


def levels(book: str, side: str) -> LevelList:
    """Levels of a delta: each has its own sequence, and a price of zero only moves the sequence on."""
    return LevelList(f"data.changes.{side}", row_id=2, skip_zero_price=True)


SPOT_BOOK = Message(
    "level 2",
    channel="/market/level2:*",
    when=(Match("subject", ("trade.l2update",)),),
    emits=(
        BookLevels(
            symbol="data.symbol",
            bids=levels("spot", "bids"),
            asks=levels("spot", "asks"),
            snapshot=False,
            book="spot",
            time=Time("data.time", MILLIS),
            ids=Ids(first="data.sequenceStart", last="data.sequenceEnd"),
        ),
    ),
)
SPOT_SNAPSHOT = Message(
    "level 2 by REST",
    channel="/market/level2:*",
    when=(Match("code"),),
    emits=(
        BookLevels(
            symbol=None,
            bids=LevelList("data.bids"),
            asks=LevelList("data.asks"),
            snapshot=True,
            book="spot",
            time=Time("data.time", MILLIS),
            ids=Ids(last="data.sequence"),
        ),
    ),
)
# One change a message, as text: price, side, size.
FUTURES_BOOK = Message(
    "futures level 2",
    channel="/contractMarket/level2:*",
    when=(Match("subject", ("level2",)),),
    emits=(
        BookLevels(
            symbol=None,
            bids=LevelList("data.change", Levels.TEXT, keys=("buy", "sell"), single=True, skip_zero_price=True),
            asks=None,
            snapshot=False,
            book="futures",
            time=Time("data.timestamp", MILLIS),
            ids=Ids(last="data.sequence"),
        ),
    ),
)
FUTURES_SNAPSHOT = Message(
    "futures level 2 by REST",
    channel="/contractMarket/level2:*",
    when=(Match("code"),),
    emits=(
        BookLevels(
            symbol=None,
            bids=LevelList("data.bids"),
            asks=LevelList("data.asks"),
            snapshot=True,
            book="futures",
            time=Time("data.ts", TimeUnit.NANOS),
            ids=Ids(last="data.sequence"),
        ),
    ),
)


def quote(symbol: str | None, bid: str, bid_size: str, ask: str, ask_size: str, time: Time) -> Quote:
    """The best bid and ask."""
    return Quote(
        symbol=symbol, bid=bid, bid_size=bid_size, ask=ask, ask_size=ask_size, time=time, sequence="data.sequence"
    )


QUOTES: tuple[Message, ...] = (
    Message(
        "ticker",
        channel="/market/ticker:*",
        when=(Match("data.bestBid"),),
        emits=(
            quote(
                None,
                "data.bestBid",
                "data.bestBidSize",
                "data.bestAsk",
                "data.bestAskSize",
                Time("data.time", TimeUnit.BY_DIGITS),
            ),
        ),
    ),
    Message(
        "level 1",
        channel="/spotMarket/level1:*",
        emits=(
            # It has no sequence.
            Quote(
                symbol=None,
                bid="data.bids.0",
                bid_size="data.bids.1",
                ask="data.asks.0",
                ask_size="data.asks.1",
                time=Time("data.timestamp", MILLIS),
            ),
        ),
    ),
    Message(
        "futures ticker",
        channel="/contractMarket/tickerV2:*",
        emits=(
            quote(
                "data.symbol",
                "data.bestBidPrice",
                "data.bestBidSize",
                "data.bestAskPrice",
                "data.bestAskSize",
                Time("data.ts", TimeUnit.NANOS),
            ),
        ),
    ),
)
STATISTICS: tuple[Message, ...] = (
    Message(
        "mark and index price",
        channel="/contract/instrument:*",
        when=(Match("subject", ("mark.index.price",)),),
        emits=(
            Statistics(
                symbol=None,
                time=Time("data.timestamp", MILLIS),
                stats=(Stat(20001, "data.markPrice"), Stat(20002, "data.indexPrice")),
            ),
        ),
    ),
    Message(
        "funding rate",
        channel="/contract/instrument:*",
        when=(Match("subject", ("funding.rate",)),),
        emits=(Statistics(symbol=None, time=Time("data.timestamp", MILLIS), stats=(Stat(20003, "data.fundingRate"),)),),
    ),
)


def instrument(*more: Emit) -> tuple[Emit, ...]:
    """A futures contract; sizes are whole contracts of `multiplier` (negative where the contract is inverse)."""
    return (
        Instrument(
            symbol=".symbol",
            price_step=".tickSize",
            size_step=".lotSize",
            max_size=".maxOrderQty",
            base=".baseCurrency",
            quote=".quoteCurrency",
            settle=".settleCurrency",
            unit="=contract",
            kind=".type",
            # FFWCSX: perpetual; FFICSX: dated.
            kinds=(Word("FFWCSX", "F"), Word("FFICSX", "F")),
            kind_default="F",
            expiry=Time(".expireDate", MILLIS),
            activation=Time(".firstOpenDate", MILLIS),
        ),
        *more,
    )


MEANING = Meaning(
    number=9,
    default_lot="0.00000001",
    exchange="KUCN",
    channel_symbols=(("*:*", ChannelSymbol(":", 1, 1)),),
    mappings=(
        Mapping(
            messages=(
                Message("match", channel="/market/match:*", emits=(trade(Time("data.time", TimeUnit.NANOS)),)),
                Message(
                    "execution", channel="/contractMarket/execution:*", emits=(trade(Time("data.ts", TimeUnit.NANOS)),)
                ),
                SPOT_BOOK,
                SPOT_SNAPSHOT,
                FUTURES_BOOK,
                FUTURES_SNAPSHOT,
                *QUOTES,
                Message(
                    "top 5 or 50",
                    channel="/spotMarket/level2Depth*:*",
                    emits=(tops("data.bids", "data.asks", None, Time("data.timestamp", MILLIS)),),
                ),
                Message(
                    "futures top 5 or 50",
                    channel="/contractMarket/level2Depth*:*",
                    emits=(tops("data.bids", "data.asks", "data.sequence", Time("data.ts", MILLIS)),),
                ),
                *STATISTICS,
                Message("candle", channel="/*/*andle*:*", emits=(), excluded="nothing says that a candle is final"),
                Message("24 h figures", channel="/*/snapshot:*", emits=(), excluded="24 h figures"),
                Message("level 3", channel="/*/level3*:*", emits=(), excluded="level 3 was withdrawn by the venue"),
                Message(
                    "symbols",
                    channel="symbols",
                    each="data",
                    emits=(
                        Instrument(
                            symbol=".symbol",
                            price_step=".priceIncrement",
                            size_step=".baseIncrement",
                            max_size=".baseMaxSize",
                            base=".baseCurrency",
                            quote=".quoteCurrency",
                            unit=".baseCurrency",
                        ),
                    ),
                ),
                Message(
                    "contracts",
                    channel="contracts",
                    each="data",
                    emits=instrument(
                        Statistics(
                            symbol=".symbol",
                            time=None,
                            stats=(
                                Stat(20001, ".markPrice"),
                                Stat(20002, ".indexPrice"),
                                Stat(20003, ".fundingFeeRate"),
                                Stat(20005, ".openInterest", StatValue.QUANTITY),
                            ),
                        )
                    ),
                ),
            ),
            books=(
                Book("spot", SnapshotFrom.REQUEST, LinkRule.NEXT, join=(Join.SPANS_NEXT,)),
                Book("futures", SnapshotFrom.REQUEST, LinkRule.NEXT, join=(Join.SPANS_NEXT,)),
            ),
        ),
    ),
)
