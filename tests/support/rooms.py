"""The real rooms as real processes, for tests that kill them."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tapeline.cli.up.children import Child, spawn
from tapeline.redis_server import RunningRedis, start_redis
from tapeline.venues import provider

READY_SECONDS = 30.0


async def until(condition: Callable[[], object], seconds: float = 40.0, what: str = "") -> None:
    """Waits for a condition; fails where it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what or condition}"
        await asyncio.sleep(0.02)


class Rooms:
    """Emulator, session manager, normalizer, batch processor and Redis of one test."""

    def __init__(self, folder: Path, venues: str) -> None:
        self.folder = folder
        self.venues = venues
        self.store = folder / "store"
        self.children: list[Child] = []
        self.redis: RunningRedis = start_redis(folder / "redis")
        self.source = ""
        self._runs = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in reversed(self.children):
            child.kill()
        self.redis.close()
        if error is not None:
            for child in self.children:
                tail = child.log.read_text(errors="replace")[-1500:]
                print(f"--- {child.name}: {json.dumps(child.stats)[:1500]}\n{tail}", file=sys.stderr)

    async def start(self, name: str, *arguments: str, **environment: str) -> Child:
        """Starts a room and waits until it is ready."""
        import os

        self._runs += 1
        child = spawn(f"{name}-{self._runs}", name, arguments, self.folder / "logs", {**os.environ, **environment})
        self.children.append(child)
        await until(lambda: child.ready is not None or child.ended, READY_SECONDS, f"{name} ready")
        assert not child.ended, child.why()
        return child

    async def start_source(self, *emulator: str, ring_bytes: int = 512 << 20) -> tuple[Child, Child]:
        """Starts the emulator and the session manager that follows it."""
        server = await self.start("emulator", "--venues", self.venues, *emulator)
        ready = server.ready or {}
        channels = self.folder / "channels.json"
        channels.write_text(json.dumps(ready["channels"]))
        manager = await self.start(
            "session_manager", "--venues", self.venues, "--endpoint-base", f"http://127.0.0.1:{ready['port']}",
            "--channels", str(channels), "--ring-bytes", str(ring_bytes),
        )  # fmt: skip
        self.source = f"127.0.0.1:{(manager.ready or {})['port']}"
        return server, manager

    async def start_normalizer(self, **environment: str) -> Child:
        """Starts a normalizer on the session manager."""
        return await self.start(
            "normalizer", "--venues", self.venues, "--source", self.source, "--redis", self.redis.url, **environment
        )

    async def start_batch_processor(self, *flags: str) -> Child:
        """Starts a batch processor on the session manager."""
        return await self.start(
            "batch_processor", "--venues", self.venues, "--source", self.source, "--store", str(self.store), *flags
        )

    def told(self, child: Child, venue: str) -> dict[str, Any]:
        """What a room last said of a venue."""
        found: dict[str, Any] = child.stats.get("providers", {}).get(provider(venue), {})
        return found
