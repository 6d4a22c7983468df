"""The processes of a soak: started, watched, hurt, started again, stopped in order."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import httpx

from tapeline.cli.up.children import Child, spawn
from tapeline.venues import provider
from tests.soak.options import Options
from tests.soak.schedule import PARTIES
from tests.support.redis_cluster import RedisCluster
from tests.support.s3_server import BUCKET, RunningS3, start_s3

READY_SECONDS = 60.0
_SAMPLE_SECONDS = 2.0
_NODE_TIMEOUT_MS = 5_000
"""A busy machine may let a node wait for seconds; one that is taken for dead loses what is between it and the others."""
_PUBLISH_BUFFER_BYTES = 512 << 20
"""For all venues of a process: a failover takes some ten seconds, in which nothing may be dropped."""
_WAIT_MS = 1_500
"""How long MERGED waits for the other instance: on a busy machine a process may not run for a second."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


class SoakError(Exception):
    """The pipeline did not do in time what it has to."""


def wait(condition: Callable[[], object], seconds: float, what: str) -> float:
    """Waits for a condition; how long it took. Raises SoakError."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > seconds:
            raise SoakError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)
    return time.monotonic() - start


class Rig:
    """Everything that runs; use as a context manager, which leaves no process behind."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.folder = options.folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ledger = self.folder / "ledger.rows"
        self.rooms: dict[str, Child] = {}
        self.ended: list[Child] = []
        self.memory: dict[str, list[tuple[float, int]]] = {}
        self.reconnects: dict[str, int] = {}
        self.venues = ",".join(options.venues)
        self._runs = 0
        self._arguments: dict[str, tuple[str, list[str]]] = {}
        self._done = threading.Event()
        self._sampler = threading.Thread(target=self._sample, name="memory", daemon=True)
        self.store: RunningS3 = start_s3(self.folder / "s3", volumes=200)
        try:
            self.cluster = RedisCluster(self.folder / "redis", _NODE_TIMEOUT_MS)
        except BaseException:
            self.store.close()
            raise
        buffer = {"TAPELINE_PUBLISH_BUFFER_BYTES": str(_PUBLISH_BUFFER_BYTES)}
        self.environment = {**os.environ, **self.store.environment(), **buffer}
        self.began = self.started_at = 0.0

    @property
    def store_url(self) -> str:
        """Where raw objects go."""
        return f"s3://{BUCKET}/soak"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for child in reversed(list(self.rooms.values())):
            child.process.send_signal(signal.SIGCONT) if not child.ended else None
            child.kill()
        self.cluster.close()
        self.store.close()

    # starting

    def start(self) -> None:
        """Starts whoever receives before whoever sends."""
        options, redis = self.options, self.cluster.url
        self._start("listener", "tests.soak.listener", ["--redis", redis, "--out", str(self.folder / "merged")])
        self._start(
            "arbiter",
            "arbiter",
            [
                "--venues",
                self.venues,
                "--redis",
                redis,
                "--wait-ms",
                str(max(_WAIT_MS, options.linger_us * 20 // 1000)),
            ],
        )
        emulator = self._start("emulator", "emulator", [
            "--venues", self.venues, "--live", "--rate", str(options.rate), "--ledger", str(self.ledger),
            "--seconds", f"{options.seconds:g}",
        ])  # fmt: skip
        channels = self.folder / "channels.json"
        channels.write_text(json.dumps((emulator.ready or {})["channels"]))
        self.port = int((emulator.ready or {})["port"])
        self.began = time.monotonic()
        for party in PARTIES:
            manager = self._start(f"session_manager-{party}", "session_manager", [
                "--venues", self.venues, "--instance", party, "--channels", str(channels),
                "--endpoint-base", f"http://127.0.0.1:{self.port}/_as/{party}",
                "--ring-bytes", str(options.ring_bytes), "--linger-us", str(options.linger_us),
            ])  # fmt: skip
            source = f"127.0.0.1:{(manager.ready or {})['port']}"
            # Started again, it serves where its readers know it.
            self._arguments[f"session_manager-{party}"][1].extend(["--listen", source])
            readers = ["--venues", self.venues, "--instance", party, "--source", source]
            self._start(f"normalizer-{party}", "normalizer", [*readers, "--redis", redis])
            self._start(f"batch_processor-{party}", "batch_processor", [
                *readers, "--store", self.store_url, "--threshold-seconds", f"{options.threshold_seconds:g}",
            ])  # fmt: skip
        self.started_at = time.monotonic()
        self._sampler.start()

    def _start(self, name: str, module: str, arguments: list[str]) -> Child:
        self._arguments[name] = (module, arguments)
        return self.restart(name)

    def restart(self, name: str) -> Child:
        """Starts a process (anew) and waits until it is ready."""
        module, arguments = self._arguments[name]
        self._runs += 1
        child = spawn(f"{name}-{self._runs}", module, arguments, self.folder / "logs", self.environment)
        if name in self.rooms:
            self.ended.append(self.rooms[name])
        self.rooms[name] = child
        child.await_ready(READY_SECONDS)
        return child

    # what is so

    def told(self, room: str, venue: str) -> dict[str, Any]:
        """What a room last said of a venue."""
        found: dict[str, Any] = self.rooms[room].stats.get("providers", {}).get(provider(venue), {})
        return found

    def check(self) -> None:
        """Raises SoakError where a process has ended that should not."""
        for child in self.rooms.values():
            if child.ended:
                raise SoakError(child.why())

    def well(self, wanted: dict[tuple[str, str], tuple[int, int]]) -> list[str]:
        """Who is not up: by instance and venue, which connections, channels, snapshots or positions are wanting."""
        ill = []
        for (party, venue), (connections, channels) in wanted.items():
            manager = self.told(f"session_manager-{party}", venue)
            if manager.get("connections_up", 0) < connections or manager.get("channels_active", 0) < channels:
                ill.append(f"{party} {venue}: {manager.get('connections_up')} of {connections} connections, {manager.get('channels_active')} of {channels} channels")  # fmt: skip
            last = int(manager.get("last_sequence", 0))
            normalizer = self.told(f"normalizer-{party}", venue)
            if waiting := normalizer.get("books", {}).get("waiting"):
                ill.append(f"{party} {venue}: {waiting} books wait")
            for room in ("normalizer", "batch_processor"):
                behind = last - _sequence(self.told(f"{room}-{party}", venue).get("position", "0:0"))
                if behind > max(self.options.rate // len(self.options.venues), 100) * 2:
                    ill.append(f"{party} {venue}: {room} {behind} behind")
        return ill

    def up(self) -> dict[tuple[str, str], tuple[int, int]]:
        """How many connections and channels everybody has now."""
        return {
            (party, venue): (
                int(self.told(f"session_manager-{party}", venue).get("connections_up", 0)),
                int(self.told(f"session_manager-{party}", venue).get("channels_active", 0)),
            )
            for party in PARTIES
            for venue in self.options.venues
        }

    def fault(self, venue: str, **command: object) -> dict[str, Any]:
        """Tells the emulator to do something to a venue."""
        url = f"http://127.0.0.1:{self.port}/_tapeline/{venue}/fault"
        answer = httpx.post(url, json=command, timeout=10.0)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def _sample(self) -> None:
        while not self._done.wait(_SAMPLE_SECONDS):
            now = time.monotonic() - self.started_at
            for name, child in list(self.rooms.items()):
                try:
                    pages = int(Path(f"/proc/{child.process.pid}/statm").read_text().split()[1])
                except (OSError, IndexError):
                    continue
                self.memory.setdefault(f"{name} {child.process.pid}", []).append((now, pages * _PAGE))

    def cpu(self) -> dict[str, float]:
        """CPU seconds by process name, of all its runs."""
        found: dict[str, float] = {}
        for name, child in self.rooms.items():
            found[name] = child.cpu_now() or child.cpu_seconds
        for child in self.ended:
            name = child.name.rpartition("-")[0]
            found[name] = found.get(name, 0.0) + child.cpu_seconds
        ticks = os.sysconf("SC_CLK_TCK")
        for name, processes in (
            ("redis", [node.process for node in self.cluster.nodes]),
            ("object store", [self.store.process]),
        ):
            for process in processes:
                try:
                    words = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                found[name] = found.get(name, 0.0) + (int(words[11]) + int(words[12])) / ticks
        return found

    # the end

    def drain(self) -> None:
        """Waits until all that was sent has arrived everywhere."""
        wait(lambda: self.rooms["emulator"].done is not None, 60.0, "the emulator is done")
        quiet: tuple[object, float] = (None, 0.0)

        def still() -> bool:
            nonlocal quiet
            self.check()
            rooms = [name for name in self.rooms if name != "emulator"]
            moving = [
                (name, [part.get("payloads", part.get("messages")) for part in self.rooms[name].stats.get("providers", {}).values()])
                for name in rooms
            ] + [self.rooms["listener"].stats.get("records")]  # fmt: skip
            if moving != quiet[0]:
                quiet = (moving, time.monotonic())
            return time.monotonic() - quiet[1] > 3.0

        wait(still, 180.0, "everything has arrived")

    def stop(self) -> list[str]:
        """Stops all in the order in which payloads flow; what did not end well."""
        order = ["session_manager", "normalizer", "batch_processor", "arbiter", "listener", "emulator"]
        for prefix in order:
            chosen = [child for name, child in self.rooms.items() if name.startswith(prefix)]
            for child in chosen:
                child.ask_to_stop()
            for child in chosen:
                child.stop(40.0)
        self._done.set()
        return [child.why() for child in self.rooms.values() if child.process.returncode]


def _sequence(position: str) -> int:
    return int(str(position).partition(":")[2] or 0)
