"""Which server a Redis URL leads to: the server itself or, in a cluster, the node that holds a key now."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from tapeline.errors import RedisUnavailableError
from tapeline.redis_url import at, place_of, seeds

_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Span:
    first: int
    last: int
    host: str
    port: int


class RedisPlace:
    """Finds nodes; the URL may name several seeds (`redis://a:7000,b:7001/0`), of which one that answers is enough.

    Nodes learned from the cluster are seeds from then on, so that any of them may be lost. Names one way, for all kinds of
    URL: what is returned is always the URL of one server.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._seeds = list(seeds(url))
        self._clustered: bool | None = None

    async def holding(self, key: str) -> str:
        """The URL of the server that takes writes of a key; raises RedisUnavailableError."""
        slot = key_slot(key.encode())
        async for url, spans in self._answers():
            if not spans:
                return url
            for span in spans:
                if span.first <= slot <= span.last:
                    return at(self._url, span.host, span.port)
        raise RedisUnavailableError(f"Redis cluster at {self._seeds[0]}: no node holds slot {slot}")

    async def any(self) -> str:
        """The URL of a server that answers (in a cluster all nodes pass on what any publishes); raises RedisUnavailableError."""
        async for url, _ in self._answers():
            return url
        raise AssertionError("unreachable: without an answer it raises")

    async def all(self) -> list[str]:
        """The URLs of all servers that hold keys; raises RedisUnavailableError."""
        async for url, spans in self._answers():
            places = dict.fromkeys((span.host, span.port) for span in spans)
            return [at(self._url, host, port) for host, port in places] or [url]
        raise AssertionError("unreachable: without an answer it raises")

    @asynccontextmanager
    async def client(self, key: str) -> AsyncIterator[Redis]:
        """A client of the server that holds a key; errors of Redis become RedisUnavailableError."""
        url = await self.holding(key)
        client: Redis = Redis.from_url(url, socket_timeout=30, socket_connect_timeout=_SECONDS)
        try:
            yield client
        except (RedisError, OSError) as error:
            raise RedisUnavailableError(f"Redis at {place_of(url)}: {error}") from None
        finally:
            await client.aclose()

    async def _answers(self) -> AsyncIterator[tuple[str, list[_Span]]]:
        """Seeds that answer, with the spans of the cluster as they know it (none: no cluster)."""
        if len(self._seeds) == 1 and self._clustered is False:
            yield self._seeds[0], []
            return
        reasons = []
        answered = False
        for url in list(self._seeds):
            try:
                spans = await _spans(url)
            except (RedisError, OSError) as error:
                reasons.append(f"{place_of(url)}: {error}")
                continue
            answered = True
            self._clustered = bool(spans)
            self._learn(spans)
            yield url, spans
        if not answered:
            raise RedisUnavailableError(f"no Redis at {'; '.join(reasons)}")

    def _learn(self, spans: list[_Span]) -> None:
        for span in spans:
            url = at(self._url, span.host, span.port)
            if url not in self._seeds:
                self._seeds.append(url)


async def _spans(url: str) -> list[_Span]:
    client: Redis = Redis.from_url(url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS)
    try:
        told: Any = await client.execute_command("CLUSTER SLOTS")  # type: ignore[no-untyped-call]
    except (ResponseError, AuthenticationError):
        # "This instance has cluster support disabled", or a user who may not ask, or may not in: the connection itself tells.
        return []
    finally:
        await client.aclose()
    asked = urlsplit(url).hostname or "127.0.0.1"
    spans = []
    for first, last, primary, *_ in told:
        host = primary[0].decode() if isinstance(primary[0], bytes) else str(primary[0] or "")
        # An empty or unknown host is the one that was asked.
        spans.append(_Span(int(first), int(last), host if host not in ("", "?") else asked, int(primary[1])))
    return spans
