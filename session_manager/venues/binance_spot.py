"""Binance spot: one combined socket, protocol pings, book snapshots by REST.

https://github.com/binance/binance-spot-api-docs/blob/master/web-socket-streams.md
"""

from tapeline.schemas import Schema
from tapeline.spec.routing import ChannelSchema, Match, Route, Routing
from tapeline.spec.session import (
    Ack,
    AckBy,
    Budget,
    Carrier,
    Endpoint,
    ErrorRule,
    Family,
    Lifetime,
    Pacing,
    Reconnect,
    Request,
    Resync,
    Scope,
    ServerPing,
    Session,
    Severity,
    Subscription,
)

SESSION = Session(
    routing=Routing(
        # The combined form names the stream; `!serverShutdown` comes the same way and is no data.
        routes=(Route("{stream}", when=(Match("stream", ("!serverShutdown",), absent=True),)),),
        schemas=(
            ChannelSchema("*@depth5*", Schema.MBP_10),
            ChannelSchema("*@depth10*", Schema.MBP_10),
            ChannelSchema("*@depth20*", Schema.MBP_10),
            ChannelSchema("*@depth*", Schema.MBO),
            ChannelSchema("*bookTicker", Schema.MBP_1),
            ChannelSchema("*@trade", Schema.TRADES),
            ChannelSchema("*@aggTrade", Schema.TRADES),
            ChannelSchema("*@kline_*", Schema.OHLCV_1M),
            ChannelSchema("exchangeInfo", Schema.DEFINITION),
        ),
    ),
    endpoints=(
        Endpoint(
            "public",
            "wss://stream.binance.com/stream",
            alternatives=("wss://data-stream.binance.vision/stream",),
            max_channels=1024,
        ),
    ),
    families=(
        Family(
            "depth",
            ("${symbol}@depth", "${symbol}@depth@100ms", "${symbol}@depth@1000ms"),
            "public",
            cadence=60.0,
            resync=Resync.REQUEST,
            snapshot="depth",
        ),
        Family("bookTicker", ("${symbol}@bookTicker",), "public", cadence=120.0),
        Family("trade", ("${symbol}@trade",), "public"),
        Family("aggTrade", ("${symbol}@aggTrade",), "public"),
        Family("other", ("${symbol}@${stream}",), "public"),
    ),
    subscription=Subscription(
        subscribe='{"method":"SUBSCRIBE","params":[${args}],"id":${id}}',
        unsubscribe='{"method":"UNSUBSCRIBE","params":[${args}],"id":${id}}',
        ack=Ack(AckBy.ID, when=(Match("result", ("null",)), Match("id")), id="id"),
        max_args=200,
    ),
    channels=("${symbol:lower}@depth@100ms", "${symbol:lower}@bookTicker", "${symbol:lower}@trade"),
    symbols=("btcusdt", "ethusdt"),
    requests=(
        Request(
            "depth",
            "https://api.binance.com/api/v3/depth?symbol=${symbol:upper}&limit=5000",
            Schema.MBO,
            cost=250,
            failed=(Match("code"),),
        ),
        Request(
            "exchangeInfo",
            "https://api.binance.com/api/v3/exchangeInfo",
            Schema.DEFINITION,
            channel="exchangeInfo",
            cost=20,
            failed=(Match("code"),),
            every=3600.0,
        ),
    ),
    instruments=("exchangeInfo",),
    rest=Budget(5000, 60.0),
    rules=(
        ErrorRule(
            "error",
            (Match("error.code"),),
            Severity.REFUSE,
            Scope.REQUEST,
            id="id",
            reason="error.msg",
        ),
        ErrorRule("error", (Match("code"), Match("msg")), Severity.REFUSE, Scope.REQUEST, id="id", reason="msg"),
        ErrorRule("shutdown", (Match("stream", ("!serverShutdown",)),), Severity.ROTATE),
        ErrorRule("shutdown", (Match("e", ("serverShutdown",)),), Severity.ROTATE),
    ),
    server_pings=(ServerPing(Carrier.PROTOCOL, every=20.0),),
    lifetime=Lifetime(max_age=86_400.0, overlap=600.0, silence=90.0),
    reconnect=Reconnect(budget=Budget(250, 300.0)),
    # Five a second, of which pongs take their share.
    pacing=Pacing((Budget(4, 1.0),)),
)
