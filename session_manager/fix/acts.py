"""What a FIX conversation asks its transport to do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Write:
    """Send these bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Ready:
    """The logon was answered: messages may be sent."""


@dataclass(frozen=True, slots=True)
class Deliver:
    """Hand on a message as it came."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class Tell:
    """Hand on what the conversation knows of a control message, as JSON."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Beat:
    """A sign of life that is handed on to nobody; `answer`: it was asked for."""

    answer: bool


@dataclass(frozen=True, slots=True)
class Hole:
    """Messages were missed; by now they are accounted for, too late for any book to be built on them."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Note:
    """A telemetry event and counter."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class End:
    """The session is over: close the connection. `refused`: it never began."""

    reason: str
    refused: bool = False


Act = Write | Ready | Deliver | Tell | Beat | Hole | Note | End
