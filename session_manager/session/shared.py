"""What all connections of a venue share, and how far each of them is."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from session_manager.session.actions import Action
from session_manager.session.budget import Allowance, Backoff
from session_manager.session.desk import Desk
from session_manager.session.subscriptions import Listener
from tapeline.spec.session import Session

_REMEMBERED = 2048


class Stage(Enum):
    """How far a connection is."""

    WAITING = "waiting"
    PREPARING = "preparing"
    CONNECTING = "connecting"
    GATE = "gate"
    OPENING = "opening"
    LIVE = "live"
    LEAVING = "leaving"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Shared:
    """What all lines of a venue share."""

    session: Session
    out: list[Action]
    connections: Iterator[int]
    attempts: Allowance
    backoff: Callable[[], Backoff]
    desk: Desk
    listener: Listener
    chance: random.Random


class Numbers:
    """The numbers of a connection's messages: they rise over all its lives, and the latest of this one are remembered."""

    def __init__(self) -> None:
        self._last = 0
        self._given: set[int] = set()

    def __contains__(self, number: int) -> bool:
        return number in self._given

    def next(self) -> int:
        """A new one."""
        self._last += 1
        self._given.add(self._last)
        if len(self._given) > 2 * _REMEMBERED:
            self._given = {number for number in self._given if number > self._last - _REMEMBERED}
        return self._last

    def forget(self) -> None:
        """No answer to those given so far will come."""
        self._given.clear()
