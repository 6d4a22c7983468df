"""Binance COIN-M futures: as USD-M, but one socket for every stream; sizes are contracts.

https://developers.binance.com/docs/derivatives/coin-margined-futures/websocket-market-streams
"""

from session_manager.venues._binance import (
    RECONNECT,
    ROUTES,
    RULES,
    SCHEMAS,
    SUBSCRIPTION,
    depth_family,
    depth_request,
    instruments_request,
    open_interest_request,
)
from tapeline.schemas import Schema
from tapeline.spec.routing import ChannelSchema, Routing
from tapeline.spec.session import Budget, Carrier, Endpoint, Family, Lifetime, Pacing, Poll, ServerPing, Session

API = "https://dapi.binance.com/dapi/v1"

SESSION = Session(
    routing=Routing(
        routes=ROUTES,
        schemas=(
            *SCHEMAS,
            ChannelSchema("*markPrice*", Schema.STATISTICS),
            ChannelSchema("*@indexPrice*", Schema.STATISTICS),
            ChannelSchema("*@openInterest", Schema.STATISTICS),
        ),
    ),
    endpoints=(Endpoint("stream", "wss://dstream.binance.com/stream", max_channels=200), Endpoint("rest", "")),
    families=(
        depth_family("stream", "100ms", "250ms", "500ms", "0ms"),
        Family("bookTicker", ("${symbol}@bookTicker",), "stream", cadence=600.0),
        Family("markPrice", ("${symbol}@markPrice", "${symbol}@markPrice@1s"), "stream", cadence=60.0),
        # Not pushed.
        Family("openInterest", ("${symbol}@openInterest",), "rest", poll=Poll("openInterest", every=60.0)),
        Family("other", ("${symbol}@${stream}", "!${stream}"), "stream"),
    ),
    subscription=SUBSCRIPTION,
    # The index stands in a stream of the pair's, `btcusd@indexPrice`, not of the contract's.
    channels=(
        "${symbol:lower}@depth@100ms",
        "${symbol:lower}@bookTicker",
        "${symbol:lower}@trade",
        "${symbol:lower}@markPrice@1s",
        "${symbol:lower}@openInterest",
    ),
    symbols=("btcusd_perp", "ethusd_perp"),
    requests=(depth_request(API, limit=1000, cost=20), open_interest_request(API), instruments_request(API)),
    instruments=("exchangeInfo",),
    rest=Budget(2000, 60.0),
    rules=RULES,
    server_pings=(ServerPing(Carrier.PROTOCOL, every=180.0),),
    lifetime=Lifetime(max_age=86_400.0, overlap=600.0, silence=420.0),
    reconnect=RECONNECT,
    # Ten a second, of which pongs take their share.
    pacing=Pacing((Budget(8, 1.0),)),
)
