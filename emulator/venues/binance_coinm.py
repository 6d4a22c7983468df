"""Binance COIN-M futures: as USD-M, with sizes in contracts and margin in the coin."""

from emulator.reel import Clock
from emulator.synth.listing import Listing
from emulator.venue import Emulation
from emulator.venues._binance import Binance, Flavour

VENUE: Emulation = Binance(
    Flavour(
        listings=(
            Listing("BTCUSD_PERP", "BTC", "USD", 618_045, 1, 1, 1, 0, 900),
            Listing("ETHUSD_PERP", "ETH", "USD", 268_462, 1, 2, 1, 0, 9_000),
            Listing("SOLUSD_PERP", "SOL", "USD", 156_430, 1, 3, 1, 0, 2_000),
            Listing("XRPUSD_PERP", "XRP", "USD", 6_121, 1, 4, 1, 0, 4_000),
        ),
        clock=Clock.MILLIS,
        futures=True,
        stride=120,
        coin=True,
    )
)
