"""One WebSocket to a venue: frames go to the intake, all else to its owner."""

from __future__ import annotations

from time import time_ns
from typing import Protocol

import picows

from session_manager.intake import Intake

_ABNORMAL, _NO_CODE = 1006, 1005
_MAX_FRAME = 64 << 20
_TEXT, _BINARY, _CONTINUATION = picows.WSMsgType.TEXT, picows.WSMsgType.BINARY, picows.WSMsgType.CONTINUATION


class Owner(Protocol):
    """Who holds sockets."""

    def on_connected(self, connection: int) -> None:
        """The handshake is done."""

    def on_closed(self, connection: int, code: int, reason: str) -> None:
        """The socket has ended, not by our `close`."""

    def on_heartbeat(self, connection: int, pong: bool) -> None:
        """A protocol ping (answered already) or pong came."""


class Socket(picows.WSListener):
    """A connection's listener. It may be asked to send and close once it is connected."""

    def __init__(self, connection: int, intake: Intake, owner: Owner) -> None:
        super().__init__()
        self._connection = connection
        self._intake = intake
        self._owner = owner
        self._transport: picows.WSTransport | None = None
        self._parts: list[bytes] = []
        self._done = False
        self._code, self._reason = _ABNORMAL, ""

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        """picows: the handshake is done."""
        self._transport = transport
        if self._done:
            transport.disconnect()
        else:
            self._owner.on_connected(self._connection)

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        """picows: a frame came. This runs once per message: nothing here that need not be."""
        if frame.msg_type != _TEXT or not frame.fin:
            if not self._rare(transport, frame):
                return
            payload = b"".join(self._parts)
            self._parts.clear()
        else:
            payload = frame.get_payload_as_bytes()
        intake = self._intake
        if intake.connection != self._connection:
            intake.begin(self._connection)
        now = time_ns()
        if now <= intake.last:
            now = intake.last + 1
        intake.last = now
        intake.stamps.append(now)
        intake.frames.append(payload)

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        """picows: the socket has ended."""
        if not self._done:
            self._done = True
            self._owner.on_closed(self._connection, self._code, self._reason)

    def send(self, text: str) -> None:
        """Sends a text frame."""
        if self._transport is not None and not self._done:
            self._transport.send(_TEXT, text.encode())

    def ping(self) -> None:
        """Sends a protocol ping."""
        if self._transport is not None and not self._done:
            self._transport.send_ping()

    def close(self) -> None:
        """Ends the socket; the owner hears no more of it."""
        self._done = True
        if self._transport is not None:
            self._transport.send_close(picows.WSCloseCode.OK)
            self._transport.disconnect()

    def _rare(self, transport: picows.WSTransport, frame: picows.WSFrame) -> bool:
        """Whether a message is now whole in `_parts`; heartbeats and closes are dealt with."""
        kind = frame.msg_type
        if kind in (_TEXT, _BINARY, _CONTINUATION):
            self._parts.append(frame.get_payload_as_bytes())
            return bool(frame.fin)
        if kind == picows.WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
            self._owner.on_heartbeat(self._connection, pong=False)
        elif kind == picows.WSMsgType.PONG:
            self._owner.on_heartbeat(self._connection, pong=True)
        elif kind == picows.WSMsgType.CLOSE:
            self._code = frame.get_close_code().value or _NO_CODE
            self._reason = (frame.get_close_message() or b"").decode("utf-8", "replace")
            transport.send_close(picows.WSCloseCode.OK)
            transport.disconnect()
        return False


async def connect(url: str, headers: tuple[tuple[str, str], ...], timeout: float, socket: Socket) -> None:  # noqa: ASYNC109 - the handshake's own
    """Connects `socket`; raises OSError, TimeoutError or picows.WSError."""
    await picows.ws_connect(
        lambda: socket,
        url,
        websocket_handshake_timeout=timeout,
        # The listener answers pings itself, so that they count as a sign of life.
        enable_auto_pong=False,
        max_frame_size=_MAX_FRAME,
        extra_headers=list(headers),
        read_buffer_init_size=256 * 1024,
    )
