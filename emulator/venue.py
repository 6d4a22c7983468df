"""What the emulator must know of a venue beyond its session half: to hear a client, to answer it, to keep its books.

`emulator/venues/x.py` holds `VENUE: Emulation` for the venue of that name; the folder is the registry.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from emulator.reel import Clock, Line

if TYPE_CHECKING:
    from emulator.faults import Command


@dataclass(frozen=True, slots=True)
class Say:
    """A control frame to the client, packed as the venue packs its frames; `plain`: as text whatever the venue does."""

    payload: bytes
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Subscribe:
    """The client wants a channel; `depth` where the venue lets it choose, else 0.

    `key` (`KEY_WIDTH` digits) names the channel in this connection's data, where the venue's acks tell one.
    """

    channel: str
    depth: int = 0
    key: str = ""
    replayed: int = 0
    """A fault's: so many of the channel's last messages come once more."""


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """The client wants a channel no more."""

    channel: str


@dataclass(frozen=True, slots=True)
class Hang:
    """The venue closes the connection."""

    code: int
    reason: str = ""


class Asked(Enum):
    """What a request is for."""

    SNAPSHOT = "snapshot"
    INSTRUMENTS = "instruments"
    PAGE = "page"
    """What a polled channel has to tell since `Ask.cursor`."""


class Ask(NamedTuple):
    """A request understood, by REST or over the socket.

    For a snapshot `symbol` as the client wrote it and how many levels (0: as many as the venue likes). `channel` is the
    channel it is for, where that is known, and `number` the request's own where it came over the socket.
    """

    asked: Asked
    symbol: str = ""
    limit: int = 0
    channel: str = ""
    number: str = ""
    cursor: str = ""
    when: Callable[[int], int] | None = None
    """When the market was at a position (ns since the epoch), for what bears the time at which it happened."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A request that came over the socket: the market answers it there, as of now."""

    ask: Ask


Act = Say | Subscribe | Unsubscribe | Hang | Reply


class Dialogue(Protocol):
    """One connection's control conversation; sans I/O."""

    def greet(self, now_ns: int) -> list[Act]:
        """What the venue says, and takes as subscribed, on connecting."""
        ...

    def hear(self, text: bytes, now_ns: int) -> list[Act]:
        """What the venue makes of a client's message."""
        ...

    def tick(self, now_ns: int, idle: float) -> list[Act]:
        """What it says by itself, asked each second; `idle` is how many seconds nothing was sent."""
        ...


class Carrier(Protocol):
    """One connection that is no WebSocket: how messages are cut from its bytes, and put into them. Sans I/O.

    Data payloads are what the market's lines say; headers, numbers and checks of the connection's own are the carrier's.
    """

    def take(self, data: bytes) -> list[bytes]:
        """The messages that bytes of the client complete; raises ValueError where they are none."""
        ...

    def put(self, payloads: Sequence[bytes]) -> bytes:
        """Payloads (data, or what a `Say` holds) as they go out."""
        ...

    def bye(self, reason: str) -> bytes:
        """What is sent before the venue closes."""
        ...

    def lost(self) -> None:
        """The connection has ended."""
        ...

    def strike(self, command: Command) -> list[Act] | None:
        """Does a fault that the carrier has its own way of; None for any other."""
        ...


@runtime_checkable
class Acceptor(Protocol):
    """An emulation of a venue with a carrier of its own. Its session half's `FixSession.target` tells its clients."""

    def accept(self, known: Collection[str]) -> tuple[Dialogue, Carrier]:
        """A new connection's."""
        ...


class TapeBook(Protocol):
    """A book rebuilt from a capture's own messages, to answer what the capture does not hold."""

    checked: bool
    """Whether its messages carry checksums."""
    sound: bool
    """False while the capture's own checksum says that the book is not the venue's."""

    def take(self, payload: bytes) -> None:
        """A data frame of the channel, or a captured snapshot."""
        ...

    def snapshot(self, now_ns: int) -> bytes | None:
        """The book as the venue would send it now; None before there is a base for it."""
        ...


class Synth(Protocol):
    """A venue's endless market."""

    clock: Clock
    punctual: bool
    """Whether a message's own time is that of its sending."""
    period: int

    def __hash__(self) -> int: ...

    def lines(self, channel: str, depth: int) -> list[Line]:
        """All messages of a channel in a turn; empty for a channel it has not."""
        ...

    def opening(self, channel: str, depth: int, turn: int, place: int, now_ns: int) -> list[bytes]:
        """What a subscription begins with, as of a place in the loop."""
        ...

    def answer(self, ask: Ask, turn: int, place: int, now_ns: int) -> bytes | None:
        """A REST answer as of a place in the loop; None for an unknown symbol."""
        ...


class Emulation(Protocol):
    """All of it, for one venue."""

    symbols: Sequence[str]
    """Listed in synthetic mode."""

    def __hash__(self) -> int: ...

    def synth(self) -> Synth:
        """Builds the market (a second of work)."""
        ...

    def dialogue(self, query: Mapping[str, str], known: Collection[str], url: str = "") -> Dialogue:
        """A new connection's to that URL of the venue; `known` are the channel ids that can be served."""
        ...

    def ask(self, path: str, query: Mapping[str, str]) -> Ask | None:
        """Understands a REST request."""
        ...

    def refusal(self, status: int, reason: str) -> bytes:
        """A REST error in the venue's shape."""
        ...

    def book_channel(self, symbol: str) -> str:
        """A glob for the channels whose book a REST snapshot of that symbol is for."""
        ...

    def tape_book(self, channel: str) -> TapeBook | None:
        """A book to rebuild from a capture's frames of that channel; None where it carries none."""
        ...


def emulation(name: str) -> Emulation | None:
    """A venue's emulation, None where nobody has written one."""
    package = importlib.import_module("emulator.venues")
    if name.startswith("_") or name not in {module.name for module in pkgutil.iter_modules(package.__path__)}:
        return None
    venue: Emulation = importlib.import_module(f"emulator.venues.{name}").VENUE
    return venue
