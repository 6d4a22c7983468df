"""`python -m batch_processor` as a process: flags, statistics, exit codes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tapeline.cli.up.children import spawn
from tapeline.objectstore import open_store
from tests.support.s3_server import RunningS3
from tests.support.stored import assert_complete, stored_payloads
from tests.support.stream_server import StreamServer, batch

EPOCH = 1_700_000_000_000_000_000
PROVIDER = "BINANCE_SPOT"


async def until(condition: Callable[[], object]) -> None:
    """Waits for a condition."""
    while not condition():  # noqa: ASYNC110 - another process makes it true
        await asyncio.sleep(0.01)


def stream(count: int) -> list[bytes]:
    """Batches of three payloads, a second of their own time each."""
    return [
        batch(EPOCH, n, [("a", "MBO", EPOCH + (n + i) * 10**8, b"%d" % (n + i)) for i in range(3)], PROVIDER)
        for n in range(1, count, 3)
    ]


async def test_the_process_stores_stops_cleanly_and_tells(tmp_path: Path) -> None:
    """Ready, statistics, exit code 0 on SIGTERM, and everything is in the store."""
    async with StreamServer(stream(300)) as server:
        flags = ["--venues", "binance_spot", "--source", server.address, "--store", str(tmp_path / "store")]
        child = spawn("batch_processor", "batch_processor", [*flags, "--threshold-seconds", "1"], tmp_path)
        try:
            await until(lambda: child.stats.get("providers", {}).get(PROVIDER, {}).get("payloads") == 300)
            await asyncio.to_thread(child.stop)
        finally:
            child.kill()
    assert child.process.returncode == 0
    told = child.stats["providers"][PROVIDER]
    assert (told["durable"], told["durable_position"], told["gaps"]) == (300, f"{EPOCH}:300", 0)
    assert_complete(stored_payloads(tmp_path / "store", PROVIDER), 300)


@pytest.mark.timeout(120)
async def test_the_process_stores_in_s3(s3_server: RunningS3, s3_store: str, tmp_path: Path) -> None:
    """The same over a real S3, found by the setting alone."""
    async with StreamServer(stream(30)) as server:
        flags = ["--venues", "binance_spot", "--source", server.address, "--store", s3_store]
        environment = {"PATH": "/usr/bin:/bin", **s3_server.environment()}
        child = spawn("batch_processor", "batch_processor", flags, tmp_path, environment)
        try:
            await until(lambda: child.stats.get("providers", {}).get(PROVIDER, {}).get("payloads") == 30 or child.ended)
            await asyncio.to_thread(child.stop)
        finally:
            child.kill()
    assert child.process.returncode == 0, child.why()
    keys = open_store(s3_store).list("")
    assert len(keys) == 2
    assert keys[0].endswith(f"/{EPOCH}-1-30.tsv.gz")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--venues", "nowhere", "--store", "x"], "batch_processor: unknown venue 'nowhere'"),
        (["--venues", "binance_spot", "--store", "gs://x"], "batch_processor: object store 'gs://x' is not"),
        (["--venues", "binance_spot", "--store", "/dev/null/x"], "batch_processor: object store directory /dev/null/x"),
        (["--venues", "binance_spot", "--store", "x", "--max-bytes", "0"], "error: --max-bytes 0 is not allowed"),
        (["--venues", "binance_spot", "--threshold-seconds", "x"], "--threshold-seconds: invalid float value: 'x'"),
    ],
)
async def test_what_is_wrong_is_said_in_one_line(flags: list[str], words: str, tmp_path: Path) -> None:
    """The last line on stderr says it; the exit code is that of wrong usage."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "batch_processor", "--source", "127.0.0.1:9", *flags,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=tmp_path,
    )  # fmt: skip
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert words in errors.decode().strip().splitlines()[-1]
