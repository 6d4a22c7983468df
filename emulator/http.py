"""HTTP/1.1 as the emulator needs it: one request at a time read from bytes, answers written to bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlsplit

_MAX_HEAD = 64 * 1024
_MAX_BODY = 1024 * 1024


class HttpError(ValueError):
    """Bytes that are no request we take."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request; header names in lower case, `path` decoded and without the query."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def websocket(self) -> bool:
        """Whether it asks to become a WebSocket."""
        return self.headers.get("upgrade", "").lower() == "websocket" and "sec-websocket-key" in self.headers


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = "application/json"

    def encoded(self, close: bool = False) -> bytes:
        """As it goes over the wire."""
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = "Unknown"
        lines = [f"HTTP/1.1 {self.status} {phrase}", f"content-type: {self.kind}", f"content-length: {len(self.body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines.append(f"connection: {'close' if close else 'keep-alive'}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


def take_request(buffer: bytearray) -> HttpRequest | None:
    """Takes a whole request off the buffer's front; None while it is incomplete. Raises HttpError."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        if len(buffer) > _MAX_HEAD:
            raise HttpError("head too long")
        return None
    first, *rest = bytes(buffer[:end]).decode("latin-1").split("\r\n")
    pieces = first.split(" ")
    if len(pieces) != 3 or not pieces[2].startswith("HTTP/1."):
        raise HttpError("no HTTP/1 request line")
    headers = {}
    for line in rest:
        name, colon, value = line.partition(":")
        if not colon:
            raise HttpError("header without colon")
        headers[name.strip().lower()] = value.strip()
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > _MAX_BODY or "transfer-encoding" in headers:
        raise HttpError("body not taken")
    whole = end + 4 + int(length)
    if len(buffer) < whole:
        return None
    body = bytes(buffer[end + 4 : whole])
    del buffer[:whole]
    target = urlsplit(pieces[1])
    return HttpRequest(pieces[0], unquote(target.path), dict(parse_qsl(target.query)), headers, body)
