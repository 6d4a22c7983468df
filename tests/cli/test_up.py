"""`tapeline up` as a user runs it: real processes, real sockets, a real Redis."""

from __future__ import annotations

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

pytestmark = pytest.mark.timeout(180)

Run = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Run]:
    """Starts `tapeline up` with some arguments; it is gone at the end."""
    started: list[subprocess.Popen[str]] = []

    def run(*words: str, **settings: str) -> subprocess.Popen[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TAPELINE_")}
        process = subprocess.Popen(
            [sys.executable, "-m", "tapeline.cli.main", "up", "--data-dir", str(tmp_path / "data"), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**clean, **settings},
            cwd=tmp_path,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The JSON object of a run that went well."""
    out, errors = process.communicate(timeout=170)
    assert process.returncode == 0, errors
    assert errors == ""
    report: dict[str, Any] = json.loads(out)
    return report


def children(pid: int) -> dict[str, int]:
    """The processes a process has started, by the module they run (or their program's name)."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            words = (entry / "cmdline").read_text().split("\0")
        except (OSError, IndexError):
            continue
        if parent == pid:
            found[words[2] if "-m" in words else Path(words[0]).name] = int(entry.name)
    return found


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def eventually(condition: Callable[[], object], seconds: float = 90.0) -> None:
    """Waits until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_synthesised_load_arrives_whole(up: Run) -> None:
    """All venues, both instances: every payload the emulator sent was received by a subscriber of Redis."""
    words = ["--rate", "1500", "--seconds", "3", "--json"]
    report = answer(up(*words, "--replica"))
    assert report["lost"] == 0
    assert report["rejected"] == 0
    assert report["gaps"] == 0
    assert report["payloads"] > 3000
    assert report["latency_from"] == "venue"
    assert report["latency_us"]["p50"] > 0
    assert {"binance_spot", "binance_usdm", "coinbase", "deribit", "kraken"} <= set(report["venues"])
    # What is polled is answered, not sent.
    assert all(venue["sent"] > 0 or name == "kraken_rest" for name, venue in report["venues"].items())
    assert all(venue["received"] > 0 for venue in report["venues"].values())
    wanted = {
        "redis",
        "emulator",
        "verifier",
        "session_manager-PRIMARY",
        "normalizer-REPLICA",
        "batch_processor-REPLICA",
    }
    assert wanted <= {name for name, seconds in report["cpu_seconds"].items() if seconds > 0}
    assert report["tables"]["raw_payloads"] > 0
    assert report["tables"]["trades"] > 0


def test_recordings_arrive_whole(up: Run, recordings: Path) -> None:
    """Real sessions of all five venues, as fast as possible: nothing lost, rejected or broken; SQL finds them."""
    process = up("--captures", str(recordings), "--speed", "max", "--json")
    report = answer(process)
    assert report["lost"] == 0
    assert report["rejected"] == 0
    assert report["gaps"] == 0
    assert report["payloads"] > 150_000
    assert report["tables"]["raw_payloads"] >= report["payloads"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ctrl_c_ends_with_an_account(up: Run) -> None:
    """One Ctrl-C drains, sums up and leaves no process behind."""
    process = up("--venues", "kraken", "--rate", "500", "--json")
    eventually(lambda: "batch_processor" in children(process.pid))
    pids = children(process.pid)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    report = answer(process)
    assert report["lost"] == 0
    assert all(gone(pid) for pid in pids.values())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_death_of_a_process_is_one_line(up: Run) -> None:
    """A normalizer killed from outside ends the run with its name, exit code 1 and no process left."""
    process = up("--venues", "kraken", "--rate", "500", "--json")
    eventually(lambda: "batch_processor" in children(process.pid))
    pids = children(process.pid)
    os.kill(pids["normalizer"], signal.SIGKILL)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == ""
    assert len(errors.splitlines()) == 1
    assert errors.startswith("tapeline: normalizer-PRIMARY was killed by SIGKILL")
    assert all(gone(pid) for pid in pids.values())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_not_even_sigkill_leaves_a_process(up: Run) -> None:
    """Whoever kills `tapeline up` kills all of it, its Redis too."""
    process = up("--venues", "kraken", "--rate", "500", "--json")
    eventually(lambda: "batch_processor" in children(process.pid))
    pids = children(process.pid)
    process.kill()
    assert {"emulator", "session_manager", "normalizer", "tapeline.cli.up.verifier"} <= set(pids)
    eventually(lambda: all(gone(pid) for pid in pids.values()), seconds=10)


@pytest.mark.parametrize(
    ("words", "settings", "code", "said"),
    [
        (["--venues", "krakn"], {}, 2, "unknown venue 'krakn'; known: "),
        (["--captures", "nowhere"], {}, 2, "--captures nowhere: no such folder"),
        (["--captures", ".", "--speed", "fast"], {}, 2, "no captures"),
        (["--rate", "many"], {}, 2, "--rate 'many' is not allowed"),
        ([], {"TAPELINE_LINGER": "1"}, 2, "TAPELINE_LINGER='1' is not allowed"),
        ([], {"TAPELINE_INSTANCES": "BOTH"}, 2, "TAPELINE_INSTANCES='BOTH' is not allowed"),
        (["--json"], {"TAPELINE_REDIS_URL": "redis://127.0.0.1:1/0"}, 1, "no Redis at 127.0.0.1:1"),
    ],
)
def test_what_is_wrong_is_one_line(up: Run, words: list[str], settings: dict[str, str], code: int, said: str) -> None:
    """A wrong value, an unknown name, a missing Redis: one clear line and the right exit code."""
    process = up(*words, **settings)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert out == ""
    assert len(errors.splitlines()) == 1
    assert errors.startswith(f"tapeline: {said}")
