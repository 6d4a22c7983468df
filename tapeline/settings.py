"""Every setting, once: read from `TAPELINE_*` variables, typed, frozen; unknown names and wrong values are refused."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from tapeline.errors import SettingError
from tapeline.redis_url import seeds

PREFIX = "TAPELINE_"

Read = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Option:
    """How one setting is read; `read` raises ValueError, `allowed` says what would have been right."""

    name: str
    default: str
    allowed: str
    about: str
    read: Read


def _integer(low: int, high: int) -> Read:
    def read(text: str) -> int:
        if not re.fullmatch(r"\d{1,19}", text, re.ASCII) or not low <= int(text) <= high:
            raise ValueError
        return int(text)

    return read


def _seconds(low: float, high: float) -> Read:
    def read(text: str) -> float:
        if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text, re.ASCII) or not low <= float(text) <= high:
            raise ValueError
        return float(text)

    return read


def _url(*schemes: str) -> Read:
    def read(text: str) -> str | None:
        if not text:
            return None
        for parts in map(urlsplit, seeds(text)):
            # The port is checked when it is read.
            if parts.scheme not in schemes or not (parts.hostname or parts.path) or parts.port == 0:
                raise ValueError
        return text

    return read


def _store(text: str) -> str | None:
    if "://" not in text:
        return text or None
    parts = urlsplit(text)
    if not (parts.scheme == "s3" and parts.netloc) and not (parts.scheme == "file" and parts.path):
        raise ValueError
    return text


def _spark(text: str) -> str | None:
    if not re.fullmatch(r"|local(-cluster)?(\[[\d*, ]+\])?|yarn|(spark|k8s)://\S+", text, re.ASCII):
        raise ValueError
    return text or None


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", text, re.ASCII):
        raise ValueError
    return text


def _path(text: str) -> Path | None:
    return Path(text).expanduser() if text else None


def _instances(text: str) -> tuple[str, ...]:
    if text not in ("PRIMARY", "REPLICA", "PRIMARY,REPLICA"):
        raise ValueError
    return tuple(text.split(","))


def _level(text: str) -> str:
    if text not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError
    return text


_MIB = 1 << 20
_BYTES = f"an integer, {_MIB} to {1 << 40}"
_read_bytes = _integer(_MIB, 1 << 40)

OPTIONS: Mapping[str, Option] = MappingProxyType(
    {
        "redis_url": Option(
            "REDIS_URL", "", "redis://, rediss:// or unix:// URL; of a cluster any nodes, joined by commas", "The Redis to publish to and read from. Without it `tapeline up` starts one of its own.", _url("redis", "rediss", "unix")),
        "data_dir": Option("DATA_DIR", "data", "a path", "Where everything local is kept.", _path),
        "store": Option(
            "STORE", "", "a path, file:///path or s3://bucket/prefix", "The object store. Without it: `store` in the data directory.", _store),
        "lake": Option(
            "LAKE", "", "a path, file:///path or s3://bucket/prefix", "Where the tables are. Without it: `lake` in the data directory.", _store),
        "workers": Option(
            "WORKERS", "0", "an integer, 0 to 1024", "How many processes post-process works with; 0: one for each core.", _integer(0, 1024)),
        "task_memory_bytes": Option(
            "TASK_MEMORY_BYTES", str(1024 * _MIB), _BYTES, "How much memory one task of post-process may hold in rows that wait to be sorted or written.", _read_bytes),
        "keep_work_days": Option(
            "KEEP_WORK_DAYS", "0", "an integer, 0 to 3650", "For how many days post-process keeps what it made on the way to a published version; 0: not at all.", _integer(0, 3650)),
        "spark_master": Option(
            "SPARK_MASTER", "", "local[N], local-cluster[N,CORES,MIB], spark://, k8s:// or yarn", "The Spark that post-process works on where it is asked to. Without it: what `spark-submit` or Spark's configuration say, else this machine.", _spark),
        "s3_endpoint": Option(
            "S3_ENDPOINT", "", "http:// or https:// URL", "The S3 service to talk to. Without it: AWS.", _url("http", "https")),
        "athena_database": Option("ATHENA_DATABASE", "tapeline", "small letters, digits and _", "The database of the tables in Athena.", _name),
        "athena_workgroup": Option("ATHENA_WORKGROUP", "primary", "text", "The Athena workgroup that queries run in.", str),
        "athena_output": Option(
            "ATHENA_OUTPUT", "", "s3://bucket/prefix", "Where Athena writes its answers. Without it: where the workgroup says.", _url("s3")),
        "athena_endpoint": Option(
            "ATHENA_ENDPOINT", "", "http:// or https:// URL", "The Athena service to talk to. Without it: AWS.", _url("http", "https")),
        "recordings": Option("RECORDINGS", "", "a path", "Captures for tests, benchmarks and `make run`.", _path),
        "instances": Option(
            "INSTANCES", "PRIMARY", "PRIMARY, REPLICA or PRIMARY,REPLICA", "The stream instances that `tapeline up` runs.", _instances),
        "ring_bytes": Option("RING_BYTES", str(256 * _MIB), _BYTES, "How many bytes of encoded batches a session manager keeps, for each provider, for subscribers that are behind.", _read_bytes),
        "linger_us": Option(
            "LINGER_US", "1000", "an integer, 0 to 1000000", "How long, in µs, a busy session manager lets a batch grow.", _integer(0, 1_000_000)),
        "lease_seconds": Option(
            "LEASE_SECONDS", "3", "a number, 0.2 to 300", "How long, in seconds, a session manager's role lasts without renewal: after so long a standby takes over.", _seconds(0.2, 300)),
        "publish_buffer_bytes": Option("PUBLISH_BUFFER_BYTES", str(64 * _MIB), _BYTES, "How many bytes a normalizer keeps while Redis is away, before it drops the oldest, counted.", _read_bytes),
        "flush_seconds": Option(
            "FLUSH_SECONDS", "1", "a number, 0.01 to 3600", "How often, in seconds, a normalizer refreshes late-join keys and its checkpoint.", _seconds(0.01, 3600)),
        "threshold_seconds": Option(
            "THRESHOLD_SECONDS", "60", "a number, 0.1 to 86400", "How many seconds of payload time go into one raw object.", _seconds(0.1, 86_400)),
        "partition_max_bytes": Option("PARTITION_MAX_BYTES", str(64 * _MIB), _BYTES, "How many bytes of rows, before gzip, a provider's raw objects hold together at most before all of them are cut.", _read_bytes),
        "log_level": Option("LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR", "The lowest level that is written on stderr.", _level),
    }
)  # fmt: skip
"""By field of Settings."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a process."""

    redis_url: str | None
    data_dir: Path
    store: str | None
    lake: str | None
    workers: int
    task_memory_bytes: int
    keep_work_days: int
    spark_master: str | None
    s3_endpoint: str | None
    athena_database: str
    athena_workgroup: str
    athena_output: str | None
    athena_endpoint: str | None
    recordings: Path | None
    instances: tuple[str, ...]
    ring_bytes: int
    linger_us: int
    lease_seconds: float
    publish_buffer_bytes: int
    flush_seconds: float
    threshold_seconds: float
    partition_max_bytes: int
    log_level: str

    @property
    def store_url(self) -> str:
        """The object store, wherever it is."""
        return self.store or str(self.data_dir / "store")

    @property
    def lake_url(self) -> str:
        """The tables, wherever they are."""
        return self.lake or str(self.data_dir / "lake")

    @staticmethod
    def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
        """Reads `TAPELINE_*`; raises SettingError with the name, the value and what is allowed."""
        known = {PREFIX + option.name for option in OPTIONS.values()}
        for name, value in environment.items():
            if name.startswith(PREFIX) and name not in known:
                raise SettingError(name, value, "no setting of this name; known: " + ", ".join(sorted(known)))
        return Settings(**{field.name: _value(OPTIONS[field.name], environment) for field in fields(Settings)})


def _value(option: Option, environment: Mapping[str, str]) -> Any:
    name = PREFIX + option.name
    text = environment.get(name, "")
    if not text:
        # A variable set to nothing is one not set: that is how shells and compose files unset.
        return option.read(option.default)
    try:
        return option.read(text)
    except ValueError:
        raise SettingError(name, text, option.allowed) from None


def manual() -> str:
    """`docs/settings.md`."""
    rows = [
        "# Settings",
        "",
        "Generated from `tapeline/settings.py` by `python -m tapeline.settings`; do not edit. Settings are environment",
    ]
    rows += [
        "variables. A wrong value or an unknown `TAPELINE_*` name is refused at start; one set to nothing is one not set.",
        "",
    ]
    rows += ["| name | default | allowed | what it does |", "| --- | --- | --- | --- |"]
    for option in OPTIONS.values():
        default = f"`{option.default}`" if option.default else "–"
        rows.append(f"| `{PREFIX}{option.name}` | {default} | {option.allowed} | {option.about} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    Path(__file__).parent.parent.joinpath("docs", "settings.md").write_text(manual())
