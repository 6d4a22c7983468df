"""Which shards of a version each channel concerns: looked up before the shards are made, each unit looking at some channels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from tapeline_kernel import Normalizer

from postprocess.batches import Stream
from postprocess.executor.base import Executor
from postprocess.raw import Channel
from postprocess.units import LOOK, MAKE, Report, Unit, failure
from tapeline.objectstore import ObjectMissingError
from tapeline.offline.lake import Lake

_LIMIT_BYTES = 4 << 20


def run_in_steps(executor: Executor, units: Sequence[Unit]) -> Iterator[Report]:
    """Runs units, the shards of a version when it is known which channels are whose; reports of `MAKE` only."""
    shared = [unit for unit in units if unit.shards > 1]
    looking = {unit.work: unit for unit in shared}.values()
    first = [msgspec.structs.replace(unit, step=LOOK, shard=k) for unit in looking for k in range(unit.shards)]
    failed: dict[str, str] = {}
    begun = [*first, *(unit for unit in units if unit.shards == 1)]
    for report in executor.run(begun) if begun else ():
        if report.unit.step == MAKE:
            yield report
        elif report.failed:
            failed[report.unit.work] = report.problems[-1].reason
    for unit in shared:
        if unit.work in failed:
            yield failure(unit, failed[unit.work])
    if rest := [unit for unit in shared if unit.work not in failed]:
        yield from executor.run(rest)


def look(kernel: Normalizer, streams: Iterable[tuple[Channel, Stream]], shards: int) -> dict[str, int]:
    """Which shards each channel concerns, a bit each, by `label`."""
    found: dict[str, int] = defaultdict(int)
    for channel, stream in streams:
        while (batch := stream.take(_LIMIT_BYTES)) is not None:
            touched = kernel.touched(
                [(channel.name, channel.schema)],
                bytes(4 * len(batch)),
                batch.ts_recv.tobytes(),
                batch.connection.tobytes(),
                batch.place.tobytes(),
                batch.chunks,
                shards,
            )
            found[label(channel)] |= touched.get(0, 0)
    return dict(found)


def label(channel: Channel) -> str:
    """A channel in what units write down for one another."""
    return f"{channel.schema} {channel.name}"


def looked_key(unit: Unit) -> str:
    """Where what a unit has seen stands in the lake."""
    return f"{unit.work}/channels-{unit.shard:04d}.json"


def looked(lake: Lake, unit: Unit) -> dict[str, int] | None:
    """What a unit has seen; None where it has not looked."""
    try:
        return msgspec.json.decode(lake.store.get(looked_key(unit)), type=dict[str, int])
    except (ObjectMissingError, msgspec.DecodeError):
        return None


def concerned(lake: Lake, unit: Unit) -> dict[str, int]:
    """By `label`, which shards of the unit's version each channel concerns; raises msgspec.DecodeError."""
    found: dict[str, int] = {}
    for shard in range(unit.shards):
        key = looked_key(msgspec.structs.replace(unit, shard=shard))
        found |= msgspec.json.decode(lake.store.get(key), type=dict[str, int])
    return found
