"""Child processes: read while they run, told of when they die, never left behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tapeline.cli.up.children import Child, ChildFailedError, spawn

SPEAKER = """
import json, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print(json.dumps({"event": "done", "n": 1}), flush=True), sys.exit(0)))
print("no json", flush=True)
print(json.dumps({"event": "ready", "port": 7}), flush=True)
print(json.dumps({"event": "stats", "payloads": 3}), flush=True)
time.sleep(60)
"""
DYING = "import sys; print('disk is full', file=sys.stderr); sys.exit(3)"
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('{"event": "ready"}', flush=True)
time.sleep(60)
"""


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Child]]:
    """Starts a script as a child; all are gone at the end."""
    children = []

    def run(script: str) -> Child:
        (tmp_path / "script.py").write_text(script)
        child = spawn("script", "script", [], tmp_path / "logs", {**os.environ, "PYTHONPATH": str(tmp_path)})
        children.append(child)
        return child

    yield run
    for child in children:
        child.kill()


def eventually(condition: Callable[[], object]) -> None:
    """Waits until something holds."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_child_is_read_and_stopped(start: Callable[[str], Child]) -> None:
    """Its ready line, its statistics, what it says last, and its CPU time are known."""
    child = start(SPEAKER)
    assert child.await_ready(20)["port"] == 7
    eventually(lambda: child.stats)
    assert child.stats["payloads"] == 3
    child.stop()
    assert child.done == {"event": "done", "n": 1}
    assert child.process.returncode == 0
    assert child.cpu_seconds > 0


def test_a_death_is_told_in_one_line(start: Callable[[str], Child]) -> None:
    """The exit code and the last line of the log say why."""
    child = start(DYING)
    with pytest.raises(ChildFailedError, match="script ended with exit code 3: disk is full") as failure:
        child.await_ready(20)
    assert "\n" not in str(failure.value)


def test_a_kill_is_named(start: Callable[[str], Child]) -> None:
    """A process killed from outside is told by its signal."""
    child = start(SPEAKER)
    child.await_ready(20)
    os.kill(child.process.pid, signal.SIGKILL)
    eventually(lambda: child.ended)
    assert "killed by SIGKILL" in child.why()


def test_a_child_that_does_not_listen_is_killed(start: Callable[[str], Child]) -> None:
    """SIGTERM first, SIGKILL when that does not help."""
    child = start(DEAF)
    child.await_ready(20)
    child.stop(seconds=0.2)
    assert child.process.returncode == -signal.SIGKILL
