"""Bitfinex v2: data frames are arrays that begin with a number the connection's own acks have given; one counter spans them all.

https://docs.bitfinex.com/docs/ws-general and ws-public.
"""

from tapeline.schemas import Schema
from tapeline.spec.routing import ChannelSchema, Match, Route, Routing
from tapeline.spec.session import (
    Ack,
    AckBy,
    Batch,
    Budget,
    Endpoint,
    ErrorRule,
    Family,
    Gate,
    Lifetime,
    Opening,
    Reconnect,
    Request,
    Resync,
    Scope,
    Session,
    Severity,
    Subscription,
)

TIMESTAMP, SEQUENCE, CHECKSUM = 32_768, 65_536, 131_072
# An answer to unsubscribing names the key alone.
CHANNELS = ("book.{prec}.{freq}.{len}.{symbol}", "{channel}.{symbol}", "{channel}.{key}", "{@chanId}")


def family(name: str, pattern: str, asked: str, resync: Resync = Resync.NONE, backfill: str = "") -> Family:
    """A channel; `asked` is what its subscribe message says beside the channel's kind. Each has a heartbeat every 15 s."""
    return Family(name, (pattern,), "public", fields=(("kind", name), ("asked", asked)), cadence=60.0, resync=resync)


SESSION = Session(
    routing=Routing(
        routes=(Route("{@0}", when=(Match("1"),)),),
        schemas=(
            ChannelSchema("book.*", Schema.MBO),
            ChannelSchema("trades.*", Schema.TRADES),
            ChannelSchema("ticker.*", Schema.MBP_1),
            ChannelSchema("candles.*", Schema.OHLCV_1M),
            ChannelSchema("status.*", Schema.STATISTICS),
            ChannelSchema("pairs", Schema.DEFINITION),
            ChannelSchema("futures", Schema.DEFINITION),
        ),
    ),
    endpoints=(
        Endpoint(
            "public",
            "wss://api-pub.bitfinex.com/ws/2",
            alternatives=("wss://api.bitfinex.com/ws/2",),
            max_channels=25,
            gate=Gate(wait=(Match("event", ("info",)), Match("version"))),
            openings=(
                Opening(
                    f'{{"event":"conf","flags":{TIMESTAMP + SEQUENCE + CHECKSUM}}}',
                    expect=(Match("event", ("conf",)), Match("status", ("OK",))),
                ),
            ),
        ),
    ),
    families=(
        family(
            "book",
            "book.${prec}.${freq}.${len}.${symbol}",
            '"symbol":"${symbol}","prec":"${prec}","freq":"${freq}","len":"${len}"',
            Resync.RESUBSCRIBE,
        ),
        family("trades", "trades.${symbol}", '"symbol":"${symbol}"'),
        family("ticker", "ticker.${symbol}", '"symbol":"${symbol}"'),
        family("candles", "candles.${key_}", '"key":"${key_}"'),
        family("status", "status.${key_}", '"key":"${key_}"'),
    ),
    subscription=Subscription(
        subscribe='{"event":"subscribe","channel":"${kind}",${asked}}',
        unsubscribe='{"event":"unsubscribe","chanId":${key}}',
        ack=Ack(
            AckBy.CHANNEL,
            when=(Match("event", ("subscribed",)),),
            when_unsubscribed=(Match("event", ("unsubscribed",)),),
            channels=CHANNELS,
            key="chanId",
        ),
        batch=Batch.ONE,
    ),
    channels=("book.P0.F0.100.${symbol}", "trades.${symbol}", "ticker.${symbol}"),
    symbols=("tBTCUSD", "tETHUSD"),
    requests=(
        Request(
            "pairs",
            "https://api-pub.bitfinex.com/v2/conf/pub:info:pair",
            Schema.DEFINITION,
            channel="pairs",
            failed=(Match("0", ("error",)),),
            every=3600.0,
        ),
        Request(
            "futures",
            "https://api-pub.bitfinex.com/v2/conf/pub:info:pair:futures",
            Schema.DEFINITION,
            channel="futures",
            failed=(Match("0", ("error",)),),
            every=3600.0,
        ),
    ),
    instruments=("pairs", "futures"),
    rest=Budget(15, 60.0),
    rules=(
        ErrorRule("restart", (Match("event", ("info",)), Match("code", ("20051",))), Severity.RECONNECT, reason="msg"),
        ErrorRule("maintenance", (Match("event", ("info",)), Match("code", ("20060",))), Severity.PAUSE, reason="msg"),
        ErrorRule(
            "maintenance over", (Match("event", ("info",)), Match("code", ("20061",))), Severity.RESUME, reason="msg"
        ),
        ErrorRule(
            "subscribed already",
            (Match("event", ("error",)), Match("code", ("10301",))),
            Severity.ACCEPT,
            Scope.CHANNEL,
            channels=CHANNELS,
            reason="msg",
        ),
        ErrorRule(
            "too many channels",
            (Match("event", ("error",)), Match("code", ("10305",))),
            Severity.RETRY,
            Scope.CHANNEL,
            channels=CHANNELS,
            reason="msg",
            wait=30.0,
        ),
        ErrorRule(
            "not ready",
            (Match("event", ("error",)), Match("code", ("11000", "10000"))),
            Severity.RETRY,
            Scope.OLDEST,
            reason="msg",
            wait=5.0,
        ),
        ErrorRule(
            "refused",
            (Match("event", ("error",)), Match("code", ("10300",))),
            Severity.REFUSE,
            Scope.CHANNEL,
            channels=CHANNELS,
            reason="msg",
        ),
        ErrorRule("error", (Match("event", ("error",)),), Severity.REFUSE, Scope.OLDEST, reason="msg"),
    ),
    lifetime=Lifetime(silence=40.0),
    reconnect=Reconnect(budget=Budget(20, 60.0)),
)
