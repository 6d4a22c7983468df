"""One replay of a provider at a time: who holds the lease, and what an earlier replay left behind."""

from __future__ import annotations

import asyncio
import os
import socket
import time

from tapeline import redis_keys
from tapeline.channels import REPLAY, ChannelName
from tapeline.errors import ChannelNameError, RedisUnavailableError, RefusedError
from tapeline.history.span import iso
from tapeline.redis_link import RedisLink
from tapeline.redis_place import RedisPlace
from tapeline.telemetry import Level, event

LEASE_SECONDS = 10.0
KEPT_SECONDS = 60.0
"""How long the late-join keys of a replay that has ended are kept."""

_ANSWER_SECONDS = 5.0
_RENEW = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return holder end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ''
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class ReplayRunningError(RefusedError):
    """Another replay publishes on the same channels."""

    def __init__(self, provider: str, holder: str) -> None:
        super().__init__(
            f"history of {provider} is being replayed already, by {holder}; two at once would publish on the same"
            f" channels (one that was killed is forgotten after {LEASE_SECONDS:g} s)"
        )


class ReplayLease:
    """The sole right to publish a provider's history."""

    def __init__(self, place: RedisPlace, provider: str) -> None:
        self._provider = provider
        self._key = redis_keys.replay(provider)
        self._link = RedisLink(place, self._key, _ANSWER_SECONDS)
        self._token = f"process {os.getpid()} on {socket.gethostname()} since {iso(time.time_ns())}"

    async def take(self) -> None:
        """Takes the lease, and forgets what an earlier replay left; raises ReplayRunningError or RedisUnavailableError."""
        milliseconds = round(LEASE_SECONDS * 1000)
        if await self._link.ask("SET", self._key, self._token, "NX", "PX", milliseconds) is None:
            held = await self._link.ask("GET", self._key)
            raise ReplayRunningError(self._provider, held.decode() if isinstance(held, bytes) else "another process")
        if keys := await self._keys():
            await self._link.ask("UNLINK", *keys)

    async def keep(self) -> None:
        """Renews the lease until cancelled; raises ReplayRunningError where another has it."""
        while True:
            await asyncio.sleep(LEASE_SECONDS / 3)
            try:
                held = await self._link.ask("EVAL", _RENEW, 1, self._key, self._token, round(LEASE_SECONDS * 1000))
            except RedisUnavailableError as error:
                event("replay_lease_not_renewed", Level.WARNING, provider=self._provider, reason=str(error))
                continue
            if isinstance(held, bytes) and held:
                raise ReplayRunningError(self._provider, held.decode())

    async def release(self) -> None:
        """Gives the lease up and lets the late-join keys lapse; raises RedisUnavailableError."""
        for key in await self._keys():
            await self._link.ask("PEXPIRE", key, round(KEPT_SECONDS * 1000))
        await self._link.ask("EVAL", _RELEASE, 1, self._key, self._token)

    async def close(self) -> None:
        """Ends the connection."""
        await self._link.close()

    async def _keys(self) -> list[str]:
        """All keys of the feed but the lease."""
        known = redis_keys.channels(self._provider, REPLAY)
        members = await self._link.ask("SMEMBERS", known)
        keys = [known, redis_keys.cursor(self._provider, REPLAY), redis_keys.checkpoint(self._provider, REPLAY)]
        for member in members if isinstance(members, set | list) else ():
            try:
                keys.append(redis_keys.snapshot(ChannelName.parse(member.decode())))
            except (ChannelNameError, UnicodeDecodeError):
                event("replay_foreign_channel", Level.WARNING, channel=repr(member))
        return keys
