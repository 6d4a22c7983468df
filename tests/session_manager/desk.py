"""Drives the session logic by hand: a clock that only moves when told, and everything it asked for in lists."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TypeVar

import msgspec

from session_manager.halves import load
from session_manager.session.actions import Action, Close, Connect, Emit, Fetch, Forget, Learn, Ping, Report, Send, Sign
from session_manager.session.plan import plan
from session_manager.session.validate import validate
from session_manager.session.venue import VenueSession
from tapeline.spec.session import Session
from tapeline.spec.subscribe import Command, command

Kind = TypeVar("Kind")


class Desk:
    """A venue's session under test."""

    def __init__(self, venue: str | Session, channels: list[str], **changes: object) -> None:
        half = load(venue) if isinstance(venue, str) else venue
        self.spec: Session = replace(half, **changes)  # type: ignore[arg-type]  # fields by name
        validate("test", self.spec)
        self.cursors: dict[str, str] = {}
        self.session = VenueSession(
            self.spec, plan(self.spec, channels), random.Random(1), lambda channel: self.cursors.get(channel, "")
        )
        self.now = 1000.0
        self.actions: list[Action] = []
        self.known: list[bool] = []

    def start(self, instruments: bytes = b"[]") -> None:
        """Starts; the instrument list is answered."""
        self.take(self.session.start(self.now))
        for fetch in self.of(Fetch):
            self.answer(fetch.key, instruments)

    def open(self) -> int:
        """Starts and connects every connection there is; the last one's number."""
        if not self.of(Connect):
            self.start()
        for connect in self.of(Connect):
            self.connect(connect.connection)
        return self.of(Connect)[-1].connection

    def connect(self, connection: int) -> None:
        self.take(self.session.connected(self.now, connection))

    def close(self, connection: int, code: int = 1006, reason: str = "", retry_after: float = 0.0) -> None:
        self.take(self.session.closed(self.now, connection, code, reason, retry_after))

    def frame(self, text: str, connection: int = 0, raw: bytes | None = None) -> bool:
        """A control frame (`raw`: as it came, where that differs); whether it was known."""
        self.session.heard(self.now, connection)
        known, actions = self.session.frame(self.now, connection, text.encode(), raw)
        self.take(actions)
        return known

    def seen(self, *channels: str, connection: int = 0) -> None:
        """Data of channels."""
        self.session.heard(self.now, connection)
        self.take(self.session.seen(self.now, channels, connection))

    def answer(self, key: int, body: bytes = b"{}", status: int = 200, retry_after: float = 0.0) -> None:
        self.take(self.session.answered(self.now, key, status, retry_after, body))

    def resync(self, channel: str) -> bool:
        accepted, actions = self.session.request_resync(self.now, channel, "link")
        self.take(actions)
        return accepted

    def wait(self, seconds: float, step: float = 0.0) -> None:
        """Lets time pass, ticking whenever the session wants (at least each `step`, if given)."""
        end = self.now + seconds
        for _ in range(100_000):
            due = min(self.session.deadline(self.now), self.now + (step or seconds))
            if due > end:
                break
            self.now = max(due, self.now + 1e-6)
            self.take(self.session.tick(self.now))
        self.now = end
        self.take(self.session.tick(self.now))

    def drain(self, connection: int) -> None:
        """Lets a connection that has an heir, and was told to leave, come to its end."""
        for _ in range(120):
            if any(close.connection == connection for close in self.of(Close)):
                return
            self.wait(0.1)

    def take(self, actions: list[Action]) -> None:
        self.actions += actions

    def of(self, kind: type[Kind]) -> list[Kind]:
        """The actions of a kind so far."""
        return [action for action in self.actions if isinstance(action, kind)]

    def texts(self) -> list[str]:
        """What was sent so far."""
        return [send.text for send in self.of(Send)]

    def commands(self) -> list[Command]:
        """The subscribe messages sent so far, read back."""
        return [read for text in self.texts() if (read := command(self.spec, text)) is not None]

    def reports(self, name: str) -> list[dict[str, object]]:
        """The reports of a name so far."""
        return [report.fields for report in self.of(Report) if report.name == name]

    def session_events(self) -> list[dict[str, object]]:
        """What went on the session channel so far."""
        return [msgspec.json.decode(emit.payload) for emit in self.of(Emit) if emit.channel == "_session"]

    def emits(self, channel: str) -> list[Emit]:
        """What went on a channel so far."""
        return [emit for emit in self.of(Emit) if emit.channel == channel]

    def payloads(self, channel: str) -> list[bytes]:
        """REST payloads of a channel so far."""
        return [emit.payload for emit in self.of(Emit) if emit.channel == channel]

    def clear(self) -> None:
        """Forgets what was asked for so far."""
        self.actions.clear()


__all__ = ["Close", "Connect", "Desk", "Emit", "Fetch", "Forget", "Learn", "Ping", "Report", "Send", "Sign"]
