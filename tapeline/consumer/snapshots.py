"""The late-join keys: which channels there are, and the last that was known of each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Self

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tapeline import redis_keys
from tapeline.channels import ALL_INSTANCES, ChannelName, is_pattern, market_data, matches
from tapeline.consumer.wire import Address
from tapeline.errors import ChannelNameError, RedisUnavailableError
from tapeline.redis_place import RedisPlace
from tapeline.redis_url import seeds
from tapeline.schemas import Schema
from tapeline.telemetry import count

_CHUNK = 64


def snapshot_key(channel: str) -> str:
    """The key of a channel's last full book, trade, quote or definition; raises ChannelNameError."""
    return redis_keys.snapshot(ChannelName.parse(channel))


def definition_key(instance: str, provider: str, symbol: str) -> str:
    """The key of an instrument's definition."""
    return snapshot_key(market_data(instance, Schema.DEFINITION, provider, symbol).format())


Feed = tuple[str, str]
"""Provider and instance."""


class Snapshots:
    """Reads the late-join keys; every method raises RedisUnavailableError."""

    def __init__(self, url: str, seconds: float) -> None:
        for seed in seeds(url):
            Address.parse(seed)
        self._place = RedisPlace(url)
        self._seconds = seconds
        self._servers: dict[str, Redis] = {}
        self._homes: dict[Feed, Redis] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connections."""
        servers = list(self._servers.values())
        self._homes.clear()
        self._servers.clear()
        for server in servers:
            await server.aclose()

    async def channels(self, patterns: Sequence[str]) -> list[ChannelName]:
        """All known channels that any of the patterns takes."""
        found: set[str] = set()
        async with self._told():
            for feed in await self._feeds(patterns):
                home = await self._home(feed)
                texts = (_text(member) for member in await home.smembers(redis_keys.channels(*feed)))
                found.update(text for text in texts if any(matches(pattern, text) for pattern in patterns))
        return [name for text in sorted(found) if (name := _parsed(text)) is not None]

    async def read(self, channels: Iterable[str]) -> AsyncIterator[tuple[str, bytes]]:
        """Snapshots of those channels that have one."""
        by_feed: dict[Feed, list[ChannelName]] = {}
        for text in channels:
            if (name := _parsed(text)) is not None:
                by_feed.setdefault((name.provider, name.instance), []).append(name)
        for feed, names in by_feed.items():
            for start in range(0, len(names), _CHUNK):
                part = names[start : start + _CHUNK]
                async with self._told():
                    home = await self._home(feed)
                    values = await home.mget([redis_keys.snapshot(name) for name in part])
                for name, value in zip(part, values, strict=True):
                    if isinstance(value, bytes) and value:
                        yield name.format(), value

    async def published(self, feed: Feed) -> tuple[int, int] | None:
        """The last batch of a feed that was published, as epoch and sequence."""
        async with self._told():
            home = await self._home(feed)
            return _position(await home.get(redis_keys.cursor(*feed)))

    async def noted(self, feed: Feed) -> tuple[int, int] | None:
        """The position that a feed's late-join keys stand for."""
        async with self._told():
            home = await self._home(feed)
            return _position(await home.hget(redis_keys.checkpoint(*feed), "position"))

    @asynccontextmanager
    async def _told(self) -> AsyncIterator[None]:
        """Errors of Redis become ours; where the keys are is looked up anew after one."""
        try:
            yield
        except (RedisError, OSError) as error:
            await self.close()
            raise RedisUnavailableError(f"Redis: {error}") from None

    async def _home(self, feed: Feed) -> Redis:
        """The server that has a feed's keys."""
        if (known := self._homes.get(feed)) is not None:
            return known
        home = self._homes[feed] = self._server(await self._place.holding(redis_keys.cursor(*feed)))
        return home

    def _server(self, url: str) -> Redis:
        if url not in self._servers:
            self._servers[url] = Redis.from_url(
                url, socket_timeout=self._seconds, socket_connect_timeout=self._seconds, decode_responses=False,
                client_name="tapeline-consumer",
            )  # fmt: skip
        return self._servers[url]

    async def _feeds(self, patterns: Sequence[str]) -> list[Feed]:
        """The feeds that patterns may reach: those they name, else all that have channels."""
        providers = [_provider(pattern) for pattern in patterns]
        if all(providers):
            return [(one, instance) for one in sorted({one for one in providers if one}) for instance in ALL_INSTANCES]
        found: set[Feed] = set()
        for url in await self._place.all():
            async for key in self._server(url).scan_iter(redis_keys.channels("*", "*"), count=1000):
                if (feed := redis_keys.feed_of(_text(key))) is not None:
                    found.add(feed)
        return sorted(found)


def _provider(pattern: str) -> str | None:
    """The provider that a pattern asks for, where it names exactly one."""
    parts = pattern.split(".", 4)
    if len(parts) < 5 or any(is_pattern(part) and part != "*" for part in parts[:3]) or "*" in parts[:3]:
        # A star reaches over dots, so that nothing after it is in a known place.
        return None
    return None if is_pattern(parts[3]) else parts[3]


def _parsed(text: str) -> ChannelName | None:
    try:
        return ChannelName.parse(text)
    except ChannelNameError:
        count("consumer_foreign_channel")
        return None


def _position(value: object) -> tuple[int, int] | None:
    epoch, colon, sequence = _text(value).partition(":") if value else ("", "", "")
    if not colon or not epoch.isdigit() or not sequence.isdigit():
        return None
    return int(epoch), int(sequence)


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
