"""MEXC spot: JSON control beside protobuf data; an answer whose code is 0 may still be a refusal, its text tells.

https://www.mexc.com/api-docs/spot-v3/websocket-market-streams and mexcdevelop/websocket-proto.
"""

from tapeline.schemas import Schema
from tapeline.spec.decoding import Protobuf, ProtoField, ProtoMessage
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
    Reconnect,
    Request,
    Resync,
    Scope,
    Session,
    Severity,
    Subscription,
)


def family(name: str, pattern: str, cadence: float = 0.0, snapshot: str = "") -> Family:
    """A stream of the one spot socket."""
    return Family(
        name,
        (pattern,),
        "spot",
        cadence=cadence,
        resync=Resync.REQUEST if snapshot else Resync.NONE,
        snapshot=snapshot,
    )


SESSION = Session(
    routing=Routing(
        # The wrapper's first field is all that routing needs.
        decoder=Protobuf("PushDataV3ApiWrapper", (ProtoMessage("PushDataV3ApiWrapper", (ProtoField(1, "channel"),)),)),
        routes=(
            Route("{channel}", when=(Match("channel", like=("spot@*",)),)),
            # The contracts' socket, and what spot spoke before protobuf.
            Route("{channel}.{symbol}", when=(Match("channel", like=("push.*",)),)),
            Route("{0}.{1.symbol}", when=(Match("0", like=("push.*",)),)),
        ),
        schemas=(
            ChannelSchema("spot@public.aggre.deals.*", Schema.TRADES),
            ChannelSchema("spot@public.deals.*", Schema.TRADES),
            ChannelSchema("spot@public.aggre.bookTicker.*", Schema.MBP_1),
            ChannelSchema("spot@public.bookTicker.batch.*", Schema.MBP_1),
            ChannelSchema("spot@public.aggre.depth.*", Schema.MBO),
            ChannelSchema("spot@public.limit.depth.*", Schema.MBP_10),
            ChannelSchema("spot@public.kline.*", Schema.OHLCV_1M),
            ChannelSchema("spot@public.mini*", Schema.STATISTICS),
            ChannelSchema("exchangeInfo", Schema.DEFINITION),
        ),
    ),
    endpoints=(Endpoint("spot", "wss://wbs-api.mexc.com/ws", max_channels=30),),
    families=(
        family("deals", "spot@public.aggre.deals.v3.api.pb@${interval}@${symbol}"),
        family("depth", "spot@public.aggre.depth.v3.api.pb@${interval}@${symbol}", cadence=600.0, snapshot="depth"),
        family("bookTicker", "spot@public.aggre.bookTicker.v3.api.pb@${interval}@${symbol}", cadence=600.0),
        family("bookTickers", "spot@public.bookTicker.batch.v3.api.pb@${symbol}"),
        family("limit depth", "spot@public.limit.depth.v3.api.pb@${symbol}@${levels}"),
        family("kline", "spot@public.kline.v3.api.pb@${symbol}@${interval}"),
    ),
    subscription=Subscription(
        subscribe='{"method":"SUBSCRIPTION","params":[${args}]}',
        unsubscribe='{"method":"UNSUBSCRIPTION","params":[${args}]}',
        ack=Ack(
            AckBy.CHANNEL,
            when=(Match("code", ("0",)), Match("msg", like=("spot@*",))),
            when_unsubscribed=(Match("code", ("0",)), Match("msg", like=("spot@*",))),
            channels=("{msg}",),
        ),
        batch=Batch.ONE,
    ),
    channels=(
        "spot@public.aggre.deals.v3.api.pb@100ms@${symbol}",
        "spot@public.aggre.bookTicker.v3.api.pb@100ms@${symbol}",
        "spot@public.aggre.depth.v3.api.pb@100ms@${symbol}",
    ),
    symbols=("BTCUSDT", "ETHUSDT"),
    requests=(
        Request(
            "exchangeInfo",
            "https://api.mexc.com/api/v3/exchangeInfo",
            Schema.DEFINITION,
            channel="exchangeInfo",
            failed=(Match("code", like=("?*",)),),
            cost=10,
            every=3600.0,
        ),
        Request(
            "depth",
            "https://api.mexc.com/api/v3/depth?symbol=${symbol}&limit=1000",
            Schema.MBO,
            failed=(Match("lastUpdateId", absent=True),),
            cost=1,
        ),
    ),
    instruments=("exchangeInfo",),
    # 500 units in 10 seconds.
    rest=Budget(500, 10.0),
    rules=(
        ErrorRule(
            "refused",
            (Match("code", ("0",)), Match("msg", like=("Not Subscribed successfully*",))),
            Severity.REFUSE,
            Scope.OLDEST,
            reason="msg",
            mentions="msg",
        ),
        ErrorRule(
            "error",
            (
                Match("code", ("0",), absent=True),
                Match("msg"),
                Match("msg", ("PONG",), absent=True),
                Match("channel", absent=True),
            ),
            Severity.REFUSE,
            Scope.OLDEST,
            reason="msg",
        ),
    ),
    client_pings=(ClientPing('{"method":"PING"}', every=20.0, timeout=10.0, pong=(Match("msg", ("PONG",)),)),),
    # Without data for a minute the venue closes; a connection lives a day.
    lifetime=Lifetime(max_age=86_400.0, overlap=60.0, silence=60.0),
    reconnect=Reconnect(budget=Budget(60, 60.0)),
    pacing=Pacing((Budget(100, 1.0),)),
)
