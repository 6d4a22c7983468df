"""Binance spot: prices and sizes with eight places, times in µs (`timeUnit=MICROSECOND`)."""

from emulator.reel import Clock
from emulator.synth.listing import Listing
from emulator.venue import Emulation
from emulator.venues._binance import Binance, Flavour

VENUE: Emulation = Binance(
    Flavour(
        listings=(
            Listing("BTCUSDT", "BTC", "USDT", 6_183_764, 1_000_000, 8, 1_000, 8, 50_000),
            Listing("ETHUSDT", "ETH", "USDT", 268_412, 1_000_000, 8, 10_000, 8, 60_000),
            Listing("SOLUSDT", "SOL", "USDT", 15_643, 1_000_000, 8, 100_000, 8, 40_000),
            Listing("XRPUSDT", "XRP", "USDT", 6_121, 10_000, 8, 100_000_000, 8, 9_000),
        ),
        clock=Clock.MICROS,
        futures=False,
        stride=1,
    )
)
