"""One connection to Redis for writing: ready-made commands out, replies counted as bytes, not as objects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

from tapeline.errors import RedisUnavailableError
from tapeline.publish.address import RedisAddress

CONNECT_SECONDS = 5.0


class ReplyScanner:
    """Counts one-line replies (`:1`, `+OK`, `-ERR …`); the commands that are written here have no others."""

    def __init__(self) -> None:
        # The beginning of a line that has no end yet: empty, of an error, or None of any other.
        self._open: bytes | None = b""

    def feed(self, data: bytes) -> tuple[int, list[str]]:
        """How many replies these bytes complete, and the texts of errors among them."""
        count = data.count(b"\n")
        if not self._open and b"\n-" not in data and not (self._open == b"" and data[:1] == b"-"):
            if data:
                self._open = b"" if data[-1:] == b"\n" else None
            return count, []
        return count, self._errors(data)

    def _errors(self, data: bytes) -> list[str]:
        lines = data.split(b"\n")
        if self._open is None:
            if len(lines) == 1:
                return []
            lines[0] = b""
        else:
            lines[0] = self._open + lines[0]
        rest = lines.pop()
        self._open = rest if rest[:1] in (b"", b"-") else None
        return [line[1:].rstrip(b"\r").decode(errors="replace") for line in lines if line[:1] == b"-"]


class Link(asyncio.Protocol):
    """An open connection; tells its owner of replies, of room to write and of its end."""

    def __init__(self) -> None:
        self._scanner = ReplyScanner()
        self._transport: asyncio.Transport | None = None
        self.writable = True
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.on_replies: Callable[[int, list[str]], None] = lambda count, errors: None
        self.on_writable: Callable[[], None] = lambda: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self.on_replies(*self._scanner.feed(data))

    def pause_writing(self) -> None:
        """Called by the event loop."""
        self.writable = False

    def resume_writing(self) -> None:
        """Called by the event loop."""
        self.writable = True
        self.on_writable()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self.writable = False
        if not self.closed.done():
            self.closed.set_result(None)

    def write(self, parts: Sequence[bytes]) -> None:
        """Sends commands back to back."""
        if self._transport is not None:
            self._transport.writelines(parts)

    def abort(self) -> None:
        """Ends the connection at once."""
        if self._transport is not None:
            self._transport.abort()


async def connect(address: RedisAddress) -> Link:
    """A link that is logged in and on its database; raises RedisUnavailableError."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            link = await _open(loop, address)
            try:
                await _greet(link, address)
            except BaseException:
                link.abort()
                raise
    except TimeoutError:
        raise RedisUnavailableError(f"no Redis at {address.place}: no answer in {CONNECT_SECONDS:g} s") from None
    except OSError as error:
        raise RedisUnavailableError(f"no Redis at {address.place}: {error.strerror or error}") from None
    return link


async def _open(loop: asyncio.AbstractEventLoop, address: RedisAddress) -> Link:
    made: tuple[Any, Link]
    if address.path:
        made = await loop.create_unix_connection(Link, address.path)
    else:
        made = await loop.create_connection(Link, address.host, address.port, ssl=address.tls)
    return made[1]


async def _greet(link: Link, address: RedisAddress) -> None:
    answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    commands = address.greeting
    left = len(commands)
    refused: list[str] = []

    def take(count: int, errors: list[str]) -> None:
        nonlocal left
        left -= count
        refused.extend(errors)
        if left <= 0 and not answered.done():
            answered.set_result(None)

    link.on_replies = take
    link.write(commands)
    await asyncio.wait({answered, link.closed}, return_when=asyncio.FIRST_COMPLETED)
    if refused:
        raise RedisUnavailableError(f"Redis at {address.place} refuses: {refused[0]}")
    if not answered.done():
        raise RedisUnavailableError(f"Redis at {address.place} closed the connection")
