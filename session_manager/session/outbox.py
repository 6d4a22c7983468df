"""What one connection has still to send, within the venue's pace."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from session_manager.session.budget import Allowance
from tapeline.spec.session import Pacing
from tapeline.spec.subscribe import Call


@dataclass(frozen=True, slots=True)
class Letter:
    """A message; `call` where it (un)subscribes."""

    text: str
    call: Call | None = None


class Outbox:
    """Messages in order; heartbeats go first."""

    def __init__(self, pacing: Pacing) -> None:
        self._allowance = Allowance(pacing.messages, reserve=0.1)
        self._heartbeats: deque[Letter] = deque()
        self._letters: deque[Letter] = deque()

    def put(self, letter: Letter, urgent: bool = False) -> None:
        """Queues a message, before all that are not with `urgent`."""
        (self._heartbeats if urgent else self._letters).append(letter)

    def take(self, now: float) -> list[Letter]:
        """What may be sent now; it counts as sent."""
        taken: list[Letter] = []
        for letters in (self._heartbeats, self._letters):
            beats = letters is self._heartbeats
            while letters and self._allowance.when(now, reserved=beats, urgent=beats) <= now:
                self._allowance.spend(now)
                taken.append(letters.popleft())
            if letters:
                break
        return taken

    def deadline(self, now: float) -> float:
        """When the next one may be sent."""
        if self._heartbeats:
            return self._allowance.when(now, reserved=True, urgent=True)
        return self._allowance.when(now) if self._letters else float("inf")

    def clear(self) -> None:
        """Forgets what was not sent."""
        self._heartbeats.clear()
        self._letters.clear()

    def __len__(self) -> int:
        return len(self._heartbeats) + len(self._letters)
