"""What all of Binance's own venues say in the same words: trades and candles."""

from tapeline.spec.meaning import Bar, LinkRule, Message, Side, Time, TimeUnit, Trade
from tapeline.spec.routing import Match

# timeUnit=MICROSECOND on the connection turns every time into microseconds: the digits tell.
EVENT = Time("data.T", TimeUnit.BY_DIGITS)
SENT = Time("data.E", TimeUnit.BY_DIGITS)
# m: the buyer was the maker, so the aggressor sold.
AGGRESSOR = Side("data.m", buy=("false",), sell=("true",))


def trade(name: str, kind: str, number: str, link: LinkRule, exclude: tuple[tuple[str, Match], ...] = ()) -> Message:
    """A trade of a stream `*@kind`; `number` is where its id stands, `exclude` what is none of the book's."""
    return Message(
        name,
        channel=f"*@{kind}",
        when=(Match("data.e", (kind,)),),
        emits=(
            Trade(
                symbol="data.s",
                price="data.p",
                size="data.q",
                side=AGGRESSOR,
                time=EVENT,
                sent=SENT,
                id=number,
                link=link,
                exclude=exclude,
            ),
        ),
    )


AGGREGATE_TRADE = trade("aggregate trade", "aggTrade", "data.a", LinkRule.NEXT)

CANDLES = (
    Message(
        "candle",
        channel="*@kline_1m",
        when=(Match("data.e", ("kline",)),),
        emits=(
            Bar(
                symbol="data.s",
                start=Time("data.k.t", TimeUnit.BY_DIGITS),
                open="data.k.o",
                high="data.k.h",
                low="data.k.l",
                close="data.k.c",
                volume="data.k.v",
                closed=(Match("data.k.x", ("true",)),),
            ),
        ),
    ),
    Message("other candles", channel="*@kline_*", emits=(), excluded="candles of another length than a minute"),
)
