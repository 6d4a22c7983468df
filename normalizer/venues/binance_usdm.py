"""What Binance USD-M futures' messages mean (docs: developers.binance.com, derivatives/usds-margined-futures)."""

from normalizer.venues._binance import CANDLES
from normalizer.venues._binance_futures import (
    DEPTH,
    OPEN_INTEREST,
    TRADES_AND_BOOKS,
    instruments,
    mark_prices,
)
from tapeline.spec.meaning import ChannelSymbol, Mapping, Meaning, Message, Stat, StatValue


def figures(at: str) -> tuple[Stat, ...]:
    """Mark, index and funding; `r` is empty for contracts that deliver."""
    return (
        Stat(20001, at + "p"),
        Stat(20002, at + "i"),
        Stat(20003, at + "r"),
        Stat(20004, at + "T", StatValue.TIME_MS),
    )


MEANING = Meaning(
    number=2,
    default_lot="0.001",
    exchange="BINA",
    channel_symbols=(("*@*", ChannelSymbol("@", 0, 0, upper=True)),),
    mappings=(
        Mapping(
            messages=(
                *TRADES_AND_BOOKS,
                *mark_prices(figures),
                *CANDLES,
                OPEN_INTEREST,
                Message("figures", channel="*icker*", emits=(), excluded="statistics of 24 hours"),
                Message("ended products", channel="*_ALL", emits=(), excluded="options and tokens of an ended product"),
                instruments(unit=".baseAsset"),
            ),
            books=(DEPTH,),
        ),
    ),
)
