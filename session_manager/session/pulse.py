"""Whether a connection lives: client pings, answers to the venue's, and how long it may be mute."""

from __future__ import annotations

from collections.abc import Callable

from tapeline.spec.session import Carrier, ClientPing, ServerPing, Session, Trigger
from tapeline.spec.template import Json, at, fits, names, render, text_of

_NEVER = float("inf")


class Pulse:
    """The heartbeats of one connection."""

    def __init__(self, session: Session, number: Callable[[], int]) -> None:
        self._session = session
        self._number = number
        self._heard = 0.0
        self._next: list[float] = []
        self._awaited: list[float] = []
        beats = [ping.every for ping in session.server_pings if ping.every]
        self._silence = session.lifetime.silence or (2 * min(beats) if beats else _NEVER)

    def connected(self, now: float) -> None:
        """The connection stands."""
        self._heard = now
        self._next = [now + ping.every for ping in self._session.client_pings]
        self._awaited = [_NEVER for _ in self._session.client_pings]

    def heard(self, now: float) -> None:
        """Something came, of whatever kind."""
        self._heard = now
        for place, ping in enumerate(self._session.client_pings):
            if not ping.pong and ping.carrier is not Carrier.PROTOCOL:
                self._awaited[place] = _NEVER

    def protocol_pong(self) -> None:
        """A protocol pong came."""
        for place, ping in enumerate(self._session.client_pings):
            if ping.carrier is Carrier.PROTOCOL:
                self._awaited[place] = _NEVER

    def pong(self, value: Json) -> bool:
        """Whether a frame answers one of our pings."""
        found = False
        for place, ping in enumerate(self._session.client_pings):
            if ping.pong and fits(value, ping.pong):
                self._awaited[place] = _NEVER
                found = True
        return found

    def reply(self, value: Json) -> str | None:
        """The answer to a venue's ping, where a frame is one."""
        for ping in self._session.server_pings:
            if ping.carrier is not Carrier.PROTOCOL and fits(value, ping.when):
                return self._reply(ping, value)
        return None

    def due(self, now: float) -> list[ClientPing]:
        """The pings to be sent now; they count as sent."""
        due = []
        for place, ping in enumerate(self._session.client_pings):
            if self._awaited[place] == _NEVER and self._when(place, ping) <= now:
                self._next[place] = now + ping.every
                self._awaited[place] = now + ping.timeout
                due.append(ping)
        return due

    def dead(self, now: float) -> str:
        """Why the connection counts as dead; empty where it does not."""
        if any(until <= now for until in self._awaited):
            return "pong timeout"
        return "silent" if self._heard + self._silence <= now else ""

    def deadline(self) -> float:
        """When `due` or `dead` may change."""
        pings = [
            self._when(place, ping) if self._awaited[place] == _NEVER else self._awaited[place]
            for place, ping in enumerate(self._session.client_pings)
        ]
        return min([*pings, self._heard + self._silence])

    def _when(self, place: int, ping: ClientPing) -> float:
        if ping.trigger is Trigger.SILENCE:
            return max(self._heard + ping.every, self._next[place] - ping.every + 1.0)
        return self._next[place]

    def _reply(self, ping: ServerPing, value: Json) -> str:
        echoed = {name: text_of(at(value, name[1:])) for name in names(ping.reply) if name.startswith("=")}
        return render(ping.reply, {**echoed, "id": str(self._number()) if "id" in names(ping.reply) else ""})
