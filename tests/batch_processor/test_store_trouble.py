"""A store that is away, that refuses, or that dies: told, waited for within bounded memory, and nothing is lost."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tapeline.cli.up.children import Child, spawn
from tapeline.objectstore import LocalStore, StoreRefusedError
from tests.batch_processor.test_collecting import assert_complete, collecting, stream, until, workers
from tests.support.s3_server import BUCKET, RunningS3, start_s3
from tests.support.stored import stored_payloads
from tests.support.stream_server import StreamServer, batch

__all__ = ["workers"]

EPOCH = 1_700_000_000_000_000_000
PROVIDER = "BINANCE_SPOT"
MIB = 1 << 20


def big(count: int) -> list[bytes]:
    """Binary payloads of five million bytes, a second apart, each in a batch of its own."""
    chance = random.Random(5)
    return [
        batch(EPOCH, n, [("a", "MBO", EPOCH + n * 10**9, chance.randbytes(5_000_000))], PROVIDER)
        for n in range(1, count + 1)
    ]


def memory(child: Child, what: str) -> int:
    """Bytes of a process's memory: `VmRSS` now, `VmHWM` at most so far."""
    lines = Path(f"/proc/{child.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what + ":"))


def told(child: Child, name: str) -> object:
    """What the process last said of itself."""
    return child.stats.get("providers", {}).get(PROVIDER, {}).get(name)


@pytest.fixture
def own_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[RunningS3]]:
    """A server that a test may kill and start again: the last one of the list runs."""
    running = [start_s3(tmp_path / "s3")]
    running[0].use(monkeypatch)
    try:
        yield running
    finally:
        running[-1].close()


@pytest.mark.timeout(150)
async def test_a_killed_server_costs_waiting_not_memory_nor_payloads(own_s3: list[RunningS3], tmp_path: Path) -> None:
    """S3 is killed while payloads of 5 MB stream in: the process waits in bounded memory, and ends complete when S3 is back."""
    store, bound = f"s3://{BUCKET}/p", 8 * MIB
    async with StreamServer(big(2)) as server:
        flags = ["--venues", "binance_spot", "--source", server.address, "--store", store, "--max-bytes", str(bound)]
        child = spawn("batch_processor", "batch_processor", [*flags, "--threshold-seconds", "1"], tmp_path, dict(os.environ))  # fmt: skip
        try:
            await until(lambda: told(child, "durable") == 1)
            before = memory(child, "VmRSS")
            own_s3[-1].close()
            await server.add(big(64)[2:])
            await until(lambda: told(child, "store_trouble") and server.sent >= 6)
            payloads = told(child, "payloads")
            trouble = str(told(child, "store_trouble"))
            await asyncio.sleep(3)
            assert told(child, "payloads") == payloads
            assert f"s3://{BUCKET}/p/" in trouble
            # Three windows of rows, at most one batch too many, and what gRPC has read ahead; 320 MB were sent.
            assert int(str(told(child, "buffered_bytes"))) < 3 * bound + 7_000_000
            own_s3.append(await asyncio.to_thread(own_s3[-1].again))
            await until(lambda: str(told(child, "position")) == f"{EPOCH}:64")
            most = memory(child, "VmHWM")
            await asyncio.to_thread(child.stop)
        finally:
            child.kill()
        print(f"{before / MIB:.0f} MiB before, {most / MIB:.0f} MiB at most")
        assert most - before < 250 * MIB
    assert child.process.returncode == 0, child.why()
    assert told(child, "store_trouble") == ""
    found = stored_payloads(store, PROVIDER)
    assert [one.sequence for one in found] == list(range(1, 65))
    chance = random.Random(5)
    assert all(one.payload == chance.randbytes(5_000_000) for one in found)
    log = [json.loads(line)["event"] for line in child.log.read_text().splitlines()]
    assert "store_away" in log
    assert "waiting_for_store" in log
    assert "gap" not in log


class RefusingStore(LocalStore):
    """A store that says no for a while, after the start."""

    refuses = True
    refusals = 0

    def put(self, key: str, data: bytes, if_absent: bool = True) -> bool:
        """Puts, or refuses raw objects."""
        if self.refuses and key.startswith("instance="):
            self.refusals += 1
            raise StoreRefusedError(f"object store {key}: no permission (AccessDenied)")
        return super().put(key, data, if_absent)


async def test_a_store_that_refuses_is_waited_for_and_told(tmp_path: Path, workers: ThreadPoolExecutor, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    """With back-off, by name in the statistics and the log; when an operator has mended it, nothing is missing."""
    store = RefusingStore(tmp_path)
    async with StreamServer(stream(500)) as server, collecting(server, store, workers) as collector:
        await until(lambda: store.refusals >= 12 and collector.stats()["store_trouble"])
        assert "no permission" in str(collector.stats()["store_trouble"])
        assert collector.stats()["durable"] == 0
        store.refuses = False
        await until(lambda: collector.stats()["payloads"] == 500 and collector.stats()["store_trouble"] == "")
    assert_complete(store, 500)
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    refused = [event for event in events if event["event"] == "store_refuses"]
    assert len(refused) >= 3
    assert refused[-1]["retry_seconds"] > refused[0]["retry_seconds"] / 4


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("store", "access", "words"),
    [
        (f"s3://{BUCKET}/p", "reader", "no permission (AccessDenied)"),
        ("s3://no-such-bucket/p", "", "there is no such bucket (NoSuchBucket)"),
        (f"s3://{BUCKET}/p", "nobody", "the access key is unknown"),
    ],
)
async def test_a_store_that_refuses_at_the_start_ends_it(
    store: str, access: str, words: str, s3_server: RunningS3, tmp_path: Path
) -> None:
    """One line, at once, before a payload is read: who may read but not write is found out too."""
    keys = (access, f"{access}-secret") if access else ()
    environment = {"PATH": "/usr/bin:/bin", **s3_server.environment(*keys)}
    async with StreamServer([batch(EPOCH, 1, [("a", "MBO", EPOCH, b"x")], PROVIDER)]) as server:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "batch_processor", "--venues", "binance_spot", "--source", server.address, "--store", store,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment,
        )  # fmt: skip
        _, errors = await process.communicate()
        assert server.sent == 0
    assert process.returncode == 2
    (line,) = errors.decode().splitlines()
    assert words in line
