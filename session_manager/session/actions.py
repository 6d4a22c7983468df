"""What the session logic asks its shell to do."""

from __future__ import annotations

from dataclasses import dataclass, field

from tapeline.spec.session import Method
from tapeline.telemetry import Level

SESSION_CHANNEL = "_session"
UNKNOWN_CHANNEL = "_unknown"


@dataclass(frozen=True, slots=True)
class Connect:
    """Open connection `connection` to `url`; answered by `connected` or `closed`."""

    connection: int
    url: str
    headers: tuple[tuple[str, str], ...]
    timeout: float


@dataclass(frozen=True, slots=True)
class Send:
    """Send a text frame."""

    connection: int
    text: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Send a protocol ping."""

    connection: int


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection; nothing more is to come from it (no `closed`)."""

    connection: int
    reason: str


@dataclass(frozen=True, slots=True)
class Fetch:
    """Make an HTTP request; answered by `answered` or `unanswered` with the same key."""

    key: int
    method: Method
    url: str
    headers: tuple[tuple[str, str], ...]
    body: str
    timeout: float


@dataclass(frozen=True, slots=True)
class Emit:
    """Put a raw payload into the stream."""

    channel: str
    schema: str
    connection: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Report:
    """A telemetry event."""

    name: str
    level: Level = Level.INFO
    fields: dict[str, object] = field(default_factory=dict)


Action = Connect | Send | Ping | Close | Fetch | Emit | Report
