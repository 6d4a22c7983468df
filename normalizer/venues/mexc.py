"""What MEXC's spot messages mean (docs: www.mexc.com/api-docs/spot-v3; fields: mexcdevelop/websocket-proto)."""

from tapeline.spec.decoding import Protobuf, ProtoField, ProtoKind, ProtoMessage
from tapeline.spec.meaning import (
    Book,
    BookLevels,
    BookTop,
    ChannelSymbol,
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
    Time,
    TimeUnit,
    Trade,
)
from tapeline.spec.routing import Match

INTEGER, MESSAGE = ProtoKind.INTEGER, ProtoKind.MESSAGE


def body(number: int, name: str) -> ProtoField:
    """One of the wrapper's bodies."""
    return ProtoField(number, name, MESSAGE, name)


def depth(name: str, *more: ProtoField) -> ProtoMessage:
    """A message with asks and bids."""
    return ProtoMessage(
        name,
        (
            ProtoField(1, "asks", MESSAGE, "level", repeated=True),
            ProtoField(2, "bids", MESSAGE, "level", repeated=True),
            *more,
        ),
    )


SCHEMA = Protobuf(
    "PushDataV3ApiWrapper",
    (
        ProtoMessage(
            "PushDataV3ApiWrapper",
            (
                ProtoField(1, "channel"),
                ProtoField(3, "symbol"),
                ProtoField(5, "createTime", INTEGER),
                ProtoField(6, "sendTime", INTEGER),
                body(303, "publicLimitDepths"),
                body(308, "publicSpotKline"),
                body(311, "publicBookTickerBatch"),
                body(313, "publicAggreDepths"),
                body(314, "publicAggreDeals"),
                body(315, "publicAggreBookTicker"),
            ),
        ),
        ProtoMessage("level", (ProtoField(1, "price"), ProtoField(2, "quantity"))),
        depth("publicLimitDepths", ProtoField(4, "version")),
        depth("publicAggreDepths", ProtoField(4, "fromVersion"), ProtoField(5, "toVersion")),
        ProtoMessage("publicAggreDeals", (ProtoField(1, "deals", MESSAGE, "deal", repeated=True),)),
        ProtoMessage(
            "deal",
            (
                ProtoField(1, "price"),
                ProtoField(2, "quantity"),
                ProtoField(3, "tradeType", INTEGER),
                ProtoField(4, "time", INTEGER),
                ProtoField(5, "tradeId"),
            ),
        ),
        ProtoMessage(
            "publicAggreBookTicker",
            (
                ProtoField(1, "bidPrice"),
                ProtoField(2, "bidQuantity"),
                ProtoField(3, "askPrice"),
                ProtoField(4, "askQuantity"),
                ProtoField(5, "version"),
            ),
        ),
        ProtoMessage(
            "publicBookTickerBatch", (ProtoField(1, "items", MESSAGE, "publicAggreBookTicker", repeated=True),)
        ),
        ProtoMessage("publicSpotKline", (ProtoField(1, "interval"),)),
    ),
)

SENT = Time("sendTime", TimeUnit.MILLIS)
CREATED = Time("createTime", TimeUnit.MILLIS)
DEPTH = "publicAggreDepths."
LEVEL = ("price", "quantity")


def levels(path: str) -> LevelList:
    """Levels as objects; a quantity of zero deletes."""
    return LevelList(path, Levels.OBJECT, keys=LEVEL)


def quote(prefix: str, version: bool) -> Quote:
    """The best bid and ask; `version` was added later."""
    return Quote(
        symbol="symbol",
        bid=prefix + "bidPrice",
        bid_size=prefix + "bidQuantity",
        ask=prefix + "askPrice",
        ask_size=prefix + "askQuantity",
        time=CREATED,
        sequence=prefix + "version" if version else None,
        sent=SENT,
    )


MEANING = Meaning(
    number=12,
    default_lot="0.00000001",
    exchange="MEXC",
    decoder=SCHEMA,
    channel_symbols=(
        ("spot@public.limit.depth.*", ChannelSymbol("@", 2, 2)),
        ("spot@public.kline.*", ChannelSymbol("@", 2, 2)),
        ("spot@*", ChannelSymbol("@", -1, -1)),
    ),
    mappings=(
        Mapping(
            messages=(
                Message(
                    "deals",
                    channel="spot@public.aggre.deals.*",
                    each="publicAggreDeals.deals",
                    emits=(
                        # 1: the taker bought, 2: sold. The trade id came later, and is a number.
                        Trade(
                            symbol="symbol",
                            price=".price",
                            size=".quantity",
                            side=Side(".tradeType", buy=("1",), sell=("2",)),
                            time=Time(".time", TimeUnit.MILLIS),
                            sent=SENT,
                        ),
                    ),
                ),
                Message(
                    "book ticker",
                    channel="spot@public.aggre.bookTicker.*",
                    when=(Match("publicAggreBookTicker.version"),),
                    emits=(quote("publicAggreBookTicker.", version=True),),
                ),
                Message(
                    "book ticker without version",
                    channel="spot@public.aggre.bookTicker.*",
                    emits=(quote("publicAggreBookTicker.", version=False),),
                ),
                Message(
                    "book tickers",
                    channel="spot@public.bookTicker.batch.*",
                    each="publicBookTickerBatch.items",
                    emits=(quote(".", version=False),),
                ),
                Message(
                    "depth",
                    channel="spot@public.aggre.depth.*",
                    when=(Match("publicAggreDepths"),),
                    emits=(
                        BookLevels(
                            symbol="symbol",
                            bids=levels(DEPTH + "bids"),
                            asks=levels(DEPTH + "asks"),
                            snapshot=False,
                            book="depth",
                            time=CREATED,
                            sent=SENT,
                            ids=Ids(first=DEPTH + "fromVersion", last=DEPTH + "toVersion"),
                        ),
                    ),
                ),
                Message(
                    "depth by REST",
                    channel="spot@public.aggre.depth.*",
                    when=(Match("lastUpdateId"),),
                    emits=(
                        BookLevels(
                            symbol=None,
                            bids=LevelList("bids"),
                            asks=LevelList("asks"),
                            snapshot=True,
                            book="depth",
                            time=Time("timestamp", TimeUnit.MILLIS),
                            ids=Ids(last="lastUpdateId"),
                        ),
                    ),
                ),
                Message(
                    "limit depth",
                    channel="spot@public.limit.depth.*",
                    emits=(
                        BookTop(
                            symbol="symbol",
                            bids=levels("publicLimitDepths.bids"),
                            asks=levels("publicLimitDepths.asks"),
                            time=CREATED,
                            sequence="publicLimitDepths.version",
                        ),
                    ),
                ),
                Message(
                    "candle", channel="spot@public.kline.*", emits=(), excluded="nothing says that a candle is final"
                ),
                Message("other socket", channel="push.*", emits=(), excluded="contracts, or spot before protobuf"),
                Message("24 h figures", channel="spot@public.mini*", emits=(), excluded="24 h figures"),
                Message(
                    "exchangeInfo",
                    channel="exchangeInfo",
                    each="symbols",
                    emits=(
                        Instrument(
                            symbol=".symbol",
                            price_decimals=".quotePrecision",
                            size_step=".baseSizePrecision",
                            size_decimals=".baseAssetPrecision",
                            base=".baseAsset",
                            quote=".quoteAsset",
                            unit=".baseAsset",
                        ),
                    ),
                ),
            ),
            books=(Book("depth", SnapshotFrom.REQUEST, LinkRule.NEXT, join=(Join.SPANS_NEXT,)),),
        ),
    ),
)
