"""Bybit, API v5: a socket for each product, whose names overlap; pongs and acks that differ by product.

https://bybit-exchange.github.io/docs/v5/ws/connect
Channel ids are the venue's topics, after the product for all but `linear`: `publicTrade.BTCUSDT`, `spot.publicTrade.BTCUSDT`.
"""

from tapeline.schemas import Schema
from tapeline.spec.routing import ChannelSchema, Match, Route, Routing
from tapeline.spec.session import (
    Ack,
    AckBy,
    Batch,
    Budget,
    ClientPing,
    Endpoint,
    ErrorRule,
    Family,
    Lifetime,
    Pacing,
    Poll,
    Reconnect,
    Request,
    Resync,
    Scope,
    Session,
    Severity,
    Subscription,
)

PRODUCTS = (("spot", "spot."), ("inverse", "inverse."), ("option", "option."), ("linear", ""))
"""Endpoint and what comes before a topic in a channel id; the one without a prefix last."""
REST = "https://api.bybit.com/v5/market"
TOPIC = Match("topic")
# A delta of the full book with this id says that the counting begins anew: no data, but the end of what was.
RESTART = (Match("topic", like=("orderbook.full.*",)), Match("data.u", ("1",)))
FAILED = (Match("retCode", ("0",), absent=True),)

FULL = Family(
    "spot full",
    ("spot.orderbook.full.${symbol}",),
    "spot",
    '"orderbook.full.${symbol}"',
    cadence=60.0,
    resync=Resync.REQUEST,
    snapshot="full book",
)
TOPICS = tuple(
    Family(
        f"{product} {name}",
        (f"{prefix}{topic}.${{symbol}}",),
        product,
        f'"{topic}.${{symbol}}"',
        cadence=cadence,
        resync=resync,
    )
    for product, prefix in PRODUCTS
    for name, topic, cadence, resync in (
        # Repeated each 3 s where nothing changes.
        ("top", "orderbook.1", 30.0, Resync.NONE),
        ("book", "orderbook.${depth}", 600.0, Resync.RESUBSCRIBE),
        # Of options by coin, not by symbol.
        ("trades", "publicTrade", 0.0, Resync.NONE),
        # Begins with all values; what is missed is unknown until it begins again.
        ("ticker", "tickers", 0.0, Resync.RESUBSCRIBE),
        ("candles", "kline.${interval}", 0.0, Resync.NONE),
        ("other", "${topic}", 0.0, Resync.NONE),
    )
)
# The first page of each list, ahead of everything; all pages once an hour for those that have more.
LISTS = tuple(
    Request(
        f"list {product}",
        f"{REST}/instruments-info?category={product}&limit=1000",
        Schema.DEFINITION,
        channel=f"instruments.{product}",
        failed=FAILED,
        every=3600.0,
    )
    for product, _ in PRODUCTS
)
PAGES = Family(
    "pages",
    ("pages.${product}",),
    "rest",
    poll=Poll("pages", every=3600.0, fastest=3600.0, cursor="result.nextPageCursor", entries="result.list", full=1000),
)

SESSION = Session(
    routing=Routing(
        routes=(
            # Its restart is control, see below.
            Route("spot.{topic}", when=(TOPIC, Match("data.u", ("1",), absent=True)), endpoints=("spot",)),
            Route(
                "spot.{topic}",
                when=(TOPIC, Match("topic", like=("orderbook.full.*",), absent=True)),
                endpoints=("spot",),
            ),
            Route("inverse.{topic}", when=(TOPIC,), endpoints=("inverse",)),
            Route("option.{topic}", when=(TOPIC,), endpoints=("option",)),
            Route("{topic}", when=(TOPIC,), endpoints=("linear",)),
        ),
        schemas=(
            ChannelSchema("*orderbook.1.*", Schema.MBP_1),
            ChannelSchema("*orderbook.rpi.*", Schema.MBP_10),
            ChannelSchema("*orderbook.*", Schema.MBO),
            ChannelSchema("*publicTrade.*", Schema.TRADES),
            ChannelSchema("spot.tickers.*", Schema.STATISTICS),
            ChannelSchema("*tickers.*", Schema.MBP_1),
            ChannelSchema("*kline.*", Schema.OHLCV_1M),
            ChannelSchema("instruments.*", Schema.DEFINITION),
            ChannelSchema("pages.*", Schema.DEFINITION),
        ),
    ),
    endpoints=(
        # All arguments of a connection must stay within 21,000 characters.
        *(
            Endpoint(product, f"wss://stream.bybit.com/v5/public/{product}", max_channels=500)
            for product, _ in PRODUCTS
        ),
        Endpoint("rest", ""),
    ),
    families=(PAGES, FULL, *TOPICS),
    subscription=Subscription(
        # An error fails its whole request, of which spot takes ten arguments at most: one each says which was wrong.
        subscribe='{"req_id":"${id}","op":"subscribe","args":[${args}]}',
        unsubscribe='{"req_id":"${id}","op":"unsubscribe","args":[${args}]}',
        ack=Ack(
            AckBy.ID,
            when=(Match("op", ("subscribe",)), Match("success", ("true",))),
            when_unsubscribed=(Match("op", ("unsubscribe",)), Match("success", ("true",))),
            id="req_id",
        ),
        batch=Batch.ONE,
    ),
    channels=("orderbook.50.${symbol}", "orderbook.1.${symbol}", "publicTrade.${symbol}", "tickers.${symbol}"),
    symbols=("BTCUSDT", "ETHUSDT"),
    common=("pages.linear", "pages.option"),
    requests=(
        *LISTS,
        Request(
            "pages",
            f"{REST}/instruments-info?category=${{product}}&limit=1000&cursor=${{cursor}}",
            Schema.DEFINITION,
            failed=FAILED,
        ),
        Request("full book", f"{REST}/full_orderbook?category=spot&symbol=${{symbol}}", Schema.MBO, failed=FAILED),
    ),
    instruments=tuple(request.name for request in LISTS),
    rest=Budget(50, 5.0),
    rules=(
        ErrorRule("full book restarts", RESTART, Severity.RECONNECT, reason="topic"),
        # Options answer without the request's number.
        ErrorRule(
            "option refused",
            (Match("type", ("COMMAND_RESP",)), Match("data.failTopics.0")),
            Severity.REFUSE,
            Scope.OLDEST,
            reason="data.failTopics",
        ),
        ErrorRule(
            "option ack", (Match("type", ("COMMAND_RESP",)), Match("success", ("true",))), Severity.ACCEPT, Scope.OLDEST
        ),
        ErrorRule(
            "already",
            (Match("success", ("false",)), Match("ret_msg", like=("*already subscribed*",))),
            Severity.ACCEPT,
            Scope.REQUEST,
            id="req_id",
        ),
        ErrorRule(
            "rate",
            (Match("success", ("false",)), Match("ret_msg", like=("*too many*", "*Too many*", "*frequen*"))),
            Severity.RETRY,
            Scope.REQUEST,
            id="req_id",
            reason="ret_msg",
            wait=10.0,
        ),
        ErrorRule(
            "error", (Match("success", ("false",)),), Severity.REFUSE, Scope.REQUEST, id="req_id", reason="ret_msg"
        ),
    ),
    # Spot and futures answer `{"op":"ping","ret_msg":"pong"}`, options `{"op":"pong"}`.
    client_pings=(
        ClientPing('{"req_id":"${id}","op":"ping"}', every=20.0, timeout=10.0, pong=(Match("op", ("ping", "pong")),)),
    ),
    lifetime=Lifetime(silence=60.0),
    reconnect=Reconnect(budget=Budget(400, 300.0)),
    pacing=Pacing((Budget(20, 1.0),)),
)
