"""What a process tells of itself: counters, events on stderr, machine-readable lines on stdout.

Levels: INFO an operator may relax, WARNING nothing is lost, ERROR something is lost.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Self, TextIO

import msgspec

Labels = tuple[tuple[str, str], ...]
"""Sorted pairs of a label's name and value."""


class Level(IntEnum):
    """How bad an event is."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


class Telemetry:
    """Counters and gauges of one process, by name and labels."""

    def __init__(self, stream: TextIO | None = None, level: Level = Level.INFO) -> None:
        self._stream = stream
        self._counters: dict[tuple[str, Labels], int] = {}
        self._gauges: dict[tuple[str, Labels], float] = {}
        self.level = level

    def count(self, name: str, value: int = 1, **labels: str) -> None:
        """Adds to a counter."""
        key = (name, tuple(sorted(labels.items())))
        self._counters[key] = self._counters.get(key, 0) + value

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Sets a gauge."""
        self._gauges[(name, tuple(sorted(labels.items())))] = value

    def event(self, name: str, level: Level = Level.INFO, **fields: object) -> None:
        """Counts an event under its name and writes it as one JSON line on stderr, if its level is high enough."""
        self.count(name)
        if level >= self.level:
            stream = self._stream or sys.stderr
            line = {"time_ns": time.time_ns(), "level": level.name, "event": name, **fields}
            stream.write(msgspec.json.encode(line, enc_hook=str).decode() + "\n")
            stream.flush()

    def value(self, name: str, **labels: str) -> int:
        """A counter; without labels the sum over all of its labels."""
        if labels:
            return self._counters.get((name, tuple(sorted(labels.items()))), 0)
        return sum(value for (given, _), value in self._counters.items() if given == name)

    def counters(self) -> dict[str, int]:
        """All counters, written `name{label=value}`."""
        return {_written(name, labels): value for (name, labels), value in self._counters.items()}

    def gauges(self) -> dict[str, float]:
        """All gauges, written as counters are."""
        return {_written(name, labels): value for (name, labels), value in self._gauges.items()}


def _level() -> Level:
    # A wrong value is refused where settings are read; until then nothing is hidden.
    return Level.__members__.get(os.environ.get("TAPELINE_LOG_LEVEL", ""), Level.INFO)


TELEMETRY = Telemetry(level=_level())
"""The process's own."""


def count(name: str, value: int = 1, **labels: str) -> None:
    """Adds to a counter of the process."""
    TELEMETRY.count(name, value, **labels)


def gauge(name: str, value: float, **labels: str) -> None:
    """Sets a gauge of the process."""
    TELEMETRY.gauge(name, value, **labels)


def event(name: str, level: Level = Level.INFO, **fields: object) -> None:
    """Counts an event of the process and writes it on stderr."""
    TELEMETRY.event(name, level, **fields)


def say(event: str, /, **fields: object) -> None:
    """Writes one machine-readable line `{"event": …}` on stdout."""
    sys.stdout.write(msgspec.json.encode({"event": event, **fields}, enc_hook=str).decode() + "\n")
    sys.stdout.flush()


def ready(**fields: object) -> None:
    """Says that the process serves; `port` where it has one."""
    say("ready", **fields)


def done(**fields: object) -> None:
    """Says that the process has done all it was asked to."""
    say("done", **fields)


class StatsPrinter:
    """Writes `{"event": "stats", …}` every `interval` seconds while it runs, and once more at its end.

    With what `read` gives it writes `cpu_seconds`, the process's own CPU time, and `counters`, unless `read` has them.
    """

    def __init__(self, read: Callable[[], Mapping[str, object]], interval: float = 0.5) -> None:
        self._read = read
        self._interval = interval
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.write()

    def write(self) -> None:
        """Writes one line now."""
        own = {"cpu_seconds": time.process_time(), "counters": TELEMETRY.counters()}
        say("stats", **{**own, **self._read()})

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            self.write()


def _written(name: str, labels: Labels) -> str:
    return name + "{" + ",".join(f"{key}={value}" for key, value in labels) + "}" if labels else name
