"""What Binance COIN-M futures' messages mean (docs: developers.binance.com, derivatives/coin-margined-futures).

Sizes are contracts; what one is worth in USD is `contractSize` of the definitions.
"""

from normalizer.venues._binance import CANDLES, SENT
from normalizer.venues._binance_futures import (
    DEPTH,
    OPEN_INTEREST,
    TRADES_AND_BOOKS,
    instruments,
    mark_prices,
)
from tapeline.spec.meaning import ChannelSymbol, Mapping, Meaning, Message, Stat, Statistics, StatValue
from tapeline.spec.routing import Match


def figures(at: str) -> tuple[Stat, ...]:
    """Mark and funding; `r` is empty for contracts that deliver. The index is not among them, other than with USD-M."""
    return (Stat(20001, at + "p"), Stat(20003, at + "r"), Stat(20004, at + "T", StatValue.TIME_MS))


MEANING = Meaning(
    number=6,
    default_lot="1",
    exchange="BINA",
    channel_symbols=(("*@*", ChannelSymbol("@", 0, 0, upper=True)),),
    mappings=(
        Mapping(
            messages=(
                *TRADES_AND_BOOKS,
                *mark_prices(figures),
                # Of the pair, `BTCUSD`, on which its contracts settle.
                Message(
                    "index price",
                    channel="*@indexPrice*",
                    when=(Match("data.e", ("indexPriceUpdate",)),),
                    emits=(Statistics(symbol="data.i", time=SENT, stats=(Stat(20002, "data.p"),)),),
                ),
                *CANDLES,
                OPEN_INTEREST,
                Message("ticker", emits=(), channel="*icker*", excluded="statistics of 24 hours"),
                Message(
                    "liquidation", emits=(), channel="*forceOrder*", excluded="liquidation order, its trade comes too"
                ),
                Message("contract", emits=(), channel="!contractInfo", excluded="contract news without its steps"),
                instruments(unit="=CONTRACT", multiplier=".contractSize"),
            ),
            books=(DEPTH,),
        ),
    ),
)
