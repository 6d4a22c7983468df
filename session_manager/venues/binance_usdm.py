"""Binance USD-M futures: as spot, but the stream decides the URL's path, so an instrument needs two sockets.

https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams
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
    Poll,
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
            ChannelSchema("*markPrice*", Schema.STATISTICS),
            ChannelSchema("*@openInterest", Schema.STATISTICS),
            ChannelSchema("exchangeInfo", Schema.DEFINITION),
        ),
    ),
    endpoints=(
        Endpoint("public", "wss://fstream.binance.com/public/stream", max_channels=1024),
        Endpoint("market", "wss://fstream.binance.com/market/stream", max_channels=1024),
        Endpoint("rest", ""),
    ),
    families=(
        Family(
            "depth",
            (
                "${symbol}@depth",
                "${symbol}@depth@100ms",
                "${symbol}@depth@250ms",
                "${symbol}@depth@500ms",
                "${symbol}@depth@0ms",
            ),
            "public",
            cadence=60.0,
            resync=Resync.REQUEST,
            snapshot="depth",
        ),
        Family("top", ("${symbol}@depth${levels}", "${symbol}@rpiDepth${speed}"), "public"),
        Family("bookTicker", ("${symbol}@bookTicker", "!bookTicker"), "public", cadence=120.0),
        # Undocumented; implementers place it here.
        Family("trade", ("${symbol}@trade",), "public"),
        Family("markPrice", ("${symbol}@markPrice", "${symbol}@markPrice@1s"), "market", cadence=60.0),
        # Not pushed.
        Family("openInterest", ("${symbol}@openInterest",), "rest", poll=Poll("openInterest", every=60.0)),
        Family("market", ("${symbol}@${stream}", "!${stream}"), "market"),
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
            "https://fapi.binance.com/fapi/v1/depth?symbol=${symbol:upper}&limit=1000",
            Schema.MBO,
            cost=20,
            failed=(Match("code"),),
        ),
        Request(
            "openInterest",
            "https://fapi.binance.com/fapi/v1/openInterest?symbol=${symbol:upper}",
            Schema.STATISTICS,
            failed=(Match("code"),),
        ),
        Request(
            "exchangeInfo",
            "https://fapi.binance.com/fapi/v1/exchangeInfo",
            Schema.DEFINITION,
            channel="exchangeInfo",
            failed=(Match("code"),),
            every=3600.0,
        ),
    ),
    instruments=("exchangeInfo",),
    rest=Budget(2000, 60.0),
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
    server_pings=(ServerPing(Carrier.PROTOCOL, every=180.0),),
    lifetime=Lifetime(max_age=86_400.0, overlap=600.0, silence=420.0),
    reconnect=Reconnect(budget=Budget(250, 300.0)),
    # Ten a second, of which pongs take their share.
    pacing=Pacing((Budget(8, 1.0),)),
)
