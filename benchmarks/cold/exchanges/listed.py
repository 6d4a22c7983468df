"""The exchanges of the synthetic day: symbols, how busy each is, and who speaks for it."""

from __future__ import annotations

from benchmarks.cold.exchanges import binance, bybit, deribit, okx
from benchmarks.cold.market import Listing, Shares
from benchmarks.cold.words import Exchange

ACTIVITY = (0.38, 0.24, 0.14, 0.10, 0.08, 0.06)
"""The part of an exchange's messages that each of its symbols has."""

_SHARES = Shares(quotes=0.55, trades=0.25, depth=0.20)

# Symbol, coins, first price in steps, step and places of prices, places and usual size and lot of sizes.
_SPOT = (
    Listing("BTCUSDT", "BTC", "USDT", 6_183_764 // 50, 50_000_000, 8, 8, 4_000, 1_000),
    Listing("ETHUSDT", "ETH", "USDT", 268_412 // 4, 4_000_000, 8, 8, 3_000, 10_000),
    Listing("SOLUSDT", "SOL", "USDT", 15_643, 1_000_000, 8, 8, 4_000, 100_000),
    Listing("XRPUSDT", "XRP", "USDT", 6_121, 10_000, 8, 8, 900, 10_000_000),
    Listing("DOGEUSDT", "DOGE", "USDT", 10_243, 1_000, 8, 8, 800, 100_000_000),
    Listing("ADAUSDT", "ADA", "USDT", 3_512, 10_000, 8, 8, 700, 10_000_000),
)
_LINEAR = (
    Listing("BTCUSDT", "BTC", "USDT", 618_033 // 2, 20, 2, 3, 40, 1),
    Listing("ETHUSDT", "ETH", "USDT", 268_453 // 10, 10, 2, 3, 300, 1),
    Listing("SOLUSDT", "SOL", "USDT", 15_641, 10, 3, 1, 300, 1),
    Listing("XRPUSDT", "XRP", "USDT", 6_120, 10, 5, 1, 900, 1),
    Listing("DOGEUSDT", "DOGE", "USDT", 10_241, 10, 6, 0, 900, 1),
    Listing("ADAUSDT", "ADA", "USDT", 3_511, 10, 5, 0, 700, 1),
)
_SWAPS = (
    Listing("BTC-USDT-SWAP", "BTC", "USDT", 618_029 // 2, 2, 1, 2, 300, 1),
    Listing("ETH-USDT-SWAP", "ETH", "USDT", 268_447 // 5, 5, 2, 2, 900, 1),
    Listing("SOL-USDT-SWAP", "SOL", "USDT", 15_640, 1, 2, 2, 800, 1),
    Listing("XRP-USDT-SWAP", "XRP", "USDT", 6_119, 1, 4, 2, 500, 1),
    Listing("DOGE-USDT-SWAP", "DOGE", "USDT", 10_240, 1, 5, 2, 400, 1),
    Listing("ADA-USDT-SWAP", "ADA", "USDT", 3_510, 1, 4, 1, 400, 1),
)
_INVERSE = (
    Listing("BTC-PERPETUAL", "BTC", "USD", 618_037 // 5, 5, 1, 1, 90, 100),
    Listing("ETH-PERPETUAL", "ETH", "USD", 268_450 // 5, 5, 2, 1, 900, 10),
)

EXCHANGES = (
    Exchange(
        "binance_usdm",
        0.30,
        Shares(quotes=0.55, trades=0.24, depth=0.20, figures=0.01),
        _LINEAR,
        binance.usdm,
        binance.begin,
        binance.instruments,
    ),
    Exchange("binance_spot", 0.25, _SHARES, _SPOT, binance.spot, binance.begin, binance.instruments),
    Exchange("okx", 0.18, _SHARES, _SWAPS, okx.speak, okx.begin, okx.instruments),
    Exchange("bybit", 0.17, _SHARES, _LINEAR, bybit.speak, bybit.begin, bybit.instruments),
    Exchange("deribit", 0.10, _SHARES, _INVERSE, deribit.speak, deribit.begin, deribit.instruments),
)
"""The busiest first."""
