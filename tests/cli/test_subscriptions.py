"""`tapeline subscribe`, `unsubscribe` and `subscriptions`, as a user runs them, also against a running `tapeline up`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tapeline.control import Control, State
from tapeline.redis_link import RedisLink
from tapeline.redis_place import RedisPlace

pytestmark = pytest.mark.timeout(120)


def environment(**settings: str) -> dict[str, str]:
    """Ours, without settings but these."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TAPELINE_")} | settings


def tapeline(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """One command."""
    return subprocess.run(
        [sys.executable, "-m", "tapeline.cli.main", *words],
        capture_output=True, text=True, timeout=30, check=False, env=environment(**settings),
    )  # fmt: skip


def told(*words: str, **settings: str) -> dict[str, Any]:
    """What `tapeline subscriptions --json` prints."""
    done = tapeline("subscriptions", *words, "--json", **settings)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["subscribe", "kraken", "trades.BTC/USD"], "'trades.BTC/USD' is no channel of this venue; allowed: "),
        (["unsubscribe", "KRAKEN", "nonsense"], "'nonsense' is no channel of this venue; allowed: "),
        (["subscribe", "krakn", "trade.BTC/USD"], "unknown venue 'krakn'"),
        (["subscribe", "kraken"], "nothing named: give channels or --symbols"),
        (["subscribe", "kraken", "trade.BTC/USD"], "no Redis: give --redis URL"),
        (["subscriptions", "kraken"], "no Redis: give --redis URL"),
        (["subscriptions", "kraken", "--redis", "redis://127.0.0.1:x/0"], "--redis is no Redis URL: "),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, words: list[str], said: str) -> None:
    """Exit code 2, and what would have been right."""
    done = tapeline(*words, TAPELINE_DATA_DIR=str(tmp_path))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"tapeline: {said}")


def test_a_redis_that_is_away_is_one_line() -> None:
    """Exit code 1, and where it was looked for."""
    done = tapeline("subscribe", "kraken", "trade.BTC/USD", "--redis", "redis://127.0.0.1:1/0")
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_is_desired_stands_without_any_session_manager(redis_url: str) -> None:
    """Before anything runs: the venue's defaults, and what was added and dropped; symbols stand for their usual channels."""
    assert told("kraken", "--redis", redis_url) == {"desired": None, "actual": {}, "roles": {}}
    done = tapeline("subscribe", "kraken", "trade.XRP/USD", "--symbols", "ADA/USD", "--redis", redis_url)
    assert (done.returncode, done.stderr) == (0, "")
    desired = set(told("kraken", "--redis", redis_url)["desired"])
    assert {"trade.XRP/USD", "trade.ADA/USD", "book.ADA/USD", "trade.BTC/USD", "instrument"} <= desired
    again = tapeline("subscribe", "kraken", "trade.XRP/USD", "trade.DOT/USD", "--redis", redis_url)
    assert again.stdout == "KRAKEN: 1 subscribed, 1 were already\n"
    gone = tapeline("unsubscribe", "KRAKEN", "--symbols", "ADA/USD", TAPELINE_REDIS_URL=redis_url)
    assert gone.returncode == 0
    after = set(told("kraken", "--redis", redis_url)["desired"])
    assert desired - after == {name for name in desired if name.endswith(".ADA/USD")}
    assert after - desired == {"trade.DOT/USD"}
    lines = tapeline("subscriptions", "kraken", "--redis", redis_url).stdout.splitlines()
    assert lines[0] == "no session manager tells of this provider"
    assert any(line.startswith("trade.XRP/USD") for line in lines)


def test_it_shows_who_has_a_role_and_where_each_channel_stands(redis_url: str) -> None:
    """Refused and pending ones with their reasons; what is there still though nobody wants it."""

    async def write() -> None:
        link = RedisLink(RedisPlace(redis_url), "tapeline:desired:KRAKEN", 5.0)
        await link.ask("SADD", "tapeline:desired:KRAKEN", "", "a", "b", "c")
        await link.ask("SET", "tapeline:role:KRAKEN:PRIMARY", '{"holder":"x","epoch":1,"address":"far:7000"}')
        told = [
            "a",
            '{"status":"active"}',
            "b",
            '{"status":"refused","reason":"no such pair"}',
            "d",
            '{"status":"active"}',
        ]
        await link.ask("HSET", "tapeline:actual:KRAKEN:PRIMARY", *told)
        await link.ask("HSET", "tapeline:actual:KRAKEN:REPLICA", "a", '{"status":"pending","reason":"not connected"}')
        await link.close()

    asyncio.run(write())
    shown = tapeline("subscriptions", "kraken", "--redis", redis_url)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.splitlines() == [
        "roles: PRIMARY far:7000",
        "a  PRIMARY active  REPLICA pending (not connected)",
        "b  PRIMARY refused (no such pair)  REPLICA unknown",
        "c  PRIMARY unknown  REPLICA unknown",
        "d  PRIMARY active  REPLICA unknown  (not desired)",
    ]
    found = told("kraken", "--redis", redis_url)
    assert found["desired"] == ["a", "b", "c"]
    assert found["actual"]["PRIMARY"]["b"] == {"status": "refused", "reason": "no such pair"}
    assert found["roles"] == {"PRIMARY": "far:7000"}


@pytest.fixture
def up(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A running `tapeline up` with both streams of one venue."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tapeline.cli.main", "up", "--venues", "kraken", "--rate", "300", "--replica", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(TAPELINE_DATA_DIR=str(tmp_path)),
    )  # fmt: skip
    yield process
    process.kill()
    process.communicate()


def eventually(condition: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    """Waits until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def test_a_running_up_is_subscribed_live(up: subprocess.Popen[str], tmp_path: Path) -> None:
    """Dropped and added while it runs, in both streams; nothing is lost, and both are accounted for."""
    here = {"TAPELINE_DATA_DIR": str(tmp_path)}

    place = tmp_path / "redis" / "redis.url"

    def active(name: str) -> list[bool]:
        found = asyncio.run(Control(place.read_text().strip(), "KRAKEN").read()).actual
        told = [found.get(one, {}).get(name) for one in ("PRIMARY", "REPLICA")]
        return [one is not None and one.status is State.ACTIVE for one in told]

    eventually(place.exists, "Redis")
    eventually(lambda: active("book.BTC/USD") == [True, True], "both streams")
    assert tapeline("unsubscribe", "kraken", "book.BTC/USD", "trade.BTC/USD", **here).returncode == 0
    eventually(lambda: active("book.BTC/USD") == [False, False], "dropped")
    assert active("book.ETH/USD") == [True, True]
    assert tapeline("subscribe", "kraken", "book.BTC/USD", **here).returncode == 0
    eventually(lambda: active("book.BTC/USD") == [True, True], "added")
    assert active("trade.BTC/USD") == [False, False]
    shown = tapeline("subscriptions", "kraken", **here).stdout
    assert any(
        line.split() == ["book.BTC/USD", "PRIMARY", "active", "REPLICA", "active"] for line in shown.splitlines()
    )
    up.send_signal(signal.SIGINT)
    out, errors = up.communicate(timeout=60)
    assert (up.returncode, errors) == (0, "")
    report = json.loads(out)
    assert (report["lost"], report["rejected"], report["gaps"]) == (0, 0, 0)
    assert {"session_manager-REPLICA", "normalizer-REPLICA", "batch_processor-REPLICA"} <= set(report["cpu_seconds"])
