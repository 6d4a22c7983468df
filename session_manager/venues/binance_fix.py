"""Binance spot by FIX 4.4: a signed logon, one MarketDataRequest for each channel, whose id the channel's messages carry.

https://github.com/binance/binance-spot-api-docs/blob/master/fix-api.md
"""

from tapeline.schemas import Schema
from tapeline.spec.decoding import Hook
from tapeline.spec.routing import ChannelSchema, Match, Route, Routing
from tapeline.spec.session import (
    Ack,
    AckBy,
    Batch,
    Budget,
    Endpoint,
    ErrorRule,
    Family,
    FixSession,
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

BOTH_SIDES = "267=2|269=0|269=1"
REJECT = Match("35", ("3", "j"))

SESSION = Session(
    routing=Routing(
        # W and X carry the request's id, which is the channel's; Y answers a request, y an instrument request.
        routes=(Route("{262}", when=(Match("35", ("W", "X")),)),),
        schemas=(
            ChannelSchema("*-book", Schema.MBO),
            ChannelSchema("*-top", Schema.MBP_1),
            ChannelSchema("*-trade", Schema.TRADES),
            ChannelSchema("instruments", Schema.DEFINITION),
        ),
        decoder=Hook("fix_md", (("first", "25043"), ("last", "25044"))),
    ),
    endpoints=(
        Endpoint(
            "market data",
            "tls://fix-md.binance.com:9000",
            max_channels=1000,
            max_connections=100,
            signer="ed25519",
            fix=FixSession(
                # Unique among live sessions, and locked for a while after one that ended without logout: new each time.
                sender="${sender}",
                target="SPOT",
                heartbeat=30,
                # 25000 is RecvWindow (ms), 25035 MessageHandling: 2 keeps our messages in their order.
                logon=(
                    (25000, "10000"),
                    (95, "${signature_length}"),
                    (96, "${signature}"),
                    (553, "${api_key}"),
                    (25035, "2"),
                ),
                # "Resend requests are currently not supported."
                resend=False,
            ),
        ),
    ),
    families=(
        Family(
            "book",
            ("${symbol}-book",),
            "market data",
            fields=(("depth", "5000"), ("entries", BOTH_SIDES)),
            cadence=60.0,
            resync=Resync.RESUBSCRIBE,
        ),
        Family(
            "top", ("${symbol}-top",), "market data", fields=(("depth", "1"), ("entries", BOTH_SIDES)), cadence=120.0
        ),
        Family("trade", ("${symbol}-trade",), "market data", fields=(("depth", "1"), ("entries", "267=1|269=2"))),
    ),
    subscription=Subscription(
        # A trade subscription is not answered; the heartbeat that answers the test request behind it says that it was read.
        subscribe="35=V|262=${channel}|263=1|264=${depth}|266=Y|146=1|55=${symbol}|${entries}\n35=1|112=${id}",
        unsubscribe="35=V|262=${channel}|263=2\n35=1|112=${id}",
        ack=Ack(
            AckBy.ID,
            when=(Match("35", ("0",)), Match("112")),
            when_unsubscribed=(Match("35", ("0",)), Match("112")),
            id="112",
        ),
        batch=Batch.ONE,
    ),
    channels=("${symbol}-book", "${symbol}-top", "${symbol}-trade"),
    symbols=("BTCUSDT", "ETHUSDT"),
    requests=(
        Request(
            "instruments",
            "",
            Schema.DEFINITION,
            channel="instruments",
            message="35=x|320=instruments|559=4",
            answer=(Match("35", ("y",)),),
            answer_channel="{320}",
            every=3600.0,
        ),
    ),
    instruments=("instruments",),
    rules=(
        ErrorRule("maintenance", (Match("35", ("B",)),), Severity.ROTATE, reason="148"),
        # MDReqRejReason: 1 the id is in use, 2 too many subscriptions, any other is for good.
        ErrorRule(
            "duplicate",
            (Match("35", ("Y",)), Match("281", ("1",))),
            Severity.ACCEPT,
            Scope.CHANNEL,
            channels=("{262}",),
            reason="58",
        ),
        ErrorRule(
            "too many",
            (Match("35", ("Y",)), Match("281", ("2",))),
            Severity.RETRY,
            Scope.CHANNEL,
            channels=("{262}",),
            reason="58",
            wait=60.0,
        ),
        ErrorRule("refused", (Match("35", ("Y",)),), Severity.REFUSE, Scope.CHANNEL, channels=("{262}",), reason="58"),
        # A reject names the message by its number; the session tells what that message asked for.
        ErrorRule("reject", (REJECT, Match("262")), Severity.REFUSE, Scope.CHANNEL, channels=("{262}",), reason="58"),
        ErrorRule("reject", (REJECT,), Severity.IGNORE, reason="58"),
        # The session's own messages never get so far, but captures hold them.
        ErrorRule("session", (Match("35", ("1", "2", "4", "5", "A")),), Severity.IGNORE),
        ErrorRule("session", (Match("35", ("0",)), Match("112", absent=True)), Severity.IGNORE),
    ),
    # Message numbers have 32 bits: a week of them fits.
    lifetime=Lifetime(max_age=7 * 86_400.0, overlap=600.0),
    reconnect=Reconnect(budget=Budget(250, 300.0)),
    # 2000 messages a minute, two for each subscription; heartbeats take little.
    pacing=Pacing((Budget(900, 60.0),)),
)
