"""Which role a process has for one provider: a state machine without I/O. Time is passed in, monotonic, in seconds.

Only durations count, so that no two clocks need to agree. A lease's epoch is given by Redis (its own clock, and always more
than what was seen before), so the later holder has the higher one.

A holder keeps its role through anything but the news that another one has it: while Redis does not answer nobody can take
the role, and nothing changes. What it cannot know is what happened while it was not running itself: a holder that finds its
lease run out without having been told anything is `in_doubt` until Redis has answered, or has failed to twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import msgspec

_AT_ONCE, _NEVER = float("-inf"), float("inf")
_AWAY_RETRY = 0.5
_SOON = 0.005
"""The least time between two looks at a lease that is about to lapse."""


class Role(Enum):
    """The two streams of a provider; the order is the order in which they are taken."""

    PRIMARY = "PRIMARY"
    REPLICA = "REPLICA"


class Lease(msgspec.Struct, frozen=True):
    """Who has a role, as Redis holds it. `address` is where its raw stream is served, `host:port`."""

    holder: str
    epoch: int
    address: str


@dataclass(frozen=True, slots=True)
class Take:
    """Take a role if nobody has it, with an epoch above `above`; with `look` only see who has it."""

    role: Role
    above: int
    look: bool


@dataclass(frozen=True, slots=True)
class Renew:
    """Hold on to a role: also where nobody has it any more, or one with a lower epoch."""

    role: Role
    epoch: int


Command = Take | Renew


@dataclass(frozen=True, slots=True)
class Found:
    """Who has the role after the command (None: nobody), and for how many seconds without renewal."""

    lease: Lease | None
    lapses_in: float


@dataclass(frozen=True, slots=True)
class Away:
    """Redis did not answer."""

    reason: str


@dataclass(frozen=True, slots=True)
class Begin:
    """The role is ours. `waited`: seconds since the one before (None: nobody that was seen) last gave a sign of life."""

    role: Role
    epoch: int
    after: Lease | None
    waited: float


@dataclass(frozen=True, slots=True)
class End:
    """The role is another's."""

    role: Role
    epoch: int
    by: Lease | None


@dataclass(slots=True)
class _Sighting:
    """A role's lease when it was last seen; `alive` is when its holder must have renewed it."""

    lease: Lease
    alive: float
    lapses: float
    """Never, where it has gone already."""


class Contender:
    """One process and one provider. A role is kept until it is lost; no holder of one takes the other."""

    def __init__(self, holder: str, ttl: float) -> None:
        self._holder = holder
        self._ttl = ttl
        self.role: Role | None = None
        self.epoch = 0
        self.failures = 0
        """How often in a row Redis has not answered."""
        self._trusted_until = _AT_ONCE
        self._next = _AT_ONCE
        self._calm_until = _AT_ONCE
        self._round = list(Role)
        self._seen: dict[Role, _Sighting] = {}

    @property
    def away(self) -> bool:
        """Whether Redis counts as away: it has failed twice, the second time over a new connection."""
        return self.failures > 1

    @property
    def due(self) -> float:
        """When `command` has the next one."""
        return self._next

    def in_doubt(self, now: float) -> bool:
        """Whether the role may be another's by now."""
        return self.role is not None and now >= self._trusted_until

    def wake(self) -> None:
        """Something has changed: look at once."""
        if self.role is None:
            self._next = _AT_ONCE
            self._round = list(Role)

    def command(self, now: float) -> Command | None:
        """What to ask of Redis, if anything is due."""
        if now < self._next:
            return None
        if self.role is not None:
            return Renew(self.role, self.epoch)
        role = self._round[0]
        seen = self._seen.get(role)
        return Take(role, seen.lease.epoch if seen else 0, look=self.failures > 0 or now < self._calm_until)

    def answered(self, sent: float, now: float, command: Command, answer: Found | Away) -> Begin | End | None:
        """The answer to a command that went out at `sent`; what changes by it."""
        if isinstance(answer, Away):
            self._failed(now)
            return None
        if self.failures and self.role is None:
            # Whoever holds a role may have been cut off too: it comes first.
            self._calm_until = now + self._ttl
        self.failures = 0
        ours = answer.lease is not None and answer.lease.holder == self._holder
        if isinstance(command, Renew):
            if not ours:
                return self._yield(sent, command, answer)
            self._keep(sent)
            return None
        if ours and answer.lease is not None:
            return self._begin(sent, now, command.role, answer.lease)
        self._see(sent, now, command.role, answer)
        return None

    def _keep(self, sent: float) -> None:
        self._trusted_until = sent + self._ttl
        self._next = sent + self._ttl / 3

    def _yield(self, sent: float, command: Renew, answer: Found) -> End:
        self.role = None
        self._trusted_until = self._next = _AT_ONCE
        self._round = list(Role)
        if answer.lease is not None:
            self._seen[command.role] = _Sighting(answer.lease, sent, sent + answer.lapses_in)
        return End(command.role, command.epoch, answer.lease)

    def _begin(self, sent: float, now: float, role: Role, lease: Lease) -> Begin:
        before = self._seen.pop(role, None)
        self._seen.clear()
        self.role, self.epoch = role, lease.epoch
        self._keep(sent)
        if before is None:
            return Begin(role, lease.epoch, None, 0.0)
        return Begin(role, lease.epoch, before.lease, max(0.0, now - before.alive))

    def _see(self, sent: float, now: float, role: Role, answer: Found) -> None:
        if answer.lease is not None:
            alive = now - max(0.0, self._ttl - answer.lapses_in)
            self._seen[role] = _Sighting(answer.lease, alive, sent + answer.lapses_in)
        elif (gone := self._seen.get(role)) is not None:
            gone.lapses = _NEVER
        self._round.pop(0)
        if self._round:
            return
        self._round = list(Role)
        soonest = min((seen.lapses for seen in self._seen.values()), default=_NEVER) + _SOON
        if self._calm_until > now:
            soonest = min(soonest, self._calm_until)
        self._next = max(min(now + self._ttl / 3, soonest), now + _SOON)

    def _failed(self, now: float) -> None:
        self.failures += 1
        if self.failures == 1:
            # A connection that has died since its last use says nothing of Redis.
            self._next = now
            return
        self._next = now + min(self._ttl / 3, _AWAY_RETRY)
        self._round = list(Role)
        self._trusted_until = now + self._ttl
