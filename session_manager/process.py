"""What a session manager's process consists of: a seat for each provider, what fills it, and the stream that serves it."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from session_manager.control import Control, Wishes, started_with
from session_manager.provider import Provider
from session_manager.roles.keeper import Keeper
from session_manager.roles.lease import Contender, Lease
from session_manager.roles.redis_lease import RedisLeases
from session_manager.roles.seat import Seat
from session_manager.server import IngestServer
from tapeline.process import cancel, first_of
from tapeline.redis_place import RedisPlace
from tapeline.stream import AUTO
from tapeline.telemetry import StatsPrinter, ready

_LOOK_SECONDS = 2.0
_WILDCARDS = ("", "0.0.0.0", "[::]")


@dataclass(frozen=True, slots=True)
class Venue:
    """How one provider's sessions are made, by instance and channels; and what is wished of them."""

    make: Callable[[str, list[str]], Provider]
    wishes: Wishes


class SessionManager:
    """`instance` is PRIMARY, REPLICA, or AUTO: whichever role is free. `place` is the Redis of roles and subscriptions."""

    def __init__(
        self, venues: Mapping[str, Venue], instance: str, place: RedisPlace | None, lease_seconds: float
    ) -> None:
        self._instance = instance
        self._place = place
        self._lease_seconds = lease_seconds
        self._contenders: dict[str, Contender] = {}
        self._keepers: dict[str, Keeper] = {}
        self._wishes = {provider: venue.wishes for provider, venue in venues.items()}
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.seats = {provider: self._seat(provider, venue) for provider, venue in venues.items()}

    async def run(self, listen: str, stop: asyncio.Event) -> None:
        """Serves on `host:port` until `stop` is set, then ends all in order; raises OSError where the port is taken."""
        server = IngestServer(self.seats)
        port = await server.start(listen)
        try:
            async with StatsPrinter(self._stats):
                await self._work(listen.rpartition(":")[0], port, stop)
                # Whoever reads takes the last of it; then the roles are free.
                await asyncio.gather(*(seat.end(lost=False) for seat in self.seats.values()))
                await server.stop()
                await asyncio.gather(*(keeper.release() for keeper in self._keepers.values()))
        finally:
            await server.stop(0.0)

    def _seat(self, provider: str, venue: Venue) -> Seat:
        def make(instance: str) -> Provider:
            return started_with(provider, venue.wishes, lambda channels: venue.make(instance, channels))

        if self._instance != AUTO:
            return Seat(provider, make)
        contender = self._contenders[provider] = Contender(self._holder, self._lease_seconds)
        return Seat(provider, make, contender.in_doubt)

    async def _work(self, host: str, port: int, stop: asyncio.Event) -> None:
        control = None
        if self._place is not None:
            control = Control(self._place, self.seats, self._wishes, self._wake)
            await control.first_look(_LOOK_SECONDS)
            self._keep(self._place, f"{socket.gethostname() if host in _WILDCARDS else host}:{port}")
        if self._instance != AUTO:
            for seat in self.seats.values():
                seat.begin(self._instance)
        ready(port=port, providers=sorted(self.seats))
        works = [keeper.run() for keeper in self._keepers.values()]
        tasks = [asyncio.create_task(work) for work in (*works, *([control.run(stop)] if control is not None else []))]
        try:
            await first_of(stop, *tasks)
            for keeper in self._keepers.values():
                keeper.finish()
            await asyncio.gather(*tasks)
        finally:
            await cancel(*tasks)

    def _keep(self, place: RedisPlace, address: str) -> None:
        mine = Lease(self._holder, 0, address)
        for provider, contender in self._contenders.items():
            leases = RedisLeases(place, provider, mine, self._lease_seconds, self._lease_seconds / 3)
            self._keepers[provider] = Keeper(contender, leases, self.seats[provider])

    def _wake(self, provider: str) -> None:
        if (keeper := self._keepers.get(provider)) is not None:
            keeper.wake()

    def _stats(self) -> dict[str, object]:
        told: dict[str, object] = {}
        for provider, seat in self.seats.items():
            keeper = self._keepers.get(provider)
            told[provider] = {**seat.stats(), **(keeper.stats() if keeper is not None else {})}
        return {"providers": told}
