"""Records as they are published: a message for each channel and moment, of whole venue messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tapeline.history.blocks import Block, Integers, Records

MESSAGE_BYTES = 64 << 10
"""Messages above this size are cut, between payloads, as live ones are."""


class Run(NamedTuple):
    """Some records of one schema (by place in SCHEMAS): those of `records` from `start` to `end`, each channel's in order."""

    place: int
    channels: npt.NDArray[np.int32]
    records: Records
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Moment:
    """What is published at one time."""

    due: int
    """When the last of its records was there, ns: it is not published before."""
    messages: list[tuple[int, memoryview]]
    """Channels and whole records, in the order in which their first records came."""
    runs: list[Run]
    """The same records by schema."""


@dataclass(slots=True)
class _Sorted:
    """A block's records of one schema, by moment and channel."""

    place: int
    channels: npt.NDArray[np.int32]
    records: Records
    data: memoryview
    starts: Integers
    """Where messages begin, and behind them the end."""
    moment: Integers
    """Of each message, by number."""
    first: Integers
    """Of each message the place in the block of its first record."""
    newest: Integers
    """Of each message when the last of its records was there."""


def moments(blocks: list[Block], length_ns: int) -> Iterator[Moment]:
    """Blocks that stand side by side as moments of at most `length_ns`, in order; nothing of a payload's channel is torn apart."""
    found = [one for number, block in enumerate(blocks) for one in _schemas(block, length_ns)]
    if not found:
        return
    source = np.concatenate([np.full(len(one.moment), number) for number, one in enumerate(found)])
    number = np.concatenate([np.arange(len(one.moment)) for one in found])
    moment = np.concatenate([one.moment for one in found])
    newest = np.concatenate([one.newest for one in found])
    order = np.lexsort((np.concatenate([one.first for one in found]), moment))
    source, number, moment, newest = source[order], number[order], moment[order], newest[order]
    starts = np.flatnonzero(np.append(True, moment[1:] != moment[:-1]))
    ends = np.append(starts[1:], len(moment))
    edges = [_edges(one) for one in found]
    dues = np.maximum.reduceat(newest, starts).tolist()
    sources, numbers, ids = source.tolist(), number.tolist(), moment[starts].tolist()
    cuts = [(one.starts.tolist(), one.channels[one.starts[:-1]].tolist(), one.records.dtype.itemsize) for one in found]
    for at, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        messages = []
        for which, one in zip(sources[start:end], numbers[start:end], strict=True):
            places, channels, size = cuts[which]
            data = found[which].data[places[one] * size : places[one + 1] * size]
            messages.append((channels[one], data))
        runs = []
        for one_schema, edge in zip(found, edges, strict=True):
            if (piece := edge.get(ids[at])) is not None:
                runs.append(Run(one_schema.place, one_schema.channels, one_schema.records, *piece))
        yield Moment(dues[at], messages, runs)


def _edges(one: _Sorted) -> dict[int, tuple[int, int]]:
    """Where each moment's records begin and end."""
    begins = np.flatnonzero(np.append(True, one.moment[1:] != one.moment[:-1]))
    places = one.starts[begins].tolist()
    return dict(
        zip(one.moment[begins].tolist(), zip(places, [*places[1:], len(one.records)], strict=True), strict=True)
    )


def _schemas(block: Block, length_ns: int) -> Iterator[_Sorted]:
    for place, records in block.records.items():
        if len(records):
            yield _sorted(block, place, records, length_ns)


def _sorted(block: Block, place: int, records: Records, length_ns: int) -> _Sorted:
    here = np.flatnonzero(block.schema == place)
    channel, when, payload = block.channel[here], block.when[here], block.payload[here]
    moment = when // length_ns
    order = np.lexsort((channel, moment))
    channel, moment, payload = channel[order], moment[order], payload[order]
    records = records[order]
    size = records.dtype.itemsize
    begins = np.append(True, (channel[1:] != channel[:-1]) | (moment[1:] != moment[:-1]))
    starts = np.append(np.flatnonzero(begins), len(records))
    starts = _cut(starts, payload, size)
    return _Sorted(
        place,
        channel,
        records,
        memoryview(records.tobytes()),
        starts,
        moment[starts[:-1]],
        here[order[starts[:-1]]],
        when[order[starts[1:] - 1]],
    )


def _cut(starts: Integers, payload: Integers, size: int) -> Integers:
    """Cuts what is larger than a message should be where a payload ends."""
    large = np.flatnonzero(np.diff(starts) * size > MESSAGE_BYTES)
    if not len(large):
        return starts
    more: list[int] = []
    for at in large.tolist():
        start, end = int(starts[at]), int(starts[at + 1])
        begins = np.flatnonzero(payload[start + 1 : end] != payload[start : end - 1]) + start + 1
        for begin in begins.tolist():
            if (begin - start) * size >= MESSAGE_BYTES:
                more.append(begin)
                start = begin
    return np.sort(np.append(starts, np.array(more, dtype=np.int64)))
