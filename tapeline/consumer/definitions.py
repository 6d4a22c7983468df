"""What instruments are: symbol, and what the integers in their records are worth."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tapeline.channels import INSTANCES, ChannelName, escape_glob
from tapeline.consumer.items import Message
from tapeline.consumer.layout import LAYOUTS
from tapeline.consumer.snapshots import Feed, Snapshots
from tapeline.schemas import Schema

UNDEF_PRICE = (1 << 63) - 1
UNDEF_SIZE = (1 << 32) - 1
_ONE = 10**9
_AGAIN_SECONDS = 1.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Instrument:
    """One instrument; `lot` is 1e-9 of what a size counts, `display_factor` 1e-9 of what a price is worth more."""

    instrument_id: int
    symbol: str
    lot: int = _ONE
    display_factor: int = _ONE

    def price(self, value: int) -> Decimal | None:
        """A record's price, exactly; None where it is undefined."""
        return None if value == UNDEF_PRICE else _exact(value * self.display_factor, 18)

    def size(self, value: int) -> Decimal:
        """A record's size, exactly, in what the venue counts."""
        return _exact(value * self.lot, 9)


class Definitions:
    """Instruments by feed and id, read from the late-join keys when they are first asked for.

    A definition comes with a publisher's first refresh of the keys; `wait_seconds` is how long `find` waits for it.
    """

    def __init__(self, url: str, seconds: float = 5.0, wait_seconds: float = 0.0) -> None:
        self._snapshots = Snapshots(url, seconds)
        self._wait_seconds = wait_seconds
        self._known: dict[Feed, dict[int, Instrument]] = {}
        self._read_at: dict[Feed, float] = {}
        self._given_up: set[tuple[Feed, int]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._snapshots.close()

    async def find(self, channel: ChannelName, instrument_id: int) -> Instrument | None:
        """The instrument of a record on a channel; None where nothing defines it. Raises RedisUnavailableError."""
        feed = (channel.provider, channel.instance)
        known = self._known.setdefault(feed, {})
        if instrument_id in known:
            return known[instrument_id]
        if instrument_id == 0:
            # The state of a connection, which is of no instrument.
            return None
        patient = (feed, instrument_id) not in self._given_up
        end = time.monotonic() + (self._wait_seconds if patient else 0.0)
        while instrument_id not in known:
            now = time.monotonic()
            if now - self._read_at.get(feed, -_AGAIN_SECONDS) >= (_POLL_SECONDS if patient else _AGAIN_SECONDS):
                self._read_at[feed] = now
                await self._read(channel)
            elif now >= end:
                self._given_up.add((feed, instrument_id))
                return None
            else:
                await asyncio.sleep(_POLL_SECONDS)
        return known[instrument_id]

    def take(self, message: Message) -> None:
        """Learns from a message of schema DEFINITION."""
        self._learn((message.channel.provider, message.channel.instance), message.array())

    async def _read(self, channel: ChannelName) -> None:
        # What an SDK merges itself nobody has written down as MERGED: either instance's definitions serve.
        instances = INSTANCES if channel.instance == INSTANCES[-1] else (channel.instance,)
        starts = [f"{channel.data_type}.{one}.{Schema.DEFINITION.value}.{channel.provider}" for one in instances]
        names = await self._snapshots.channels([f"{escape_glob(start)}.*" for start in starts])
        layout = LAYOUTS[Schema.DEFINITION]
        async for _, data in self._snapshots.read(name.format() for name in names):
            if len(data) % layout.stride == 0:
                self._learn((channel.provider, channel.instance), np.frombuffer(data, layout.dtype))

    def _learn(self, feed: Feed, rows: NDArray[np.void]) -> None:
        known = self._known.setdefault(feed, {})
        for row in rows:
            number = int(row["instrument_id"])
            lot, factor = int(row["unit_of_measure_qty"]), int(row["display_factor"])
            known[number] = Instrument(
                number,
                bytes(row["raw_symbol"]).decode(errors="replace"),
                lot if 0 < lot < UNDEF_PRICE else _ONE,
                factor if 0 < factor < UNDEF_PRICE else _ONE,
            )


def _exact(value: int, places: int) -> Decimal:
    """`value` × 10^-places, without an arithmetic that might round."""
    sign = 1 if value < 0 else 0
    return Decimal((sign, tuple(int(digit) for digit in str(abs(value))), -places))
