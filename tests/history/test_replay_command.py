"""`tapeline replay` as people run it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from tapeline import redis_keys
from tests.history.lakes import Truth

COMMAND = [sys.executable, "-m", "tapeline.cli.main"]
SPAN = ["--from", "2026-01-01", "--to", "2026-01-03"]


def tapeline(*words: str, **options: object) -> subprocess.Popen[str]:
    """The command, running."""
    return subprocess.Popen(
        [*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TAPELINE_LOG_LEVEL": "INFO"}
    )  # fmt: skip


def test_tail_shows_a_replay(lake: Path, canonical: Truth, redis_url: str) -> None:
    """`tapeline tail` runs unchanged on yesterday; the replay says what it did."""
    name = "TRADES.BINANCE_SPOT.btcusdt@trade"
    count = len(canonical.of(name)) // 48
    tail = tapeline("tail", f"MARKET_DATA.REPLAY.{name}", "--redis", redis_url, "--json", "--count", str(count))
    try:
        with redis.Redis.from_url(redis_url) as client:
            end = time.monotonic() + 30
            while not client.pubsub_numsub(f"MARKET_DATA.REPLAY.{name}")[0][1]:
                assert time.monotonic() < end
                time.sleep(0.01)
        replay = tapeline(
            "replay", *SPAN, "--speed", "max", "--lake", str(lake), "--redis", redis_url, "TRADES.BINANCE_SPOT.*"
        )
        told, errors = replay.communicate(timeout=60)
        assert (replay.returncode, errors) == (0, "")
        assert told.startswith("played to 2026-01-02T00:00:01.")
        assert "records on 3 channels" in told or "records on 2 channels" in told
        lines = [json.loads(line) for line in tail.communicate(timeout=60)[0].splitlines()]
    finally:
        tail.kill()
        tail.wait()
    assert len(lines) == count
    assert {line["symbol"] for line in lines} == {"BTCUSDT"}
    assert [line["ts_recv"] for line in lines] == sorted(line["ts_recv"] for line in lines)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_cleanly_when_told(lake: Path, redis_url: str, sign: signal.Signals) -> None:
    """The lease is given up, the summary says how far it came, and the exit code that it was not the end."""
    words = ["replay", *SPAN, "--speed", "0.001", "--lake", str(lake), "--redis", redis_url, "--json", "*.KRAKEN.*"]
    replay = tapeline(*words)
    try:
        with redis.Redis.from_url(redis_url) as client:
            end = time.monotonic() + 30
            while not client.exists(redis_keys.cursor("KRAKEN", "REPLAY")):
                assert time.monotonic() < end
                time.sleep(0.01)
            replay.send_signal(sign)
            told, errors = replay.communicate(timeout=30)
            assert (replay.returncode, errors) == (130, "")
            assert not client.exists(redis_keys.replay("KRAKEN"))
    finally:
        replay.kill()
        replay.wait()
    account = json.loads(told)
    assert account["stopped"]
    assert account["behind_ns"] >= 0


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["NOPE.*"], 1, "no channel matches NOPE.*; there are MARKET_DATA.REPLAY.DEFINITION."),
        (["--speed", "fast", "*"], 2, "--speed 'fast' is not allowed"),
        (["--from", "soon", "*"], 2, "--from 'soon' is no time; allowed: 2026-08-02"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(lake: Path, redis_url: str, words: list[str], code: int, told: str) -> None:
    """With the exit code of a finding, or of wrong usage."""
    replay = tapeline("replay", *SPAN, "--lake", str(lake), "--redis", redis_url, *words)
    out, errors = replay.communicate(timeout=60)
    assert (replay.returncode, out) == (code, "")
    assert told in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize("harm", ["gone", "cut", "other"])
def test_a_broken_file_is_told_in_a_line(lake: Path, redis_url: str, tmp_path: Path, harm: str) -> None:
    """A DBN file that is not there, cut short or of something else: its key, exit code 1, and the lease is given up."""
    broken = tmp_path / "lake"
    shutil.copytree(lake, broken)
    (path,) = (broken / "dbn" / "schema=trades" / "day=2026-01-01" / "provider=KRAKEN").rglob("*.dbn.zst")
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if harm == "cut" else b"not zstd")
    replay = tapeline("replay", *SPAN, "--speed", "max", "--lake", str(broken), "--redis", redis_url, "*.KRAKEN.*")
    out, errors = replay.communicate(timeout=60)
    assert (replay.returncode, out) == (1, "")
    assert "dbn/schema=trades/day=2026-01-01/provider=KRAKEN" in errors
    assert len(errors.splitlines()) == 1
    with redis.Redis.from_url(redis_url) as client:
        assert not client.exists(redis_keys.replay("KRAKEN"))


def test_no_redis_is_told_in_a_line(lake: Path) -> None:
    """Within seconds, and without a trace."""
    replay = tapeline("replay", *SPAN, "--lake", str(lake), "--redis", "redis://127.0.0.1:1/0", "*")
    _, errors = replay.communicate(timeout=60)
    assert replay.returncode == 1
    assert errors.startswith("tapeline: ")
    assert "127.0.0.1:1" in errors
    assert len(errors.splitlines()) == 1
