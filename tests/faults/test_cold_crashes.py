"""The batch processor is killed at every step from a payload to its acknowledgement, by fault points, not by luck.

A real session manager's ring feeds real processes; each dies at its point, and the next goes on where the store says.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from batch_processor.gaps import Gap
from tapeline.cli.up.children import Child, spawn
from tapeline.objectstore import ObjectStore, open_store
from tests.faults.test_killed_rooms import VENUE, sequence
from tests.support.rooms import Rooms, until
from tests.support.stored import stored_payloads

pytestmark = pytest.mark.timeout(240)

PROVIDER = VENUE.upper()
BEFORE = ("start:asked", "start:put", "compress", "compressed")
LOCAL = ("asked", "half", "written", "linked", "put")
S3 = ("asked", "half", "sent", "put")
BOUNDS = itertools.cycle(("100000000", "300000", "60000"))
"""Bytes between cuts: each process cuts in other places than the one before, as after a change of settings."""


class Crashes:
    """Processes that die one after another, on one store."""

    def __init__(self, rooms: Rooms, store: str) -> None:
        self.rooms = rooms
        self.store = store
        self._runs = 0

    def flags(self) -> list[str]:
        """A batch processor's."""
        source = ["--venues", VENUE, "--source", self.rooms.source, "--store", self.store]
        return [*source, "--threshold-seconds", "0.25", "--max-bytes", next(BOUNDS)]

    async def die(self, point: str, count: int) -> None:
        """Runs one that dies at the n-th time of a point, which it must come to."""
        self._runs += 1
        environment = {**os.environ, "DIE_AT": point, "DIE_COUNT": str(count)}
        name = f"dying-{self._runs}"
        child = spawn(
            name, "tests.support.dying_batch_processor", self.flags(), self.rooms.folder / "logs", environment
        )
        self.rooms.children.append(child)
        await until(lambda: child.ended, 60, f"death at {point}")
        assert child.process.returncode == -signal.SIGKILL, child.why()
        assert f"died at {point}" in child.log.read_text()

    async def live(self, manager: Child) -> int:
        """Ends the stream and runs one to its end; the last sequence it stored."""
        self.rooms.children[0].stop()
        last = 0
        while last != (last := await self.told_next(manager)):
            pass
        for _ in range(3):
            child = await self.rooms.start("batch_processor", *self.flags())
            await until(lambda: sequence(self.rooms.told(child, VENUE).get("position", "0:0")) >= last, 60, "the end")  # noqa: B023 - awaited at once
            child.stop()
            told = self.rooms.told(child, VENUE)
            if told["durable_position"] == told["position"]:
                assert told["store_trouble"] == ""
                return sequence(told["position"])
            # On a busy machine a slow store is not waited for when it is stopped; the next one goes on.
            assert "stopped_before_written" in child.log.read_text()
        pytest.fail("stopped three times before all was written")

    async def told_next(self, manager: Child) -> int:
        """The stream's last sequence, once the manager has told it anew."""
        told = manager.stats
        await until(lambda: manager.stats is not told)
        return int(self.rooms.told(manager, VENUE).get("last_sequence", 0))

    def gaps(self) -> list[Gap]:
        """All records, by epoch and bounds."""
        store: ObjectStore = open_store(self.store)
        return sorted(
            (msgspec.json.decode(store.get(key), type=Gap) for key in store.list("gaps/")), key=lambda gap: gap.first
        )


def place(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    """The URL of an empty store."""
    return str(request.getfixturevalue("s3_store")) if kind == "s3" else str(folder / "store")


@pytest.mark.parametrize(("kind", "steps"), [("local", LOCAL), ("s3", S3)])
async def test_killed_at_any_step_nothing_is_lost_and_nothing_is_there_twice(
    kind: str, steps: Sequence[str], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Before and after compressing, in every part of the put of an object and of the progress, and at the start."""
    points = [*BEFORE, *(f"{what}:{step}" for what in ("object", "progress") for step in steps)]
    async with Rooms(tmp_path, VENUE) as rooms:
        crashes = Crashes(rooms, place(kind, request, tmp_path))
        _, manager = await rooms.start_source("--rate", "4000")
        for number, point in enumerate(points):
            # At the start there is but one; else in the middle of a window's objects, or some windows on.
            await crashes.die(point, 1 if point.startswith("start") else 3 + number % 5)
        last = await crashes.live(manager)
        stored = [one.sequence for one in stored_payloads(crashes.store, PROVIDER)]
    assert stored == list(range(1, last + 1))
    assert last > 10_000
    assert crashes.gaps() == []


@pytest.mark.parametrize(("kind", "steps"), [("local", LOCAL), ("s3", S3)])
async def test_killed_at_a_gap_it_is_recorded_exactly_and_once(
    kind: str, steps: Sequence[str], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The ring moves on while nobody follows: what is stored and what is missing are every sequence, once."""
    async with Rooms(tmp_path, VENUE) as rooms:
        crashes = Crashes(rooms, place(kind, request, tmp_path))
        _, manager = await rooms.start_source("--rate", "8000", ring_bytes=400_000)

        async def the_ring_moves_on() -> None:
            seen = await crashes.told_next(manager)
            while await crashes.told_next(manager) < seen + 5_000:
                pass

        # The first one comes late.
        await the_ring_moves_on()
        # Some objects of a window are put and its progress is not: they are beyond where the next process begins.
        await crashes.die("object:put", 25)
        for step in steps:
            await the_ring_moves_on()
            await crashes.die(f"gap:{step}", 1)
        await the_ring_moves_on()
        last = await crashes.live(manager)
        stored = [one.sequence for one in stored_payloads(crashes.store, PROVIDER)]
    gaps = crashes.gaps()
    missing = []
    for gap in gaps:
        held = {number for first, end in gap.held for number in range(first, end + 1)}
        lost = [number for number in range(gap.first, gap.last + 1) if number not in held]
        assert len(lost) == gap.missing
        missing += lost
    assert sorted(stored + missing) == list(range(1, last + 1))
    assert any(gap.held for gap in gaps)
    assert (gaps[0].first, gaps[0].reason, gaps[0].after_ts) == (1, "late", 0)
    assert {gap.reason for gap in gaps[1:]} == {"fell_out_of_ring"}
    assert gaps[-1].after_ts > gaps[0].after_ts
