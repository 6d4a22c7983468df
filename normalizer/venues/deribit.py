"""What Deribit's messages mean (docs: docs.deribit.com, subscriptions and public/get_instruments)."""

from tapeline.spec.meaning import (
    Book,
    BookLevels,
    BookTop,
    ChannelSymbol,
    Ids,
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
    Stat,
    Statistics,
    StatValue,
    Time,
    TimeUnit,
    Trade,
)
from tapeline.spec.routing import Match

DATA = "params.data."
TIME = Time(DATA + "timestamp", TimeUnit.MILLIS)


def book(kind: str, snapshot: bool) -> Message:
    """A message of `book.…`; amounts are USD for inverse futures and perpetuals, else base units."""
    return Message(
        f"book {kind}",
        channel="book.*",
        when=(Match(DATA + "type", (kind,)),),
        emits=(
            BookLevels(
                symbol=DATA + "instrument_name",
                bids=LevelList(DATA + "bids", Levels.ACTION),
                asks=LevelList(DATA + "asks", Levels.ACTION),
                snapshot=snapshot,
                book="book",
                time=TIME,
                ids=Ids(last=DATA + "change_id", previous=DATA + "prev_change_id"),
            ),
        ),
    )


# A price of zero or null means that the side is empty.
QUOTE = Quote(
    symbol=DATA + "instrument_name",
    bid=DATA + "best_bid_price",
    bid_size=DATA + "best_bid_amount",
    ask=DATA + "best_ask_price",
    ask_size=DATA + "best_ask_amount",
    time=TIME,
)
FUTURE = Match(".kind", ("future",))


def instrument(kind: str, unit: str, *when: Match) -> Instrument:
    """One kind of instrument; `unit` is what its amounts count: USD for inverse futures and perpetuals, else the base."""
    return Instrument(
        symbol=".instrument_name",
        when=when,
        price_step=".tick_size",
        size_step=".min_trade_amount",
        base=".base_currency",
        quote=".quote_currency",
        settle=".settlement_currency",
        unit=unit,
        kind_default=kind,
        expiry=Time(".expiration_timestamp", TimeUnit.MILLIS),
        activation=Time(".creation_timestamp", TimeUnit.MILLIS),
        strike=".strike",
    )


MEANING = Meaning(
    number=5,
    default_lot="0.1",
    exchange="DRBT",
    channel_symbols=(
        ("chart.trades.*", ChannelSymbol(".", 2, 2)),
        ("*.*", ChannelSymbol(".", 1, 1)),
    ),
    mappings=(
        Mapping(
            messages=(
                book("change", snapshot=False),
                book("snapshot", snapshot=True),
                Message(
                    "grouped book",
                    channel="book.*",
                    when=(Match(DATA + "type", absent=True),),
                    emits=(
                        BookTop(
                            symbol=DATA + "instrument_name",
                            bids=LevelList(DATA + "bids"),
                            asks=LevelList(DATA + "asks"),
                            time=TIME,
                            sequence=DATA + "change_id",
                        ),
                    ),
                ),
                Message(
                    "trades",
                    channel="trades.*",
                    each="params.data",
                    emits=(
                        # trade_seq counts the trades of one instrument; direction is the taker's.
                        Trade(
                            symbol=".instrument_name",
                            price=".price",
                            size=".amount",
                            side=Side(".direction", buy=("buy",), sell=("sell",)),
                            time=Time(".timestamp", TimeUnit.MILLIS),
                            id=".trade_seq",
                            link=LinkRule.NEXT,
                        ),
                    ),
                ),
                Message("quote", channel="quote.*", emits=(QUOTE,)),
                Message(
                    "ticker",
                    channel="ticker.*",
                    emits=(
                        QUOTE,
                        Statistics(
                            symbol=DATA + "instrument_name",
                            time=TIME,
                            stats=(
                                Stat(20001, DATA + "mark_price"),
                                Stat(20002, DATA + "index_price"),
                                Stat(20003, DATA + "current_funding"),
                                Stat(20005, DATA + "open_interest", StatValue.QUANTITY),
                                Stat(20006, DATA + "mark_iv"),
                                Stat(20007, DATA + "settlement_price"),
                                Stat(20008, DATA + "funding_8h"),
                                Stat(20009, DATA + "underlying_price"),
                            ),
                        ),
                    ),
                ),
                # Nothing in a candle says that it is final, so none can be published as one; bars come from the trades.
                Message("candles", emits=(), channel="chart.trades.*", excluded="candle without a closing mark"),
                Message(
                    "instruments",
                    channel="instruments",
                    each="result",
                    emits=(
                        instrument("X", ".base_currency", Match(".kind", ("spot",))),
                        instrument(
                            "C", ".base_currency", Match(".kind", ("option",)), Match(".option_type", ("call",))
                        ),
                        instrument("P", ".base_currency", Match(".kind", ("option",)), Match(".option_type", ("put",))),
                        instrument("F", ".quote_currency", FUTURE, Match(".instrument_type", ("reversed",))),
                        instrument(
                            "F", ".base_currency", FUTURE, Match(".instrument_type", ("reversed",), absent=True)
                        ),
                        instrument("S", ".quote_currency", Match(".kind", ("future_combo",))),
                        instrument("T", ".base_currency", Match(".kind", ("option_combo",))),
                    ),
                ),
            ),
            books=(Book("book", snapshot=SnapshotFrom.STREAM, link=LinkRule.BACK, no_change=True),),
        ),
    ),
)
