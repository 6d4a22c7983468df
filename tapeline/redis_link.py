"""Redis for the few commands that are no stream: leases, desired and actual subscriptions, control messages.

Nothing is tried twice here, and no connection is made anew in silence: who asks must learn that Redis was away, since it
may have forgotten everything meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from tapeline.errors import RedisUnavailableError, UsageError
from tapeline.redis_place import RedisPlace
from tapeline.redis_url import place_of, seeds

Answer = None | int | bytes | list[Any] | dict[Any, Any] | set[Any]
"""What Redis says, undecoded."""


def checked_place(url: str) -> RedisPlace:
    """Where a URL leads; raises UsageError where it is none."""
    for seed in seeds(url):
        try:
            parse_url(seed)
        except (ValueError, TypeError) as error:
            raise UsageError(f"--redis is no Redis URL: {error}") from None
    return RedisPlace(url)


class RedisLink:
    """One connection to the server that holds a key; after an error it is found and connected anew by the next call."""

    def __init__(self, place: RedisPlace, key: str, seconds: float) -> None:
        self._place = place
        self._key = key
        self._seconds = seconds
        self._client: Redis | None = None
        self._url = ""

    async def ask(self, *words: str | bytes | int) -> Answer:
        """The answer to one command; raises RedisUnavailableError, also where Redis refuses it or takes too long."""
        try:
            async with asyncio.timeout(self._seconds):
                client = self._client or await self._connect()
                answer: Answer = await client.execute_command(*words)  # type: ignore[no-untyped-call]
                return answer
        except (RedisError, OSError) as error:
            await self.close()
            reason = str(error) or f"no answer in {self._seconds:g} s"
            raise RedisUnavailableError(f"Redis at {place_of(self._url)}: {reason}") from None
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Ends the connection."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _connect(self) -> Redis:
        self._url = await self._place.holding(self._key)
        self._client = Redis.from_url(
            self._url, single_connection_client=True, retry=Retry(NoBackoff(), 0),
            socket_timeout=self._seconds, socket_connect_timeout=self._seconds,
        )  # fmt: skip
        return self._client


@asynccontextmanager
async def listening(place: RedisPlace, channels: Sequence[str], seconds: float) -> AsyncIterator[AsyncIterator[str]]:
    """The channels of messages as they come, once subscribed; raises RedisUnavailableError where the connection ends."""
    client = Redis.from_url(await place.any(), retry=Retry(NoBackoff(), 0), socket_connect_timeout=seconds)
    pubsub = client.pubsub()
    try:
        async with asyncio.timeout(seconds):
            await pubsub.subscribe(*channels)
            for _ in channels:
                await pubsub.get_message(timeout=seconds)
        yield _messages(pubsub)
    except (RedisError, OSError) as error:
        raise RedisUnavailableError(f"Redis, listening: {str(error) or 'no answer'}") from None
    finally:
        await pubsub.aclose()  # type: ignore[no-untyped-call]
        await client.aclose()


async def _messages(pubsub: Any) -> AsyncIterator[str]:
    while True:
        said = await pubsub.get_message(ignore_subscribe_messages=True, timeout=None)
        if said is not None:
            yield said["channel"].decode()
