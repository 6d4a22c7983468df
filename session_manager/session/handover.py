"""Planned changes of connection: the heir is subscribed, and its data flows, before the old one is closed."""

from __future__ import annotations

from collections.abc import Callable

from session_manager.session.actions import Action, Report
from session_manager.session.line import Line
from session_manager.session.plan import Shard
from session_manager.session.shared import Stage
from session_manager.session.subscriptions import Status
from tapeline.spec.session import Session
from tapeline.telemetry import Level

_QUIET, _LONGEST = 1.0, 10.0
"""A channel that neither connection has had data of for so long after the heir's grant is quiet; one that only the old one has data
of is waited for so long, unless the overlap is shorter."""
_CHECK = 0.05
_NEVER = float("inf")


class Handovers:
    """The rotations under way, by shard. `open` makes a further line for a shard."""

    def __init__(self, session: Session, open_line: Callable[[Shard], Line], out: list[Action]) -> None:
        life = session.lifetime
        self._longest = min(_LONGEST, life.overlap / 2) if life.overlap else _LONGEST
        self._open = open_line
        self._out = out
        self._heirs: dict[Line, Line] = {}
        self._check_at = _NEVER

    def __len__(self) -> int:
        return len(self._heirs)

    def deadline(self) -> float:
        """When `tick` is due next."""
        return self._check_at

    def tick(self, now: float, lines: dict[Shard, list[Line]]) -> int:
        """Starts and ends rotations; how many connections the lines that ended with it had lost."""
        for line in [line for some in lines.values() for line in some]:
            if line.retiring and not line.succeeded and line.stage is Stage.LIVE:
                line.succeeded = True
                heir = self._heirs[line] = self._open(line.shard)
                self._out.append(Report("rotation_started", Level.INFO, {"connection": line.connection}))
                heir.heir = True
                heir.tick(now)
        gone = 0
        for old, heir in list(self._heirs.items()):
            if old.stage not in (Stage.LEAVING, Stage.STOPPED) and self._carries(now, old, heir):
                # What it has sent by the time it answers was sent before all that the heir alone will have.
                old.stop(now, "rotated", self._longest)
            if old.stage is not Stage.STOPPED:
                continue
            self._out.append(Report("rotation_ended", Level.INFO, {"connection": heir.connection}))
            del self._heirs[old]
            if old in lines.get(old.shard, ()):
                lines[old.shard].remove(old)
            gone += old.reconnects
        self._check_at = now + _CHECK if self._heirs else _NEVER
        return gone

    def _carries(self, now: float, old: Line, heir: Line) -> bool:
        """Whether the heir has all that the old one has."""
        if heir.stage is not Stage.LIVE:
            return False
        for channel, state in heir.subscriptions.states.items():
            if state.status is Status.REFUSED and not old.subscriptions.active(channel):
                continue
            if state.status is not Status.ACTIVE:
                return False
            before = old.subscriptions.states.get(channel)
            quiet = before is None or before.last <= state.last
            if not state.flowing and now < state.last + (min(_QUIET, self._longest) if quiet else self._longest):
                return False
        return True
