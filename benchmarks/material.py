"""What kernel and SDK are measured on: recorded payloads where there are recordings, else synthesised ones, by schema."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tapeline import venues
from tapeline.cli.up.children import Child, spawn
from tapeline.ingest.v1.ingest_pb2 import SubscribeResponse
from tapeline.offline.feed import Feed
from tapeline.stream import StreamClient
from tapeline.venues import Venue

_MOST = 40_000
_LEAST = 100
_READY_SECONDS = 30.0

Payload = tuple[str, int, bytes]
"""Channel, receive time in ns, bytes."""


@dataclass(frozen=True, slots=True)
class Material:
    """A venue's payloads of one schema, in order."""

    venue: Venue
    schema: str
    source: str
    payloads: tuple[Payload, ...]

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return f"{self.venue.name} {self.schema} ({self.source})"


def gather(captures: Path | None) -> list[Material]:
    """Recorded where there is anything, else synthesised."""
    if captures is None:
        return synthesised(venues.names())
    return [material for name in venues.names() for material in recorded(captures, name)]


def recorded(captures: Path, name: str) -> list[Material]:
    """The capture of a venue that holds most of its channels' payloads, by schema."""
    venue = venues.load(name)
    best: dict[str, list[Payload]] = {}
    for path in sorted((captures / name).glob("*.jsonl*")):
        found = _by_schema(Feed(venue, "PRIMARY").capture(path))
        if sum(map(len, found.values())) > sum(map(len, best.values())):
            best = found
    return _materials(venue, "recorded", best)


def synthesised(names: list[str]) -> list[Material]:
    """A second or so of the emulator's own markets, taken off a session manager."""
    return asyncio.run(_synthesised(names))


async def _synthesised(names: list[str]) -> list[Material]:
    children: list[Child] = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        try:
            children.append(spawn("emulator", "emulator", ["--venues", ",".join(names), "--rate", "50000"], home))
            ready = children[0].await_ready(_READY_SECONDS)
            (home / "channels.json").write_text(json.dumps(ready["channels"]))
            base = f"http://127.0.0.1:{ready['port']}"
            flags = ["--venues", ",".join(names), "--endpoint-base", base, "--channels", str(home / "channels.json")]
            children.append(spawn("session_manager", "session_manager", flags, home))
            port = children[1].await_ready(_READY_SECONDS)["port"]
            async with StreamClient(f"127.0.0.1:{port}") as client:
                return [material for name in names for material in await _taken(client, name)]
        finally:
            for child in children:
                child.kill()


async def _taken(client: StreamClient, name: str) -> list[Material]:
    venue = venues.load(name)
    responses: list[bytes] = []
    async with asyncio.timeout(_READY_SECONDS):
        async for response in client.subscribe(venue.provider, "benchmarks", None):
            responses.append(response)
            if sum(map(len, responses)) > 8 << 20:
                break
    return _materials(venue, "synthesised", _by_schema(responses))


def _materials(venue: Venue, source: str, found: dict[str, list[Payload]]) -> list[Material]:
    kept = {schema: rows for schema, rows in found.items() if len(rows) >= _LEAST}
    return [Material(venue, schema, source, tuple(rows[:_MOST])) for schema, rows in sorted(kept.items())]


def _by_schema(responses: Iterable[bytes]) -> dict[str, list[Payload]]:
    rows: dict[str, list[Payload]] = defaultdict(list)
    for response in responses:
        batch = SubscribeResponse.FromString(response).batch
        for payload in batch.payloads:
            channel = batch.channels[payload.channel]
            if channel.schema not in ("", "DEFINITION", "STATUS"):
                rows[channel.schema].append((channel.name, payload.ts_recv, payload.data))
    return rows
