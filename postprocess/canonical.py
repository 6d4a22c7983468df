"""The coalesced stream of one provider through the kernel of the live path, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tapeline_kernel import SIDECAR, Normalizer, Output

from postprocess.batches import NOTHING, Batch, Integers
from postprocess.codes import Codes, Texts, waiting
from postprocess.columns import Columns, Part
from postprocess.ledger.records import GapRecord
from postprocess.origins import Origin
from postprocess.parquet import PAYLOAD
from postprocess.raw import Channel
from tapeline.ingest.v1.ingest_pb2 import SubscribeResponse
from tapeline.offline import standing
from tapeline.offline.tables import RAW_PAYLOADS
from tapeline.spec.encode import encode
from tapeline.spec.merging import uncounted
from tapeline.venues import Venue

BATCH_PAYLOADS = 32_768
MERGED = "MERGED"
SESSION_CHANNEL = "_session"
BOTH = "both"

_SIDECAR = np.dtype(SIDECAR)
_RAW = pa.schema([field for field in waiting(RAW_PAYLOADS.columns) if field.name != PAYLOAD])


@dataclass(frozen=True, slots=True)
class Step:
    """What one batch gave: its records by kind, and the kernel's own account of it."""

    output: Output
    first: int
    """The sequence by which the kernel knows the first of `spoken`."""
    spoken: Batch
    """The payloads that the kernel was given."""
    parts: list[Part]
    numbers: npt.NDArray[np.uint16]
    """Of each record in the order of the stream the place in `Canonical.channels` of the channel it is published on."""
    stamps: Integers
    """Of each record in the order of the stream `ts_recv`, ns."""


class Canonical:
    """Runs one provider's payloads through the kernel; `instances` are those that are coalesced, one or two.

    `epochs` are a single instance's sessions, in order: the kernel hears of each, also where a shard has no payload of it.
    `gaps` are what such an instance is known to lack: the kernel hears of each in its place, as it would have live.
    """

    def __init__(
        self,
        venue: Venue,
        instances: Sequence[str],
        channels: Sequence[Channel],
        texts: Texts,
        epochs: Sequence[int] = (),
        gaps: Sequence[GapRecord] = (),
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        self._merged = len(instances) > 1
        instance = MERGED if self._merged else instances[0]
        meaning = uncounted(venue.meaning) if self._merged else venue.meaning
        self._provider, self._instance = venue.provider, instance
        self._kernel = Normalizer(encode(meaning), venue.provider, instance, "dbn", shard)
        self._columns = Columns(_SIDECAR, texts)
        self._channels = [(channel.name, channel.schema) for channel in channels]
        self._names = _codes(texts, [channel.name for channel in channels])
        self._schemas = _codes(texts, [channel.schema for channel in channels])
        self._instances = _codes(texts, instances)
        self._seen = _codes(texts, ["", instances[0], instances[-1], BOTH])
        self._silent = np.array([channel.name == SESSION_CHANNEL for channel in channels])
        self._epochs = list(epochs)
        self._gaps = sorted(gaps, key=lambda gap: (gap.epoch, gap.first))
        self._epoch = -1
        self._next = 1
        self._payloads = 0

    def steps(self, batch: Batch) -> Iterator[Step]:
        """The next payloads, in the order given.

        A single instance's sessions are kept apart, as they were live; in a merged stream they overlap and one
        instance's end means nothing while the other goes on, so there is one session and nothing said of it.
        """
        if self._merged:
            if self._silent.any():
                batch = batch.take(np.flatnonzero(~self._silent[batch.channel]))
            yield from self._session(
                batch, self._epoch if self._epoch >= 0 else int(batch.epoch[0]) if len(batch) else -1
            )
            return
        ends = [*(np.flatnonzero(np.diff(batch.epoch)) + 1).tolist(), len(batch)]
        start = 0
        for end in ends:
            yield from self._session(batch.slice(start, end), int(batch.epoch[start]))
            start = end

    def begin(self, states: Sequence[bytes], begin: int) -> Iterator[Step]:
        """Goes on from what stood at the end of the day before, and tells it anew as of `begin` (ns): a day can be read by itself."""
        place = standing.restore(self._kernel, self._instance, states)
        if place is not None:
            self._epoch, last = place
            self._next = last + 1
            yield self._made(self._kernel.retell(begin), self._next, NOTHING)

    def state(self) -> bytes:
        """What stands now."""
        return standing.encode(self._kernel, self._instance)

    def raw(self, batch: Batch) -> tuple[pa.Table, Codes]:
        """The payloads as rows of `raw_payloads`, texts as codes and without the payloads themselves, and what each is sorted by."""
        first = self._payloads
        self._payloads += len(batch)
        names = self._names[batch.channel]
        columns = {
            "channel": names,
            "instance": self._instances[batch.side],
            "raw_epoch": batch.epoch,
            "raw_sequence": batch.sequence,
            "schema": self._schemas[batch.channel],
            "connection": batch.connection,
            "ts_recv": batch.ts_recv,
            "ordinal": np.arange(first, self._payloads),
            "seen_by": self._seen[batch.seen],
        }
        return pa.table(columns, schema=_RAW), names

    def symbols(self) -> dict[int, str]:
        """Raw symbols by instrument id."""
        return self._kernel.symbols()

    def channels(self) -> list[tuple[str, str]]:
        """Published channels and their schemas, by number."""
        return self._kernel.channels()

    def _session(self, batch: Batch, epoch: int) -> Iterator[Step]:
        nothing = batch.slice(0, 0)
        while self._epochs and self._epochs[0] < epoch:
            yield from self._begin(self._epochs[0], nothing)
            yield self._step(nothing)
        yield from self._begin(epoch, nothing)
        start = 0
        while self._gaps and self._gaps[0].epoch == epoch and self._gaps[0].first <= int(batch.sequence[-1]):
            end = int(np.searchsorted(batch.sequence, self._gaps[0].first))
            yield from self._steps(batch.slice(start, end))
            yield self._gap(self._gaps.pop(0), nothing)
            start = end
        yield from self._steps(batch.slice(start, len(batch)))

    def _begin(self, epoch: int, nothing: Batch) -> Iterator[Step]:
        """Goes over to a session, after what is missing at the ends of those before it."""
        if epoch == self._epoch:
            return
        while self._gaps and self._gaps[0].epoch < epoch:
            yield self._gap(self._gaps.pop(0), nothing)
        self._epoch, self._next = epoch, 1
        self._epochs = [later for later in self._epochs if later > epoch]

    def _steps(self, batch: Batch) -> Iterator[Step]:
        for start in range(0, len(batch), BATCH_PAYLOADS):
            yield self._step(batch.slice(start, start + BATCH_PAYLOADS))

    def _gap(self, gap: GapRecord, nothing: Batch) -> Step:
        """Payloads are numbered anew here, so that a gap is one number: how many were lost makes no difference to what comes."""
        told = SubscribeResponse()
        told.gap.provider, told.gap.instance, told.gap.epoch = self._provider, self._instance, gap.epoch
        told.gap.from_sequence = self._next
        told.gap.to_sequence = self._next if gap.last else 0
        first = self._next
        self._next += 1
        return self._made(self._kernel.normalize(told.SerializeToString()), first, nothing)

    def _step(self, batch: Batch) -> Step:
        first = self._next
        self._next += len(batch)
        output = self._kernel.normalize_rows(
            self._epoch,
            first,
            self._channels,
            batch.channel.tobytes(),
            batch.ts_recv.tobytes(),
            batch.connection.tobytes(),
            batch.place.tobytes(),
            batch.chunks,
        )
        return self._made(output, first, batch)

    def _made(self, output: Output, first: int, batch: Batch) -> Step:
        origin = Origin(
            first,
            self._names[batch.channel],
            self._instances[batch.side],
            batch.epoch,
            batch.sequence,
            batch.ts_recv,
        )
        parts = list(self._columns.parts(output.data, output.sidecar, origin, self._kernel.symbols()))
        side = np.frombuffer(output.sidecar, dtype=_SIDECAR)
        stamps = np.zeros(len(side), dtype=np.int64)
        for part in parts:
            stamps[part.places] = part.stamps
        return Step(output, first, batch, parts, side["channel"], stamps)


def _codes(texts: Texts, words: Sequence[str]) -> Codes:
    return np.array([texts.code(word) for word in words], np.int32)
