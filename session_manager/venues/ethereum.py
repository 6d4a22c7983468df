"""Ethereum by JSON-RPC over a WebSocket: swaps of Uniswap pools and the chain's heads; what was missed is asked for by block.

https://geth.ethereum.org/docs/interacting-with-geth/rpc/pubsub and https://ethereum.org/en/developers/docs/apis/json-rpc.
"""

from tapeline.schemas import Schema
from tapeline.spec.decoding import Hook
from tapeline.spec.routing import ChannelSchema, Match, Route, Routing
from tapeline.spec.session import (
    Ack,
    AckBy,
    Batch,
    Budget,
    Carrier,
    Endpoint,
    ErrorRule,
    Family,
    Lifetime,
    Pacing,
    Reconnect,
    Request,
    Scope,
    ServerPing,
    Session,
    Severity,
    Subscription,
)

# Swap events of Uniswap v2 (and its copies) and v3: keccak of their signatures.
TOPICS = (
    '[["0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822",'
    '"0xc42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67"]]'
)
FILTER = '"address":"${symbol}","topics":' + TOPICS

SESSION = Session(
    routing=Routing(
        # A log names its pool, so it needs no subscription id to be routed by. Twelve blocks back of the last one
        # seen is deeper than any reorganisation since the merge.
        decoder=Hook("ethereum", (("overlap", "12"),)),
        routes=(
            Route("swaps@{pool}", cursor="cursor"),
            Route("newHeads", when=(Match("kind", ("head",)),)),
        ),
        schemas=(ChannelSchema("*", Schema.TRADES),),
    ),
    endpoints=(
        Endpoint(
            "node",
            "wss://ethereum-rpc.publicnode.com",
            alternatives=("wss://mainnet.gateway.tenderly.co",),
            max_channels=100,
        ),
    ),
    families=(
        # A block each 12 s; a slot may be missed, or a few.
        Family("heads", ("newHeads",), "node", fields=(("params", '["newHeads"]'),), cadence=120.0),
        Family(
            "swaps",
            ("swaps@${symbol}",),
            "node",
            fields=(("params", '["logs",{' + FILTER + "}]"),),
            backfill="logs",
            # Providers bound ranges and results, each in its own way.
            backfill_span=500,
        ),
    ),
    subscription=Subscription(
        subscribe='{"jsonrpc":"2.0","id":${id},"method":"eth_subscribe","params":${params}}',
        unsubscribe='{"jsonrpc":"2.0","id":${id},"method":"eth_unsubscribe","params":["${key}"]}',
        ack=Ack(
            AckBy.ID,
            when=(Match("id"), Match("result", like=("0x*",))),
            when_unsubscribed=(Match("id"), Match("result", ("true", "false"))),
            id="id",
            key="result",
        ),
        batch=Batch.ONE,
    ),
    channels=("swaps@${symbol}",),
    symbols=(
        "0x88e6a0c2ddd26feeb64f039a2c41296fcb3f5640",
        "0xb4e16d0168e52d35cacd2c6185b44281ec28c9dc",
        "0x0d4a11d5eeaac28ec3f61d100daf4d40471f1852",
        "0x11b815efb8f581194ae79006d24e0d814b7697f6",
    ),
    common=("newHeads",),
    requests=(
        Request(
            "logs",
            "",
            Schema.TRADES,
            message='{"jsonrpc":"2.0","id":${id},"method":"eth_getLogs","params":[{'
            + FILTER
            + ',"fromBlock":"${cursor}","toBlock":"${until}"}]}',
            answer=(Match("result", ("logs",)),),
            id="id",
            failed=(Match("error"),),
        ),
    ),
    rules=(
        # Too much at once: of requests in general, or of logs in one answer.
        ErrorRule(
            "limit",
            (Match("error.code", ("-32005", "-32029", "429")),),
            Severity.RETRY,
            Scope.REQUEST,
            id="id",
            reason="error.message",
            wait=1.0,
        ),
        ErrorRule("error", (Match("error"),), Severity.REFUSE, Scope.REQUEST, id="id", reason="error.message"),
    ),
    server_pings=(ServerPing(Carrier.PROTOCOL, every=30.0),),
    lifetime=Lifetime(silence=90.0),
    # The node says no limit of its own; a provider that sees more than this calls it abuse.
    reconnect=Reconnect(budget=Budget(30, 60.0)),
    pacing=Pacing((Budget(20, 1.0),), requests=4),
)
