"""Leases as Redis keeps them: one key for each role, changed by compare-and-set, gone by itself when nobody renews it."""

from __future__ import annotations

import msgspec

from session_manager.roles.lease import Away, Command, Found, Lease, Role, Take
from tapeline.control import control_channel, role_key
from tapeline.errors import RedisUnavailableError
from tapeline.redis_link import Answer, RedisLink
from tapeline.redis_place import RedisPlace

# Each looks at one key only, so that a cluster can run it. The epoch is Redis's own time in µs, but above what was seen.
_TAKE = """
local found = redis.call('GET', KEYS[1])
if found then
  local read, lease = pcall(cjson.decode, found)
  if read and lease.holder == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
  return {found, redis.call('PTTL', KEYS[1])}
end
if ARGV[5] == '1' then return {false, 0} end
local time = redis.call('TIME')
local epoch = math.max(tonumber(time[1]) * 1000000 + tonumber(time[2]), tonumber(ARGV[4]) + 1)
local lease = string.gsub(ARGV[2], '"epoch":0', string.format('"epoch":%.0f', epoch), 1)
redis.call('SET', KEYS[1], lease, 'NX', 'PX', ARGV[3])
return {lease, tonumber(ARGV[3])}
"""
_RENEW = """
local found = redis.call('GET', KEYS[1])
if found then
  local read, lease = pcall(cjson.decode, found)
  if read and lease.holder ~= ARGV[1] and lease.epoch >= tonumber(ARGV[2]) then
    return {found, redis.call('PTTL', KEYS[1])}
  end
end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
return {ARGV[3], tonumber(ARGV[4])}
"""
_RELEASE = """
local found = redis.call('GET', KEYS[1])
if found and cjson.decode(found).holder == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class RedisLeases:
    """A process's way to the leases of one provider. Times are seconds; `patience` bounds each answer."""

    def __init__(self, place: RedisPlace, provider: str, mine: Lease, ttl: float, patience: float) -> None:
        self._provider = provider
        self._mine = mine
        self._ttl = ttl
        self._links = {role: RedisLink(place, role_key(provider, role.value), patience) for role in Role}

    async def ask(self, command: Command) -> Found | Away:
        """Carries out a command."""
        key = role_key(self._provider, command.role.value)
        holder, ttl = self._mine.holder, round(self._ttl * 1000)
        words: tuple[str | bytes | int, ...]
        if isinstance(command, Take):
            words = (_TAKE, 1, key, holder, self._written(0), ttl, command.above, int(command.look))
        else:
            words = (_RENEW, 1, key, holder, command.epoch, self._written(command.epoch), ttl)
        try:
            return self._found(await self._links[command.role].ask("EVAL", *words))
        except RedisUnavailableError as error:
            return Away(str(error))

    async def release(self, role: Role) -> None:
        """Gives a role up and tells those who stand by; raises RedisUnavailableError."""
        link = self._links[role]
        await link.ask("EVAL", _RELEASE, 1, role_key(self._provider, role.value), self._mine.holder)
        await link.ask("PUBLISH", control_channel(self._provider), "released")

    async def close(self) -> None:
        """Ends the connections."""
        for link in self._links.values():
            await link.close()

    def _written(self, epoch: int) -> bytes:
        return msgspec.json.encode(msgspec.structs.replace(self._mine, epoch=epoch))

    def _found(self, answer: Answer) -> Found | Away:
        if not isinstance(answer, list) or len(answer) != 2:
            return Away(f"no answer to a lease: {answer!r}")
        value, left = answer
        if value is None:
            return Found(None, 0.0)
        try:
            lease = msgspec.json.decode(value, type=Lease)
        except msgspec.DecodeError as error:
            # Another's writing; it must not be taken for a free role.
            return Away(f"no lease: {error}")
        # One that somebody keeps for ever is looked at as often as any.
        return Found(lease, left / 1000 if left >= 0 else self._ttl)
