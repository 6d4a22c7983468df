"""What Binance spot's messages mean (docs: binance/binance-spot-api-docs, web-socket-streams.md and rest-api.md)."""

from tapeline.spec.meaning import (
    Bar,
    Book,
    BookLevels,
    BookTop,
    ChannelSymbol,
    Discard,
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
    Time,
    TimeUnit,
    Trade,
)
from tapeline.spec.routing import Match

# timeUnit=MICROSECOND on the connection turns every time into microseconds: the digits tell.
EVENT = Time("data.E", TimeUnit.BY_DIGITS)
# m: the buyer was the maker, so the aggressor sold.
AGGRESSOR = Side("data.m", buy=("false",), sell=("true",))

MEANING = Meaning(
    number=1,
    default_lot="0.00001",
    exchange="BINA",
    channel_symbols=(("*@*", ChannelSymbol("@", 0, 0, upper=True)),),
    mappings=(
        Mapping(
            messages=(
                Message(
                    "trade",
                    channel="*@trade",
                    when=(Match("data.e", ("trade",)),),
                    emits=(
                        Trade(
                            symbol="data.s",
                            price="data.p",
                            size="data.q",
                            side=AGGRESSOR,
                            time=Time("data.T", TimeUnit.BY_DIGITS),
                            sent=EVENT,
                            id="data.t",
                            link=LinkRule.NEXT,
                        ),
                    ),
                ),
                Message(
                    "aggregate trade",
                    channel="*@aggTrade",
                    when=(Match("data.e", ("aggTrade",)),),
                    emits=(
                        Trade(
                            symbol="data.s",
                            price="data.p",
                            size="data.q",
                            side=AGGRESSOR,
                            time=Time("data.T", TimeUnit.BY_DIGITS),
                            sent=EVENT,
                            id="data.a",
                            link=LinkRule.NEXT,
                        ),
                    ),
                ),
                Message(
                    "top of book",
                    channel="*bookTicker",
                    when=(Match("data.u"), Match("data.b")),
                    emits=(
                        # Carries neither event type nor time.
                        Quote(
                            symbol="data.s",
                            bid="data.b",
                            bid_size="data.B",
                            ask="data.a",
                            ask_size="data.A",
                            time=None,
                            sequence="data.u",
                        ),
                    ),
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
                            ids=Ids(last="data.u", first="data.U"),
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
                            ids=Ids(last="lastUpdateId"),
                        ),
                    ),
                ),
                Message(
                    "top levels",
                    channel="*@depth*",
                    when=(Match("data.lastUpdateId"),),
                    emits=(
                        # No symbol inside: the stream's name carries it.
                        BookTop(
                            symbol=None,
                            bids=LevelList("data.bids"),
                            asks=LevelList("data.asks"),
                            sequence="data.lastUpdateId",
                        ),
                    ),
                ),
                Message(
                    "candle",
                    channel="*@kline_1m",
                    when=(Match("data.e", ("kline",)),),
                    emits=(
                        Bar(
                            symbol="data.s",
                            start=Time("data.k.t", TimeUnit.BY_DIGITS),
                            open="data.k.o",
                            high="data.k.h",
                            low="data.k.l",
                            close="data.k.c",
                            volume="data.k.v",
                            closed=(Match("data.k.x", ("true",)),),
                        ),
                    ),
                ),
                Message(
                    "other candles", channel="*@kline_*", emits=(), excluded="candles of another length than a minute"
                ),
                Message("figures", channel="*icker*", emits=(), excluded="statistics of 24 hours"),
                Message("ended products", channel="*_ALL", emits=(), excluded="options and tokens of an ended product"),
                Message(
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
                            settle=".quoteAsset",
                            unit=".baseAsset",
                        ),
                    ),
                ),
            ),
            books=(
                Book(
                    "depth",
                    snapshot=SnapshotFrom.REQUEST,
                    link=LinkRule.NEXT,
                    discard=Discard.LAST_AT_OR_BELOW,
                    join=(Join.SPANS_NEXT,),
                ),
            ),
        ),
    ),
)
