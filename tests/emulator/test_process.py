"""The emulator as a process: what it prints, how it stops, how it refuses."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import pytest
from picows import ws_connect

from tests.emulator.client import Client, subscribe

CAPTURES = Path(__file__).resolve().parent.parent / "fixtures" / "captures"


async def _start(*arguments: str, module: str = "emulator") -> Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-m", module, *arguments, stdout=PIPE, stderr=PIPE)


async def _line(process: Process, event: str) -> dict[str, Any]:
    assert process.stdout is not None
    async with asyncio.timeout(40):
        while line := await process.stdout.readline():
            told: dict[str, Any] = json.loads(line)
            if told["event"] == event:
                return told
    raise AssertionError(f"ended without {event}")


async def test_replay_says_ready_done_and_writes_its_ledger(tmp_path: Path) -> None:
    """Ready with port and channels, done when all is sent, totals in the ledger after SIGTERM; exit code 0."""
    ledger = tmp_path / "ledger.jsonl"
    capture = str(CAPTURES / "kraken.jsonl.zst")
    process = await _start("--venues", "kraken", "--capture", capture, "--speed", "max", "--ledger", str(ledger))
    ready = await _line(process, "ready")
    channels = ready["channels"]["kraken"]
    _, client = await ws_connect(Client, f"ws://127.0.0.1:{ready['port']}/kraken/ws.kraken.com/v2")
    assert isinstance(client, Client)
    for message in subscribe("kraken", channels):
        client.send(message)
    done = await _line(process, "done")
    assert set(done["venues"]["kraken"]["channels"]) == set(channels)
    await client.until(lambda: any(b"heartbeat" in frame for frame in client.frames))
    process.terminate()
    await client.closed.wait()
    assert await process.wait() == 0
    totals = [json.loads(line) for line in ledger.read_text().splitlines()][-1]
    assert totals["event"] == "totals"
    assert totals["venues"]["kraken"]["channels"] == done["venues"]["kraken"]["channels"]
    assert set(totals["ends"]["kraken"]) == set(channels)


async def test_seconds_end_a_synthetic_run() -> None:
    """After its seconds it sends no more and says done, and the connection stays open."""
    process = await _start("--venues", "binance_spot", "--rate", "2000", "--seconds", "1")
    ready = await _line(process, "ready")
    _, client = await ws_connect(Client, f"ws://127.0.0.1:{ready['port']}/binance_spot/stream.binance.com/stream")
    assert isinstance(client, Client)
    client.send(subscribe("binance_spot", ["btcusdt@trade", "btcusdt@bookTicker"])[0])
    done = await _line(process, "done")
    sent = sum(done["venues"]["binance_spot"]["channels"].values())
    await client.until(lambda: len(client.frames) == sent + 1)
    assert not client.closed.is_set()
    assert 1500 < sent < 2600
    process.terminate()
    await client.closed.wait()
    assert await process.wait() == 0


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--venues", "nowhere"], 2, "unknown venue 'nowhere'; known: binance"),
        (["--venues", "kraken", "--speed", "fast"], 2, "--speed fast"),
        (["--venues", "kraken", "--capture", "/nowhere.jsonl.zst"], 1, "/nowhere.jsonl.zst"),
        (["--captures", "/nowhere"], 1, "/nowhere"),
        (["--venues", "kraken,deribit", "--capture", "x"], 2, "one venue"),
        (["--venues", "kraken", "--rate", "-1"], 2, "--rate"),
    ],
)
async def test_wrong_use_is_one_clear_line(arguments: list[str], code: int, told: str) -> None:
    """What is wrong is named on one line of stderr, with the right exit code."""
    process = await _start(*arguments)
    _, complaint = await process.communicate()
    assert process.returncode == code
    assert complaint.decode().count("\n") == 1
    assert told in complaint.decode()


async def test_busy_port_is_named() -> None:
    """A port that is taken is refused with its number."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = await _start("emulate", "kraken", "--port", str(port), module="tapeline.cli.main")
        _, complaint = await process.communicate()
    assert process.returncode == 2
    assert f"127.0.0.1:{port}" in complaint.decode()


async def test_capture_of_another_venue_is_refused() -> None:
    """A file whose frames the venue's routing does not know is not replayed."""
    process = await _start("emulate", "deribit", str(CAPTURES / "kraken.jsonl.zst"), module="tapeline.cli.main")
    _, complaint = await process.communicate()
    assert process.returncode == 1
    assert "kraken.jsonl.zst" in complaint.decode()
