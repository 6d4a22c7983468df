"""Keeps a process in a role of one provider: asks Redis when the contender says so, and begins and ends the session."""

from __future__ import annotations

import asyncio
import time

from session_manager.roles.lease import Away, Begin, Contender, End, Found, Renew
from session_manager.roles.redis_lease import RedisLeases
from session_manager.roles.seat import Seat
from tapeline.errors import RedisUnavailableError
from tapeline.telemetry import Level, count, event


class Keeper:
    """One provider's."""

    def __init__(self, contender: Contender, leases: RedisLeases, seat: Seat) -> None:
        self._contender = contender
        self._leases = leases
        self._seat = seat
        self._woken = asyncio.Event()
        self._finishing = False
        self._taken_at = 0.0
        self._waited = 0.0
        self._lost = 0

    async def run(self) -> None:
        """Until `finish`."""
        while not self._finishing:
            await self._step()

    def finish(self) -> None:
        """Nothing is taken or renewed any more; a role that is held lapses, if it is not released before."""
        self._finishing = True
        self._woken.set()

    def wake(self) -> None:
        """Something may have changed in Redis."""
        self._contender.wake()
        self._woken.set()

    async def release(self) -> None:
        """Gives up the role, after the session has ended."""
        if self._contender.role is not None:
            try:
                await self._leases.release(self._contender.role)
            except RedisUnavailableError as error:
                # It lapses by itself.
                event("role_not_released", Level.WARNING, provider=self._seat.provider, reason=str(error))
        await self._leases.close()

    def stats(self) -> dict[str, object]:
        """What the stats line says of the role; `waited_seconds`: how long nobody had it before it was taken over."""
        contender = self._contender
        return {
            "role": contender.role.value if contender.role is not None else "STANDBY",
            "role_epoch": contender.epoch if contender.role is not None else 0,
            "role_seconds": round(time.monotonic() - self._taken_at, 3) if contender.role is not None else 0.0,
            "role_waited_seconds": round(self._waited, 3),
            "roles_lost": self._lost,
            "redis_away": contender.away,
        }

    async def _step(self) -> None:
        command = self._contender.command(time.monotonic())
        if command is None:
            await self._rest()
            return
        sent = time.monotonic()
        was_away, come = self._contender.away, self._seat.last_sequence
        answer = await self._leases.ask(command)
        change = self._contender.answered(sent, time.monotonic(), command, answer)
        self._note_away(was_away, answer)
        if isinstance(change, Begin):
            self._begin(change)
        elif isinstance(change, End):
            await self._end(change)
        elif isinstance(answer, Found) and isinstance(command, Renew):
            self._seat.confirm(come)
        else:
            # Whoever waits for the end of a doubt looks again.
            self._seat.tell()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(max(0.0, self._contender.due - time.monotonic())):
                await self._woken.wait()
            self._woken.clear()
        except TimeoutError:
            return

    def _begin(self, begin: Begin) -> None:
        self._taken_at, self._waited = time.monotonic(), begin.waited
        event("role_taken", provider=self._seat.provider, role=begin.role.value, role_epoch=begin.epoch,
              after=begin.after.holder if begin.after else None, waited_seconds=round(begin.waited, 3))  # fmt: skip
        self._seat.begin(begin.role.value)

    async def _end(self, end: End) -> None:
        self._lost += 1
        count("roles_lost", provider=self._seat.provider)
        event("role_lost", Level.WARNING, provider=self._seat.provider, role=end.role.value, role_epoch=end.epoch,
              by=end.by.holder if end.by else None, by_epoch=end.by.epoch if end.by else None)  # fmt: skip
        await self._seat.end(lost=True)

    def _note_away(self, was_away: bool, answer: object) -> None:
        away = self._contender.away
        if away and not was_away and isinstance(answer, Away):
            role = self._contender.role
            event("roles_redis_away", Level.WARNING, provider=self._seat.provider, reason=answer.reason,
                  keeps=role.value if role else None)  # fmt: skip
        elif was_away and not away:
            event("roles_redis_back", provider=self._seat.provider)
