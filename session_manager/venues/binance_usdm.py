"""Binance USD-M futures: as spot, but the stream decides the URL's path, so an instrument needs two sockets.

https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams
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

API = "https://fapi.binance.com/fapi/v1"

SESSION = Session(
    routing=Routing(
        routes=ROUTES,
        schemas=(
            *SCHEMAS,
            ChannelSchema("*markPrice*", Schema.STATISTICS),
            ChannelSchema("*@openInterest", Schema.STATISTICS),
        ),
    ),
    endpoints=(
        Endpoint("public", "wss://fstream.binance.com/public/stream", max_channels=1024),
        Endpoint("market", "wss://fstream.binance.com/market/stream", max_channels=1024),
        Endpoint("rest", ""),
    ),
    families=(
        depth_family("public", "100ms", "250ms", "500ms", "0ms"),
        Family("top", ("${symbol}@depth${levels}", "${symbol}@rpiDepth${speed}"), "public"),
        Family("bookTicker", ("${symbol}@bookTicker", "!bookTicker"), "public", cadence=120.0),
        # Undocumented; implementers place it here.
        Family("trade", ("${symbol}@trade",), "public"),
        Family("markPrice", ("${symbol}@markPrice", "${symbol}@markPrice@1s"), "market", cadence=60.0),
        # Not pushed.
        Family("openInterest", ("${symbol}@openInterest",), "rest", poll=Poll("openInterest", every=60.0)),
        Family("market", ("${symbol}@${stream}", "!${stream}"), "market"),
    ),
    subscription=SUBSCRIPTION,
    channels=("${symbol:lower}@depth@100ms", "${symbol:lower}@bookTicker", "${symbol:lower}@trade"),
    symbols=("btcusdt", "ethusdt"),
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
