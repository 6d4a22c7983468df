"""Two instances' payloads of a channel, coalesced at the pace that tens of millions need.

Where both have the same payloads one after the other, `coalesce` gives just these; what differs between two such stretches is
left to `coalesce` itself.
"""

from __future__ import annotations

import binascii
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from tapeline.objectstore import ObjectStore
from tapeline.partitions import parse_key
from tapeline.rawfile import RawRow
from tests.oracle.coalesce import coalesce

_CHUNK = 4096
_SURE = 32
"""So many equal payloads in a row are a common stretch."""


@dataclass(slots=True)
class Side:
    """One instance's payloads of a channel, each once, in order of epoch and sequence."""

    payloads: list[bytes] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    connections: list[int] = field(default_factory=list)
    keys: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    sequences: dict[int, list[int]] = field(default_factory=dict)
    """By epoch, of every row there is."""

    def row(self, place: int) -> RawRow:
        """A payload as a row whose sequence is its place."""
        return RawRow(0, place, self.connections[place], self.times[place], self.payloads[place])


def read(store: ObjectStore, keys: list[str]) -> Side:
    """All rows of some objects; `sequences` has those too that come twice."""
    side = Side()
    last = (-1, -1)
    for key in keys:
        epoch = parse_key(key).epoch
        rows = [line.split(b"\t", 5) for line in isal_zlib.decompress(store.get(key), wbits=31).split(b"\n")[:-1]]
        numbers = [int(row[1]) for row in rows]
        side.sequences.setdefault(epoch, []).extend(numbers)
        if (epoch, numbers[0]) <= last:
            kept = [place for place, number in enumerate(numbers) if (epoch, number) > last]
            rows, numbers = [rows[place] for place in kept], [numbers[place] for place in kept]
        if not rows:
            continue
        last = (epoch, numbers[-1])
        side.payloads += [row[5] if row[4] == b"text" else binascii.a2b_base64(row[5]) for row in rows]
        side.times += [int(row[3]) for row in rows]
        side.connections += [int(row[2]) for row in rows]
    crcs = np.fromiter(map(zlib.crc32, side.payloads), np.uint64, len(side.payloads))
    sizes = np.fromiter(map(len, side.payloads), np.uint64, len(side.payloads))
    side.keys = crcs << np.uint64(32) | sizes
    return side


def coalesced(one: Side, two: Side) -> Iterator[tuple[Side, int, bool]]:
    """Every payload once: whose row it is, its place there, and whether both have it."""
    i = j = 0
    while i < len(one.keys) or j < len(two.keys):
        same = _same(one.keys[i:], two.keys[j:])
        for place in range(i, i + same):
            yield one, place, True
        i, j = i + same, j + same
        a, b = _meet(one.keys[i:], two.keys[j:])
        if a or b:
            firsts = (one.row(place) for place in range(i, i + a))
            seconds = (two.row(place) for place in range(j, j + b))
            for merged in coalesce(firsts, seconds):
                yield (one if merged.first else two), merged.row.sequence, merged.both
        i, j = i + a, j + b


def _same(one: npt.NDArray[np.uint64], two: npt.NDArray[np.uint64]) -> int:
    """How many at the beginning are the same."""
    most = min(len(one), len(two))
    for start in range(0, most, _CHUNK):
        end = min(start + _CHUNK, most)
        different = np.flatnonzero(one[start:end] != two[start:end])
        if len(different):
            return start + int(different[0])
    return most


def _meet(one: npt.NDArray[np.uint64], two: npt.NDArray[np.uint64]) -> tuple[int, int]:
    """Where the next common stretch begins in both; the ends where there is none."""
    reach = 1000
    while True:
        ahead = {key: place for place, key in reversed(list(enumerate(two[:reach].tolist())))}
        for place, key in enumerate(one[:reach].tolist()):
            other = ahead.get(key)
            if other is not None and _same(one[place : place + _SURE], two[other : other + _SURE]) == _SURE:
                return place, other
        if reach >= max(len(one), len(two)):
            return len(one), len(two)
        reach *= 4
