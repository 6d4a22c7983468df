"""What HTX's messages mean (docs: huobiapi.github.io/docs, spot/v1, usdt_swap/v1, coin_margined_swap/v1, dm/v1)."""

from tapeline.spec.decoding import Compression, Inflate
from tapeline.spec.meaning import (
    Book,
    BookLevels,
    BookTop,
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
)
from tapeline.spec.routing import Match

MILLIS = TimeUnit.MILLIS
SENT = Time("ts", MILLIS)


def trade(name: str, identifier: str, *when: Match) -> Message:
    """Trades; `direction` is the taker's, `amount` counts coins on spot, contracts elsewhere."""
    return Message(
        name,
        channel="market.*.trade.detail",
        when=when,
        each="tick.data",
        emits=(
            Trade(
                symbol=None,
                price=".price",
                size=".amount",
                side=Side(".direction", buy=("buy",), sell=("sell",)),
                time=Time(".ts", MILLIS),
                id=identifier,
                sent=SENT,
                link=LinkRule.RISING,
            ),
        ),
    )


def changes(event: str) -> Message:
    """The book of a contract, told whole after every subscription; `version` counts within one connection."""
    return Message(
        f"book {event}",
        channel="market.*.high_freq",
        when=(Match("tick.event", (event,)),),
        emits=(
            BookLevels(
                symbol=None,
                bids=LevelList("tick.bids"),
                asks=LevelList("tick.asks"),
                snapshot=event == "snapshot",
                book="contract",
                time=Time("tick.ts", MILLIS),
                sent=SENT,
                ids=Ids(last="tick.version"),
            ),
        ),
    )


def tops(name: str, channel: str, sequence: str) -> Message:
    """A full book each time, of which the ten best are published."""
    return Message(
        name,
        channel=channel,
        emits=(
            BookTop(
                symbol=None,
                bids=LevelList("tick.bids"),
                asks=LevelList("tick.asks"),
                time=Time("tick.ts", MILLIS),
                sequence=sequence,
            ),
        ),
    )


def contracts(channel: str) -> Message:
    """A list of contracts; sizes are whole contracts of `contract_size`."""
    return Message(
        channel,
        channel=channel,
        each="data",
        emits=(
            Instrument(
                symbol=".contract_code",
                price_step=".price_tick",
                size_step="=1",
                base=".symbol",
                unit="=contract",
                kind_default="F",
                multiplier=".contract_size",
                expiry=Time(".delivery_time", MILLIS),
            ),
        ),
    )


MEANING = Meaning(
    number=11,
    default_lot="0.00000001",
    exchange="HTXX",
    decoder=Inflate(Compression.GZIP),
    channel_symbols=(("market.*", ChannelSymbol(".", 1, 1)), ("public.*", ChannelSymbol(".", 1, 1))),
    mappings=(
        Mapping(
            messages=(
                # On spot `id` is longer than 64 bits; `tradeId` is the trade's own.
                trade("spot trades", ".tradeId", Match("tick.data.0.tradeId")),
                trade("trades", ".id"),
                Message(
                    "contract top",
                    channel="market.*.bbo",
                    when=(Match("tick.mrid"),),
                    emits=(
                        Quote(
                            symbol=None,
                            bid="tick.bid.0",
                            bid_size="tick.bid.1",
                            ask="tick.ask.0",
                            ask_size="tick.ask.1",
                            time=Time("tick.ts", MILLIS),
                            sequence="tick.version",
                            sent=SENT,
                        ),
                    ),
                ),
                Message(
                    "spot top",
                    channel="market.*.bbo",
                    emits=(
                        Quote(
                            symbol=None,
                            bid="tick.bid",
                            bid_size="tick.bidSize",
                            ask="tick.ask",
                            ask_size="tick.askSize",
                            time=Time("tick.quoteTime", MILLIS),
                            sequence="tick.seqId",
                            sent=SENT,
                        ),
                    ),
                ),
                changes("snapshot"),
                changes("update"),
                tops("spot top N", "market.*.mbp.refresh.*", "tick.seqNum"),
                Message(
                    "spot book",
                    channel="market.*.mbp.*",
                    when=(Match("tick.seqNum"),),
                    emits=(
                        BookLevels(
                            symbol=None,
                            bids=LevelList("tick.bids"),
                            asks=LevelList("tick.asks"),
                            snapshot=False,
                            book="spot",
                            time=SENT,
                            ids=Ids(last="tick.seqNum", previous="tick.prevSeqNum"),
                        ),
                    ),
                ),
                Message(
                    "spot book by request",
                    channel="market.*.mbp.*",
                    when=(Match("rep"),),
                    emits=(
                        BookLevels(
                            symbol=None,
                            bids=LevelList("data.bids"),
                            asks=LevelList("data.asks"),
                            snapshot=True,
                            book="spot",
                            time=SENT,
                            ids=Ids(last="data.seqNum"),
                        ),
                    ),
                ),
                tops("depth", "market.*.depth.step0", "tick.version"),
                tops("depth of 20", "market.*.depth.step6", "tick.version"),
                Message(
                    "merged depth", channel="market.*.depth.step*", emits=(), excluded="prices merged by the venue"
                ),
                Message("candle", channel="market.*.kline.*", emits=(), excluded="nothing says that a candle is final"),
                Message("figures", channel="market.*.detail", emits=(), excluded="24 h figures"),
                Message(
                    "funding",
                    channel="public.*.funding_rate",
                    each="data",
                    emits=(
                        Statistics(
                            symbol=".contract_code",
                            time=SENT,
                            stats=(Stat(20003, ".funding_rate"), Stat(20004, ".settlement_time", StatValue.TIME_MS)),
                        ),
                    ),
                ),
                Message(
                    "open interest",
                    channel="*_open_interest",
                    each="data",
                    emits=(
                        Statistics(
                            symbol=".contract_code", time=SENT, stats=(Stat(20005, ".volume", StatValue.QUANTITY),)
                        ),
                    ),
                ),
                Message(
                    "symbols",
                    channel="symbols",
                    each="data",
                    emits=(
                        Instrument(
                            symbol=".sc",
                            price_decimals=".tpp",
                            size_decimals=".tap",
                            base=".bc",
                            quote=".qc",
                            unit=".bc",
                        ),
                    ),
                ),
                contracts("linear_contracts"),
                contracts("swap_contracts"),
            ),
            books=(
                Book("contract", SnapshotFrom.STREAM, LinkRule.NEXT),
                Book("spot", SnapshotFrom.REQUEST, LinkRule.BACK, join=(Join.PREVIOUS_IS,)),
            ),
        ),
    ),
)
