"""What an undisturbed normalizer makes of coalesced payloads, as identities by published channel."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
from tapeline_kernel import SIDECAR, Normalizer, Output, Router

from tapeline.channels import MARKET_DATA, ChannelName
from tapeline.consumer.layout import LAYOUTS
from tapeline.consumer.merging import MERGED
from tapeline.schemas import Schema
from tapeline.spec.encode import encode
from tapeline.venues import Venue
from tests.soak.listener import Keys, file_of

_BATCH_BYTES = 4 << 20
_SESSION = "_session"


class Replay:
    """One venue's coalesced stream through the kernel: one session, of which nothing is said."""

    def __init__(self, venue: Venue) -> None:
        self._kernel = Normalizer(encode(venue.meaning), venue.provider, MERGED, "dbn")
        self._router = Router(encode(venue.session.routing), venue.provider, MERGED, 1)
        self._provider = venue.provider
        self._keys: dict[str, Keys] = {}
        self.rejected: dict[str, int] = defaultdict(int)

    def take(self, channel: str, schema: str, ts_recv: int, connection: int, payload: bytes) -> None:
        """The next payload."""
        if channel == _SESSION:
            return
        self._router.inject(channel, schema, ts_recv, connection, payload)
        if self._router.open_bytes >= _BATCH_BYTES:
            self._normalize()

    def finish(self) -> dict[str, bytes]:
        """By `SCHEMA.channel` the identities of all venue messages, snapshots left out."""
        self._normalize()
        return {name: bytes(keys.fresh) for name, keys in self._keys.items()}

    def _normalize(self) -> None:
        taken = self._router.take()
        if taken is not None:
            self._keep(self._kernel.normalize(taken[2]))

    def _keep(self, output: Output) -> None:
        side = np.frombuffer(output.sidecar, np.dtype(SIDECAR))
        names = self._kernel.channels()
        data = np.frombuffer(output.data, np.uint8)
        for number in np.unique(side["channel"]).tolist():
            channel, schema = names[number]
            stride = LAYOUTS[Schema(schema)].stride
            starts = side["offset"][side["channel"] == number].astype(np.int64)
            records = data[starts[:, None] + np.arange(stride)].tobytes()
            name = f"{schema}.{channel}"
            keys = self._keys.get(name)
            if keys is None:
                keys = self._keys[name] = Keys(_named(self._provider, name))
            keys.take(records)


def received(folder: Path, provider: str, name: str) -> np.ndarray:
    """What the listener was given of a channel."""
    path = file_of(folder, _named(provider, name))
    return np.fromfile(path, np.uint64) if path.exists() else np.zeros(0, np.uint64)


def _named(provider: str, name: str) -> ChannelName:
    schema, channel = name.split(".", 1)
    return ChannelName(MARKET_DATA, MERGED, Schema(schema), provider, channel)
