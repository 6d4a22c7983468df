"""Kraken spot by REST: trades with ids that follow one another, sampled books of 100 levels, sampled tops.

An answer names the pair as Kraken does inside (`XXBTZUSD`), which is not what was asked for (`XBTUSD`): the channel tells it.
"""

from tapeline.spec.meaning import (
    Book,
    BookLevels,
    ChannelSymbol,
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

# Price, volume, time, buy or sell (of the taker), market or limit, miscellaneous, id. A pair's ids count without a hole, so a
# window that was too short shows, with exactly what is missing.
TRADE = Trade(
    symbol=None,
    price=".0",
    size=".1",
    side=Side(".3", buy=("b",), sell=("s",)),
    time=Time(".2", TimeUnit.SECONDS),
    id=".6",
    link=LinkRule.NEXT,
    page=True,
)

MEANING = Meaning(
    number=14,
    default_lot="0.00000001",
    exchange="KRKN",
    channel_symbols=(("*@*", ChannelSymbol("@", 1, 1)),),
    mappings=(
        Mapping(
            books=(Book("sampled", SnapshotFrom.STREAM, LinkRule.NONE),),
            messages=(
                Message("trades", channel="trades@*", each="result.*", emits=(TRADE,)),
                # Neither book nor ticker has an id or a time of its own; an empty side is an empty array.
                Message(
                    "book",
                    channel="book@*",
                    emits=(
                        BookLevels(
                            symbol=None,
                            bids=LevelList("result.*.bids"),
                            asks=LevelList("result.*.asks"),
                            snapshot=True,
                            book="sampled",
                            sampled=True,
                        ),
                    ),
                ),
                # Of each side: price, volume in whole lots, volume.
                Message(
                    "ticker",
                    channel="ticker@*",
                    emits=(
                        Quote(
                            symbol=None,
                            bid="result.*.b.0",
                            bid_size="result.*.b.2",
                            ask="result.*.a.0",
                            ask_size="result.*.a.2",
                            time=None,
                        ),
                    ),
                ),
                Message(
                    "pairs",
                    channel="AssetPairs",
                    each="result",
                    emits=(
                        Instrument(
                            symbol=".altname",
                            base=".base",
                            quote=".quote",
                            unit=".base",
                            price_step=".tick_size",
                            price_decimals=".pair_decimals",
                            size_decimals=".lot_decimals",
                        ),
                    ),
                ),
            ),
        ),
    ),
)
