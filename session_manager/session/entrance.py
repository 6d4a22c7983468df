"""Between connecting and subscribing: the gate the venue opens, and the messages said first."""

from __future__ import annotations

from collections.abc import Callable

from session_manager.session.shared import Stage
from tapeline.spec.session import Endpoint
from tapeline.spec.template import Json, fits

_NEVER = float("inf")


class Entrance:
    """One connection's way in; `say` queues a message."""

    def __init__(self, endpoint: Endpoint, say: Callable[[str], None]) -> None:
        self._endpoint = endpoint
        self._say = say
        self._opened = self._until = 0.0
        self._gate_open = False
        self._said = 0
        self._expecting = False

    def connected(self, now: float) -> None:
        """The connection stands."""
        gate = self._endpoint.gate
        self._opened = now
        self._gate_open, self._said, self._expecting = not gate.wait, 0, False
        self._until = now + gate.timeout if gate.wait else _NEVER

    def advance(self, now: float, stage: Stage) -> Stage:
        """How far it is now; says what is to be said on the way."""
        if stage is Stage.GATE and self._gate_open:
            held = self._opened + self._endpoint.gate.delay
            if now < held:
                self._until = held
                return stage
            stage, self._until = Stage.OPENING, _NEVER
        while stage is Stage.OPENING and not self._expecting:
            if self._said == len(self._endpoint.openings):
                self._until = _NEVER
                return Stage.LIVE
            opening = self._endpoint.openings[self._said]
            self._said += 1
            self._say(opening.message)
            self._expecting = bool(opening.expect)
            self._until = now + opening.timeout if opening.expect else _NEVER
        return stage

    def hear(self, value: Json, stage: Stage) -> bool:
        """Whether a frame is what is waited for."""
        gate = self._endpoint.gate.wait
        if stage is Stage.GATE and gate and not self._gate_open and fits(value, gate):
            self._gate_open = True
            return True
        if stage is Stage.OPENING and self._expecting and fits(value, self._endpoint.openings[self._said - 1].expect):
            self._expecting = False
            return True
        return False

    def overdue(self, now: float) -> bool:
        """Whether what is waited for should have come."""
        return self._until <= now and (self._expecting or not self._gate_open)

    def deadline(self) -> float:
        """When `advance` or `overdue` may change."""
        return self._until
