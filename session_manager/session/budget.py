"""How often: sliding budgets of messages, REST cost and connection attempts, and the back-off between attempts."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence

from tapeline.spec.session import Budget, Reconnect

_SHORT = 2.0
"""A heartbeat that waits for no longer than this many seconds is still in time."""


class Allowance:
    """Budgets that must all be kept; time is passed in, in seconds. The part `reserve` of each is for what must not wait."""

    def __init__(self, budgets: Sequence[Budget], reserve: float = 0.0) -> None:
        self._reserve = reserve
        self._budgets = tuple(budgets)
        self._spent: tuple[deque[tuple[float, int]], ...] = tuple(deque() for _ in self._budgets)
        self._held_until = 0.0

    def hold(self, until: float) -> None:
        """Nothing is allowed before then (a venue has said so)."""
        self._held_until = max(self._held_until, until)

    def when(self, now: float, units: int = 1, reserved: bool = False, urgent: bool = False) -> float:
        """The earliest time at which so many units may be spent; `now` or later.

        With `reserved` all of a budget may be used; what is `urgent` besides does not wait for long windows.
        """
        earliest = max(now, self._held_until)
        for budget, spent in zip(self._budgets, self._spent, strict=True):
            while spent and spent[0][0] <= now - budget.window:
                spent.popleft()
            if urgent and budget.window > _SHORT:
                continue
            most = budget.units - (0 if reserved or budget.window <= _SHORT else int(budget.units * self._reserve))
            free = most - sum(used for _, used in spent)
            for at, used in spent:
                if free >= min(units, most):
                    break
                free += used
                earliest = max(earliest, at + budget.window)
        return earliest

    def spend(self, now: float, units: int = 1) -> None:
        """Notes that they are spent."""
        for spent in self._spent:
            spent.append((now, units))


class Backoff:
    """Delays between connection attempts: full jitter, doubling, started anew by a connection that lasted."""

    def __init__(self, rule: Reconnect, chance: random.Random) -> None:
        self._rule = rule
        self._chance = chance
        self._failures = 0
        self._since: float | None = None

    @property
    def failures(self) -> int:
        """Attempts since the last connection that lasted."""
        return self._failures

    def connected(self, now: float) -> None:
        """A connection stands."""
        self._since = now

    def next(self, now: float) -> float:
        """The delay before the next attempt, in seconds."""
        if self._since is not None and now - self._since >= self._rule.stable:
            self._failures = 0
        self._since = None
        bound = min(self._rule.longest, self._rule.first * 2 ** min(self._failures, 30))
        self._failures += 1
        return self._chance.uniform(bound / 4, bound)
