"""What the session logic asks its shell to do."""

from __future__ import annotations

from dataclasses import dataclass, field

from tapeline.spec.session import Method
from tapeline.telemetry import Level

SESSION_CHANNEL = "_session"
UNKNOWN_CHANNEL = "_unknown"


@dataclass(frozen=True, slots=True)
class Connect:
    """Open connection `connection` of the endpoint so named to `url`; answered by `connected` or `closed`.

    `variables` are what a signer and a prepare step gave, for what else a transport has to say (a FIX logon).
    """

    connection: int
    endpoint: str
    url: str
    headers: tuple[tuple[str, str], ...]
    timeout: float
    variables: tuple[tuple[str, str], ...] = ()


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
class Sign:
    """Have a signer make variables for a connection attempt; answered by `signed` or `unsigned` with the same connection."""

    connection: int
    signer: str
    endpoint: str
    nonce: str


@dataclass(frozen=True, slots=True)
class Learn:
    """From now on the connection's data name `channel` by `key`."""

    connection: int
    key: str
    channel: str


@dataclass(frozen=True, slots=True)
class Forget:
    """The key (empty: all of the connection's) names nothing more."""

    connection: int
    key: str = ""


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


Action = Connect | Send | Ping | Close | Fetch | Sign | Learn | Forget | Emit | Report
