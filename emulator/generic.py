"""A conversation made from a session half alone, for venues nobody has written an emulation for."""

from __future__ import annotations

import json
from typing import Any

from emulator.venue import Act, Say, Subscribe, Unsubscribe
from tapeline.spec.routing import Match
from tapeline.spec.session import Session
from tapeline.spec.subscribe import Operation, command


class GenericDialogue:
    """Subscribe and unsubscribe in the session's form, answered by the smallest message its conditions accept."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def greet(self, now_ns: int) -> list[Act]:
        """What the endpoint's gate waits for."""
        gates = {endpoint.gate.wait for endpoint in self._session.endpoints if endpoint.gate.wait}
        return [Say(_message(wait, "")) for wait in gates]

    def hear(self, text: bytes, now_ns: int) -> list[Act]:
        """An ack, then the channels; openings get the answer they expect."""
        asked = command(self._session, text)
        ack = self._session.subscription.ack
        if asked is None:
            openings = [opening for place in self._session.endpoints for opening in place.openings if opening.expect]
            return [Say(_message(opening.expect, "")) for opening in openings[:1]]
        granted = asked.operation is Operation.SUBSCRIBE
        when = ack.when if granted else ack.when_unsubscribed or ack.when
        said = [Say(_message(when, ack.id, asked.number))] if when else []
        return [*said, *(Subscribe(name) if granted else Unsubscribe(name) for name in asked.channels)]

    def tick(self, now_ns: int, idle: float) -> list[Act]:
        """Pings of the venue, after a silence."""
        return []


def _message(conditions: tuple[Match, ...], id_path: str, number: str = "") -> bytes:
    """An object that meets the conditions."""
    made: dict[str, Any] = {}
    for condition in conditions:
        if not condition.absent:
            _put(made, condition.path, _value(condition.equals[0] if condition.equals else "1"))
    if id_path and number:
        _put(made, id_path, _value(number))
    return json.dumps(made, separators=(",", ":")).encode()


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _put(target: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for key in parents:
        target = target.setdefault(key, {})
    target[last] = value
