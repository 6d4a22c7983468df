"""Venues made up for the tests: each has one oddity of the real ones, and little else."""

from __future__ import annotations

from dataclasses import replace

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
    Gate,
    Pacing,
    Poll,
    Prepare,
    Reconnect,
    Request,
    Resync,
    Scope,
    Session,
    Severity,
    Subscription,
)

PLAIN = Session(
    routing=Routing((Route("{topic}", when=(Match("data"),)),), (ChannelSchema("*", Schema.TRADES),)),
    endpoints=(Endpoint("public", "wss://plain.example/ws"),),
    families=(Family("trade", ("trade:${symbol}",), "public"),),
    subscription=Subscription(
        '{"op":"subscribe","args":[${args}],"id":${id}}',
        '{"op":"unsubscribe","args":[${args}],"id":${id}}',
        Ack(AckBy.ID, when=(Match("ok"),), id="id"),
    ),
    channels=("trade:${symbol}",),
    symbols=("A",),
)
"""A JSON venue without oddities."""

TOKENS = replace(
    PLAIN,
    endpoints=(
        Endpoint(
            "public",
            "${endpoint}?token=${token}&connectId=${nonce}",
            prepare=Prepare(
                "https://api.example/bullet-public",
                (
                    ("token", "data.token"),
                    ("endpoint", "data.instanceServers.0.endpoint"),
                    ("interval", "data.instanceServers.0.pingInterval"),
                    ("patience", "data.instanceServers.0.pingTimeout"),
                    ("ttl", "data.ttl"),
                ),
                failed=(Match("code", ("200000",), absent=True),),
                lifetime="ttl",
            ),
            gate=Gate((Match("type", ("welcome",)),)),
        ),
    ),
    client_pings=(
        ClientPing(
            '{"id":"${id}","type":"ping"}',
            every=18.0,
            timeout=10.0,
            pong=(Match("type", ("pong",)),),
            variable="interval",
            timeout_variable="patience",
        ),
    ),
    subscription=Subscription(
        '{"id":"${id}","type":"subscribe","topic":"/market/match:${args}","response":true}',
        '{"id":"${id}","type":"unsubscribe","topic":"/market/match:${args}","response":true}',
        Ack(AckBy.ID, when=(Match("type", ("ack",)),), id="id"),
    ),
    families=(Family("trade", ("/market/match:${symbol}",), "public", argument="${symbol}"),),
    channels=("/market/match:${symbol}",),
    reconnect=Reconnect(first=1.0, longest=8.0),
    rest=Budget(100, 30.0),
)
"""A token by HTTP before each connect, as at KuCoin."""


def bullet(token: str = "t1", interval: int = 18_000, patience: int = 10_000, ttl: float = 0) -> bytes:
    """The answer of `TOKENS`' handshake; times in ms, `ttl` in s."""
    server = f'{{"endpoint":"wss://push.example/endpoint","pingInterval":{interval},"pingTimeout":{patience}}}'
    return f'{{"code":"200000","data":{{"token":"{token}","ttl":{ttl},"instanceServers":[{server}]}}}}'.encode()


KEYED = replace(
    PLAIN,
    routing=Routing((Route("{@0}", when=(Match("1"),)),), (ChannelSchema("*", Schema.MBO),)),
    families=(Family("book", ("book:${symbol}",), "public", resync=Resync.RESUBSCRIBE),),
    subscription=Subscription(
        '{"event":"subscribe","channel":"${family}","symbol":"${symbol}"}',
        '{"event":"unsubscribe","chanId":${key}}',
        Ack(
            AckBy.CHANNEL,
            when=(Match("event", ("subscribed",)),),
            when_unsubscribed=(Match("event", ("unsubscribed",)),),
            channels=("{channel}:{symbol}", "{@chanId}"),
            key="chanId",
        ),
        batch=Batch.ONE,
    ),
    rules=(
        ErrorRule("paused", (Match("code", ("20060",)),), Severity.PAUSE, reason="msg"),
        ErrorRule("resumed", (Match("code", ("20061",)),), Severity.RESUME, reason="msg"),
        ErrorRule(
            "refused",
            (Match("event", ("error",)),),
            Severity.REFUSE,
            Scope.CHANNEL,
            channels=("{channel}:{symbol}",),
            reason="msg",
        ),
    ),
    channels=("book:${symbol}",),
)
"""Numbers from acks name the channels, as at Bitfinex."""

ASKING = replace(
    PLAIN,
    families=(Family("book", ("book:${symbol}",), "public", resync=Resync.REQUEST, snapshot="snapshot"),),
    requests=(
        Request(
            "snapshot",
            "",
            Schema.MBO,
            message='{"req":"${channel}","id":"${id}"}',
            answer=(Match("rep"),),
            answer_channel="{rep}",
            failed=(Match("status", ("error",)),),
            timeout=5.0,
        ),
    ),
    rules=(
        ErrorRule("busy", (Match("err", ("busy",)),), Severity.RETRY, Scope.REQUEST, id="id", reason="err", wait=1.0),
    ),
    pacing=Pacing(requests=2),
    channels=("book:${symbol}",),
)
"""Snapshots asked for over the socket, two at a time, as at HTX."""

REPLACING = replace(
    PLAIN,
    subscription=Subscription(
        '[{"ticket":"${id}"},${args},{"format":"DEFAULT"}]', "", Ack(AckBy.NONE), batch=Batch.REPLACE
    ),
    families=(Family("trade", ("trade:${symbol}",), "public", argument='{"type":"trade","codes":["${symbol}"]}'),),
)
"""Each message replaces the set before it, as at Upbit."""

IN_URL = replace(
    PLAIN,
    endpoints=(Endpoint("public", "wss://plain.example/stream?streams=${args}"),),
    subscription=Subscription("", "", Ack(AckBy.NONE), batch=Batch.URL, separator="/"),
    families=(Family("trade", ("trade:${symbol}",), "public", argument="${symbol:lower}@trade"),),
)
"""The set stands in the address."""

POLLED = replace(
    PLAIN,
    endpoints=(Endpoint("rest", ""),),
    families=(
        Family(
            "trades",
            ("trades:${symbol}",),
            "rest",
            cadence=30.0,
            poll=Poll("trades", 10.0, fastest=1.0, cursor="last", first="0", entries="trades", full=4),
        ),
        Family("depth", ("depth:${symbol}",), "rest", poll=Poll("depth", 5.0)),
    ),
    requests=(
        Request("trades", "https://x.example/trades?pair=${symbol}&since=${cursor}", Schema.TRADES, cost=2),
        Request("depth", "https://x.example/depth?pair=${symbol}", Schema.MBO, failed=(Match("error.0"),)),
    ),
    rest=Budget(10, 10.0),
    channels=("trades:${symbol}", "depth:${symbol}"),
)
"""No socket at all."""

BACKFILLED = replace(
    PLAIN,
    families=(
        Family("logs", ("logs:${symbol}",), "public", backfill="missed"),
        Family("swaps", ("swaps:${symbol}",), "public", backfill="asked"),
    ),
    requests=(
        Request("missed", "https://x.example/logs?pool=${symbol}&from=${cursor}", Schema.TRADES),
        Request(
            "asked",
            "",
            Schema.TRADES,
            message='{"id":${id},"method":"getLogs","params":["${symbol}","${cursor}"]}',
            answer=(Match("result"),),
            id="id",
        ),
    ),
)
"""What was missed is asked for, by HTTP or over the socket."""
