"""Kraken spot, API v2: one ack per symbol, JSON ping, snapshots and instruments in the stream.

https://docs.kraken.com/api/docs/websocket-v2/book
"""

from tapeline.schemas import Schema
from tapeline.spec.routing import ChannelSchema, Match, Route, Routing
from tapeline.spec.session import (
    Ack,
    AckBy,
    Budget,
    ClientPing,
    Endpoint,
    ErrorRule,
    Family,
    Lifetime,
    Pacing,
    Reconnect,
    Resync,
    Scope,
    Session,
    Severity,
    Subscription,
)

SESSION = Session(
    routing=Routing(
        routes=(
            Route("{channel}.{data.0.symbol}", when=(Match("channel", ("book", "trade", "ticker", "ohlc")),)),
            Route("{channel}", when=(Match("channel", ("instrument",)),)),
            # Version 1 and the futures' socket, as in old captures.
            Route("v1.{-2}.{-1}", when=(Match("0"), Match("1"))),
            Route("futures.{feed}.{product_id}", when=(Match("feed"),)),
        ),
        schemas=(
            ChannelSchema("book.*", Schema.MBO),
            ChannelSchema("trade.*", Schema.TRADES),
            ChannelSchema("ticker.*", Schema.MBP_1),
            ChannelSchema("ohlc.*", Schema.OHLCV_1M),
            ChannelSchema("instrument", Schema.DEFINITION),
        ),
    ),
    endpoints=(Endpoint("public", "wss://ws.kraken.com/v2", max_channels=400),),
    families=(
        Family(
            "book",
            ("book.${symbol}",),
            "public",
            '"${symbol}"',
            fields=(
                ("params", ',"symbol":[${args}],"depth":10,"snapshot":true'),
                ("which", ',"symbol":[${args}],"depth":10'),
            ),
            cadence=120.0,
            resync=Resync.RESUBSCRIBE,
        ),
        Family(
            "trade",
            ("trade.${symbol}",),
            "public",
            '"${symbol}"',
            fields=(("params", ',"symbol":[${args}],"snapshot":false'), ("which", ',"symbol":[${args}]')),
        ),
        Family(
            "ticker",
            ("ticker.${symbol}",),
            "public",
            '"${symbol}"',
            fields=(
                ("params", ',"symbol":[${args}],"event_trigger":"bbo","snapshot":true'),
                ("which", ',"symbol":[${args}],"event_trigger":"bbo"'),
            ),
        ),
        Family(
            "ohlc",
            ("ohlc.${symbol}",),
            "public",
            '"${symbol}"',
            fields=(
                ("params", ',"symbol":[${args}],"interval":1,"snapshot":false'),
                ("which", ',"symbol":[${args}],"interval":1'),
            ),
        ),
        Family("instrument", ("instrument",), "public", "", fields=(("params", ',"snapshot":true'), ("which", ""))),
    ),
    subscription=Subscription(
        subscribe='{"method":"subscribe","params":{"channel":"${family}"${params}},"req_id":${id}}',
        unsubscribe='{"method":"unsubscribe","params":{"channel":"${family}"${which}},"req_id":${id}}',
        ack=Ack(
            AckBy.CHANNEL,
            when=(Match("method", ("subscribe",)), Match("success", ("true",))),
            when_unsubscribed=(Match("method", ("unsubscribe",)), Match("success", ("true",))),
            id="req_id",
            channels=("{result.channel}.{result.symbol}", "{result.channel}"),
        ),
        group="${family}",
        max_args=100,
    ),
    channels=("book.${symbol}", "trade.${symbol}", "ticker.${symbol}"),
    symbols=("BTC/USD", "ETH/USD"),
    common=("instrument",),
    rules=(
        ErrorRule("heartbeat", (Match("channel", ("heartbeat",)),), Severity.IGNORE),
        ErrorRule("status", (Match("channel", ("status",)),), Severity.IGNORE),
        ErrorRule(
            "already",
            (Match("success", ("false",)), Match("error", ("Already subscribed",))),
            Severity.ACCEPT,
            Scope.REQUEST,
            id="req_id",
            argument="{symbol}",
        ),
        ErrorRule(
            "rate",
            (Match("success", ("false",)), Match("error", ("EGeneral:Rate limit exceeded", "Exceeded msg rate"))),
            Severity.RETRY,
            Scope.REQUEST,
            id="req_id",
            argument="{symbol}",
            reason="error",
            wait=5.0,
        ),
        ErrorRule(
            "refused",
            (Match("success", ("false",)), Match("method", ("subscribe", "unsubscribe"))),
            Severity.REFUSE,
            Scope.REQUEST,
            id="req_id",
            argument="{symbol}",
            reason="error",
        ),
        ErrorRule("error", (Match("error"),), Severity.IGNORE, reason="error"),
    ),
    client_pings=(
        ClientPing('{"method":"ping","req_id":${id}}', every=30.0, timeout=10.0, pong=(Match("method", ("pong",)),)),
    ),
    # The venue speaks at least each second while anything is subscribed.
    lifetime=Lifetime(silence=30.0),
    # 150 attempts in ten minutes, or the address is banned for ten.
    reconnect=Reconnect(first=0.5, budget=Budget(120, 600.0)),
    pacing=Pacing((Budget(20, 1.0),)),
)
