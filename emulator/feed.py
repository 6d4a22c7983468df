"""What one connection is sent: the interface of its stream, and what both kinds of stream share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from emulator.reel import Block

PATIENCE_NS = 2_000_000_000
"""How long a stream waits for a question it expects."""
SETTLE_NS = 20_000_000
"""How long it leaves an answer to arrive before it goes on."""


class Feed(Protocol):
    """One connection's stream. Nothing moves before `start`."""

    def add(self, channel: str, depth: int, now_ns: int) -> list[bytes]:
        """Subscribes; what the subscription begins with."""
        ...

    def remove(self, channel: str) -> None:
        """Unsubscribes."""
        ...

    def start(self, now_ns: int) -> None:
        """Sets the stream moving; again, it changes nothing."""
        ...

    def take(self, now_ns: int) -> Block | None:
        """The next frames that are due; None where there are none (yet)."""
        ...

    @property
    def channels(self) -> set[str]:
        """What is subscribed."""
        ...

    @property
    def started(self) -> bool:
        """Whether it moves."""
        ...

    @property
    def finished(self) -> bool:
        """Whether nothing will ever be due again."""
        ...


class Shelf:
    """Indexes of a venue's channels, shared by all of its feeds."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)
        self._index = {name: number for number, name in enumerate(self.names)}

    def index(self, name: str) -> int:
        """A channel's index; a new channel gets the next."""
        number = self._index.setdefault(name, len(self.names))
        if number == len(self.names):
            self.names.append(name)
        return number
