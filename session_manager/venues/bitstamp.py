"""Bitstamp v2: each channel is subscribed and acknowledged by itself; books by REST, joined and refreshed by time.

https://www.bitstamp.net/websocket/v2/
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
    Request,
    Resync,
    Scope,
    Session,
    Severity,
    Subscription,
)

REST = "https://www.bitstamp.net/api/v2"
# An error says so instead of a book or a list.
FAILED = (Match("code"), Match("status", ("error",)), Match("error"))

SESSION = Session(
    routing=Routing(
        # `data`, `trade`, `order_created`…: whatever is not about the connection itself names its channel.
        routes=(Route("{channel}", when=(Match("event", like=("bts:*",), absent=True),)),),
        schemas=(
            ChannelSchema("live_trades_*", Schema.TRADES),
            ChannelSchema("order_book_*", Schema.MBP_10),
            ChannelSchema("detail_order_book_*", Schema.MBO),
            ChannelSchema("diff_order_book_*", Schema.MBO),
            ChannelSchema("live_orders_*", Schema.MBO),
            ChannelSchema("markets", Schema.DEFINITION),
        ),
    ),
    # The 1,025th channel closes the socket without a word.
    endpoints=(Endpoint("public", "wss://ws.bitstamp.net", max_channels=1024),),
    families=(
        Family("live_trades", ("live_trades_${symbol}",), "public"),
        # A misspelt market is acknowledged and then silent: the cadences find it (`channel_stale`).
        Family("order_book", ("order_book_${symbol}",), "public", cadence=120.0),
        Family("detail_order_book", ("detail_order_book_${symbol}",), "public", cadence=120.0),
        Family(
            "diff_order_book",
            ("diff_order_book_${symbol}",),
            "public",
            cadence=120.0,
            resync=Resync.REQUEST,
            snapshot="order_book",
        ),
        Family(
            "live_orders",
            ("live_orders_${symbol}",),
            "public",
            cadence=120.0,
            resync=Resync.REQUEST,
            snapshot="orders",
        ),
    ),
    subscription=Subscription(
        subscribe='{"event":"bts:subscribe","data":{"channel":${args}}}',
        unsubscribe='{"event":"bts:unsubscribe","data":{"channel":${args}}}',
        ack=Ack(
            AckBy.CHANNEL,
            when=(Match("event", ("bts:subscription_succeeded",)),),
            when_unsubscribed=(Match("event", ("bts:unsubscription_succeeded",)),),
            channels=("{channel}",),
        ),
        batch=Batch.ONE,
    ),
    channels=("live_trades_${symbol}", "diff_order_book_${symbol}"),
    symbols=("btcusd", "ethusd"),
    requests=(
        # Single orders. Before the other: its query tells them apart.
        Request("orders", f"{REST}/order_book/${{symbol}}/?group=2", Schema.MBO, failed=FAILED, every=300.0),
        # Nothing in the stream proves that no diff was lost, so the book is asked for again every five minutes.
        Request(
            "order_book",
            f"{REST}/order_book/${{symbol}}/?group=1",
            Schema.MBO,
            failed=FAILED,
            every=300.0,
            also=(f"{REST}/order_book/${{symbol}}/",),
        ),
        Request(
            "markets",
            f"{REST}/markets/",
            Schema.DEFINITION,
            channel="markets",
            failed=FAILED,
            every=3600.0,
            also=(f"{REST}/trading-pairs-info/",),
        ),
    ),
    instruments=("markets",),
    # 400 a second and 10,000 in ten minutes.
    rest=Budget(10_000, 600.0),
    rules=(
        ErrorRule("error", (Match("event", ("bts:error",)),), Severity.REFUSE, Scope.OLDEST, reason="data.message"),
        # A few seconds are given to move to another server without loss.
        ErrorRule("reconnect", (Match("event", ("bts:request_reconnect",)),), Severity.ROTATE),
    ),
    client_pings=(
        ClientPing('{"event":"bts:heartbeat"}', every=20.0, timeout=10.0, pong=(Match("event", ("bts:heartbeat",)),)),
    ),
    lifetime=Lifetime(silence=60.0),
)
