"""WebSocket framing as a server does it: heads of outgoing frames, a reader of the client's masked frames."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MAX_PAYLOAD = 16 * 1024 * 1024


class Opcode(IntEnum):
    """What a frame is."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class WireError(ValueError):
    """Bytes that break the WebSocket protocol."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """One whole message or control frame from the client."""

    opcode: Opcode
    payload: bytes


def accept_key(key: bytes) -> bytes:
    """The `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key`."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def head(length: int, opcode: Opcode = Opcode.TEXT) -> bytes:
    """The head of an unmasked, final frame of `length` payload bytes."""
    first = 0x80 | opcode
    if length < 126:
        return bytes((first, length))
    if length < 65536:
        return bytes((first, 126)) + length.to_bytes(2, "big")
    return bytes((first, 127)) + length.to_bytes(8, "big")


def frame(payload: bytes, opcode: Opcode = Opcode.TEXT) -> bytes:
    """One unmasked, final frame."""
    return head(len(payload), opcode) + payload


def payload(framed: bytes) -> bytes:
    """The payload of one unmasked frame."""
    short = framed[1] & 0x7F
    return framed[2 if short < 126 else 4 if short == 126 else 10 :]


def close_frame(code: int, reason: str = "") -> bytes:
    """A close frame; code 0 sends one without a code."""
    return frame(b"" if code == 0 else code.to_bytes(2, "big") + reason.encode()[:123], Opcode.CLOSE)


class ClientFrames:
    """Puts the client's bytes together into messages; tolerant of any split."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._parts = bytearray()
        self._opcode = Opcode.TEXT

    def feed(self, data: bytes) -> list[Incoming]:
        """Takes bytes and returns the messages they complete; raises WireError."""
        self._buffer += data
        messages: list[Incoming] = []
        while (taken := self._next(messages)) > 0:
            del self._buffer[:taken]
        return messages

    def _next(self, messages: list[Incoming]) -> int:
        buffer = self._buffer
        if len(buffer) < 2:
            return 0
        final, opcode = buffer[0] & 0x80, _opcode(buffer[0])
        if not buffer[1] & 0x80:
            raise WireError("client frame without mask")
        length, place = buffer[1] & 0x7F, 2
        if length > 125:
            place = 4 if length == 126 else 10
            if len(buffer) < place:
                return 0
            length = int.from_bytes(buffer[2:place], "big")
        if length > _MAX_PAYLOAD:
            raise WireError(f"client frame of {length} bytes")
        end = place + 4 + length
        if len(buffer) < end:
            return 0
        plain = _unmask(bytes(buffer[place + 4 : end]), bytes(buffer[place : place + 4]))
        self._take(opcode, plain, bool(final), messages)
        return end

    def _take(self, opcode: Opcode, plain: bytes, final: bool, messages: list[Incoming]) -> None:
        if opcode >= Opcode.CLOSE:
            messages.append(Incoming(opcode, plain))
            return
        if opcode is not Opcode.CONTINUATION:
            self._opcode = opcode
            self._parts.clear()
        self._parts += plain
        if final:
            messages.append(Incoming(self._opcode, bytes(self._parts)))
            self._parts.clear()


def _opcode(first: int) -> Opcode:
    try:
        return Opcode(first & 0x0F)
    except ValueError:
        raise WireError(f"opcode {first & 0x0F}") from None


def _unmask(masked: bytes, mask: bytes) -> bytes:
    if not masked:
        return masked
    key = np.frombuffer((mask * (len(masked) // 4 + 1))[: len(masked)], np.uint8)
    return (np.frombuffer(masked, np.uint8) ^ key).tobytes()
