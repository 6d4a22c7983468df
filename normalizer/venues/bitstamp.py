"""What Bitstamp's messages mean (docs: www.bitstamp.net/websocket/v2 and /api).

Times with a name of `micro` are the matching engine's, and the only order there is: nothing counts messages. So both full books are
unverified: they are right as far as no message was lost, and the snapshot that is asked for now and then sets them right.
Messages without `microtimestamp` (before 2018) are rejected: whole seconds cannot be joined.
"""

from tapeline.spec.meaning import (
    Book,
    BookLevels,
    BookOrder,
    BookTop,
    ChannelSymbol,
    Discard,
    Ids,
    Instrument,
    LevelList,
    Levels,
    LinkRule,
    Mapping,
    Meaning,
    Message,
    OrderEvent,
    Side,
    SnapshotFrom,
    Time,
    TimeUnit,
    Trade,
)
from tapeline.spec.routing import Match

TIME = Time("data.microtimestamp", TimeUnit.MICROS)
REST_TIME = Time("microtimestamp", TimeUnit.MICROS)
IDS = Ids(last="data.microtimestamp")
REST_IDS = Ids(last="microtimestamp")


def order(name: str, event: OrderEvent) -> Message:
    """An event of a resting order; `amount` is what is left of it, zero where it has left."""
    return Message(
        name,
        channel="live_orders_*",
        when=(Match("event", (name,)),),
        emits=(
            BookOrder(
                symbol=None,
                event=event,
                book="orders",
                order_id="data.id",
                price="data.price_str",
                size="data.amount_str",
                side=Side("data.order_type", buy=("0",), sell=("1",)),
                time=TIME,
                ids=IDS,
            ),
        ),
    )


MEANING = Meaning(
    number=13,
    default_lot="0.00000001",
    exchange="BSTP",
    channel_symbols=(("*_*", ChannelSymbol("_", -1, -1)),),
    mappings=(
        Mapping(
            messages=(
                Message(
                    "trade",
                    channel="live_trades_*",
                    when=(Match("event", ("trade",)),),
                    emits=(
                        # The texts, not the numbers beside them, which are floats by the time they are written. `id` counts
                        # the trades of all markets together, so holes are normal; `type` is the taker's.
                        Trade(
                            symbol=None,
                            price="data.price_str",
                            size="data.amount_str",
                            side=Side("data.type", buy=("0",), sell=("1",)),
                            time=TIME,
                            id="data.id",
                            link=LinkRule.RISING,
                        ),
                    ),
                ),
                Message(
                    "top 100",
                    channel="order_book_*",
                    when=(Match("event", ("data",)),),
                    emits=(
                        BookTop(
                            symbol=None,
                            bids=LevelList("data.bids"),
                            asks=LevelList("data.asks"),
                            time=TIME,
                            sequence="data.microtimestamp",
                        ),
                    ),
                ),
                Message(
                    "top 100 orders",
                    channel="detail_order_book_*",
                    when=(Match("event", ("data",)),),
                    emits=(
                        BookLevels(
                            symbol=None,
                            bids=LevelList("data.bids", Levels.ORDER),
                            asks=LevelList("data.asks", Levels.ORDER),
                            snapshot=True,
                            book="detail",
                            time=TIME,
                            ids=IDS,
                            sampled=True,
                        ),
                    ),
                ),
                Message(
                    "diff",
                    channel="diff_order_book_*",
                    when=(Match("event", ("data",)),),
                    emits=(
                        # An amount of zero deletes; a side without changes is an empty array.
                        BookLevels(
                            symbol=None,
                            bids=LevelList("data.bids"),
                            asks=LevelList("data.asks"),
                            snapshot=False,
                            book="diff",
                            time=TIME,
                            ids=IDS,
                        ),
                    ),
                ),
                Message(
                    "book by REST",
                    channel="diff_order_book_*",
                    when=(Match("event", absent=True), Match("bids")),
                    emits=(
                        BookLevels(
                            symbol=None,
                            bids=LevelList("bids"),
                            asks=LevelList("asks"),
                            snapshot=True,
                            book="diff",
                            time=REST_TIME,
                            ids=REST_IDS,
                        ),
                    ),
                ),
                order("order_created", OrderEvent.OPEN),
                order("order_changed", OrderEvent.CHANGE),
                order("order_deleted", OrderEvent.DONE),
                Message(
                    "orders by REST",
                    channel="live_orders_*",
                    when=(Match("event", absent=True), Match("bids")),
                    emits=(
                        BookLevels(
                            symbol=None,
                            bids=LevelList("bids", Levels.ORDER),
                            asks=LevelList("asks", Levels.ORDER),
                            snapshot=True,
                            book="orders",
                            time=REST_TIME,
                            ids=REST_IDS,
                        ),
                    ),
                ),
                Message(
                    "markets",
                    channel="markets",
                    each=".",
                    emits=(
                        Instrument(
                            symbol=".market_symbol",
                            when=(Match(".market_symbol"),),
                            price_decimals=".counter_decimals",
                            size_decimals=".base_decimals",
                            base=".base_currency",
                            quote=".counter_currency",
                            settle=".counter_currency",
                            unit=".base_currency",
                        ),
                        # `trading-pairs-info`, its form until 2024.
                        Instrument(
                            symbol=".url_symbol",
                            when=(Match(".url_symbol"),),
                            price_decimals=".counter_decimals",
                            size_decimals=".base_decimals",
                        ),
                    ),
                ),
            ),
            books=(
                Book("detail", SnapshotFrom.STREAM, LinkRule.NONE, per_order=True, skip_far=True),
                Book("diff", SnapshotFrom.REQUEST, LinkRule.RISING, max_buffered=2_000, skip_far=True),
                # Several orders change in one microsecond. What is told of an order is how it stands, so those of the snapshot's own
                # microsecond may be applied again. Where events carry `event_id` and `pre_event_id` they are not checked: no
                # snapshot says which event it stands after. What was lost is recovered by the next snapshot.
                Book(
                    "orders",
                    SnapshotFrom.REQUEST,
                    LinkRule.NONE,
                    discard=Discard.LAST_BELOW,
                    per_order=True,
                    max_buffered=5_000,
                    skip_far=True,
                ),
            ),
        ),
    ),
)
