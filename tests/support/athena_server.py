"""An Athena with its Glue and S3 (ministack) as a process, for tests; in an environment of its own, since it pins botocore."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

PINNED = ("ministack==1.5.33", "duckdb==2.0.0", "sqlglot==30.30.0")
BUCKET = "tapeline-athena"
_EMULATOR = Path(__file__).with_name("athena_emulator.py")
_START_SECONDS = 60.0


@dataclass(frozen=True)
class RunningAthena:
    """A server, its endpoint (of Athena, Glue and S3 alike) and its process."""

    endpoint: str
    process: subprocess.Popen[bytes]

    def environment(self) -> dict[str, str]:
        """The environment in which a process finds this server."""
        return {
            "TAPELINE_S3_ENDPOINT": self.endpoint,
            "TAPELINE_ATHENA_ENDPOINT": self.endpoint,
            "TAPELINE_ATHENA_OUTPUT": f"s3://{BUCKET}/answers/",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def close(self) -> None:
        """Stops the server."""
        self.process.kill()
        self.process.wait()


def start_athena(folder: Path) -> RunningAthena:
    """A server on loopback that answers, with an empty bucket; its log is in `folder`."""
    python = _environment()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "S3_DATA_DIR": str(folder / "s3"),
        "LOG_LEVEL": "WARNING",
    }
    with (folder / "athena.log").open("wb") as log:
        process = subprocess.Popen(
            [str(python), str(_EMULATOR)], env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder
        )
    running = RunningAthena(f"http://127.0.0.1:{port}", process)
    try:
        _wait(running, folder / "athena.log")
    except BaseException:
        running.close()
        raise
    return running


def _wait(running: RunningAthena, log: Path) -> None:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(retries={"max_attempts": 1}, connect_timeout=1, read_timeout=10)
    client = boto3.client("s3", endpoint_url=running.endpoint, aws_access_key_id="test", aws_secret_access_key="test",
                          region_name="us-east-1", config=config)  # fmt: skip
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            client.create_bucket(Bucket=BUCKET)
            return
        except BotoCoreError:
            assert running.process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < end, "the Athena emulator does not answer"
        time.sleep(0.1)


def _environment() -> Path:
    """The Python of an environment with what is pinned, made once and kept in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tapeline"
    place = cache / "-".join(pin.replace("==", "-") for pin in PINNED)
    python = place / "bin" / "python"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        # Other test runs use it too.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "whole").exists():
            _install(cache, place, python)
    return python


def _install(cache: Path, place: Path, python: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    uv = shutil.which("uv")
    steps = (
        [[uv, "venv", "--quiet", "--python", sys.executable, str(place)],
         [uv, "pip", "install", "--quiet", "--python", str(python), *PINNED]]
        if uv
        else [[sys.executable, "-m", "venv", str(place)], [str(python), "-m", "pip", "install", "--quiet", *PINNED]]
    )  # fmt: skip
    for step in steps:
        done = subprocess.run(step, cwd=cache, capture_output=True, text=True, check=False)  # not our own pins
        if done.returncode != 0:
            words = f"no Athena emulator: {' '.join(step[:4])} … failed: {done.stderr.strip()[-300:]}"
            if os.environ.get("CI", "").lower() in {"1", "true"}:
                pytest.fail(words)
            pytest.skip(words)
    (place / "whole").touch()
