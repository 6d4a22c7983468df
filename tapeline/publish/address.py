"""Where Redis is and how one gets in, from its URL; and the little that is read from it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any, cast

import redis.asyncio
from redis.asyncio.connection import SSLConnection
from redis.connection import parse_url

from tapeline.errors import UsageError
from tapeline.redis_place import RedisPlace


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A server, and the commands that open a session on it."""

    host: str
    port: int
    path: str
    tls: ssl.SSLContext | None
    greeting: tuple[bytes, ...]

    @property
    def place(self) -> str:
        """Where it is, without secrets."""
        return self.path or f"{self.host}:{self.port}"

    @staticmethod
    def parse(url: str) -> RedisAddress:
        """Reads redis://, rediss:// and unix:// URLs as redis-py does; raises UsageError."""
        try:
            parts: dict[str, Any] = dict(parse_url(url))  # type: ignore[no-untyped-call]
        except (ValueError, TypeError) as error:
            raise UsageError(f"--redis is no Redis URL: {error}") from None
        return RedisAddress(
            parts.get("host") or "localhost",
            int(parts.get("port") or 6379),
            parts.get("path") or "",
            _tls(url) if url.startswith("rediss:") else None,
            _greeting(parts),
        )


async def state(place: RedisPlace, checkpoint: str, cursor: str) -> tuple[dict[bytes, bytes], bytes | None]:
    """The fields of one hash and the value of one key beside it; raises RedisUnavailableError."""
    async with place.client(cursor) as client:
        fields = cast(dict[bytes, bytes], await client.hgetall(checkpoint))
        return fields, cast("bytes | None", await client.get(cursor))


def command(*words: str | bytes) -> bytes:
    """One command as Redis reads it."""
    coded = [word.encode() if isinstance(word, str) else word for word in words]
    return b"*%d\r\n" % len(coded) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in coded)


def _greeting(parts: dict[str, Any]) -> tuple[bytes, ...]:
    commands = []
    if password := parts.get("password"):
        user = parts.get("username")
        commands.append(command("AUTH", user, password) if user else command("AUTH", password))
    if database := int(parts.get("db") or 0):
        commands.append(command("SELECT", str(database)))
    return (*commands, command("PING"))


def _tls(url: str) -> ssl.SSLContext:
    """The context that redis-py would make of the URL's ssl_… options."""
    connection = redis.asyncio.ConnectionPool.from_url(url).make_connection()  # type: ignore[no-untyped-call]
    if not isinstance(connection, SSLConnection):
        raise UsageError("--redis is no TLS URL")
    context: ssl.SSLContext = connection.ssl_context.get()
    return context
