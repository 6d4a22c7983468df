"""Deribit: JSON-RPC; the answer lists what was accepted; the venue asks `test_request` and wants an answer.

https://docs.deribit.com/articles/market-data-collection-best-practices
"""

from tapeline.schemas import Schema
from tapeline.spec.routing import ChannelSchema, Match, Route, Routing
from tapeline.spec.session import (
    Accepted,
    Ack,
    AckBy,
    Budget,
    Carrier,
    Endpoint,
    ErrorRule,
    Family,
    Lifetime,
    Opening,
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
        routes=(Route("{params.channel}", when=(Match("method", ("subscription",)),)),),
        schemas=(
            ChannelSchema("book.*.*.*.*", Schema.MBP_10),
            ChannelSchema("book.*", Schema.MBO),
            ChannelSchema("trades.*", Schema.TRADES),
            ChannelSchema("quote.*", Schema.MBP_1),
            ChannelSchema("ticker.*", Schema.STATISTICS),
            ChannelSchema("incremental_ticker.*", Schema.STATISTICS),
            ChannelSchema("chart.trades.*", Schema.OHLCV_1M),
            ChannelSchema("instrument.state.*", Schema.STATUS),
            ChannelSchema("instruments", Schema.DEFINITION),
        ),
    ),
    endpoints=(
        Endpoint(
            "public",
            "wss://www.deribit.com/ws/api/v2",
            max_channels=500,
            max_connections=32,
            openings=(
                Opening(
                    '{"jsonrpc":"2.0","id":${id},"method":"public/set_heartbeat","params":{"interval":30}}',
                    expect=(Match("result", ("ok",)),),
                ),
            ),
        ),
    ),
    families=(
        Family("tops", ("book.${symbol}.${group}.${depth}.${interval}",), "public"),
        Family("book", ("book.${symbol}.${interval}",), "public", cadence=600.0, resync=Resync.RESUBSCRIBE),
        Family("trades", ("trades.${symbol}.${interval}",), "public"),
        Family("ticker", ("ticker.${symbol}.${interval}",), "public", cadence=600.0),
        Family("quote", ("quote.${symbol}",), "public"),
        Family("other", ("${kind}.${rest}",), "public"),
    ),
    subscription=Subscription(
        subscribe='{"jsonrpc":"2.0","id":${id},"method":"public/subscribe","params":{"channels":[${args}]}}',
        unsubscribe='{"jsonrpc":"2.0","id":${id},"method":"public/unsubscribe","params":{"channels":[${args}]}}',
        ack=Ack(AckBy.ID, when=(Match("result"), Match("id")), id="id", accepted=Accepted("result")),
        max_args=100,
    ),
    # `raw` needs credentials; without them 100 ms is the finest.
    channels=("book.${symbol}.100ms", "trades.${symbol}.100ms", "ticker.${symbol}.100ms", "quote.${symbol}"),
    symbols=("BTC-PERPETUAL", "ETH-PERPETUAL"),
    requests=(
        Request(
            "instruments",
            "https://www.deribit.com/api/v2/public/get_instruments?currency=any",
            Schema.DEFINITION,
            channel="instruments",
            failed=(Match("error"),),
            every=3600.0,
        ),
    ),
    instruments=("instruments",),
    rest=Budget(1, 1.0),
    rules=(
        ErrorRule(
            "rate",
            (Match("error.code", ("10028", "10047")),),
            Severity.RETRY,
            Scope.REQUEST,
            id="id",
            reason="error.message",
            wait=2.0,
        ),
        ErrorRule(
            "settlement",
            (Match("error.code", ("10041",)),),
            Severity.RETRY,
            Scope.REQUEST,
            id="id",
            reason="error.message",
            wait=5.0,
        ),
        ErrorRule("error", (Match("error.code"),), Severity.REFUSE, Scope.REQUEST, id="id", reason="error.message"),
        ErrorRule(
            "heartbeat", (Match("method", ("heartbeat",)), Match("params.type", ("heartbeat",))), Severity.IGNORE
        ),
    ),
    server_pings=(
        ServerPing(
            Carrier.JSON,
            when=(Match("method", ("heartbeat",)), Match("params.type", ("test_request",))),
            reply='{"jsonrpc":"2.0","id":${id},"method":"public/test","params":{}}',
        ),
    ),
    lifetime=Lifetime(silence=75.0),
    reconnect=Reconnect(budget=Budget(30, 60.0)),
    # 3,000 credits a call of 30,000, refilled at 3.3 calls a second.
    pacing=Pacing((Budget(3, 1.0),)),
)
