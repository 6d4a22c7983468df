"""Requests over one connection's socket, and which of them a frame answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from session_manager.session.calls import first
from tapeline.spec.session import ErrorRule, Request, Scope, Session
from tapeline.spec.template import Json, at, fill, fits, number_of, render


@dataclass(frozen=True, slots=True)
class Asked:
    """An unanswered request: its key, its number in the message, and the channel it is for."""

    key: int
    number: int
    request: Request
    channel: str


class SocketRequests:
    """The unanswered ones of a connection."""

    def __init__(self, session: Session, number: Callable[[], int]) -> None:
        self._most = session.pacing.requests
        self._number = number
        self._open: dict[int, Asked] = {}

    @property
    def room(self) -> bool:
        """Whether the venue takes one more."""
        return not self._most or len(self._open) < self._most

    def message(self, key: int, request: Request, channel: str, pieces: Mapping[str, str]) -> str:
        """Notes a request; what to send."""
        number = self._number()
        self._open[key] = Asked(key, number, request, channel)
        return render(request.message, {**pieces, "id": str(number)})

    def drop(self, key: int) -> None:
        """Its answer is waited for no more."""
        self._open.pop(key, None)

    def answered(self, value: Json, keys: Mapping[str, str]) -> Asked | None:
        """Which request a frame answers."""
        for asked in self._open.values():
            request = asked.request
            if fits(value, request.answer) and self._is_for(asked, value, keys):
                return asked
        return None

    def refused(self, rule: ErrorRule, value: Json, keys: Mapping[str, str]) -> Asked | None:
        """Which request an error concerns."""
        if rule.scope is Scope.REQUEST:
            number = number_of(at(value, rule.id))
            return next((asked for asked in self._open.values() if asked.number == number), None)
        if rule.scope is Scope.CHANNEL:
            named = first(rule.channels, value, keys)
            return next((asked for asked in self._open.values() if asked.channel == named), None)
        return None

    def reset(self) -> list[int]:
        """The connection is gone; the keys of what was not answered."""
        keys = list(self._open)
        self._open.clear()
        return keys

    def _is_for(self, asked: Asked, value: Json, keys: Mapping[str, str]) -> bool:
        request = asked.request
        if request.id and number_of(at(value, request.id)) == asked.number:
            return True
        return bool(request.answer_channel) and fill(request.answer_channel, value, keys=keys) == asked.channel
