"""KuCoin: a token by HTTP before every connect, a welcome before the first message, pings at the interval it names.

https://www.kucoin.com/docs-new/websocket-api/base-info/introduction and Kucoin/kucoin-universal-sdk (spec).
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
    Gate,
    Lifetime,
    Pacing,
    Prepare,
    Reconnect,
    Request,
    Resync,
    Scope,
    Session,
    Severity,
    Subscription,
)

REFUSED = (Match("code", ("200000",), absent=True),)
DATA = (Match("type", ("message",)),)


def endpoint(name: str, host: str) -> Endpoint:
    """Spot or futures: each gives tokens of its own."""
    return Endpoint(
        name,
        "${endpoint}?token=${token}&connectId=${nonce}",
        max_channels=300,
        max_connections=50,
        prepare=Prepare(
            f"https://{host}/api/v1/bullet-public",
            extract=(
                ("token", "data.token"),
                ("endpoint", "data.instanceServers.0.endpoint"),
                ("pingInterval", "data.instanceServers.0.pingInterval"),
                ("pingTimeout", "data.instanceServers.0.pingTimeout"),
            ),
            failed=REFUSED,
            cost=10,
        ),
        gate=Gate(wait=(Match("type", ("welcome",)),)),
    )


def family(name: str, topic: str, endpoint: str = "spot", cadence: float = 0.0, snapshot: str = "") -> Family:
    """Topics `topic:symbol`; the symbols of one topic share a message."""
    return Family(
        name,
        (topic + ":${symbol}",),
        endpoint,
        argument="${symbol}",
        fields=(("topic", topic),),
        cadence=cadence,
        resync=Resync.REQUEST if snapshot else Resync.NONE,
        snapshot=snapshot,
    )


SESSION = Session(
    routing=Routing(
        routes=(Route("{topic}", when=DATA),),
        schemas=(
            ChannelSchema("/market/match:*", Schema.TRADES),
            ChannelSchema("/contractMarket/execution:*", Schema.TRADES),
            ChannelSchema("/market/ticker:*", Schema.MBP_1),
            ChannelSchema("/spotMarket/level1:*", Schema.MBP_1),
            ChannelSchema("/contractMarket/tickerV2:*", Schema.MBP_1),
            ChannelSchema("/*/level2Depth*:*", Schema.MBP_10),
            ChannelSchema("/*/level2:*", Schema.MBO),
            ChannelSchema("/*/level3*:*", Schema.MBO),
            ChannelSchema("/*/candle*:*", Schema.OHLCV_1M),
            ChannelSchema("/contract/instrument:*", Schema.STATISTICS),
            ChannelSchema("/*/snapshot:*", Schema.STATISTICS),
            ChannelSchema("symbols", Schema.DEFINITION),
            ChannelSchema("contracts", Schema.DEFINITION),
        ),
    ),
    endpoints=(endpoint("spot", "api.kucoin.com"), endpoint("futures", "api-futures.kucoin.com")),
    families=(
        family("match", "/market/match"),
        family("ticker", "/market/ticker", cadence=600.0),
        family("level2", "/market/level2", cadence=600.0, snapshot="book"),
        family("level1", "/spotMarket/level1"),
        family("depth5", "/spotMarket/level2Depth5"),
        family("depth50", "/spotMarket/level2Depth50"),
        family("candles", "/market/candles"),
        family("snapshot", "/market/snapshot"),
        family("execution", "/contractMarket/execution", "futures"),
        family("tickerV2", "/contractMarket/tickerV2", "futures", cadence=600.0),
        family("futures level2", "/contractMarket/level2", "futures", cadence=600.0, snapshot="futures_book"),
        family("futures depth5", "/contractMarket/level2Depth5", "futures"),
        family("futures depth50", "/contractMarket/level2Depth50", "futures"),
        family("futures instrument", "/contract/instrument", "futures"),
        family("futures candles", "/contractMarket/limitCandle", "futures"),
        family("futures snapshot", "/contractMarket/snapshot", "futures"),
    ),
    subscription=Subscription(
        subscribe='{"id":"${id}","type":"subscribe","topic":"${topic}:${args}","privateChannel":false,"response":true}',
        unsubscribe='{"id":"${id}","type":"unsubscribe","topic":"${topic}:${args}","privateChannel":false,"response":true}',
        ack=Ack(AckBy.ID, when=(Match("type", ("ack",)),), id="id"),
        group="${topic}",
        max_args=100,
    ),
    channels=("/market/match:${symbol}", "/market/ticker:${symbol}", "/market/level2:${symbol}"),
    symbols=("BTC-USDT", "ETH-USDT"),
    requests=(
        Request(
            "symbols",
            "https://api.kucoin.com/api/v2/symbols",
            Schema.DEFINITION,
            channel="symbols",
            also=("https://api.kucoin.com/api/v1/symbols",),
            failed=REFUSED,
            cost=4,
            every=3600.0,
        ),
        Request(
            "contracts",
            "https://api-futures.kucoin.com/api/v1/contracts/active",
            Schema.DEFINITION,
            channel="contracts",
            failed=REFUSED,
            cost=3,
            every=3600.0,
        ),
        # The whole book wants a signed request; the top 100 is what is public, and what lies deeper comes with its first change.
        Request(
            "book",
            "https://api.kucoin.com/api/v1/market/orderbook/level2_100?symbol=${symbol}",
            Schema.MBO,
            failed=REFUSED,
            cost=2,
            also=("https://api.kucoin.com/api/v3/market/orderbook/level2?symbol=${symbol}",),
        ),
        Request(
            "futures_book",
            "https://api-futures.kucoin.com/api/v1/level2/snapshot?symbol=${symbol}",
            Schema.MBO,
            failed=REFUSED,
            cost=3,
        ),
    ),
    instruments=("symbols", "contracts"),
    # The public pool: 2,000 units in 30 seconds.
    rest=Budget(2000, 30.0),
    rules=(
        ErrorRule(
            "token",
            (Match("type", ("error",)), Match("code", ("401",))),
            Severity.RECONNECT,
            reason="data",
        ),
        ErrorRule(
            "too often",
            (Match("type", ("error",)), Match("code", ("509",)), Match("data", like=("*per*",))),
            Severity.RETRY,
            Scope.REQUEST,
            id="id",
            reason="data",
            wait=10.0,
        ),
        ErrorRule("error", (Match("type", ("error",)),), Severity.REFUSE, Scope.REQUEST, id="id", reason="data"),
    ),
    client_pings=(
        ClientPing(
            '{"id":"${id}","type":"ping"}',
            every=18.0,
            timeout=10.0,
            pong=(Match("type", ("pong",)),),
            variable="pingInterval",
            timeout_variable="pingTimeout",
        ),
    ),
    lifetime=Lifetime(max_age=86_400.0, overlap=120.0),
    reconnect=Reconnect(budget=Budget(30, 60.0)),
    pacing=Pacing((Budget(100, 10.0),)),
)
