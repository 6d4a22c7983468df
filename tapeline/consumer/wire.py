"""The connection that messages come by: Redis's own protocol, parsed by hiredis, a socket read at a time."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import hiredis
from redis.asyncio.connection import parse_url

from tapeline.errors import RedisUnavailableError, SettingError

Push = list[bytes]
"""`[message, channel, data]` or `[pmessage, pattern, channel, data]`."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a Redis is and how to be let in."""

    host: str
    port: int
    path: str | None
    username: str | None
    password: str | None
    tls: ssl.SSLContext | None

    @staticmethod
    def parse(url: str) -> Address:
        """Reads a `redis://`, `rediss://` or `unix://` URL; raises SettingError."""
        try:
            parts: dict[str, Any] = dict(parse_url(url))
        except ValueError as error:
            raise SettingError("TAPELINE_REDIS_URL", url, f"redis://, rediss:// or unix:// URL ({error})") from None
        return Address(
            parts.get("host", "127.0.0.1"),
            int(parts.get("port", 6379)),
            parts.get("path"),
            parts.get("username"),
            parts.get("password"),
            _tls(parts) if url.startswith("rediss:") else None,
        )


def _tls(parts: dict[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=parts.get("ssl_ca_certs"))
    if parts.get("ssl_certfile"):
        context.load_cert_chain(parts["ssl_certfile"], parts.get("ssl_keyfile"))
    if parts.get("ssl_check_hostname") in (False, "false", "False", "0"):
        context.check_hostname = False
    if parts.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class Wire(asyncio.Protocol):
    """One subscribed connection; `on_push` gets all pushes of a socket read and the time of the read (ns)."""

    def __init__(self, on_push: Callable[[list[Push], int], None]) -> None:
        self.on_push = on_push
        """Who is given what comes."""
        self._parser = hiredis.Reader()
        self._transport: asyncio.Transport | None = None
        self._answers: asyncio.Queue[Any] = asyncio.Queue()
        self.closed: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        """Done when the connection has ended, with the reason."""
        self.last_ns = time.time_ns()
        """When something was last read."""
        self.paused = False
        self._owed = 0

    @staticmethod
    async def connect(address: Address, on_push: Callable[[list[Push], int], None], seconds: float) -> Wire:
        """A connection that is let in; raises RedisUnavailableError."""
        loop = asyncio.get_running_loop()
        wire = Wire(on_push)
        try:
            async with asyncio.timeout(seconds):
                if address.path:
                    await loop.create_unix_connection(lambda: wire, address.path, ssl=address.tls)
                else:
                    await loop.create_connection(lambda: wire, address.host, address.port, ssl=address.tls)
                await wire.greet(address)
        except (OSError, TimeoutError) as error:
            wire.close()
            where = address.path or f"{address.host}:{address.port}"
            raise RedisUnavailableError(f"Redis at {where}: {str(error) or 'no answer in time'}") from None
        except BaseException:
            wire.close()
            raise
        return wire

    async def greet(self, address: Address) -> None:
        """Sends credentials where there are some, and the connection's name."""
        if address.password is not None:
            await self.ask(b"AUTH", *(word.encode() for word in (address.username, address.password) if word))
        # A user may not be allowed to; the name is only there for operators.
        self.send((b"CLIENT", b"SETNAME", b"tapeline-consumer"))
        await self._answer()

    async def ask(self, *words: bytes) -> Any:
        """One command and its answer; raises RedisUnavailableError where Redis says no."""
        self.send(words)
        answer = await self._answer()
        if isinstance(answer, hiredis.ReplyError):
            raise RedisUnavailableError(f"Redis refuses {words[0].decode()}: {answer}")
        return answer

    async def subscribe(self, names: Sequence[str], patterns: Sequence[str]) -> None:
        """Subscribes; returns when Redis has confirmed every one of them."""
        for command, targets in ((b"SUBSCRIBE", names), (b"PSUBSCRIBE", patterns)):
            if not targets:
                continue
            self.send((command, *(target.encode() for target in targets)), len(targets))
            for _ in targets:
                answer = await self._answer()
                if isinstance(answer, hiredis.ReplyError):
                    raise RedisUnavailableError(f"Redis refuses {command.decode()}: {answer}")

    async def _answer(self) -> Any:
        """The next answer that is no push; raises RedisUnavailableError where the connection ends first."""
        answer = asyncio.ensure_future(self._answers.get())
        await asyncio.wait((answer, self.closed), return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        answer.cancel()
        raise RedisUnavailableError(f"Redis closed the connection: {self.closed.result() or 'no reason given'}")

    def send(self, words: Sequence[bytes], answers: int = 1) -> None:
        """One command, without waiting for its answers."""
        if self._transport is not None and not self._transport.is_closing():
            self._owed += answers
            packed = hiredis.pack_command(tuple(words))  # type: ignore[arg-type]  # its stub knows one word only
            self._transport.write(packed)

    def ping(self) -> None:
        """Asks for a sign of life."""
        self.send((b"PING",))

    def pause(self) -> None:
        """Stops reading, so that Redis buffers instead of us."""
        if self._transport is not None and not self.paused:
            self.paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Reads on."""
        if self._transport is not None and self.paused:
            self.paused = False
            self.last_ns = time.time_ns()
            self._transport.resume_reading()

    def close(self) -> None:
        """Ends the connection."""
        if self._transport is not None:
            self._transport.abort()
        elif not self.closed.done():
            self.closed.set_result(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        if not self.closed.done():
            self.closed.set_result(exc)

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self.last_ns = now = time.time_ns()
        parser = self._parser
        pushes: list[Push] = []
        try:
            parser.feed(data)
            # With no answer owed there are pushes only, and the loop can be C's own.
            pushes = self._sorted(parser.gets) if self._owed else list(iter(parser.gets, False))
        except hiredis.ProtocolError as error:
            if not self.closed.done():
                self.closed.set_result(error)
            self.close()
        if pushes:
            self.on_push(pushes, now)

    def _sorted(self, gets: Callable[[], Any]) -> list[Push]:
        """Pushes; the answers among them go to whoever asked."""
        pushes: list[Push] = []
        while (item := gets()) is not False:
            if type(item) is list and item and item[0] in _PUSHES:
                pushes.append(item)
                continue
            self._owed -= 1
            if not (type(item) is list and item and item[0] == b"pong"):
                self._answers.put_nowait(item)
        return pushes


_PUSHES = frozenset((b"message", b"pmessage"))
