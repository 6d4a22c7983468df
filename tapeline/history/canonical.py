"""Canonical history: the records of a version's DBN files, with their channels from its index."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import zstandard

from tapeline.history.blocks import OPAQUE, PLACES, SCHEMAS, Block, Records, joined, timed
from tapeline.history.lake_files import LakeFiles
from tapeline.offline.channel_index import ChannelIndex, IndexedChannel
from tapeline.offline.lake import LakeError, Manifest
from tapeline.schemas import Schema

ROWS = 1 << 16
"""Records that are read at a time, of all schemas together."""

_HEAD = 8


@dataclass(frozen=True, slots=True)
class Part:
    """The files of one unit of a version, which are one stream."""

    name: str
    index: str
    """The key of its index."""
    dbn: Mapping[Schema, Sequence[str]]
    """Keys in order, by schema."""


def parts(manifest: Manifest) -> list[Part]:
    """The units of a version; raises LakeError where it has no index."""
    shards = {shard_of(file.key): file.key for file in manifest.index}
    found: dict[str, dict[Schema, list[str]]] = {shard: {} for shard in shards}
    for name, files in manifest.dbn.items():
        schema = next(schema for schema in SCHEMAS if schema.dbn == name)
        for key in sorted(file.key for file in files):
            if shard_of(key) not in shards:
                raise LakeError(
                    f"{manifest.day} {manifest.provider} version {manifest.version} does not say on which channels its"
                    f" records were: it was made before there was an index; `tapeline backfill` makes it anew"
                )
            found[shard_of(key)].setdefault(schema, []).append(key)
    label = f"{manifest.day} {manifest.provider} version {manifest.version}"
    return [Part(f"{label} shard {shard}", key, found[shard]) for shard, key in sorted(shards.items())]


def shard_of(key: str) -> str:
    """The shard that a file of a version is of, by its name."""
    return key.rpartition("/")[2].partition("-")[0]


def listed(files: LakeFiles, part: Part) -> list[IndexedChannel]:
    """The channels of a unit."""
    with files.open(part.index) as file:
        return ChannelIndex(file, part.index).channels


def stream(files: LakeFiles, part: Part, numbers: npt.NDArray[np.int32]) -> Generator[Block]:
    """A unit's records of those channels that have a number in `numbers` (-1: left out); blocks end with a payload.

    Raises LakeError where its files do not belong together.
    """
    with ExitStack() as stack:
        index = ChannelIndex(stack.enter_context(files.open(part.index)), part.index)
        schemas = np.array([PLACES[schema] for schema in index.schemas()], dtype=np.uint8)
        wanted = {int(place) for place in np.unique(schemas[numbers >= 0])}
        sources = {}
        for place in sorted(wanted):
            source = _Source(files, part.dbn.get(SCHEMAS[place], ()), OPAQUE[place])
            stack.callback(source.close)
            sources[place] = source
        yield from _blocks(index, schemas, numbers, sources)
        for source in sources.values():
            source.end()


def _blocks(
    index: ChannelIndex,
    schemas: npt.NDArray[np.uint8],
    numbers: npt.NDArray[np.int32],
    sources: dict[int, _Source],
) -> Iterator[Block]:
    newest = payloads = 0
    last = 0
    held: list[Block] = []
    for channels, stamps in index.blocks(ROWS):
        # The first record here may belong to the payload that was cut off before.
        goes_on = bool(payloads) and int(stamps[0]) == last
        when, payload = timed(stamps, newest, payloads - goes_on)
        newest, payloads, last = int(when[-1]), int(payload[-1]), int(stamps[-1])
        places = schemas[channels]
        global_numbers = numbers[channels]
        kept = global_numbers >= 0
        records = {}
        for place, source in sources.items():
            here = places == place
            records[place] = source.take(int(np.count_nonzero(here)))[kept[here]]
        block = Block(when[kept], payload[kept], global_numbers[kept], places[kept], records)
        ready, rest = block.cut(int(np.searchsorted(block.payload, payloads)))
        if len(ready):
            yield joined([*held, ready])
            held = []
        held.append(rest)
    if held:
        yield joined(held)


class _Source:
    """The records of one schema of a unit, one file after the other."""

    def __init__(self, files: LakeFiles, keys: Sequence[str], dtype: np.dtype[np.void]) -> None:
        self._files = files
        self._keys = list(keys)
        self._dtype = dtype
        self._key = ""
        self._file: pa.NativeFile | None = None
        self._plain: zstandard.ZstdDecompressionReader | None = None

    def take(self, count: int) -> Records:
        """The next records; raises LakeError where there are fewer."""
        size = count * self._dtype.itemsize
        data = bytearray()
        while len(data) < size:
            piece = self._read(size - len(data))
            if not piece and not self._next():
                raise LakeError(f"{self._key or 'a DBN file'} has fewer records than its index tells of")
            data += piece
        return np.frombuffer(data, dtype=self._dtype)

    def end(self) -> None:
        """All has been taken; raises LakeError where there is more."""
        if self._read(1) or self._next():
            raise LakeError(f"{self._key} has more records than its index tells of")

    def close(self) -> None:
        """Lets go of the file at work."""
        if self._file is not None:
            self._file.close()
        self._file = self._plain = None

    def _read(self, size: int) -> bytes:
        if self._plain is None:
            return b""
        try:
            return self._plain.read(size)
        except zstandard.ZstdError as error:
            raise LakeError(f"{self._key} is no whole zstd file: {error}") from None

    def _next(self) -> bool:
        self.close()
        if not self._keys:
            return False
        self._key = self._keys.pop(0)
        self._file = self._files.open(self._key)
        self._plain = zstandard.ZstdDecompressor().stream_reader(self._file, read_across_frames=True)
        head = self._read(_HEAD)
        length = int.from_bytes(head[4:], "little")
        if len(head) < _HEAD or head[:3] != b"DBN" or len(self._read(length)) < length:
            raise LakeError(f"{self._key} is no DBN file")
        return True
