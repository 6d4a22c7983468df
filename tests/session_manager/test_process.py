"""`python -m session_manager` as it is run: flags, ready line, stats, SIGTERM, exit codes."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import msgspec
import pytest

from session_manager.halves import load
from session_manager.roles.lease import Lease
from tapeline.ingest.v1.ingest_pb2 import SubscribeResponse
from tapeline.redis_link import RedisLink
from tapeline.redis_place import RedisPlace
from tapeline.stream import StreamClient, peek, subscribe
from tests.session_manager.fake_venue import FakeVenue, until


async def _run(*arguments: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "session_manager", *arguments, stdout=PIPE, stderr=PIPE
    )


async def _line(process: Process) -> dict[str, object]:
    assert process.stdout is not None
    return msgspec.json.decode(await asyncio.wait_for(process.stdout.readline(), 20), type=dict[str, object])


async def test_it_serves_and_stops_cleanly(tmp_path: Path) -> None:
    """Two venues on one port; a subscriber gets the stream to its end; SIGTERM ends it with 0."""
    channels = tmp_path / "channels.json"
    channels.write_bytes(msgspec.json.encode({"binance_spot": ["btcusdt@trade"]}))
    answers = [f'{{"result":null,"id":{n}}}' for n in (1, 2)]
    async with FakeVenue(load("binance_spot"), lambda asked: [answers[int(asked.number) - 1]]) as venue:
        process = await _run(
            "--venues", "binance_spot,kraken", "--endpoint-base", venue.base, "--channels", str(channels),
            "--symbols", "kraken:XRP/USD", "--ring-bytes", "1000000", "--linger-us", "500",
        )  # fmt: skip
        ready = await _line(process)
        assert ready["event"] == "ready"
        assert ready["providers"] == ["BINANCE_SPOT", "KRAKEN"]
        await until(lambda: venue.commands and any("XRP/USD" in text for text in venue.texts))
        spot = next(place for place, path in enumerate(venue.paths) if path.startswith("/binance_spot/"))
        await venue.send('{"stream":"btcusdt@trade","data":{"t":1}}', client=spot)
        last = 0
        async for response in subscribe(f"127.0.0.1:{ready['port']}", "BINANCE_SPOT", "test"):
            place = peek(response)
            assert place.first == last + 1
            last = place.last
            if last == 2:
                process.send_signal(signal.SIGTERM)
        assert last == 3
        assert process.stdout is not None
        lines = [msgspec.json.decode(line) for line in (await process.stdout.read()).splitlines()]
        assert await process.wait() == 0
    assert lines[-1]["event"] == "stats"
    stats = lines[-1]["providers"]["BINANCE_SPOT"]
    assert (stats["payloads"], stats["unknown_frames"], stats["connections_up"]) == (3, 0, 0)
    assert any(asked.operation.value == "unsubscribe" for asked in venue.commands)


async def test_roles_are_taken_for_each_provider_by_itself(redis_url: str) -> None:
    """Another is PRIMARY of the one: this is REPLICA of it and PRIMARY of the other, under these names; both are free at its end."""
    held = b'{"holder":"x","epoch":1,"address":"x:1"}'
    link = RedisLink(RedisPlace(redis_url), "tapeline:role:KRAKEN:PRIMARY", 5.0)
    await link.ask("SET", "tapeline:role:KRAKEN:PRIMARY", held, "PX", 60_000)
    async with FakeVenue(load("binance_spot"), lambda _: []) as venue:
        process = await _run(
            "--venues", "binance_spot,kraken", "--endpoint-base", venue.base, "--instance", "AUTO", "--redis", redis_url,
            "--symbols", "binance_spot:BTCUSDT", "--symbols", "kraken:BTC/USD",
        )  # fmt: skip
        ready = await _line(process)
        roles = {}
        async with StreamClient(f"127.0.0.1:{ready['port']}") as client:
            for provider in ("BINANCE_SPOT", "KRAKEN"):
                async for instance in client.roles(provider):
                    if instance:
                        roles[provider] = instance
                        break
            assert roles == {"BINANCE_SPOT": "PRIMARY", "KRAKEN": "REPLICA"}
            async for response in client.subscribe("KRAKEN", "test", instance="REPLICA"):
                assert SubscribeResponse.FromString(response).batch.instance == "REPLICA"
                break
        lease = msgspec.json.decode(await link.ask("GET", "tapeline:role:BINANCE_SPOT:PRIMARY"), type=Lease)  # type: ignore[arg-type]  # bytes here
        assert lease.address == f"127.0.0.1:{ready['port']}"
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    keys = [f"tapeline:role:{place}" for place in ("BINANCE_SPOT:PRIMARY", "KRAKEN:REPLICA", "KRAKEN:PRIMARY")]
    assert [await link.ask("EXISTS", key) for key in keys] == [0, 0, 1]
    await link.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--venues", "krakn"], "unknown venue 'krakn'"),
        (["--venues", "kraken", "--symbols", "XRP/USD"], "--symbols 'XRP/USD'"),
        (["--venues", "kraken", "--channels", "/nowhere.json"], "--channels /nowhere.json"),
        (["--venues", "kraken", "--endpoint-base", "ftp://x"], "--endpoint-base 'ftp://x'"),
        (["--venues", "kraken", "--listen", "127.0.0.1:{busy}"], "127.0.0.1:{busy}"),
        (["--venues", ""], "--venues"),
        (["--venues", "kraken", "--instance", "AUTO"], "--instance AUTO takes its role in Redis"),
        (["--venues", "kraken", "--instance", "AUTO", "--redis", "localhost:6379"], "--redis is no Redis URL"),
    ],
)
async def test_wrong_usage_is_one_clear_line_and_two(arguments: list[str], words: str) -> None:
    """Exit code 2 and one line on stderr that names what is wrong."""
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    busy = str(server.sockets[0].getsockname()[1])
    process = await _run(*(argument.format(busy=busy) for argument in arguments))
    _, errors = await asyncio.wait_for(process.communicate(), 20)
    server.close()
    assert process.returncode == 2
    lines = [line for line in errors.decode().splitlines() if line.startswith("tapeline: ")]
    assert len(lines) == 1
    assert words.format(busy=busy) in lines[0]


async def test_an_unknown_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are checked before anything is opened."""
    monkeypatch.setenv("TAPELINE_RNIG_BYTES", "5")
    process = await _run("--venues", "kraken")
    _, errors = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 2
    assert b"TAPELINE_RNIG_BYTES" in errors
