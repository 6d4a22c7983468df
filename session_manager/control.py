"""Keeps what a process subscribes to what Redis wants, and tells Redis what has come of it.

While Redis is away, or has forgotten, what was wanted last is wanted still.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from session_manager.provider import Provider
from session_manager.roles.seat import Seat
from session_manager.session.plan import select
from session_manager.session.subscriptions import Status
from tapeline.control import MEANT, Standing, State, actual_key, control_channel, desired_key, read_desired
from tapeline.errors import RedisUnavailableError, UsageError
from tapeline.process import Backoff, cancel, first_of
from tapeline.redis_link import RedisLink, listening
from tapeline.redis_place import RedisPlace
from tapeline.spec.session import Session
from tapeline.telemetry import Level, count, event

LOOK_SECONDS = 30.0
"""Messages may be lost; so often it is looked without any."""
_TELL_SECONDS = 0.5
_ALIVE_SECONDS = 10.0
"""What is told lapses this long after the last sign of life."""
_CHUNK = 1000
_ANSWER_SECONDS = 5.0


class Wishes:
    """One provider's desired channels, as far as they are known; at first those `given` at the start."""

    def __init__(self, session: Session, given: Sequence[str]) -> None:
        self._session = session
        self.channels = list(given)
        self.accepted = list(given)
        """Those there is room for: the last that were subscribed."""
        self.told = False
        """Whether Redis has ever named any."""
        self.asked: dict[str, str] = {}
        """Channels that no connection carries, and how they come."""
        self.refused: dict[str, str] = {}
        """Channels that are not subscribed at all, and why."""
        self._sort()

    def take(self, wanted: Sequence[str]) -> bool:
        """Takes the set over, those that stay in their order; whether it is another one."""
        kept = set(wanted)
        new = sorted(kept.difference(self.channels))
        changed = bool(new) or len(kept) != len(self.channels)
        self.channels = [*(name for name in self.channels if name in kept), *new]
        self.told = True
        if changed:
            self._sort()
        return changed

    def refuse(self, channels: Iterable[str], reason: str) -> None:
        """Channels for which the venue's limits leave no room."""
        self.refused.update(dict.fromkeys(channels, reason))

    def _sort(self) -> None:
        found = select(self._session, self.channels)
        self.refused = dict(found.left_out)
        requested = {one.channel: f"request {one.name}" for one in self._session.requests if one.name in found.requests}
        self.asked = {**requested, **dict.fromkeys(found.polled, "polled")}


class Control:
    """All providers of a process. `woken` is told of each message: roles may have changed too."""

    def __init__(
        self, place: RedisPlace, seats: Mapping[str, Seat], wishes: Mapping[str, Wishes], woken: Callable[[str], None]
    ) -> None:
        self._place = place
        self._seats = seats
        self._wishes = wishes
        self._woken = woken
        self._links = {provider: RedisLink(place, desired_key(provider), _ANSWER_SECONDS) for provider in seats}
        self._due: set[str] = set()
        self._call = asyncio.Event()

    async def first_look(self, seconds: float) -> None:
        """Reads what is desired, before anything is subscribed; what cannot be read in time is as it was given."""
        try:
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(self._look(provider) for provider in self._seats))
        except (RedisUnavailableError, TimeoutError) as error:
            event("control_away", Level.WARNING, reason=str(error) or "no answer")

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set."""
        tellers = [Teller(self._place, seat, self._wishes[name]) for name, seat in self._seats.items()]
        tasks = [asyncio.create_task(work) for work in (self._listen(), self._follow(), _tell(tellers))]
        try:
            await first_of(stop, *tasks)
        finally:
            await cancel(*tasks)
            for teller in tellers:
                await teller.close()
            for link in self._links.values():
                await link.close()

    def _want(self, *providers: str) -> None:
        self._due.update(providers)
        self._call.set()

    async def _listen(self) -> None:
        names = {control_channel(provider): provider for provider in self._seats}
        backoff = Backoff(0.1, 2.0)
        while True:
            try:
                async with listening(self._place, list(names), _ANSWER_SECONDS) as messages:
                    backoff.reset()
                    # Whatever was said before is heard no more.
                    self._want(*self._seats)
                    async for channel in messages:
                        self._want(names[channel])
                        self._woken(names[channel])
            except RedisUnavailableError as error:
                event("control_away", Level.WARNING, reason=str(error))
            await asyncio.sleep(backoff.next())

    async def _follow(self) -> None:
        backoff = Backoff(0.1, 2.0)
        while True:
            # A connection that died since its last use fails once, whatever Redis is by now.
            patience = backoff.next() if self._due else LOOK_SECONDS
            try:
                async with asyncio.timeout(patience):
                    await self._call.wait()
            except TimeoutError:
                self._due.update(() if self._due else self._seats)
            self._call.clear()
            for provider in sorted(self._due):
                try:
                    await self._look(provider)
                except RedisUnavailableError as error:
                    event("control_away", Level.WARNING, provider=provider, reason=str(error))
                else:
                    self._due.discard(provider)
                    backoff.reset()

    async def _look(self, provider: str) -> None:
        wishes, link, key = self._wishes[provider], self._links[provider], desired_key(provider)
        found = read_desired(await link.ask("SMEMBERS", key))
        if found is None:
            if wishes.told:
                await _restore(link, key, wishes.channels)
                event("desired_restored", Level.WARNING, provider=provider, channels=len(wishes.channels))
            return
        if wishes.take(found):
            reconcile(self._seats[provider], wishes)


def reconcile(seat: Seat, wishes: Wishes) -> None:
    """Brings a running session to what is wished; what the venue's limits leave no room for is told and left as it is."""
    if seat.running is None:
        return
    try:
        seat.running.reconcile(wishes.channels)
    except UsageError as error:
        running = standings(seat.running, wishes)
        _refuse(seat.provider, wishes, (name for name, one in running.items() if one.status is State.PENDING), error)
        return
    wishes.accepted = wishes.channels
    count("reconciliations", provider=seat.provider)
    event("reconciled", provider=seat.provider, instance=seat.instance, channels=len(wishes.channels))


def started_with(provider: str, wishes: Wishes, make: Callable[[list[str]], Provider]) -> Provider:
    """A session of what is wished or, where the venue's limits leave no room for that, of what was accepted last.

    Raises UsageError where there is no room for that either.
    """
    try:
        made = make(wishes.channels)
    except UsageError as error:
        if wishes.channels == wishes.accepted:
            raise
        _refuse(provider, wishes, (name for name in wishes.channels if name not in set(wishes.accepted)), error)
        return make(wishes.accepted)
    wishes.accepted = wishes.channels
    return made


def _refuse(provider: str, wishes: Wishes, channels: Iterable[str], error: UsageError) -> None:
    names = list(channels)
    wishes.refuse(names, str(error))
    event("desired_refused", Level.ERROR, provider=provider, channels=len(names), reason=str(error))


async def _restore(link: RedisLink, key: str, channels: Sequence[str]) -> None:
    for start in range(0, max(1, len(channels)), _CHUNK):
        await link.ask("SADD", key, MEANT, *channels[start : start + _CHUNK])


def standings(provider: Provider, wishes: Wishes) -> dict[str, Standing]:
    """What has come of each wished channel, and of those that are not wished any more but there still."""
    found = dict.fromkeys(wishes.channels, Standing(State.PENDING))
    found.update({channel: Standing(State.ACTIVE, how) for channel, how in wishes.asked.items()})
    for line in provider.session.lines:
        for channel, state in line.subscriptions.states.items():
            before = found.get(channel)
            # In a rotation two connections have it for a while.
            if before is None or before.status is not State.ACTIVE:
                found[channel] = _standing(state.status, state.reason if line.up else "not connected")
    found.update({channel: Standing(State.REFUSED, reason) for channel, reason in wishes.refused.items()})
    return found


def _standing(status: Status, reason: str) -> Standing:
    match status:
        case Status.ACTIVE:
            return Standing(State.ACTIVE)
        case Status.REFUSED:
            return Standing(State.REFUSED, reason)
        case _:
            return Standing(State.PENDING, reason)


class Teller:
    """Writes one provider's standings to Redis where they have changed, and keeps them from lapsing."""

    def __init__(self, place: RedisPlace, seat: Seat, wishes: Wishes) -> None:
        self._place = place
        self._seat = seat
        self._wishes = wishes
        self._link: RedisLink | None = None
        self._key = ""
        self._told: dict[str, Standing] = {}
        self._alive_at = 0.0

    @property
    def provider(self) -> str:
        """Whose they are."""
        return self._seat.provider

    async def tell(self, now: float) -> None:
        """Tells what is new at `now` (seconds, monotonic); raises RedisUnavailableError."""
        running = self._seat.running
        if running is None:
            # What another holder tells under this name is none of ours.
            await self.close()
            return
        link = self._linked()
        found = standings(running, self._wishes)
        if found == self._told and now - self._alive_at < _ALIVE_SECONDS / 3:
            return
        try:
            ttl = round(_ALIVE_SECONDS * 1000)
            if found == self._told and await link.ask("PEXPIRE", self._key, ttl):
                self._alive_at = now
                return
            await self._write(link, found)
            await link.ask("PEXPIRE", self._key, ttl)
        except RedisUnavailableError:
            self._told = {}
            raise
        self._told, self._alive_at = found, now

    async def close(self) -> None:
        """Ends the connection."""
        link, self._link, self._told = self._link, None, {}
        if link is not None:
            await link.close()

    def _linked(self) -> RedisLink:
        key = actual_key(self._seat.provider, self._seat.instance)
        if self._link is None or key != self._key:
            self._key, self._told = key, {}
            self._link = RedisLink(self._place, key, _ANSWER_SECONDS)
        return self._link

    async def _write(self, link: RedisLink, found: dict[str, Standing]) -> None:
        if not self._told:
            # Whatever an earlier holder of the role has told.
            await link.ask("DEL", self._key)
        gone = [name for name in self._told if name not in found]
        changed = [name for name, standing in found.items() if self._told.get(name) != standing]
        for start in range(0, len(gone), _CHUNK):
            await link.ask("HDEL", self._key, *gone[start : start + _CHUNK])
        for start in range(0, len(changed), _CHUNK):
            pairs = [
                part for name in changed[start : start + _CHUNK] for part in (name, msgspec.json.encode(found[name]))
            ]
            await link.ask("HSET", self._key, *pairs)


async def _tell(tellers: Sequence[Teller]) -> None:
    while True:
        for teller in tellers:
            try:
                await teller.tell(time.monotonic())
            except RedisUnavailableError:
                # `_listen` tells of it; this comes round again.
                count("standings_untold", provider=teller.provider)
        await asyncio.sleep(_TELL_SECONDS)
