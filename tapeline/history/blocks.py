"""Records with the channel and the time of each, in the order in which they were published: what canonical and raw history become."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tapeline.offline.tables import KINDS
from tapeline.schemas import Schema

SCHEMAS = tuple(Schema)
PLACES = {schema: place for place, schema in enumerate(SCHEMAS)}
"""Schemas as small numbers."""

DTYPES = tuple({kind.schema: kind.dtype for kind in KINDS.values()}[schema] for schema in SCHEMAS)
"""Records by place of their schema."""

OPAQUE = tuple(np.dtype(f"V{dtype.itemsize}") for dtype in DTYPES)
"""The same as what numpy moves quickly: it copies records with fields one field at a time."""

Integers = npt.NDArray[np.int64]
Records = npt.NDArray[np.void]
"""Whole records of one schema, as OPAQUE unless said otherwise."""


@dataclass(slots=True)
class Block:
    """Some records of one stream; the arrays run over all of them, `records` over those of each schema."""

    when: Integers
    """When each was there to be published: the newest time of receipt so far, so that it never falls. ns."""
    payload: Integers
    """A number that changes from one payload to the next."""
    channel: npt.NDArray[np.int32]
    schema: npt.NDArray[np.uint8]
    """By place in SCHEMAS."""
    records: dict[int, Records]

    def __len__(self) -> int:
        return len(self.when)

    def cut(self, at: int) -> tuple[Block, Block]:
        """What comes before a place, and the rest."""
        first = Block(self.when[:at], self.payload[:at], self.channel[:at], self.schema[:at], {})
        rest = Block(self.when[at:], self.payload[at:], self.channel[at:], self.schema[at:], {})
        for place, records in self.records.items():
            count = int(np.count_nonzero(first.schema == place))
            first.records[place], rest.records[place] = records[:count], records[count:]
        return first, rest

    def only(self, channels: npt.NDArray[np.bool_]) -> Block:
        """The records of those channels for whose numbers it holds."""
        kept = channels[self.channel]
        if kept.all():
            return self
        records = {place: records[kept[self.schema == place]] for place, records in self.records.items()}
        return Block(self.when[kept], self.payload[kept], self.channel[kept], self.schema[kept], records)


def joined(blocks: list[Block]) -> Block:
    """Blocks of one stream that follow one another as one."""
    if len(blocks) == 1:
        return blocks[0]
    places = sorted({place for block in blocks for place in block.records})
    return Block(
        np.concatenate([block.when for block in blocks]),
        np.concatenate([block.payload for block in blocks]),
        np.concatenate([block.channel for block in blocks]),
        np.concatenate([block.schema for block in blocks]),
        {p: np.concatenate([block.records[p] for block in blocks if p in block.records]) for p in places},
    )


def timed(stamps: Integers, newest: int, payloads: int) -> tuple[Integers, Integers]:
    """`when` and `payload` of records by their times of receipt; `newest` and `payloads` are those of the records before."""
    when = np.maximum.accumulate(np.maximum(stamps, newest))
    changes = np.empty(len(stamps), dtype=np.int64)
    changes[:1] = 1
    np.not_equal(stamps[1:], stamps[:-1], out=changes[1:], casting="unsafe")
    return when, np.cumsum(changes) + payloads


def side_by_side(streams: Iterable[Iterator[Block]]) -> Iterator[list[Block]]:
    """Streams beside one another by `when`: lists of blocks, of which each is over before the next one begins.

    Holds one block of each stream, however far one is behind another.
    """
    waiting = [(first, stream) for stream in streams if (first := _next(stream)) is not None]
    while waiting:
        horizon = min(int(block.when[-1]) for block, _ in waiting)
        given: list[Block] = []
        left: list[tuple[Block, Iterator[Block]]] = []
        for block, stream in waiting:
            ready, rest = block.cut(int(np.searchsorted(block.when, horizon, side="right")))
            if len(ready):
                given.append(ready)
            following = rest if len(rest) else _next(stream)
            if following is not None:
                left.append((following, stream))
        waiting = left
        yield given


def _next(stream: Iterator[Block]) -> Block | None:
    return next((block for block in stream if len(block)), None)
