"""Binance USD-M futures: prices and sizes with the instrument's places, times in ms, ids with holes and `pu` links."""

from emulator.reel import Clock
from emulator.synth.listing import Listing
from emulator.venue import Emulation
from emulator.venues._binance import Binance, Flavour

VENUE: Emulation = Binance(
    Flavour(
        listings=(
            Listing("BTCUSDT", "BTC", "USDT", 618_002, 10, 2, 1, 3, 2_000),
            Listing("ETHUSDT", "ETH", "USDT", 268_455, 1, 2, 1, 3, 9_000),
            Listing("SOLUSDT", "SOL", "USDT", 156_430, 1, 3, 1, 0, 300),
            Listing("XRPUSDT", "XRP", "USDT", 6_121, 1, 4, 1, 1, 40_000),
        ),
        clock=Clock.MILLIS,
        futures=True,
        stride=40,
    )
)
