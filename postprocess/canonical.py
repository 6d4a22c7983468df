"""The coalesced stream of one provider through the kernel of the live path, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tapeline_kernel import SIDECAR, Normalizer, Output, Router

from postprocess.columns import Columns, Part
from postprocess.origins import Origin
from tapeline.offline.tables import RAW_PAYLOADS
from tapeline.rawfile import RawRow
from tapeline.spec.encode import encode
from tapeline.spec.meaning import Meaning
from tapeline.venues import Venue

BATCH_PAYLOADS = 4096
BATCH_BYTES = 4 << 20
MERGED = "MERGED"
SESSION_CHANNEL = "_session"

_SIDECAR = np.dtype(SIDECAR)
_NONE = (np.empty(0, dtype=np.uint16), np.empty(0, dtype=np.int64))


class Payload(NamedTuple):
    """A payload of the coalesced stream, with all that is known of where it came from."""

    channel: str
    schema: str
    row: RawRow
    instance: str
    seen_by: str


@dataclass(frozen=True, slots=True)
class Step:
    """What one batch gave: its raw rows, its records by kind, and the kernel's own account of it."""

    raw: pa.Table
    parts: list[Part]
    rejected: list[Payload]
    numbers: npt.NDArray[np.uint16]
    """Of each record in the order of the stream the place in `Canonical.channels` of the channel it is published on."""
    stamps: npt.NDArray[np.int64]
    """Of each record in the order of the stream `ts_recv`, ns."""


class Canonical:
    """Runs one provider's payloads through the kernel; `instance` is whose records they become."""

    def __init__(self, venue: Venue, instance: str) -> None:
        self._venue = venue
        self._instance = instance
        meaning = _uncounted(venue.meaning) if instance == MERGED else venue.meaning
        self._kernel = Normalizer(encode(meaning), venue.provider, instance, "dbn")
        self._columns = Columns(_SIDECAR)
        self._routing = encode(venue.session.routing)
        self._router: Router | None = None
        self._epoch = -1
        self._payloads = 0

    def steps(self, payloads: Iterable[Payload]) -> Iterator[Step]:
        """Every payload once, in the order given.

        A single instance's sessions are kept apart, as they were live; in a merged stream they overlap and one
        instance's end means nothing while the other goes on, so there is one session and nothing said of it.
        """
        batch: list[Payload] = []
        for payload in payloads:
            router = self._router
            if router is None or (self._instance != MERGED and payload.row.epoch != self._epoch):
                yield from self._step(batch)
                batch = []
                self._epoch = payload.row.epoch
                router = self._router = Router(self._routing, self._venue.provider, self._instance, self._epoch)
            silent = self._instance == MERGED and payload.channel == SESSION_CHANNEL
            row = payload.row
            if not silent:
                router.inject(payload.channel, payload.schema, row.ts_recv, row.connection, row.payload)
            batch.append(payload)
            if len(batch) >= BATCH_PAYLOADS or router.open_bytes >= BATCH_BYTES:
                yield from self._step(batch)
                batch = []
        yield from self._step(batch)

    def symbols(self) -> dict[int, str]:
        """Raw symbols by instrument id."""
        return self._kernel.symbols()

    def channels(self) -> list[tuple[str, str]]:
        """Published channels and their schemas, by number."""
        return self._kernel.channels()

    def _raw(self, batch: list[Payload]) -> pa.Table:
        rows = [payload.row for payload in batch]
        first = self._payloads
        self._payloads += len(rows)
        columns = {
            "channel": [payload.channel for payload in batch],
            "instance": [payload.instance for payload in batch],
            "raw_epoch": [row.epoch for row in rows],
            "raw_sequence": [row.sequence for row in rows],
            "schema": [payload.schema for payload in batch],
            "connection": [row.connection for row in rows],
            "ts_recv": [row.ts_recv for row in rows],
            "ordinal": np.arange(first, self._payloads),
            "payload": [row.payload for row in rows],
            "seen_by": [payload.seen_by for payload in batch],
        }
        return pa.table(columns, schema=RAW_PAYLOADS.columns)

    def _step(self, batch: list[Payload]) -> Iterator[Step]:
        if not batch or self._router is None:
            return
        taken = self._router.take()
        spoken = [p for p in batch if not (self._instance == MERGED and p.channel == SESSION_CHANNEL)]
        if taken is None:
            yield Step(self._raw(batch), [], [], *_NONE)
            return
        first, _, encoded = taken
        output = self._kernel.normalize(encoded)
        origin = Origin(
            first,
            [p.channel for p in spoken],
            [p.instance for p in spoken],
            np.array([p.row.epoch for p in spoken], dtype=np.int64),
            np.array([p.row.sequence for p in spoken], dtype=np.int64),
            np.array([p.row.ts_recv for p in spoken], dtype=np.int64),
        )
        parts = list(self._columns.parts(output.data, output.sidecar, origin, self._kernel.symbols()))
        side = np.frombuffer(output.sidecar, dtype=_SIDECAR)
        stamps = np.zeros(len(side), dtype=np.int64)
        for part in parts:
            stamps[part.places] = part.rows.column("ts_recv").fill_null(0).to_numpy()
        yield Step(self._raw(batch), parts, _rejected(output, spoken, first), side["channel"], stamps)


def _rejected(output: Output, batch: list[Payload], first: int) -> list[Payload]:
    places = [event.sequence - first for event in output.events if event.kind == "reject"]
    return [batch[place] for place in places if 0 <= place < len(batch)]


def _uncounted(meaning: Meaning) -> Meaning:
    """Without counters over a connection: of two connections that complete each other, neither's is whole."""
    return replace(meaning, mappings=tuple(replace(mapping, counters=()) for mapping in meaning.mappings))
