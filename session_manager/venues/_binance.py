"""How all of Binance's own sockets are spoken to: spot, USD-M and COIN-M differ in addresses, speeds and budgets."""

from tapeline.schemas import Schema
from tapeline.spec.routing import ChannelSchema, Match, Route
from tapeline.spec.session import (
    Ack,
    AckBy,
    Budget,
    ErrorRule,
    Family,
    Reconnect,
    Request,
    Resync,
    Scope,
    Severity,
    Subscription,
)

# The combined form names the stream; `!serverShutdown` comes the same way and is no data.
ROUTES = (Route("{stream}", when=(Match("stream", ("!serverShutdown",), absent=True),)),)

SCHEMAS = (
    ChannelSchema("*@depth5*", Schema.MBP_10),
    ChannelSchema("*@depth10*", Schema.MBP_10),
    ChannelSchema("*@depth20*", Schema.MBP_10),
    ChannelSchema("*@depth*", Schema.MBO),
    ChannelSchema("*bookTicker", Schema.MBP_1),
    ChannelSchema("*@trade", Schema.TRADES),
    ChannelSchema("*@aggTrade", Schema.TRADES),
    ChannelSchema("*@kline_*", Schema.OHLCV_1M),
    ChannelSchema("exchangeInfo", Schema.DEFINITION),
)

SUBSCRIPTION = Subscription(
    subscribe='{"method":"SUBSCRIBE","params":[${args}],"id":${id}}',
    unsubscribe='{"method":"UNSUBSCRIBE","params":[${args}],"id":${id}}',
    ack=Ack(AckBy.ID, when=(Match("result", ("null",)), Match("id")), id="id"),
    max_args=200,
)

RULES = (
    ErrorRule("error", (Match("error.code"),), Severity.REFUSE, Scope.REQUEST, id="id", reason="error.msg"),
    ErrorRule("error", (Match("code"), Match("msg")), Severity.REFUSE, Scope.REQUEST, id="id", reason="msg"),
    ErrorRule("shutdown", (Match("stream", ("!serverShutdown",)),), Severity.ROTATE),
    ErrorRule("shutdown", (Match("e", ("serverShutdown",)),), Severity.ROTATE),
)

RECONNECT = Reconnect(budget=Budget(250, 300.0))


def depth_family(endpoint: str, *speeds: str) -> Family:
    """Books by update, at the speeds the venue names; their snapshots come by REST."""
    names = ("${symbol}@depth", *(f"${{symbol}}@depth@{speed}" for speed in speeds))
    return Family("depth", names, endpoint, cadence=60.0, resync=Resync.REQUEST, snapshot="depth")


def depth_request(api: str, limit: int, cost: int) -> Request:
    """A book's snapshot; `cost` in the venue's request weight."""
    url = f"{api}/depth?symbol=${{symbol:upper}}&limit={limit}"
    return Request("depth", url, Schema.MBO, cost=cost, failed=(Match("code"),))


def open_interest_request(api: str) -> Request:
    """An instrument's open interest, which is not pushed."""
    url = f"{api}/openInterest?symbol=${{symbol:upper}}"
    return Request("openInterest", url, Schema.STATISTICS, failed=(Match("code"),))


def instruments_request(api: str, cost: int = 1) -> Request:
    """All instruments, every hour."""
    return Request(
        "exchangeInfo",
        f"{api}/exchangeInfo",
        Schema.DEFINITION,
        channel="exchangeInfo",
        cost=cost,
        failed=(Match("code"),),
        every=3600.0,
    )
