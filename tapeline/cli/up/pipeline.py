"""The processes of a run: started from the end towards the venues, watched, drained, stopped from the venues on."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from tapeline import venues
from tapeline.cli.up.children import Child, ChildFailedError, adopt, spawn
from tapeline.cli.up.plan import Plan, Source
from tapeline.errors import RedisUnavailableError
from tapeline.redis_server import start_redis

READY_SECONDS = 60.0
_QUIET_SECONDS = 1.5
_DRAIN_SECONDS = 120.0


class Pipeline:
    """Everything that runs; use as a context manager, which leaves no process behind."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.children: list[Child] = []
        self.redis_url = ""
        self.emulator: Child | None = None
        self.verifier: Child | None = None
        self.startup_cpu_seconds: dict[str, float] = {}
        """By process: what it took to be ready."""
        self._quiet: tuple[tuple[list[Any], ...], float] = ((), 0.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # The last started first: nobody complains about who he talks to.
        for child in reversed(self.children):
            child.kill()

    def room(self, name: str, instance: str) -> Child | None:
        """The process of a room and instance, where it runs."""
        return next((child for child in self.children if child.name == f"{name}-{instance}"), None)

    def start(self) -> None:
        """Starts all, so that whoever receives is ready before whoever sends; raises ChildFailedError."""
        shutil.rmtree(self.plan.logs, ignore_errors=True)
        self._start_redis()
        providers = ",".join(venues.provider(name) for name in self.plan.venues)
        self.verifier = self._spawn(
            "verifier",
            "tapeline.cli.up.verifier",
            ["--redis", self.redis_url, "--providers", providers, "--instances", ",".join(self.plan.instances)],
        )
        sources = [] if self.plan.source is Source.LIVE else self._start_emulator()
        self.verifier.await_ready(READY_SECONDS)
        managers = [self._start_manager(instance, sources) for instance in self.plan.instances]
        for instance, manager in zip(self.plan.instances, managers, strict=True):
            self._start_readers(instance, f"127.0.0.1:{manager.await_ready(READY_SECONDS)['port']}")
        for child in self.children:
            if child is not self.emulator:
                child.await_ready(READY_SECONDS)
        self.startup_cpu_seconds = {child.name: child.cpu_now() for child in self.children}
        if self.emulator is not None:
            self.emulator.process.send_signal(signal.SIGCONT)

    def check(self) -> None:
        """Raises ChildFailedError where a process has ended that should not."""
        for child in self.children:
            if not child.stopping and child.ended:
                raise ChildFailedError(child.why())

    def hush(self) -> None:
        """Lets nothing more come in; what was sent is still under way."""
        if self.emulator is not None and self.emulator.done is None:
            self.emulator.stop()
        if self.plan.source is Source.LIVE:
            for instance in self.plan.instances:
                if (manager := self.room("session_manager", instance)) is not None:
                    manager.stop()

    def drained(self, now: float) -> bool:
        """Whether nothing has moved for a while between the venues and the consumer; `now` in seconds, monotonic."""
        moving = tuple(_progress(child.stats) for child in self.children if child is not self.emulator)
        if moving != self._quiet[0]:
            self._quiet = (moving, now)
        return now - self._quiet[1] >= _QUIET_SECONDS

    def drain(self) -> None:
        """Waits until all that was sent has arrived."""
        end = time.monotonic() + _DRAIN_SECONDS
        while not self.drained(time.monotonic()):
            self.check()
            if time.monotonic() > end:
                raise ChildFailedError(f"not drained after {_DRAIN_SECONDS:.0f} s")
            time.sleep(0.1)

    def stop(self) -> list[str]:
        """Stops all in the order in which payloads flow, each after it has had everything; what did not end well."""
        order = ["session_manager", "normalizer", "batch_processor", "verifier", "emulator", "redis"]
        for prefix in order:
            chosen = [child for child in self.children if child.name.startswith(prefix)]
            for child in chosen:
                child.ask_to_stop()
            for child in chosen:
                child.stop()
        return [child.why() for child in self.children if child.process.returncode]

    def _spawn(self, name: str, module: str, arguments: list[str]) -> Child:
        child = spawn(name, module, arguments, self.plan.logs)
        self.children.append(child)
        return child

    def _start_redis(self) -> None:
        if self.plan.redis_url is not None:
            _reach(self.plan.redis_url)
            self.redis_url = self.plan.redis_url
            return
        home = self.plan.data_dir / "redis"
        running = start_redis(home, bound=True)
        self.children.append(adopt("redis", running.process, home / "redis.log"))
        self.redis_url = running.url

    def _start_emulator(self) -> list[str]:
        """The flags by which session managers find it; it stands still until all others are ready."""
        plan = self.plan
        ledger = self.ledger
        ledger.unlink(missing_ok=True)
        flags = ["--venues", ",".join(plan.venues), "--ledger", str(ledger)]
        if plan.source is Source.CAPTURES:
            flags += ["--captures", str(plan.captures), "--speed", plan.speed]
        else:
            flags += ["--rate", str(plan.rate)]
        if plan.seconds is not None:
            flags += ["--seconds", f"{plan.seconds:g}"]
        self.emulator = self._spawn("emulator", "emulator", flags)
        ready = self.emulator.await_ready(READY_SECONDS)
        channels = plan.data_dir / "channels.json"
        channels.write_text(json.dumps(ready["channels"]))
        # A replay starts with its first client; the backlog of our own start would pass for latency.
        self.emulator.process.send_signal(signal.SIGSTOP)
        return ["--endpoint-base", f"http://127.0.0.1:{ready['port']}", "--channels", str(channels)]

    @property
    def ledger(self) -> Path:
        """Where the emulator writes what it sent."""
        return self.plan.data_dir / "ledger.jsonl"

    def _start_manager(self, instance: str, sources: list[str]) -> Child:
        flags = ["--venues", ",".join(self.plan.venues), "--instance", instance, *sources, "--redis", self.redis_url]
        return self._spawn(f"session_manager-{instance}", "session_manager", flags)

    def _start_readers(self, instance: str, source: str) -> None:
        flags = ["--venues", ",".join(self.plan.venues), "--instance", instance, "--source", source]
        self._spawn(f"normalizer-{instance}", "normalizer", [*flags, "--redis", self.redis_url])
        self._spawn(f"batch_processor-{instance}", "batch_processor", [*flags, "--store", self.plan.store])


def _progress(stats: dict[str, Any]) -> list[Any]:
    """How far a process is, by provider or stream; what changes without any payload is left out."""
    parts = {**stats.get("providers", {}), **stats.get("streams", {})}
    return [(key, part.get("payloads"), part.get("records")) for key, part in sorted(parts.items())]


def _reach(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return
    try:
        with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 6379), timeout=5):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise RedisUnavailableError(f"no Redis at {parts.hostname}:{parts.port or 6379}: {reason}") from None
