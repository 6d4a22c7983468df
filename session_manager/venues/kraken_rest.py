"""Kraken spot by REST alone, for where no WebSocket is to be had: trades from a cursor, sampled books and tickers.

https://docs.kraken.com/api/docs/rest-api/get-recent-trades, get-order-book, get-ticker-information, get-tradable-asset-pairs.
"""

from tapeline.schemas import Schema
from tapeline.spec.routing import ChannelSchema, Match, Routing
from tapeline.spec.session import (
    Ack,
    AckBy,
    Budget,
    Endpoint,
    Family,
    Poll,
    Request,
    Session,
    Subscription,
)

PUBLIC = "https://api.kraken.com/0/public"
# An error is told in a body of status 200: `{"error":["EAPI:Rate limit exceeded"]}`. Without one the list is empty.
FAILED = (Match("error.0"),)


def question(name: str, path: str, schema: Schema) -> Request:
    """A request for one pair."""
    return Request(name, f"{PUBLIC}/{path}", schema, failed=FAILED, timeout=10.0)


SESSION = Session(
    routing=Routing(
        routes=(),
        schemas=(
            ChannelSchema("trades@*", Schema.TRADES),
            ChannelSchema("book@*", Schema.MBO),
            ChannelSchema("ticker@*", Schema.MBP_1),
            ChannelSchema("AssetPairs", Schema.DEFINITION),
        ),
    ),
    endpoints=(Endpoint("rest", ""),),
    families=(
        # `last` is the time of the newest trade given, in ns; the next page begins behind it. A page is 1,000 at most.
        Family(
            "trades",
            ("trades@${symbol}",),
            "rest",
            cadence=60.0,
            poll=Poll("trades", every=5.0, fastest=1.0, cursor="result.last", entries="result.*", full=1000),
        ),
        Family("book", ("book@${symbol}",), "rest", cadence=60.0, poll=Poll("book", every=10.0)),
        Family("ticker", ("ticker@${symbol}",), "rest", cadence=60.0, poll=Poll("ticker", every=10.0)),
    ),
    subscription=Subscription(subscribe="", unsubscribe="", ack=Ack(AckBy.NONE)),
    channels=("trades@${symbol}", "book@${symbol}", "ticker@${symbol}"),
    symbols=("XBTUSD", "ETHUSD"),
    requests=(
        question("trades", "Trades?pair=${symbol}&since=${cursor}&count=1000", Schema.TRADES),
        question("book", "Depth?pair=${symbol}&count=100", Schema.MBO),
        question("ticker", "Ticker?pair=${symbol}", Schema.MBP_1),
        Request("pairs", f"{PUBLIC}/AssetPairs", Schema.DEFINITION, channel="AssetPairs", failed=FAILED, every=3600.0),
    ),
    instruments=("pairs",),
    # Public calls: one a second from an address, and for a pair.
    rest=Budget(1, 1.0),
)
