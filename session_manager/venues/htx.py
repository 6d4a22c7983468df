"""HTX (Huobi): every frame gzip, pings as JSON, spot books by a request on the same socket; spot, swaps and futures.

https://www.htx.com/en-us/opend/newApiPages and huobiapi.github.io/docs.
"""

from tapeline.schemas import Schema
from tapeline.spec.decoding import Compression, Inflate
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
    Resync,
    Scope,
    ServerPing,
    Session,
    Severity,
    Subscription,
)

# A contract's code tells its market: BTC-USDT (and BTC-USDT-210326) linear, BTC-USD coin-margined, BTC_CQ dated; spot has neither sign.
MARKETS = (
    ("linear", "linear", "${base}-USDT"),
    ("linear dated", "linear", "${base}-USDT-${term}"),
    ("swap", "swap", "${base}-USD"),
    ("dated", "dated", "${base}_${term}"),
    ("spot", "spot", "${symbol}"),
)
ASK = (("sub", '{"sub":"${channel}","id":"${id}"}'), ("unsub", '{"unsub":"${channel}","id":"${id}"}'))
ASK_CHANGES = (
    ("sub", '{"sub":"${channel}","data_type":"incremental","id":"${id}"}'),
    ("unsub", '{"unsub":"${channel}","data_type":"incremental","id":"${id}"}'),
)
NOTIFY = (
    ("sub", '{"op":"sub","cid":"${id}","topic":"${channel}"}'),
    ("unsub", '{"op":"unsub","cid":"${id}","topic":"${channel}"}'),
)
FAILED = (Match("status", ("ok",), absent=True),)


def code_of(code: str) -> tuple[tuple[str, str], ...]:
    """The field that says what a market's symbol is, where it is no piece by itself."""
    return () if code == "${symbol}" else (("symbol", code),)


def families(kind: str, rest: str, cadence: float = 0.0) -> tuple[Family, ...]:
    """One kind of channel on all markets."""
    return tuple(
        Family(f"{market} {kind}", (f"market.{code}.{rest}",), place, fields=(*ASK, *code_of(code)), cadence=cadence)
        for market, place, code in MARKETS
    )


def instruments(name: str, url: str, schema: Schema = Schema.DEFINITION, every: float = 3600.0) -> Request:
    """A list over REST."""
    return Request(name, url, schema, channel=name, failed=FAILED, every=every)


SESSION = Session(
    routing=Routing(
        decoder=Inflate(Compression.GZIP),
        routes=(
            Route("{ch}"),
            Route("{topic}", when=(Match("op", ("notify",)),)),
        ),
        schemas=(
            ChannelSchema("market.*.trade.detail", Schema.TRADES),
            ChannelSchema("market.*.bbo", Schema.MBP_1),
            ChannelSchema("market.*.high_freq", Schema.MBO),
            ChannelSchema("market.*.mbp.refresh.*", Schema.MBP_10),
            ChannelSchema("market.*.mbp.*", Schema.MBO),
            ChannelSchema("market.*.depth.*", Schema.MBP_10),
            ChannelSchema("market.*.kline.*", Schema.OHLCV_1M),
            ChannelSchema("market.*.detail", Schema.STATISTICS),
            ChannelSchema("public.*", Schema.STATISTICS),
            ChannelSchema("*_open_interest", Schema.STATISTICS),
            ChannelSchema("*symbols", Schema.DEFINITION),
            ChannelSchema("*contracts", Schema.DEFINITION),
        ),
    ),
    endpoints=(
        Endpoint("spot", "wss://api.huobi.pro/ws", alternatives=("wss://api-aws.huobi.pro/ws",)),
        Endpoint("feed", "wss://api.huobi.pro/feed", alternatives=("wss://api-aws.huobi.pro/feed",)),
        Endpoint("linear", "wss://api.hbdm.com/linear-swap-ws"),
        Endpoint("swap", "wss://api.hbdm.com/swap-ws"),
        Endpoint("dated", "wss://api.hbdm.com/ws"),
        Endpoint("linear notices", "wss://api.hbdm.com/linear-swap-notification"),
        Endpoint("swap notices", "wss://api.hbdm.com/swap-notification"),
    ),
    families=(
        *families("trades", "trade.detail"),
        *families("bbo", "bbo", cadence=600.0),
        *(
            Family(
                f"{market} changes",
                (f"market.{code}.depth.size_${{size}}.high_freq",),
                place,
                fields=(*ASK_CHANGES, *code_of(code)),
                cadence=600.0,
                resync=Resync.RESUBSCRIBE,
            )
            for market, place, code in MARKETS[:4]
        ),
        *families("depth", "depth.${step}"),
        *families("candles", "kline.${period}"),
        *families("figures", "detail"),
        Family("tops", ("market.${symbol}.mbp.refresh.${size}",), "spot", fields=ASK),
        Family(
            "mbp",
            ("market.${symbol}.mbp.${size}",),
            "feed",
            fields=ASK,
            cadence=600.0,
            resync=Resync.REQUEST,
            snapshot="mbp",
        ),
        *(
            Family(
                f"{market} funding",
                (f"public.{code}.funding_rate",),
                f"{place} notices",
                fields=(*NOTIFY, *code_of(code)),
            )
            for market, place, code in (MARKETS[0], MARKETS[2])
        ),
    ),
    subscription=Subscription(
        subscribe="${sub}",
        unsubscribe="${unsub}",
        ack=Ack(
            AckBy.CHANNEL,
            when=(Match("ts"), Match("unsubbed", absent=True), Match("op", ("unsub",), absent=True)),
            when_unsubscribed=(Match("ts"), Match("subbed", absent=True), Match("op", ("sub",), absent=True)),
            channels=("{subbed}", "{unsubbed}", "{topic}"),
        ),
        batch=Batch.ONE,
    ),
    channels=("market.${symbol}.trade.detail", "market.${symbol}.bbo", "market.${symbol}.depth.size_150.high_freq"),
    symbols=("BTC-USDT", "ETH-USDT"),
    requests=(
        instruments("symbols", "https://api.huobi.pro/v2/settings/common/symbols"),
        instruments("linear_contracts", "https://api.hbdm.com/linear-swap-api/v1/swap_contract_info"),
        instruments("swap_contracts", "https://api.hbdm.com/swap-api/v1/swap_contract_info"),
        instruments(
            "linear_open_interest",
            "https://api.hbdm.com/linear-swap-api/v1/swap_open_interest",
            Schema.STATISTICS,
            every=60.0,
        ),
        instruments(
            "swap_open_interest", "https://api.hbdm.com/swap-api/v1/swap_open_interest", Schema.STATISTICS, every=60.0
        ),
        Request(
            "mbp",
            "",
            Schema.MBO,
            message='{"req":"${channel}","id":"${id}"}',
            answer=(Match("rep"),),
            answer_channel="{rep}",
            failed=FAILED,
        ),
    ),
    instruments=("symbols", "linear_contracts", "swap_contracts", "linear_open_interest", "swap_open_interest"),
    # 240 requests in 3 seconds for market data of contracts, 10 a second on spot.
    rest=Budget(10, 1.0),
    rules=(
        ErrorRule("closing", (Match("op", ("close",)),), Severity.RECONNECT),
        ErrorRule(
            "error",
            (Match("status", ("error",)), Match("id")),
            Severity.REFUSE,
            Scope.REQUEST,
            id="id",
            reason="err-msg",
        ),
        ErrorRule(
            "notice refused",
            (Match("op", ("sub", "unsub")), Match("err-code", ("0",), absent=True)),
            Severity.REFUSE,
            Scope.REQUEST,
            id="cid",
            reason="err-msg",
        ),
        ErrorRule("other error", (Match("status", ("error",)),), Severity.IGNORE, reason="err-msg"),
    ),
    server_pings=(
        ServerPing(Carrier.JSON, when=(Match("ping"),), reply='{"pong":${=ping}}', every=5.0),
        ServerPing(Carrier.JSON, when=(Match("op", ("ping",)),), reply='{"op":"pong","ts":"${=ts}"}', every=5.0),
    ),
    lifetime=Lifetime(silence=30.0),
    reconnect=Reconnect(budget=Budget(30, 60.0)),
    pacing=Pacing((Budget(50, 1.0),)),
)
