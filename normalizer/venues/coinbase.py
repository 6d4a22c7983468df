"""What Coinbase Exchange's messages mean (docs: docs.cdp.coinbase.com/exchange/websocket-feed and REST product book)."""

from tapeline.spec.meaning import (
    Book,
    BookLevels,
    BookOrder,
    ChannelSymbol,
    Discard,
    Ids,
    Instrument,
    Join,
    LevelList,
    Levels,
    LinkRule,
    Mapping,
    Meaning,
    Message,
    OrderEvent,
    Quote,
    Side,
    SnapshotFrom,
    Time,
    TimeUnit,
    Trade,
)
from tapeline.spec.routing import Match

TIME = Time("time", TimeUnit.ISO)
IDS = Ids(last="sequence")
# side is the maker's: whoever took a sell order bought.
AGGRESSOR = Side("side", buy=("sell",), sell=("buy",))
RESTING = Side("side", buy=("buy",), sell=("sell",))


def full(
    kind: str,
    event: OrderEvent,
    order_id: str | None = None,
    size: str | None = None,
    price: str = "price",
    *more: Match,
) -> Message:
    """A message of the `full` channel; all of them count in the product's sequence."""
    touches = event is not OrderEvent.NONE
    return Message(
        f"full {kind}",
        channel="full.*",
        when=(Match("type", (kind,)), *more),
        emits=(
            BookOrder(
                symbol="product_id",
                event=event,
                book="full",
                order_id=order_id,
                price=price if touches else None,
                size=size,
                side=RESTING if touches else None,
                time=TIME,
                ids=IDS,
            ),
        ),
    )


MEANING = Meaning(
    number=4,
    default_lot="0.00000001",
    exchange="CBSE",
    channel_symbols=(("*.*", ChannelSymbol(".", 1, -1)),),
    mappings=(
        Mapping(
            messages=(
                Message(
                    "match",
                    channel="matches.*",
                    when=(Match("type", ("match", "last_match")),),
                    emits=(
                        # last_match, sent on subscribing, repeats a trade where the id says so.
                        Trade(
                            symbol="product_id",
                            price="price",
                            size="size",
                            side=AGGRESSOR,
                            time=TIME,
                            id="trade_id",
                            link=LinkRule.NEXT,
                        ),
                    ),
                ),
                Message(
                    "ticker",
                    channel="ticker*",
                    when=(Match("type", ("ticker",)),),
                    emits=(
                        Quote(
                            symbol="product_id",
                            bid="best_bid",
                            bid_size="best_bid_size",
                            ask="best_ask",
                            ask_size="best_ask_size",
                            time=TIME,
                            sequence="sequence",
                        ),
                    ),
                ),
                Message(
                    "level2 update",
                    channel="level2*",
                    when=(Match("type", ("l2update",)),),
                    emits=(
                        # A time before 1970 (0001-01-01 has been seen) counts as not given.
                        BookLevels(
                            symbol="product_id",
                            bids=LevelList("changes", Levels.SIDED, ("buy", "sell")),
                            asks=None,
                            snapshot=False,
                            book="level2",
                            time=TIME,
                        ),
                    ),
                ),
                Message(
                    "level2 snapshot",
                    channel="level2*",
                    when=(Match("type", ("snapshot",)),),
                    emits=(
                        BookLevels(
                            symbol="product_id",
                            bids=LevelList("bids"),
                            asks=LevelList("asks"),
                            snapshot=True,
                            book="level2",
                            time=TIME,
                        ),
                    ),
                ),
                full("open", OrderEvent.OPEN, "order_id", "remaining_size"),
                full("done", OrderEvent.DONE, "order_id"),
                full("match", OrderEvent.MATCH, "maker_order_id", "size"),
                # A modified order may have a new price; one without a new size is a market order's, which never rests.
                full(
                    "change",
                    OrderEvent.CHANGE,
                    "order_id",
                    "new_size",
                    "new_price",
                    Match("new_size"),
                    Match("new_price"),
                ),
                full("change", OrderEvent.CHANGE, "order_id", "new_size", "price", Match("new_size")),
                full("change", OrderEvent.NONE),
                full("received", OrderEvent.NONE),
                full("activate", OrderEvent.NONE),
                Message(
                    "REST level 3 book",
                    channel="full.*",
                    when=(Match("type", absent=True), Match("sequence"), Match("bids")),
                    emits=(
                        BookLevels(
                            symbol=None,
                            bids=LevelList("bids", Levels.ORDER),
                            asks=LevelList("asks", Levels.ORDER),
                            snapshot=True,
                            book="full",
                            time=TIME,
                            ids=IDS,
                        ),
                    ),
                ),
                Message(
                    "products",
                    channel="products",
                    each=".",
                    emits=(
                        Instrument(
                            symbol=".id",
                            price_step=".quote_increment",
                            size_step=".base_increment",
                            max_size=".base_max_size",
                            base=".base_currency",
                            quote=".quote_currency",
                            settle=".quote_currency",
                            unit=".base_currency",
                        ),
                    ),
                ),
            ),
            books=(
                # level2 has no sequence and no checksum: its definitions say UNVRF.
                Book("level2", snapshot=SnapshotFrom.STREAM, link=LinkRule.NONE),
                Book(
                    "full",
                    snapshot=SnapshotFrom.REQUEST,
                    link=LinkRule.NEXT,
                    discard=Discard.LAST_AT_OR_BELOW,
                    join=(Join.FIRST_IS_NEXT,),
                    per_order=True,
                ),
            ),
        ),
    ),
)
