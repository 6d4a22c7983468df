"""What a soak is to be like."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.soak.schedule import Kind

VENUES = (
    "binance_coinm",
    "binance_spot",
    "binance_usdm",
    "coinbase",
    "deribit",
    "htx",
    "kraken",
    "kucoin",
    "mexc",
    "okx",
)


@dataclass(frozen=True, slots=True)
class Options:
    """`rate` is the venues' payloads a second in all, of which each instance gets every one; `seconds`, how long they speak."""

    folder: Path
    venues: tuple[str, ...] = VENUES
    seconds: float = 1200.0
    rate: int = 50_000
    steps: int = 60
    seed: int = 1
    linger_us: int = 50_000
    threshold_seconds: float = 60.0
    ring_bytes: int = 64 << 20
    settle_seconds: float = 6.0
    """How long all is well before the next thing goes wrong."""
    kinds: tuple[Kind, ...] = ()
    """What goes wrong, and no more; empty: everything."""
    outage_seconds: float = 30.0
    """How long the object store is away at most."""
    workers: int = 2
    """Processes of the account."""
