"""One WebSocket to a venue: frames go to the intake, all else to its owner."""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING

import picows

from session_manager.intake import Intake
from session_manager.rest_client import seconds
from session_manager.session.actions import Connect
from tapeline.errors import HandshakeError

if TYPE_CHECKING:
    from session_manager.transport import Owner

_ABNORMAL, _NO_CODE = 1006, 1005
_MAX_FRAME = 64 << 20
_LONGEST_CONTROL = 125
_RUN = 512
_TEXT = picows.WSMsgType.TEXT
_DATA = (_TEXT, picows.WSMsgType.BINARY, picows.WSMsgType.CONTINUATION)


class Socket(picows.WSListener):
    """A connection's listener. It may be asked to send and close once it is connected."""

    def __init__(self, connection: int, intake: Intake, owner: Owner) -> None:
        super().__init__()
        self._connection = connection
        self._intake = intake
        self._owner = owner
        self._transport: picows.WSTransport | None = None
        self._frames: list[bytes] = []
        self._first = 0
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
        frames = self._frames
        if not frames:
            self._first = time_ns()
        # Control frames are never so long, and asking for the kind is what would cost most here.
        if frame.payload_size > _LONGEST_CONTROL and frame.fin and not self._parts:
            frames.append(frame.get_payload_as_bytes())
        else:
            self._rare(transport, frame)
        # A read may hold megabytes; in smaller runs the frames are still in the cache when the router copies them.
        if (frame.last_in_buffer and frames) or len(frames) >= _RUN:
            self._intake.push(self._connection, self._first, frames)

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        """picows: the socket has ended."""
        self.flush()
        if not self._done:
            self._done = True
            self._owner.on_closed(self._connection, self._code, self._reason)

    async def connect(self, url: str, action: Connect) -> None:
        """Connects; raises OSError, TimeoutError or HandshakeError."""
        try:
            await picows.ws_connect(
                lambda: self,
                url,
                websocket_handshake_timeout=action.timeout,
                # The listener answers pings itself, so that they count as a sign of life.
                enable_auto_pong=False,
                max_frame_size=_MAX_FRAME,
                extra_headers=list(action.headers),
                read_buffer_init_size=16 * 1024,
            )
        except picows.WSError as error:
            raise _refused(error) from error

    def flush(self) -> None:
        """Hands over what has come so far."""
        if self._frames:
            self._intake.push(self._connection, self._first, self._frames)

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

    def _rare(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        """Short messages, parts of messages, heartbeats and closes."""
        kind = frame.msg_type
        if kind in _DATA:
            self._parts.append(frame.get_payload_as_bytes())
            if frame.fin:
                self._frames.append(b"".join(self._parts))
                self._parts.clear()
            return
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


def _refused(error: picows.WSError) -> HandshakeError:
    response = error.response if isinstance(error, picows.WSHandshakeError) else None
    if response is None:
        return HandshakeError(str(error))
    wait = seconds(response.headers.get("retry-after", ""))
    return HandshakeError(f"status {int(response.status)}", int(response.status), wait)
