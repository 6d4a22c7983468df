"""What Kraken spot's v2 messages mean (docs: docs.kraken.com, websocket-v2 channel pages and the v2 checksum guide)."""

from tapeline.spec.meaning import (
    Book,
    BookLevels,
    ChannelSymbol,
    Checksum,
    ChecksumText,
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
    Time,
    TimeUnit,
    Trade,
)
from tapeline.spec.routing import Match

LEVELS = ("price", "qty")
BOOK_TIME = Time("data.0.timestamp", TimeUnit.ISO)

MEANING = Meaning(
    number=3,
    default_lot="0.00000001",
    exchange="KRKN",
    channel_symbols=(("*.*", ChannelSymbol(".", 1, -1)),),
    mappings=(
        Mapping(
            messages=(
                Message("version 1", channel="v1.*", emits=(), excluded="version 1 of the API"),
                Message("futures", channel="futures.*", emits=(), excluded="futures, another API of the venue"),
                Message(
                    "book update",
                    channel="book.*",
                    when=(Match("type", ("update",)),),
                    emits=(
                        BookLevels(
                            symbol="data.0.symbol",
                            bids=LevelList("data.0.bids", Levels.OBJECT, LEVELS),
                            asks=LevelList("data.0.asks", Levels.OBJECT, LEVELS),
                            snapshot=False,
                            book="book",
                            time=BOOK_TIME,
                            checksum="data.0.checksum",
                        ),
                    ),
                ),
                Message(
                    "book snapshot",
                    channel="book.*",
                    when=(Match("type", ("snapshot",)),),
                    emits=(
                        BookLevels(
                            symbol="data.0.symbol",
                            bids=LevelList("data.0.bids", Levels.OBJECT, LEVELS),
                            asks=LevelList("data.0.asks", Levels.OBJECT, LEVELS),
                            snapshot=True,
                            book="book",
                            time=BOOK_TIME,
                            checksum="data.0.checksum",
                        ),
                    ),
                ),
                Message(
                    "trades",
                    channel="trade.*",
                    each="data",
                    emits=(
                        # side is the taker's; ids rise by one for each book.
                        Trade(
                            symbol=".symbol",
                            price=".price",
                            size=".qty",
                            side=Side(".side", buy=("buy",), sell=("sell",)),
                            time=Time(".timestamp", TimeUnit.ISO),
                            id=".trade_id",
                            link=LinkRule.NEXT,
                        ),
                    ),
                ),
                Message(
                    "ticker",
                    channel="ticker.*",
                    each="data",
                    emits=(
                        # A price of zero means that the side is empty.
                        Quote(
                            symbol=".symbol",
                            bid=".bid",
                            bid_size=".bid_qty",
                            ask=".ask",
                            ask_size=".ask_qty",
                            time=Time(".timestamp", TimeUnit.ISO),
                        ),
                    ),
                ),
                # Nothing in a candle says that it is final, so none can be published as one; bars come from the trades.
                Message("candles", emits=(), channel="ohlc.*", excluded="candle without a closing mark"),
                Message(
                    "instruments",
                    channel="instrument",
                    each="data.pairs",
                    emits=(
                        Instrument(
                            symbol=".symbol",
                            price_step=".price_increment",
                            price_decimals=".price_precision",
                            size_step=".qty_increment",
                            size_decimals=".qty_precision",
                            base=".base",
                            quote=".quote",
                            settle=".quote",
                            unit=".base",
                        ),
                    ),
                ),
            ),
            books=(
                Book(
                    "book",
                    snapshot=SnapshotFrom.STREAM,
                    link=LinkRule.NONE,
                    # No deletes are sent for levels that fall out of the subscribed depth.
                    depth_from=(("*", 0),),
                    checksum=Checksum(depth=10, text=ChecksumText.DIGITS),
                ),
            ),
        ),
    ),
)
