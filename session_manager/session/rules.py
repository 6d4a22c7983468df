"""What the venue's own errors and notices do to a connection."""

from __future__ import annotations

from typing import Protocol

from session_manager.session.actions import Report
from tapeline.spec.session import ErrorRule, Scope, Severity
from tapeline.spec.template import Json, at, text_of
from tapeline.telemetry import Level


class Concerned(Protocol):
    """A connection that hears of them."""

    connection: int
    paused: bool
    fatal: bool

    def drop(self, now: float, reason: str, wait: float | None = None) -> None:
        """Ends it; it is made anew `wait` (None: by back-off) later."""

    def end(self, now: float, reason: str) -> None:
        """Ends it for good."""

    def warn(self, now: float) -> None:
        """Hears that it will end soon."""

    def resume(self, now: float) -> None:
        """Subscribes everything again."""

    def refused(self, now: float, rule: ErrorRule, value: Json, reason: str) -> bool:
        """Hears that something it asked for is refused; whether it had asked."""


def heed(line: Concerned, now: float, rule: ErrorRule, value: Json) -> Report | None:
    """Does what a rule says of a frame that fits it; what there is to report."""
    reason = text_of(at(value, rule.reason)) if rule.reason else rule.name
    said: dict[str, object] = {"rule": rule.name, "reason": reason, "connection": line.connection}
    match rule.severity:
        case Severity.RECONNECT:
            line.drop(now, reason, rule.wait or None)
            return None
        case Severity.ROTATE:
            line.warn(now)
            return Report("venue_notice", Level.INFO, said)
        case Severity.PAUSE:
            line.paused = True
            return Report("venue_paused", Level.WARNING, said)
        case Severity.RESUME:
            line.resume(now)
            return Report("venue_resumed", Level.INFO, said)
        case Severity.FATAL:
            line.end(now, reason)
            line.fatal = True
            return Report("venue_fatal", Level.ERROR, said)
        case Severity.IGNORE:
            return Report("venue_error", Level.WARNING, said) if rule.reason else None
        case _:
            heard = rule.scope is not Scope.CONNECTION and line.refused(now, rule, value, reason)
            return None if heard else Report("venue_error", Level.WARNING, said)
