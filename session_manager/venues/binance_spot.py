"""Binance spot: one combined socket, protocol pings, book snapshots by REST.

https://github.com/binance/binance-spot-api-docs/blob/master/web-socket-streams.md
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
)
from tapeline.spec.routing import Routing
from tapeline.spec.session import Budget, Carrier, Endpoint, Family, Lifetime, Pacing, ServerPing, Session

API = "https://api.binance.com/api/v3"

SESSION = Session(
    routing=Routing(routes=ROUTES, schemas=SCHEMAS),
    endpoints=(
        Endpoint(
            "public",
            "wss://stream.binance.com/stream",
            alternatives=("wss://data-stream.binance.vision/stream",),
            max_channels=1024,
        ),
    ),
    families=(
        depth_family("public", "100ms", "1000ms"),
        Family("bookTicker", ("${symbol}@bookTicker",), "public", cadence=120.0),
        Family("trade", ("${symbol}@trade",), "public"),
        Family("aggTrade", ("${symbol}@aggTrade",), "public"),
        Family("other", ("${symbol}@${stream}",), "public"),
    ),
    subscription=SUBSCRIPTION,
    channels=("${symbol:lower}@depth@100ms", "${symbol:lower}@bookTicker", "${symbol:lower}@trade"),
    symbols=("btcusdt", "ethusdt"),
    requests=(depth_request(API, limit=5000, cost=250), instruments_request(API, cost=20)),
    instruments=("exchangeInfo",),
    rest=Budget(5000, 60.0),
    rules=RULES,
    server_pings=(ServerPing(Carrier.PROTOCOL, every=20.0),),
    lifetime=Lifetime(max_age=86_400.0, overlap=600.0, silence=90.0),
    reconnect=RECONNECT,
    # Five a second, of which pongs take their share.
    pacing=Pacing((Budget(4, 1.0),)),
)
