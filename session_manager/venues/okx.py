"""OKX, API v5: one ack per argument, text pings on silence, notices before a service upgrade, two sockets by channel.

https://www.okx.com/docs-v5/en/#overview-websocket
Channel ids are the venue's channel and instrument, `books.BTC-USDT`.
"""

from tapeline.schemas import Schema
from tapeline.spec.routing import ChannelSchema, Match, Route, Routing
from tapeline.spec.session import (
    Ack,
    AckBy,
    Batch,
    Budget,
    Carrier,
    ClientPing,
    CloseAction,
    CloseRule,
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
    Trigger,
)

ARGUMENT = '{"channel":"${family}","instId":"${symbol}"}'
DATA = Match("data")
ERROR = Match("event", ("error",))

# The list of one kind of instruments; options are asked for by family.
LISTS = tuple(
    Request(
        f"list {name}",
        f"https://openapi.okx.com/api/v5/public/instruments?instType={query}",
        Schema.DEFINITION,
        channel=f"list.{name}",
        failed=(Match("code", ("0",), absent=True),),
        every=3600.0,
    )
    for name, query in (
        ("SPOT", "SPOT"),
        ("SWAP", "SWAP"),
        ("FUTURES", "FUTURES"),
        ("OPTION.BTC-USD", "OPTION&instFamily=BTC-USD"),
        ("OPTION.ETH-USD", "OPTION&instFamily=ETH-USD"),
    )
)

# A no-change update comes about each minute, so a longer silence is none of the market's. More than some thirty books on
# one connection are advised against. The faster ones are for accounts of high fee tiers; others are told 64003.
BOOKS = tuple(
    Family(
        name, (f"{name}.${{symbol}}",), "public", ARGUMENT, cadence=150.0, resync=Resync.RESUBSCRIBE, max_channels=30
    )
    for name in ("books", "books-l2-tbt", "books50-l2-tbt")
)
PLAIN = tuple(
    Family(name, (f"{name}.${{symbol}}",), endpoint, ARGUMENT)
    for name, endpoint in (
        ("books5", "public"),
        ("bbo-tbt", "public"),
        ("trades", "public"),
        ("trades-all", "business"),
        ("tickers", "public"),
        ("index-tickers", "public"),
        ("mark-price", "public"),
        ("funding-rate", "public"),
        ("open-interest", "public"),
    )
)
CANDLES = tuple(
    Family(
        name,
        (f"{name}${{interval}}.${{symbol}}",),
        "business",
        f'{{"channel":"{name}${{interval}}","instId":"${{symbol}}"}}',
    )
    for name in ("candle", "mark-price-candle", "index-candle")
)
INSTRUMENTS = Family(
    "instruments", ("instruments.${symbol}",), "public", '{"channel":"instruments","instType":"${symbol}"}'
)

# What the same request will always be answered with.
REFUSALS = tuple(
    ErrorRule(name, (ERROR, Match("code", codes)), Severity.REFUSE, Scope.REQUEST, id="id", reason="msg")
    for name, codes in (
        ("log in first", ("60011", "60031", "60032")),
        ("unknown", ("60012", "60013", "60018", "60019", "64000")),
        # To the other socket.
        ("moved", ("64001", "64002")),
        ("fee tier", ("64003", "60029", "60030")),
        # `books` beside a faster book of the same instrument.
        ("not both", ("64004",)),
    )
)

SESSION = Session(
    routing=Routing(
        routes=(
            Route("{arg.channel}.{arg.instId}", when=(DATA,)),
            Route("{arg.channel}.{arg.instType}", when=(DATA,)),
            # The API that ended in 2022, in old captures.
            Route("v3", when=(Match("table"), DATA)),
        ),
        schemas=(
            ChannelSchema("books5.*", Schema.MBP_10),
            ChannelSchema("books*", Schema.MBO),
            ChannelSchema("bbo-tbt.*", Schema.MBP_1),
            ChannelSchema("tickers.*", Schema.MBP_1),
            ChannelSchema("index-tickers.*", Schema.STATISTICS),
            ChannelSchema("trades*", Schema.TRADES),
            ChannelSchema("*candle*", Schema.OHLCV_1M),
            ChannelSchema("mark-price.*", Schema.STATISTICS),
            ChannelSchema("funding-rate.*", Schema.STATISTICS),
            ChannelSchema("open-interest.*", Schema.STATISTICS),
            ChannelSchema("instruments.*", Schema.DEFINITION),
            ChannelSchema("list.*", Schema.DEFINITION),
        ),
    ),
    endpoints=(
        Endpoint("public", "wss://ws.okx.com/ws/v5/public", max_channels=100),
        Endpoint("business", "wss://ws.okx.com/ws/v5/business", max_channels=100),
    ),
    families=(*BOOKS, *PLAIN, *CANDLES, INSTRUMENTS),
    subscription=Subscription(
        # An error names the request, not the argument: with one argument each it says which channel is refused.
        subscribe='{"id":"${id}","op":"subscribe","args":[${args}]}',
        unsubscribe='{"id":"${id}","op":"unsubscribe","args":[${args}]}',
        ack=Ack(
            AckBy.CHANNEL,
            when=(Match("event", ("subscribe",)),),
            when_unsubscribed=(Match("event", ("unsubscribe",)),),
            id="id",
            channels=("{arg.channel}.{arg.instId}", "{arg.channel}.{arg.instType}"),
        ),
        batch=Batch.ONE,
    ),
    channels=("books.${symbol}", "trades.${symbol}", "bbo-tbt.${symbol}", "mark-price.${symbol}"),
    symbols=("BTC-USDT", "ETH-USDT", "BTC-USDT-SWAP", "ETH-USDT-SWAP"),
    common=("instruments.SPOT", "instruments.SWAP", "instruments.FUTURES"),
    requests=LISTS,
    instruments=tuple(request.name for request in LISTS),
    rest=Budget(8, 2.0),
    rules=(
        ErrorRule("upgrade", (Match("event", ("notice",)), Match("code", ("64008",))), Severity.ROTATE, reason="msg"),
        ErrorRule("notice", (Match("event", ("notice",)),), Severity.IGNORE, reason="msg"),
        ErrorRule(
            "connections", (Match("event", ("channel-conn-count", "channel-conn-count-error")),), Severity.IGNORE
        ),
        ErrorRule(
            "rate",
            (ERROR, Match("code", ("60014", "50011", "50061"))),
            Severity.RETRY,
            Scope.REQUEST,
            id="id",
            reason="msg",
            wait=10.0,
        ),
        ErrorRule(
            "busy",
            (ERROR, Match("code", ("50001", "50004", "50013", "50026", "63999"))),
            Severity.RETRY,
            Scope.REQUEST,
            id="id",
            reason="msg",
            wait=5.0,
        ),
        *REFUSALS,
        ErrorRule("error", (ERROR,), Severity.REFUSE, Scope.REQUEST, id="id", reason="msg"),
    ),
    client_pings=(
        ClientPing(
            "ping",
            every=20.0,
            timeout=8.0,
            trigger=Trigger.SILENCE,
            carrier=Carrier.TEXT,
            pong=(Match("", ("pong",)),),
        ),
    ),
    # Not in the documentation; some have seen the venue ask.
    server_pings=(ServerPing(Carrier.TEXT, when=(Match("", ("ping",)),), reply="pong"),),
    # The venue cuts, often without a word, what has been silent for 30 s.
    lifetime=Lifetime(silence=32.0),
    closes=(
        # 4004: 30 s without data; 4005: we read too slowly; 4006: abnormal.
        CloseRule((4004, 4005, 4006), CloseAction.NOW),
        # 1009: a request too long; 4002: wrong parameters; 4008, 4009: too many channels.
        CloseRule((1009, 4001, 4002, 4008, 4009), CloseAction.WAIT, wait=60.0),
    ),
    reconnect=Reconnect(budget=Budget(3, 1.0)),
    # Requests of one connection in an hour, the pings beside them.
    pacing=Pacing((Budget(470, 3600.0),)),
)
