"""What carries a connection's bytes: chosen by its endpoint, fed to one intake, told to one owner."""

from __future__ import annotations

from typing import Protocol

from session_manager.fix.socket import FixSocket
from session_manager.intake import Intake
from session_manager.session.actions import Connect
from session_manager.socket import Socket
from tapeline.spec.session import Endpoint


class Owner(Protocol):
    """Who holds transports."""

    def on_connected(self, connection: int) -> None:
        """The connection stands and may be asked to send."""

    def on_closed(self, connection: int, code: int, reason: str) -> None:
        """It has ended, not by our `close`; `code` 0: it could not be made."""

    def on_heartbeat(self, connection: int, pong: bool) -> None:
        """A sign of life that is no frame: a ping (answered already) or a pong."""

    def on_hole(self, connection: int, reason: str) -> None:
        """Frames of the connection are known to be missing or late, though it goes on."""


class Transport(Protocol):
    """One connection. What it receives goes to its intake as `push(connection, time_ns of the read, frames)`."""

    async def connect(self, url: str, action: Connect) -> None:
        """Connects and logs on, then tells its owner; raises OSError, TimeoutError or HandshakeError."""

    def send(self, text: str) -> None:
        """Sends a message; nothing where there is no connection."""

    def ping(self) -> None:
        """Sends a ping of the carrier's own."""

    def close(self) -> None:
        """Ends the connection; its owner hears no more of it."""


def transport(endpoint: Endpoint, connection: int, intake: Intake, owner: Owner) -> Transport:
    """The transport an endpoint wants."""
    if endpoint.fix is not None:
        return FixSocket(endpoint.fix, connection, intake, owner)
    return Socket(connection, intake, owner)
