"""What Binance spot's messages mean (docs: binance/binance-spot-api-docs, web-socket-streams.md and rest-api.md)."""

from normalizer.venues._binance import AGGREGATE_TRADE, CANDLES, SENT, trade
from tapeline.spec.meaning import (
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
    SnapshotFrom,
)
from tapeline.spec.routing import Match

MEANING = Meaning(
    number=1,
    default_lot="0.00001",
    exchange="BINA",
    channel_symbols=(("*@*", ChannelSymbol("@", 0, 0, upper=True)),),
    mappings=(
        Mapping(
            messages=(
                trade("trade", "trade", "data.t", LinkRule.NEXT),
                AGGREGATE_TRADE,
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
                            time=SENT,
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
                *CANDLES,
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
