"""Roles and subscriptions as Redis holds them: the names of the keys, and what the commands read and write there.

The desired subscriptions of a provider are a set; where there is none, a session manager subscribes what it was started with.
Since Redis has no empty sets, each holds the member `MEANT` beside the channels: it stands even when no channel does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

import msgspec

from tapeline.channels import INSTANCES
from tapeline.errors import UsageError
from tapeline.redis_link import Answer, RedisLink, checked_place
from tapeline.spec.session import Session
from tapeline.spec.subscribe import channel
from tapeline.spec.template import render

MEANT = ""
_SECONDS = 5.0
_STREAMS = tuple(instance for instance in INSTANCES if instance != "MERGED")

# Several commands may be the first to change what was not there; each must find what the others made of it. Lua takes no
# more than some thousand arguments at a time.
_CHANGE = """
local function each(verb, first, last)
  local changed = 0
  for at = first, last, 1000 do
    changed = changed + redis.call(verb, KEYS[1], unpack(ARGV, at, math.min(at + 999, last)))
  end
  return changed
end
local known = tonumber(ARGV[2])
if redis.call('EXISTS', KEYS[1]) == 0 then each('SADD', 3, 2 + known) end
return each(ARGV[1], 3 + known, #ARGV)
"""


def role_key(provider: str, role: str) -> str:
    """The lease of a role: `{"holder","epoch","address"}`."""
    return f"tapeline:role:{provider}:{role}"


def desired_key(provider: str) -> str:
    """The set of the channels that are to be subscribed."""
    return f"tapeline:desired:{provider}"


def actual_key(provider: str, instance: str) -> str:
    """The hash of what has come of that, by channel; it lapses with the session manager that writes it."""
    return f"tapeline:actual:{provider}:{instance}"


def control_channel(provider: str) -> str:
    """Any message on it: look at the desired subscriptions (and roles) now."""
    return f"CONTROL.{provider}"


class State(Enum):
    """What has come of a desired channel."""

    ACTIVE = "active"
    PENDING = "pending"
    """Asked for, or about to be."""
    REFUSED = "refused"


class Standing(msgspec.Struct, frozen=True):
    """One channel's state, and why it is so where that is not plain."""

    status: State
    reason: str = ""


class _Holder(msgspec.Struct, frozen=True):
    """Of a lease, what concerns us here."""

    address: str


@dataclass(frozen=True, slots=True)
class Subscriptions:
    """All that Redis knows of a provider's subscriptions; `desired` is None where nothing was ever asked for."""

    desired: tuple[str, ...] | None
    actual: dict[str, dict[str, Standing]]
    """By instance, of those that run."""
    roles: dict[str, str]
    """Where the holder of each role that is held by lease serves, `host:port`."""

    def channels(self) -> list[str]:
        """All channels that are desired or have a state."""
        known = set(self.desired or ()).union(*(told for told in self.actual.values()))
        return sorted(known)


def chosen(session: Session, channels: Iterable[str], symbols: Iterable[str]) -> list[str]:
    """Channel ids, and those that symbols stand for; raises UsageError where the venue has no such channel."""
    ids = [*channels, *(render(template, {"symbol": symbol}) for symbol in symbols for template in session.channels)]
    requested = {request.channel for request in session.requests if request.channel}
    for identifier in ids:
        if identifier not in requested and channel(session, identifier) is None:
            allowed = [pattern for family in session.families for pattern in family.patterns]
            shown = ", ".join(text.replace("${", "{") for text in (*allowed, *sorted(requested)))
            raise UsageError(f"{identifier!r} is no channel of this venue; allowed: {shown}")
    return list(dict.fromkeys(ids))


def defaults(session: Session) -> list[str]:
    """What is subscribed where nobody asked for anything."""
    instruments = [request.channel for request in session.requests if request.name in session.instruments]
    return [*session.common, *instruments, *chosen(session, (), session.symbols)]


class Control:
    """The commands' view of one provider; raises UsageError where the URL is none, and each method RedisUnavailableError."""

    def __init__(self, url: str, provider: str) -> None:
        self._provider = provider
        self._place = checked_place(url)
        self._desired = RedisLink(self._place, desired_key(provider), _SECONDS)

    async def close(self) -> None:
        """Ends the connection."""
        await self._desired.close()

    async def read(self) -> Subscriptions:
        """What is desired, and what the session managers say of it."""
        actual, roles = {}, {}
        for instance in _STREAMS:
            if told := read_actual(await self._ask("HGETALL", actual_key(self._provider, instance))):
                actual[instance] = told
            lease = await self._ask("GET", role_key(self._provider, instance))
            if isinstance(lease, bytes):
                roles[instance] = msgspec.json.decode(lease, type=_Holder).address
        return Subscriptions(read_desired(await self._ask("SMEMBERS", desired_key(self._provider))), actual, roles)

    async def subscribe(self, channels: Sequence[str], session: Session) -> int:
        """Adds channels to the desired; how many were not among them."""
        return await self._change("SADD", channels, session)

    async def unsubscribe(self, channels: Sequence[str], session: Session) -> int:
        """Takes channels away from the desired; how many were among them."""
        return await self._change("SREM", channels, session)

    async def _change(self, verb: str, channels: Sequence[str], session: Session) -> int:
        # Where nothing was asked for yet, what runs now goes on, whatever it was started with.
        running = [name for told in (await self.read()).actual.values() for name in told]
        before = [MEANT, *dict.fromkeys(running or defaults(session))]
        key = desired_key(self._provider)
        answer = await self._desired.ask("EVAL", _CHANGE, 1, key, verb, len(before), *before, *channels)
        await self._desired.ask("PUBLISH", control_channel(self._provider), "desired")
        return answer if isinstance(answer, int) else 0

    async def _ask(self, verb: str, key: str) -> Answer:
        link = RedisLink(self._place, key, _SECONDS)
        try:
            return await link.ask(verb, key)
        finally:
            await link.close()


def read_desired(answer: Answer) -> tuple[str, ...] | None:
    """The channels in an answer to SMEMBERS; None where there is no set."""
    members = answer if isinstance(answer, (list, set)) else ()
    names = {member.decode(errors="replace") for member in members}
    return tuple(sorted(names - {MEANT})) if names else None


def read_actual(answer: Answer) -> dict[str, Standing]:
    """The channels in an answer to HGETALL."""
    pairs: Iterable[tuple[bytes, bytes]] = ()
    if isinstance(answer, dict):
        pairs = answer.items()
    elif isinstance(answer, list):
        pairs = zip(answer[::2], answer[1::2], strict=True)
    return {name.decode(): msgspec.json.decode(value, type=Standing) for name, value in pairs}
