"""Raw history: the payloads as they came, through the kernel again, on the channels on which the canonical records were."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator
from datetime import date

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tapeline_kernel import SIDECAR, Normalizer, Output

from tapeline.channels import INSTANCES, REPLAY, market_data
from tapeline.days import day_span
from tapeline.history.blocks import DTYPES, OPAQUE, PLACES, Block, Integers, Records, joined, timed
from tapeline.history.canonical import shard_of
from tapeline.history.choice import Channels, Choice
from tapeline.history.lake_files import LakeFiles
from tapeline.history.player import Streams
from tapeline.offline import standing
from tapeline.offline.lake import Manifest
from tapeline.offline.tables import RAW_PAYLOADS
from tapeline.schemas import Schema
from tapeline.spec.encode import encode
from tapeline.spec.merging import uncounted
from tapeline.venues import load

ROWS = 4096
"""Payloads that are normalized at a time."""

_SIDECAR = np.dtype(SIDECAR)
_SESSION = "_session"
_MERGED = INSTANCES[2]
_WORD = 8
_ALONE = "ordinal"
_BESIDE = "max(ts_recv) OVER (PARTITION BY shard ORDER BY ordinal), shard, ordinal"
"""Each shard numbers its own channels' payloads: they go side by side by time, none overtaking another of its shard."""


def raw_streams(files: LakeFiles, choice: Choice, memory_bytes: int) -> Streams:
    """A day's payloads, normalized, a stream for each provider; `memory_bytes` is what putting them in order may take."""
    return lambda day: [_stream(files, manifest, choice.channels, memory_bytes) for manifest in day.manifests]


def _stream(files: LakeFiles, manifest: Manifest, channels: Channels, memory_bytes: int) -> Generator[Block]:
    with tempfile.TemporaryDirectory(prefix="tapeline-") as spill, duckdb.connect() as connection:
        connection.execute(f"SET memory_limit = '{memory_bytes}B'")
        connection.execute("SET temp_directory = $1", [spill])
        keys = [file.key for file in manifest.tables.get(RAW_PAYLOADS.name, [])]
        if not keys:
            return
        shards = {shard: [key for key in keys if shard_of(key) == shard] for shard in sorted(map(shard_of, keys))}
        for number, mine in enumerate(shards.values()):
            connection.register(f"shard_{number}", files.rows(mine, RAW_PAYLOADS.columns))
        union = " UNION ALL ".join(f"SELECT {number} AS shard, * FROM shard_{number}" for number in range(len(shards)))
        connection.execute(f"CREATE VIEW payloads AS {union}")
        source = _Payloads(connection, _ALONE if len(shards) == 1 else _BESIDE)
        before = files.lake.standing(date.fromisoformat(manifest.day), manifest.provider, manifest.before)
        again = _Again(manifest, source, channels, before)
        held: list[Block] = []
        for block in again.blocks():
            ready, rest = block.cut(int(np.searchsorted(block.payload, again.payloads)))
            if len(ready):
                yield joined([*held, ready])
                held = []
            held.append(rest)
        if held:
            yield joined(held)


class _Payloads:
    """A version's raw payloads in the order in which they were normalized; DuckDB sorts, on disk where it must."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, order: str) -> None:
        self._connection = connection
        self._order = order
        rows = connection.execute("SELECT DISTINCT channel, schema FROM payloads ORDER BY ALL").fetchall()
        self.channels: list[tuple[str, str]] = [(str(channel), str(schema)) for channel, schema in rows]
        counted = "SELECT count(*) FILTER (seen_by = 'both'), list(DISTINCT instance) FROM payloads"
        ((both, instances),) = connection.execute(counted).fetchall()
        self.instance = _MERGED if both or len(instances) > 1 else str(instances[0])
        """Whose records they became."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Number of the channel, epoch, time of receipt, connection and payload; of a merged stream without the sessions' own."""
        self._connection.register("numbered", pa.table({
            "number": np.arange(len(self.channels), dtype=np.uint32),
            "channel": [channel for channel, _ in self.channels],
            "schema": [schema for _, schema in self.channels],
        }))  # fmt: skip
        kept = f"WHERE channel <> '{_SESSION}'" if self.instance == _MERGED else ""
        reader = self._connection.sql(
            f"SELECT number, raw_epoch, ts_recv, connection, payload FROM payloads JOIN numbered USING (channel, schema) {kept}"
            f" ORDER BY {self._order}"
        ).to_arrow_reader(ROWS)
        yield from reader


class _Again:
    """A provider's payloads through a kernel of their own, as the post-process sent them."""

    def __init__(self, manifest: Manifest, source: _Payloads, channels: Channels, states: list[bytes]) -> None:
        provider = manifest.provider
        venue = load(provider.lower())
        meaning = venue.meaning
        if source.instance == _MERGED:
            meaning = uncounted(meaning)
        self._kernel = Normalizer(encode(meaning), provider, source.instance, "dbn")
        self._provider = provider
        self._source = source
        self._channels = channels
        self._numbers: list[int] = []
        self._places: list[int] = []
        self._epoch = -1
        self._next = 1
        self._newest = 0
        self._last = 0
        self.payloads = 0
        """The number of the newest payload that gave a record."""
        self._told: Output | None = None
        place = standing.restore(self._kernel, source.instance, states)
        if place is not None:
            self._epoch, self._next = place[0], place[1] + 1
            self._told = self._kernel.retell(day_span(date.fromisoformat(manifest.day))[0])

    def blocks(self) -> Iterator[Block]:
        """Records of the channels that are wanted."""
        if self._told is not None and self._told.records:
            yield self._block(self._told, self._next, np.zeros(0, np.int64))
        for batch in self._source.batches():
            epochs = batch.column("raw_epoch").to_numpy()
            if self._source.instance == _MERGED:
                yield from self._normalized(batch, self._epoch if self._epoch >= 0 else int(epochs[0]))
                continue
            ends = [*(np.flatnonzero(np.diff(epochs)) + 1).tolist(), len(epochs)]
            start = 0
            for end in ends:
                yield from self._normalized(batch.slice(start, end - start), int(epochs[start]))
                start = end

    def _normalized(self, batch: pa.RecordBatch, epoch: int) -> Iterator[Block]:
        if epoch != self._epoch:
            self._epoch, self._next = epoch, 1
        first = self._next
        self._next += batch.num_rows
        stamps = batch.column("ts_recv").to_numpy()
        offsets, data = _bytes(batch.column("payload"))
        output = self._kernel.normalize_rows(
            epoch,
            first,
            self._source.channels,
            batch.column("number").to_numpy().astype(np.uint32).tobytes(),
            stamps.tobytes(),
            batch.column("connection").to_numpy().tobytes(),
            np.arange(batch.num_rows).tobytes(),
            [(offsets.tobytes(), data)],
        )
        if output.records:
            yield self._block(output, first, stamps)

    def _block(self, output: Output, first: int, stamps: Integers) -> Block:
        side = np.frombuffer(output.sidecar, dtype=_SIDECAR)
        for name, schema in self._kernel.channels()[len(self._numbers) :]:
            channel = market_data(REPLAY, Schema(schema), self._provider, name)
            self._numbers.append(self._channels.known(channel))
            self._places.append(PLACES[Schema(schema)])
        schema = np.array(self._places, dtype=np.uint8)[side["channel"]]
        number = np.array(self._numbers, dtype=np.int32)[side["channel"]]
        words = np.frombuffer(output.data, np.uint64)
        offsets = side["offset"].astype(np.int64) // _WORD
        times = np.zeros(len(side), dtype=np.int64)
        records: dict[int, Records] = {}
        for place in np.unique(schema).tolist():
            here = schema == place
            found = words[offsets[here][:, None] + np.arange(OPAQUE[place].itemsize // _WORD)].view(OPAQUE[place])
            records[place] = found.reshape(-1)[number[here] >= 0]
            if "ts_recv" in (DTYPES[place].names or ()):
                times[here] = found.reshape(-1).view(DTYPES[place])["ts_recv"].astype(np.int64)
            else:
                times[here] = stamps[np.maximum(side["sequence"][here].astype(np.int64) - first, 0)]
        # The first record here may belong to the payload before.
        goes_on = bool(self.payloads) and int(times[0]) == self._last
        when, payload = timed(times, self._newest, self.payloads - goes_on)
        self._newest, self._last, self.payloads = int(when[-1]), int(times[-1]), int(payload[-1])
        kept = number >= 0
        return Block(when[kept], payload[kept], number[kept], schema[kept], records)


def _bytes(column: pa.Array) -> tuple[Integers, memoryview]:
    """Where payloads begin and end, and the bytes they lie in."""
    whole = column.cast(pa.large_binary())
    _, offsets, data = whole.buffers()
    places: npt.NDArray[np.int64] = np.frombuffer(offsets, np.int64)[whole.offset : whole.offset + len(whole) + 1]
    return places, memoryview(data if data is not None else b"")
