"""The one tree of errors; each says what to do next: try again, reconnect, or refuse.

TapelineError
├── RefusedError            refuse: the input is wrong, trying again changes nothing
│   ├── SettingError        a setting has a wrong value or an unknown name
│   ├── UsageError          a command was called wrongly
│   ├── CaptureError        a capture or raw file cannot be read
│   ├── UnknownVenueError   no venue of that name
│   ├── ChannelNameError    not a channel name
│   ├── PartitionError      not an object key of ours
│   └── SpecIncompleteError a venue lacks one of its halves
├── LostError               reconnect: the other end is gone or not to be trusted any more
│   ├── ConnectionLostError a connection ended
│   └── VenueError          a venue said no
│       └── HandshakeError  before the connection stood
└── AwayError               retry: the other end is away for a while
    ├── RedisUnavailableError
    ├── StoreUnavailableError
    └── StreamUnavailableError
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path


class Action(Enum):
    """What the one who catches an error should do."""

    RETRY = "retry"
    RECONNECT = "reconnect"
    REFUSE = "refuse"


class TapelineError(Exception):
    """Root of all errors that Tapeline raises on purpose."""

    action: Action = Action.REFUSE


class RefusedError(TapelineError):
    """The input is wrong; trying again changes nothing."""

    action = Action.REFUSE


class SettingError(RefusedError):
    """A setting has a wrong value or an unknown name."""

    def __init__(self, name: str, value: str, allowed: str) -> None:
        super().__init__(f"{name}={value!r} is not allowed; allowed: {allowed}")
        self.name = name
        self.value = value
        self.allowed = allowed


class UsageError(RefusedError):
    """A command was called wrongly."""


class CaptureError(RefusedError):
    """A capture or raw file cannot be read; `line` counts from 1, 0 where it is the whole file."""

    def __init__(self, path: Path | str, line: int, reason: str) -> None:
        place = f"{path}:{line}" if line else f"{path}"
        super().__init__(f"cannot read {place}: {reason}")
        self.path = Path(path)
        self.line = line
        self.reason = reason


class UnknownVenueError(RefusedError):
    """No venue of that name."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"unknown venue {name!r}; known: {', '.join(known) or 'none'}")
        self.name = name
        self.known = known


class ChannelNameError(RefusedError):
    """Text that is not a channel name, or parts that make none."""


class PartitionError(RefusedError):
    """Text that is not an object key of ours, or parts that make none."""


class SpecIncompleteError(RefusedError):
    """A venue lacks one of its halves, or a half does not hold what it should."""


class LostError(TapelineError):
    """The other end is gone or not to be trusted any more."""

    action = Action.RECONNECT


class ConnectionLostError(LostError):
    """A connection ended."""


class VenueError(LostError):
    """A venue said no."""


class HandshakeError(VenueError):
    """A venue would not have the connection; `status` 0 where it did not say, `retry_after` in seconds, 0 where it did not ask."""

    def __init__(self, reason: str, status: int = 0, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after = retry_after


class AwayError(TapelineError):
    """The other end is away for a while."""

    action = Action.RETRY


class RedisUnavailableError(AwayError):
    """Redis does not answer."""


class StoreUnavailableError(AwayError):
    """The object store does not answer."""


class StreamUnavailableError(AwayError):
    """The raw stream's server does not answer."""
