"""The normalizer between a real gRPC stream and a real Redis, with the real kernel."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import databento_dbn as dbn
import pytest
import redis.asyncio
from tapeline_kernel import BatchError, Normalizer, Output

from normalizer.pipeline import Pipeline
from tapeline import redis_keys, venues
from tapeline.channels import ChannelName
from tapeline.cli.up.children import spawn
from tapeline.redis_place import RedisPlace
from tapeline.redis_server import start_redis
from tapeline.spec.encode import encode
from tapeline.stream import Position, StreamClient
from tests.support.stream_server import StreamServer, batch, gap

EPOCH = 1_700_000_000_000_000_000
VENUE = "binance_spot"
PROVIDER = "BINANCE_SPOT"
CHANNEL = f"MARKET_DATA.PRIMARY.TRADES.{PROVIDER}.btcusdt@trade"
CHECKPOINT = redis_keys.checkpoint(PROVIDER, "PRIMARY")
CURSOR = redis_keys.cursor(PROVIDER, "PRIMARY")


def trade(number: int) -> bytes:
    """A trade as Binance sends it."""
    data = {"e": "trade", "E": 1723161255343, "s": "BTCUSDT", "t": number, "p": "61837.63000000", "q": "0.02000000",
            "T": 1723161255342, "m": True, "M": True}  # fmt: skip
    return json.dumps({"stream": "btcusdt@trade", "data": data}, separators=(",", ":")).encode()


def trades(first: int, last: int, size: int = 5, epoch: int = EPOCH, more: int = 0) -> list[bytes]:
    """Batches of trades, whose ids are their sequences, or so many more."""
    rows = [("btcusdt@trade", "TRADES", epoch + n * 1000, trade(n + more)) for n in range(first, last + 1)]
    return [batch(epoch, first + n, rows[n : n + size], PROVIDER) for n in range(0, len(rows), size)]


async def until(condition: Callable[[], object]) -> None:
    """Waits for a condition."""
    while not condition():  # noqa: ASYNC110 - another task makes it true
        await asyncio.sleep(0.002)


class Ear:
    """A plain subscriber: every message of the trades' channel, as trade ids."""

    def __init__(self) -> None:
        self.ids: list[int] = []

    async def listen(self, client: redis.asyncio.Redis, ready: asyncio.Event) -> None:
        """Listens until cancelled."""
        async with client.pubsub() as pubsub:
            await pubsub.subscribe(CHANNEL)
            async for message in pubsub.listen():
                if message["type"] == "subscribe":
                    ready.set()
                else:
                    decoder = dbn.DBNDecoder(has_metadata=False, input_version=3)
                    decoder.write(cast(bytes, message["data"]))
                    self.ids += [record.sequence for record in decoder.decode() if isinstance(record, dbn.TradeMsg)]


@pytest.fixture
async def ear(redis_url: str) -> AsyncIterator[Ear]:
    """A listener that hears everything from the test's beginning on."""
    ear, ready = Ear(), asyncio.Event()
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        task = asyncio.create_task(ear.listen(client, ready))
        await ready.wait()
        yield ear
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def make_kernel() -> Normalizer:
    """The real one."""
    return Normalizer(encode(venues.load(VENUE).meaning), PROVIDER, "PRIMARY")


@asynccontextmanager
async def normalizing(
    server: StreamServer,
    redis_url: str,
    flush_seconds: float = 0.05,
    clean: bool = True,
    make_kernel: Callable[[], Normalizer] = make_kernel,
) -> AsyncIterator[Pipeline]:
    """A pipeline at work; ended by a clean stop, or like a killed process."""
    stop = asyncio.Event()
    async with StreamClient(server.address) as client:
        pipeline = Pipeline(client, RedisPlace(redis_url), make_kernel, PROVIDER, "PRIMARY", 1 << 20, flush_seconds)
        running = asyncio.create_task(pipeline.run(stop, asyncio.Event()))
        try:
            yield pipeline
        finally:
            if clean:
                stop.set()
            else:
                running.cancel()
            await asyncio.gather(running, return_exceptions=not clean)


async def cursor(redis_url: str) -> str:
    """What Redis holds as cursor."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        return cast(bytes, await client.get(CURSOR)).decode()


async def test_payloads_become_records_and_the_cursor_follows(redis_url: str, ear: Ear) -> None:
    """Every trade is published once, in order, and the cursor is that of the last batch."""
    async with StreamServer(trades(1, 1_000)) as server:
        async with normalizing(server, redis_url) as pipeline:
            await until(lambda: pipeline.stats()["published_position"] == f"{EPOCH}:1000")
            await until(lambda: len(ear.ids) >= 1_000)
        assert await cursor(redis_url) == f"{EPOCH}:1000"
    assert ear.ids == list(range(1, 1_001))
    stats = pipeline.stats()
    assert (stats["payloads"], stats["records"]) == (1_000, 1_001)
    assert stats["rejected"] == {}


async def test_after_a_clean_stop_nothing_is_published_twice(redis_url: str, ear: Ear) -> None:
    """The next process begins where the last one ended, by its own checkpoint."""
    async with StreamServer(trades(1, 500)) as server:
        async with normalizing(server, redis_url) as first:
            await until(lambda: first.stats()["position"] == f"{EPOCH}:500")
        await server.add(trades(501, 900))
        async with normalizing(server, redis_url) as second:
            await until(lambda: second.stats()["published_position"] == f"{EPOCH}:900")
            await until(lambda: len(ear.ids) >= 900)
    assert ear.ids == list(range(1, 901))
    assert server.resumes == [None, Position(EPOCH, 500)]


async def test_a_killed_process_is_followed_by_one_that_is_silent_up_to_the_cursor(redis_url: str, ear: Ear) -> None:
    """It goes back to the last checkpoint for its books, but publishes only what is new."""
    async with StreamServer(trades(1, 300)) as server:
        async with normalizing(server, redis_url, flush_seconds=60, clean=False) as first:
            await until(lambda: first.stats()["published_position"] == f"{EPOCH}:300")
        await server.add(trades(301, 600))
        async with normalizing(server, redis_url) as second:
            await until(lambda: second.stats()["published_position"] == f"{EPOCH}:600")
            await until(lambda: len(ear.ids) >= 600)
        assert await cursor(redis_url) == f"{EPOCH}:600"
    assert ear.ids == list(range(1, 601))


async def test_a_stream_that_ends_is_taken_up_again(redis_url: str, ear: Ear) -> None:
    """Over and over, and over a restart of the server: from the last position, nothing missing."""
    async with StreamServer(trades(1, 700)) as server:
        server.end_after = 25
        async with normalizing(server, redis_url) as pipeline:
            await until(lambda: pipeline.stats()["payloads"])
            await server.stop()
            await server.start()
            await until(lambda: pipeline.stats()["published_position"] == f"{EPOCH}:700")
            await until(lambda: len(ear.ids) >= 700)
    assert ear.ids == list(range(1, 701))


async def test_a_new_epoch_starts_from_one(redis_url: str, ear: Ear) -> None:
    """The old one's end is a gap; the cursor moves on to the new one."""
    new = EPOCH + 10**12
    responses = [*trades(1, 20), gap(EPOCH, 21, 0, PROVIDER), *trades(1, 30, epoch=new, more=20)]
    async with StreamServer(responses) as server, normalizing(server, redis_url) as pipeline:
        await until(lambda: pipeline.stats()["published_position"] == f"{new}:30")
        await until(lambda: len(ear.ids) >= 50)
    assert ear.ids == list(range(1, 51))
    assert await cursor(redis_url) == f"{new}:30"


@pytest.mark.parametrize("clean", [True, False])
async def test_a_restart_into_a_new_epoch_is_not_silent(redis_url: str, ear: Ear, clean: bool) -> None:
    """Both ends restarted: the cursor is of an epoch that is gone, so all of the new one is published."""
    new = EPOCH + 10**12
    async with StreamServer(trades(1, 40)) as server:
        async with normalizing(server, redis_url, flush_seconds=0.05 if clean else 60, clean=clean) as first:
            await until(lambda: first.stats()["published_position"] == f"{EPOCH}:40")
        server.responses[:] = [gap(EPOCH, 41, 0, PROVIDER), *trades(1, 30, epoch=new, more=40)]
        async with normalizing(server, redis_url) as second:
            await until(lambda: second.stats()["published_position"] == f"{new}:30")
            await until(lambda: len(ear.ids) >= 70)
    assert ear.ids == list(range(1, 71))
    assert await cursor(redis_url) == f"{new}:30"


async def test_a_checkpoint_that_fell_out_of_the_ring_loses_only_what_fell(redis_url: str, ear: Ear) -> None:
    """What lies between checkpoint and ring is told as lost; what the ring holds beyond the cursor is published."""
    async with StreamServer(trades(1, 40)) as server:
        async with normalizing(server, redis_url) as first:
            await until(lambda: first.stats()["published_position"] == f"{EPOCH}:40")
        server.responses[:] = [gap(EPOCH, 41, 60, PROVIDER), *trades(61, 90)]
        async with normalizing(server, redis_url) as second:
            await until(lambda: second.stats()["published_position"] == f"{EPOCH}:90")
            await until(lambda: len(ear.ids) >= 70)
    assert ear.ids == [*range(1, 41), *range(61, 91)]


async def test_a_rejected_payload_is_a_dead_letter_and_costs_nothing_else(
    redis_url: str, ear: Ear, capsys: pytest.CaptureFixture[str]
) -> None:
    """A flood of them is counted to the last, and told ten times a second at most."""
    bad = [("btcusdt@trade", "TRADES", EPOCH + 90_000 + n, b'{"stream":"btcusdt@trade","data":{"e":"trade"}}') for n in range(200)]  # fmt: skip
    responses = [*trades(1, 10), batch(EPOCH, 11, bad, PROVIDER), *trades(211, 220)]
    async with StreamServer(responses) as server, normalizing(server, redis_url) as pipeline:
        await until(lambda: pipeline.stats()["published_position"] == f"{EPOCH}:220")
        await until(lambda: len(ear.ids) >= 20)
        rejected = cast(dict[str, int], pipeline.stats()["rejected"])
    assert ear.ids == [*range(1, 11), *range(211, 221)]
    assert sum(rejected.values()) == 200
    letters = [json.loads(line) for line in capsys.readouterr().err.splitlines() if "dead_letter" in line]
    assert 1 <= len(letters) <= 20
    assert letters[0]["channel"] == "btcusdt@trade"
    assert letters[0]["sequence"] == 11
    assert letters[0]["reason"]


async def test_a_batch_that_is_none_is_counted_and_passed_over(redis_url: str, ear: Ear, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    """Bytes that are not of the contract stop nothing."""
    async with StreamServer(trades(1, 5)) as server, normalizing(server, redis_url) as pipeline:
        await until(lambda: len(ear.ids) == 5)
        broken = trades(6, 10)[0][:-3]
        server.responses.append(broken)
        pipeline._take(broken)
        await server.add([])
        server.responses.pop()
        await server.add(trades(11, 15))
        await until(lambda: len(ear.ids) == 10)
    assert ear.ids == [*range(1, 6), *range(11, 16)]
    assert "bad_batch" in capsys.readouterr().err


class BrittleKernel:
    """The real kernel, but for one payload on which it breaks, and stays broken."""

    def __init__(self) -> None:
        self._kernel = make_kernel()
        self._broken = False

    def normalize(self, response: bytes) -> Output:
        """Breaks on trade 33."""
        self._broken |= b'"t":33,' in response
        if self._broken:
            raise BatchError("kernel failed on these bytes")
        return self._kernel.normalize(response)

    def __getattr__(self, name: str) -> object:
        return getattr(self._kernel, name)


async def test_a_kernel_that_breaks_costs_one_batch(redis_url: str, ear: Ear) -> None:
    """A new kernel goes on from the checkpoint, without the batch that broke the old one, and nothing comes twice."""
    fragile = cast(Callable[[], Normalizer], BrittleKernel)
    async with StreamServer(trades(1, 200)) as server, normalizing(server, redis_url, make_kernel=fragile) as pipeline:
        await until(lambda: pipeline.stats()["published_position"] == f"{EPOCH}:200")
        await until(lambda: len(ear.ids) >= 195)
    assert ear.ids == [*range(1, 31), *range(36, 201)]


async def test_a_redis_that_forgot_everything_is_told_again(tmp_path: Path) -> None:
    """After a restart without data the keys, the checkpoint and the cursor are there again, though no payload came."""
    own = start_redis(tmp_path)
    async with StreamServer(trades(1, 20)) as server, normalizing(server, own.url) as pipeline:
        await until(lambda: pipeline.stats()["published_position"] == f"{EPOCH}:20")
        own.process.kill()
        own.process.wait()
        own = start_redis(tmp_path, own.port)
        async with redis.asyncio.Redis.from_url(own.url) as client:
            await until(lambda: pipeline.stats()["redis_connected"])
            while await client.get(CURSOR) != f"{EPOCH}:20".encode():  # noqa: ASYNC110 - another process makes it true
                await asyncio.sleep(0.01)
            assert await client.hget(CHECKPOINT, "position") == f"{EPOCH}:20".encode()
            assert await client.exists(redis_keys.snapshot(ChannelName.parse(CHANNEL)))
    own.close()


async def test_the_process_runs_stops_cleanly_and_tells(redis_url: str, ear: Ear, tmp_path: Path) -> None:
    """`python -m normalizer` with its flags: ready, statistics, exit code 0 on SIGTERM."""
    async with StreamServer(trades(1, 50)) as server:
        flags = ["--venues", VENUE, "--source", server.address, "--redis", redis_url]
        child = spawn("normalizer", "normalizer", flags, tmp_path)
        try:
            await until(lambda: len(ear.ids) >= 50)
            await asyncio.to_thread(child.stop)
        finally:
            child.kill()
    assert child.ready is not None
    assert child.process.returncode == 0
    told = child.stats["providers"][PROVIDER]
    assert (told["payloads"], told["published_position"]) == (50, f"{EPOCH}:50")
    assert await cursor(redis_url) == f"{EPOCH}:50"


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--venues", "nowhere", "--redis", "redis://127.0.0.1:9"], 2, "normalizer: unknown venue 'nowhere'"),
        (["--venues", VENUE, "--redis", "http://x"], 2, "normalizer: --redis is no Redis URL"),
        (["--venues", VENUE], 2, "normalizer: no Redis: give --redis URL or set TAPELINE_REDIS_URL"),
    ],
)
async def test_what_is_wrong_is_said_in_one_line(flags: list[str], code: int, words: str) -> None:
    """One line on stderr, and the exit code of wrong usage."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "normalizer", "--source", "127.0.0.1:9", *flags,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, errors = await process.communicate()
    assert process.returncode == code
    assert errors.decode().strip().splitlines() == [line for line in errors.decode().splitlines() if words in line]
