"""The publisher against a real Redis that goes, hangs, refuses and comes back."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
import redis.asyncio

from tapeline.errors import RedisUnavailableError
from tapeline.publish.address import RedisAddress, command
from tapeline.publish.link import connect
from tapeline.publish.publisher import Entry, Publisher
from tapeline.redis_server import RunningRedis, start_redis
from tapeline.stream import Position
from tapeline.telemetry import TELEMETRY

EPOCH = 1_700_000_000_000_000_000


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RunningRedis]:
    """A Redis of the test's own, that it may kill."""
    running = start_redis(tmp_path)
    yield running
    if running.process.poll() is None:
        os.kill(running.process.pid, signal.SIGCONT)
    running.close()


async def until(condition: Callable[[], object]) -> None:
    """Waits for a condition."""
    while not condition():  # noqa: ASYNC110 - another task or process makes it true
        await asyncio.sleep(0.002)


def entry(sequence: int, size: int = 1, pad: int = 0) -> Entry:
    """A batch of `size` payloads from `sequence` on, one published message each, listed for the test."""
    numbers = range(sequence, sequence + size)
    data = b"".join(command("RPUSH", "seen", b"%d" % number + b"x" * pad) for number in numbers)
    position = Position(EPOCH, sequence + size - 1)
    return Entry(data, command("SET", "cursor", str(position)), size + 1, sequence, position)


def only(url: str) -> Callable[[], Awaitable[RedisAddress]]:
    """The address of a Redis that is one server."""

    async def address() -> RedisAddress:
        return RedisAddress.parse(url)

    return address


@asynccontextmanager
async def publishing(url: str, buffer_bytes: int = 1 << 20) -> AsyncIterator[Publisher]:
    """A publisher at work."""
    publisher = Publisher(only(url), "TEST", buffer_bytes, lambda: None)
    running = asyncio.create_task(publisher.run())
    try:
        yield publisher
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def seen(url: str) -> list[int]:
    """What Redis was given, in order."""
    async with redis.asyncio.Redis.from_url(url) as client:
        items = cast(list[bytes], await client.lrange("seen", 0, -1))
        return [int(item.rstrip(b"x")) for item in items]


async def test_what_is_offered_arrives_in_order_and_is_confirmed(redis_url: str) -> None:
    """Far more than fits in flight, without waiting for any reply in between."""
    async with publishing(redis_url, buffer_bytes=64 << 20) as publisher:
        for number in range(1, 2_000, 10):
            publisher.offer(entry(number, 10, pad=5_000))
        assert publisher.published is None
        assert await publisher.drain(20)
        assert publisher.published == Position(EPOCH, 2_000)
        assert publisher.buffered_bytes == 0
    assert await seen(redis_url) == list(range(1, 2_001))


async def test_a_slow_redis_holds_the_reader_up(redis_url: str) -> None:
    """While Redis is there the stream waits in the ring; nothing is dropped."""
    async with publishing(redis_url, buffer_bytes=4 << 20) as publisher:
        await until(lambda: publisher.connected)
        for number in range(1, 2_001, 10):
            publisher.offer(entry(number, 10, pad=10_000))
            await publisher.room()
            assert publisher.buffered_bytes < (8 << 20) + (4 << 20)
        assert await publisher.drain(20)
    assert await seen(redis_url) == list(range(1, 2_001))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_what_came_while_redis_was_away_is_published_after(server: RunningRedis, how: signal.Signals, tmp_path: Path) -> None:  # fmt: skip
    """Nothing is dropped where the buffer suffices, nothing is out of order; what was confirmed just before comes again."""
    refreshed: list[int] = []
    publisher = Publisher(only(server.url), "TEST", 1 << 20, lambda: refreshed.append(1))
    running = asyncio.create_task(publisher.run())
    publisher.offer(entry(1, 10))
    assert await publisher.drain(10)
    server.process.send_signal(how)
    server.process.wait()
    await until(lambda: not publisher.connected)
    for number in range(11, 101):
        publisher.offer(entry(number))
        await publisher.room()
    assert publisher.published == Position(EPOCH, 10)
    again = start_redis(tmp_path, server.port)
    try:
        assert await publisher.drain(10)
        assert publisher.published == Position(EPOCH, 100)
        assert await seen(again.url) == list(range(1, 101))
        assert len(refreshed) == 2
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        again.close()


async def test_a_full_buffer_drops_the_oldest_and_says_which(
    server: RunningRedis, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whole batches go, are counted, and their exact sequences are told when Redis is back."""
    before = TELEMETRY.value("dropped_payloads", provider="TEST")
    server.process.kill()
    server.process.wait()
    async with publishing(server.url, buffer_bytes=50_000) as publisher:
        for number in range(1, 1_001, 5):
            publisher.offer(entry(number, 5, pad=100))
            await publisher.room()
            assert publisher.buffered_bytes <= 50_000
        again = start_redis(tmp_path, server.port)
        try:
            assert await publisher.drain(10)
            kept = await seen(again.url)
        finally:
            again.close()
    assert kept == list(range(kept[0], 1_001))
    assert kept[0] % 5 == 1
    assert TELEMETRY.value("dropped_payloads", provider="TEST") - before == kept[0] - 1
    told = [line for line in capsys.readouterr().err.splitlines() if '"event":"dropped"' in line]
    assert len(told) == 1
    assert f'"epoch":{EPOCH},"first":1,"last":{kept[0] - 1}' in told[0]


async def test_a_redis_that_hangs_is_away(server: RunningRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence while replies are due ends the connection; the stream then goes on with dropping, not waiting."""
    monkeypatch.setattr("tapeline.publish.publisher._SILENCE_SECONDS", 0.3)
    monkeypatch.setattr("tapeline.publish.link.CONNECT_SECONDS", 0.5)
    async with publishing(server.url) as publisher:
        publisher.offer(entry(1))
        assert await publisher.drain(10)
        os.kill(server.process.pid, signal.SIGSTOP)
        publisher.offer(entry(2))
        await until(lambda: not publisher.connected)
        await publisher.room()
        os.kill(server.process.pid, signal.SIGCONT)
        assert await publisher.drain(10)
    # What hung in its socket was done after all, and sent again: consumers know the repeat.
    assert sorted(set(await seen(server.url))) == [1, 2]


async def test_what_redis_refuses_is_told_and_does_not_stop_the_rest(redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    """An error reply is one event, and the commands after it are confirmed all the same."""
    async with publishing(redis_url) as publisher:
        publisher.offer(Entry(command("NOSUCH", "x") + command("PING"), b"", 2))
        publisher.offer(entry(1))
        assert await publisher.drain(10)
        assert publisher.published == Position(EPOCH, 1)
    assert "unknown command" in capsys.readouterr().err


async def test_what_redis_refuses_for_now_is_sent_again(redis_url: str) -> None:
    """A replica refuses writes until it is a primary again; then everything goes through."""
    async with publishing(redis_url) as publisher, redis.asyncio.Redis.from_url(redis_url) as client:
        await until(lambda: publisher.connected)
        await client.replicaof("127.0.0.1", "1")
        publisher.offer(entry(1, 3))
        await until(lambda: TELEMETRY.value("redis_errors", provider="TEST"))
        await client.replicaof("NO", "ONE")
        assert await publisher.drain(10)
    assert await seen(redis_url) == [1, 2, 3]


async def test_a_wrong_password_is_told_without_the_password(redis_url: str) -> None:
    """The text names the place and what Redis said."""
    url = redis_url.replace("redis://", "redis://:hunter2@")
    with pytest.raises(RedisUnavailableError, match=r"Redis at 127\.0\.0\.1:\d+ refuses") as caught:
        await connect(RedisAddress.parse(url))
    assert "hunter2" not in str(caught.value)


async def test_no_redis_is_told_with_its_place() -> None:
    """A refused connection is a sentence."""
    with pytest.raises(RedisUnavailableError, match=r"no Redis at 127\.0\.0\.1:9: "):
        await connect(RedisAddress.parse("redis://127.0.0.1:9"))
