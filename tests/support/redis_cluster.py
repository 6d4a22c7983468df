"""A real Redis cluster on loopback: three primaries, a replica each, formed without redis-cli."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from redis import Redis
from redis.exceptions import RedisError

from tapeline.redis_server import server_binary

_SLOTS = 16_384
_PRIMARIES = 3
_PATIENCE = 30.0
_NODE_TIMEOUT_MS = 1_500
"""Short, so that tests of failovers are quick. Links between nodes are given up after half of it, with what they hold."""


@dataclass(slots=True)
class Node:
    """One server of the cluster."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def redis(self) -> Redis:
        """A client of this node alone."""
        return Redis(port=self.port, socket_timeout=2)


class RedisCluster:
    """Six nodes; the first three begin as primaries."""

    def __init__(self, folder: Path, node_timeout_ms: int = _NODE_TIMEOUT_MS) -> None:
        self._folder = folder
        self._node_timeout_ms = node_timeout_ms
        self.nodes = [self._start(place) for place in range(2 * _PRIMARIES)]
        try:
            self._form()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """All nodes as seeds."""
        return "redis://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes) + "/0"

    def owner(self, key: str) -> Node:
        """The node that holds a key now."""
        redis = _any(self.nodes)
        slot = int(_ask(redis, "CLUSTER KEYSLOT", key))
        for (first, last), port in _owners(redis):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise AssertionError(f"no node holds slot {slot}")

    def kill(self, node: Node) -> None:
        """Ends a node's process at once."""
        node.process.kill()
        node.process.wait()

    def revive(self, node: Node) -> None:
        """Starts a killed node again: it comes back as a replica of whoever has its slots now."""
        place = self.nodes.index(node)
        node.process = self._spawn(place, node.port)
        _until(lambda: _answers(node) and _linked(node), "the node is a replica")

    def wait_until_whole(self) -> None:
        """Waits until the living nodes agree that every slot is served, by a node that lives."""
        living = [node for node in self.nodes if node.process.poll() is None]
        ports = {node.port for node in living}
        _until(lambda: all(_state_ok(node) and _served_by(node, ports) for node in living), "the cluster is whole")

    def close(self) -> None:
        """Ends all nodes."""
        for node in self.nodes:
            if node.process.poll() is None:
                self.kill(node)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self, place: int) -> Node:
        folder = self._folder / f"node{place}"
        folder.mkdir(parents=True)
        for _ in range(20):
            port = _free_port()
            node = Node(port, self._spawn(place, port))
            if _answers(node):
                return node
            self.kill(node)
        raise AssertionError("no cluster node starts")

    def _spawn(self, place: int, port: int) -> subprocess.Popen[bytes]:
        folder = self._folder / f"node{place}"
        return subprocess.Popen(
            [
                server_binary(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
                "--logfile", str(folder / "redis.log"), "--save", "", "--appendonly", "no",
                "--cluster-enabled", "yes", "--cluster-node-timeout", str(self._node_timeout_ms),
                # Without it a killed primary is not replaced: its replica never had a whole copy.
                "--repl-diskless-sync-delay", "0",
                "--client-output-buffer-limit", "pubsub", "512mb", "256mb", "60",
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def _form(self) -> None:
        primaries, replicas = self.nodes[:_PRIMARIES], self.nodes[_PRIMARIES:]
        share = _SLOTS // _PRIMARIES
        for place, node in enumerate(primaries):
            last = _SLOTS - 1 if place == _PRIMARIES - 1 else (place + 1) * share - 1
            _ask(node.redis, "CLUSTER", "ADDSLOTSRANGE", place * share, last)
        for place, node in enumerate(self.nodes):
            _ask(node.redis, "CLUSTER", "SET-CONFIG-EPOCH", place + 1)
        for node in self.nodes[1:]:
            _ask(node.redis, "CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        _until(lambda: all(len(_known(node)) == len(self.nodes) for node in self.nodes), "all nodes know each other")
        for node, primary in zip(replicas, primaries, strict=True):
            name = _ask(primary.redis, "CLUSTER", "MYID").decode()
            _until(lambda node=node, name=name: name in _known(node), "a replica knows its primary")  # type: ignore[misc]
            _ask(node.redis, "CLUSTER", "REPLICATE", name)
        self.wait_until_whole()
        _until(lambda: all(_linked(node) for node in replicas), "the replicas have their copies")


def _known(node: Node) -> set[str]:
    nodes: dict[str, dict[str, str]] = _ask(node.redis, "CLUSTER NODES")
    return {told["node_id"] for told in nodes.values()}


def _state_ok(node: Node) -> bool:
    try:
        told: dict[str, str] = _ask(node.redis, "CLUSTER INFO")
    except (RedisError, OSError):
        return False
    return told["cluster_state"] == "ok"


def _served_by(node: Node, ports: set[int]) -> bool:
    return all(port in ports for _, port in _owners(node.redis))


def _owners(redis: Redis) -> list[tuple[tuple[int, int], int]]:
    return [((first, last), int(primary[1])) for first, last, primary, *_ in _ask(redis, "CLUSTER SLOTS")]


def _ask(redis: Redis, *words: str | int) -> Any:
    return redis.execute_command(*words)  # type: ignore[no-untyped-call]


def _linked(node: Node) -> bool:
    return bool(node.redis.info("replication").get("master_link_status") == "up")


def _answers(node: Node) -> bool:
    end = time.monotonic() + 10.0
    while time.monotonic() < end and node.process.poll() is None:
        try:
            return bool(node.redis.info("server")["process_id"] == node.process.pid)
        except (RedisError, OSError):
            time.sleep(0.02)
    return False


def _any(nodes: list[Node]) -> Redis:
    return next(node for node in nodes if node.process.poll() is None).redis


def _until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not in {_PATIENCE:g} s: {what}")
        time.sleep(0.05)


def _free_port() -> int:
    """A free port whose bus port (10,000 above it) can exist too."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port < 55_000:
            return port
