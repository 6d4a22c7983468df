"""The late-join keys: which channels there are, and the last that was known of each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Self

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tapeline.channels import ChannelName, is_pattern, market_data, matches
from tapeline.consumer.wire import Address
from tapeline.errors import ChannelNameError, RedisUnavailableError
from tapeline.schemas import Schema
from tapeline.telemetry import count

_CHUNK = 64


def snapshot_key(channel: str) -> str:
    """The key of a channel's last full book, trade, quote or definition."""
    return f"tapeline:snapshot:{channel}"


def definition_key(instance: str, provider: str, symbol: str) -> str:
    """The key of an instrument's definition."""
    return snapshot_key(market_data(instance, Schema.DEFINITION, provider, symbol).format())


Feed = tuple[str, str]
"""Provider and instance."""


class Snapshots:
    """Reads the late-join keys; every method raises RedisUnavailableError."""

    def __init__(self, url: str, seconds: float) -> None:
        Address.parse(url)
        self._redis: Redis = Redis.from_url(
            url, socket_timeout=seconds, socket_connect_timeout=seconds, decode_responses=False, client_name="tapeline-consumer"
        )  # fmt: skip

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connections."""
        await self._redis.aclose()

    async def channels(self, patterns: Sequence[str]) -> list[ChannelName]:
        """All known channels that any of the patterns takes."""
        found: set[str] = set()
        try:
            for key in await self._channel_keys(patterns):
                members = await self._redis.smembers(key)
                texts = (_text(member) for member in members)
                found.update(text for text in texts if any(matches(pattern, text) for pattern in patterns))
        except (RedisError, OSError) as error:
            raise RedisUnavailableError(f"Redis: {error}") from None
        return [name for text in sorted(found) if (name := _parsed(text)) is not None]

    async def read(self, channels: Iterable[str]) -> AsyncIterator[tuple[str, bytes]]:
        """Snapshots of those channels that have one."""
        wanted = list(channels)
        for start in range(0, len(wanted), _CHUNK):
            part = wanted[start : start + _CHUNK]
            try:
                values = await self._redis.mget([snapshot_key(channel) for channel in part])
            except (RedisError, OSError) as error:
                raise RedisUnavailableError(f"Redis: {error}") from None
            for channel, value in zip(part, values, strict=True):
                if isinstance(value, bytes) and value:
                    yield channel, value

    async def published(self, feed: Feed) -> tuple[int, int] | None:
        """The last batch of a feed that was published, as epoch and sequence."""
        provider, instance = feed
        try:
            return _position(await self._redis.get(f"tapeline:cursor:{provider}:{instance}"))
        except (RedisError, OSError) as error:
            raise RedisUnavailableError(f"Redis: {error}") from None

    async def noted(self, feed: Feed) -> tuple[int, int] | None:
        """The position that a feed's late-join keys stand for."""
        provider, instance = feed
        try:
            value = await self._redis.hget(f"tapeline:checkpoint:{provider}:{instance}", "position")
        except (RedisError, OSError) as error:
            raise RedisUnavailableError(f"Redis: {error}") from None
        return _position(value)

    async def _channel_keys(self, patterns: Sequence[str]) -> list[str]:
        providers = [_provider(pattern) for pattern in patterns]
        if all(providers):
            return [f"tapeline:channels:{provider}" for provider in sorted({one for one in providers if one})]
        return sorted([_text(key) async for key in self._redis.scan_iter("tapeline:channels:*", count=1000)])


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
