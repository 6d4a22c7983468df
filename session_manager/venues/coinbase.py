"""Coinbase Exchange: every answer lists the whole state; L2 by resubscription, L3 by a REST snapshot.

https://docs.cdp.coinbase.com/exchange/websocket-feed/overview
"""

from tapeline.schemas import Schema
from tapeline.spec.routing import ChannelSchema, Match, Route, Routing
from tapeline.spec.session import (
    Accepted,
    Ack,
    AckBy,
    Budget,
    Endpoint,
    ErrorRule,
    Family,
    Lifetime,
    Pacing,
    Reconnect,
    Request,
    Resync,
    Scope,
    Session,
    Severity,
    Subscription,
    SymbolRoute,
)

SESSION = Session(
    routing=Routing(
        routes=(
            Route("level2.{product_id}", when=(Match("type", ("l2update", "snapshot")),)),
            Route("ticker.{product_id}", when=(Match("type", ("ticker",)),)),
            Route("matches.{product_id}", when=(Match("type", ("match", "last_match")),)),
            Route("full.{product_id}", when=(Match("type", ("received", "open", "done", "change", "activate")),)),
            Route("heartbeat.{product_id}", when=(Match("type", ("heartbeat",)),)),
        ),
        schemas=(
            ChannelSchema("level2.*", Schema.MBO),
            ChannelSchema("full.*", Schema.MBO),
            ChannelSchema("matches.*", Schema.TRADES),
            ChannelSchema("ticker.*", Schema.MBP_1),
            ChannelSchema("heartbeat.*", Schema.STATUS),
            ChannelSchema("products", Schema.DEFINITION),
        ),
    ),
    # A match looks the same in `matches` and in `full`; where both are wanted, `full` has them.
    symbol_routes=(SymbolRoute(Route("full.{product_id}", when=(Match("type", ("match",)),)), "product_id", "full"),),
    endpoints=(Endpoint("open", "wss://ws-feed.exchange.coinbase.com", max_channels=200),),
    families=(
        Family("matches", ("matches.${symbol}",), "open", '"${symbol}"', fields=(("feed", "matches"),)),
        Family("ticker", ("ticker.${symbol}",), "open", '"${symbol}"', fields=(("feed", "ticker"),)),
        # `level2` itself asks for credentials; the batched feed says the same each 50 ms to anyone.
        Family(
            "level2",
            ("level2.${symbol}",),
            "open",
            '"${symbol}"',
            fields=(("feed", "level2_batch"),),
            cadence=60.0,
            resync=Resync.RESUBSCRIBE,
        ),
        Family(
            "full",
            ("full.${symbol}",),
            "open",
            '"${symbol}"',
            fields=(("feed", "full"),),
            cadence=60.0,
            resync=Resync.REQUEST,
            snapshot="book",
            contains=("matches",),
        ),
        Family(
            "heartbeat", ("heartbeat.${symbol}",), "open", '"${symbol}"', fields=(("feed", "heartbeat"),), cadence=10.0
        ),
    ),
    subscription=Subscription(
        subscribe='{"type":"subscribe","product_ids":[${args}],"channels":["${feed}"]}',
        unsubscribe='{"type":"unsubscribe","product_ids":[${args}],"channels":["${feed}"]}',
        ack=Ack(
            AckBy.STATE,
            when=(Match("type", ("subscriptions",)),),
            when_unsubscribed=(Match("type", ("subscriptions",)),),
            accepted=Accepted(
                "channels",
                "{.name}.{*}",
                inner="product_ids",
                words=(("level2_batch", "level2"), ("level2_50", "level2")),
            ),
        ),
        group="${family}",
        max_args=50,
    ),
    channels=("matches.${symbol}", "ticker.${symbol}", "level2.${symbol}"),
    symbols=("BTC-USD", "ETH-USD"),
    requests=(
        Request(
            "book",
            "https://api.exchange.coinbase.com/products/${symbol}/book?level=3",
            Schema.MBO,
            failed=(Match("message"),),
        ),
        Request(
            "products",
            "https://api.exchange.coinbase.com/products",
            Schema.DEFINITION,
            channel="products",
            failed=(Match("message"),),
            every=3600.0,
        ),
    ),
    instruments=("products",),
    rest=Budget(8, 1.0),
    rules=(ErrorRule("error", (Match("type", ("error",)),), Severity.REFUSE, Scope.OLDEST, reason="reason"),),
    lifetime=Lifetime(silence=60.0),
    reconnect=Reconnect(budget=Budget(8, 1.0)),
    pacing=Pacing((Budget(50, 1.0),)),
)
