"""Whether a connection lives: client pings, answers to the venue's, and how long it may be mute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tapeline.spec.session import Carrier, ClientPing, ServerPing, Session, Trigger
from tapeline.spec.template import Json, at, fits, names, render, text_of

_NEVER = float("inf")


@dataclass(slots=True)
class _Beat:
    """One of the client's pings on this connection, with the times that hold for it."""

    ping: ClientPing
    every: float
    timeout: float
    next: float
    awaited: float = _NEVER


class Pulse:
    """The heartbeats of one connection."""

    def __init__(self, session: Session, number: Callable[[], int]) -> None:
        self._session = session
        self._number = number
        self._heard = 0.0
        self._beats: list[_Beat] = []
        self._variables: Mapping[str, str] = {}
        beats = [ping.every for ping in session.server_pings if ping.every]
        self._silence = session.lifetime.silence or (2 * min(beats) if beats else _NEVER)

    def connected(self, now: float, variables: Mapping[str, str]) -> None:
        """The connection stands; `variables` may say how often it is to be pinged."""
        self._heard = now
        self._variables = variables
        self._beats = []
        for ping in self._session.client_pings:
            every = _told(variables, ping.variable, ping.unit, ping.every)
            timeout = _told(variables, ping.timeout_variable, ping.unit, ping.timeout)
            self._beats.append(_Beat(ping, every, timeout, now + every))

    def heard(self, now: float) -> None:
        """Something came, of whatever kind."""
        self._heard = now
        for beat in self._beats:
            if not beat.ping.pong and beat.ping.carrier is not Carrier.PROTOCOL:
                beat.awaited = _NEVER

    def protocol_pong(self) -> None:
        """A protocol pong came."""
        for beat in self._beats:
            if beat.ping.carrier is Carrier.PROTOCOL:
                beat.awaited = _NEVER

    def pong(self, value: Json) -> bool:
        """Whether a frame answers one of our pings."""
        found = False
        for beat in self._beats:
            if beat.ping.pong and fits(value, beat.ping.pong):
                beat.awaited = _NEVER
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
        for beat in self._beats:
            if beat.awaited == _NEVER and self._when(beat) <= now:
                beat.next = now + beat.every
                beat.awaited = now + beat.timeout
                due.append(beat.ping)
        return due

    def dead(self, now: float) -> str:
        """Why the connection counts as dead; empty where it does not."""
        if any(beat.awaited <= now for beat in self._beats):
            return "pong timeout"
        return "silent" if self._heard + self._silence <= now else ""

    def deadline(self, paused: bool) -> float:
        """When `due` or `dead` may change; in a pause nobody asks whether the connection is dead."""
        pings = [self._when(beat) for beat in self._beats if beat.awaited == _NEVER]
        if paused:
            return min(pings, default=_NEVER)
        return min([*pings, *(beat.awaited for beat in self._beats), self._heard + self._silence])

    def _when(self, beat: _Beat) -> float:
        if beat.ping.trigger is Trigger.SILENCE:
            return max(self._heard + beat.every, beat.next - beat.every + 1.0)
        return beat.next

    def _reply(self, ping: ServerPing, value: Json) -> str:
        asked = names(ping.reply)
        echoed = {name: text_of(at(value, name[1:])) for name in asked if name.startswith("=")}
        number = {"id": str(self._number())} if "id" in asked else {}
        return render(ping.reply, {**self._variables, **echoed, **number})


def _told(variables: Mapping[str, str], name: str, unit: float, otherwise: float) -> float:
    """What a variable says in seconds; `otherwise` where there is none, or none that makes sense."""
    return number(variables.get(name, "")) * unit or otherwise


def number(text: str) -> float:
    """A positive number as a venue writes it; 0 for anything else."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0.0 < value < _NEVER else 0.0
