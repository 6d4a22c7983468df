"""What several rooms' tests need: the recordings, a real Redis."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# Rooms are forked from this process, in which gRPC may have threads: its handlers around a fork abort the child now and then
# (`epoll_wait: Bad file descriptor`), which goes on to another program anyway. Read when grpc is imported.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

from tests.support.s3_server import BUCKET, RunningS3, start_s3

REPOSITORY = Path(__file__).resolve().parent.parent


PIPELINES = (
    "tests/faults/",
    "tests/soak/",
    "tests/cli/test_up",
    "tests/cli/test_subscriptions",
    "tests/batch_processor/test_store",
)
"""Tests that run whole pipelines in real time: one after the other, since two at a time would be a test of the machine."""


class Together(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """What one worker does after the other: the pipelines, else a file, which may have made something that all of it uses."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "pipelines" if file.startswith(PIPELINES) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together:
    """Whose tests are whose, where several workers share them."""
    return Together(config, log)


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of real captures; a test that wants it is skipped where there is none, but fails in CI."""
    folder = Path(os.environ.get("TAPELINE_RECORDINGS") or REPOSITORY.parent / "shared" / "recordings")
    if folder.is_dir():
        return folder
    words = "no recordings: set TAPELINE_RECORDINGS to the folder of real captures"
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(f"{words}; CI must have them")
    pytest.skip(words)


@pytest.fixture(scope="session")
def _redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    from tapeline.redis_server import start_redis

    running = start_redis(tmp_path_factory.mktemp("redis"))
    try:
        yield running.url
    finally:
        running.close()


@pytest.fixture
def redis_url(_redis_server: str) -> str:
    """The URL of a real Redis server, empty at the start of the test."""
    place = urlsplit(_redis_server)
    with socket.create_connection((place.hostname or "127.0.0.1", place.port or 6379), timeout=10) as client:
        client.sendall(b"FLUSHALL\r\n")
        answer = client.recv(64)
    assert answer == b"+OK\r\n", answer
    return _redis_server


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningS3]:
    """A real S3 server with one bucket; several seconds to start, so only for tests of the seam itself."""
    running = start_s3(tmp_path_factory.mktemp("s3"))
    try:
        yield running
    finally:
        running.close()


@pytest.fixture
def s3_store(s3_server: RunningS3, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The URL of an empty place in a real S3; endpoint and credentials are in the environment."""
    s3_server.use(monkeypatch)
    return f"s3://{BUCKET}/{quote(request.node.nodeid.rpartition('::')[2], safe='')}"
