"""Encoded batches as the columns that `Normalizer.normalize_rows` takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tapeline.ingest.v1.ingest_pb2 import SubscribeResponse


@dataclass(frozen=True, slots=True)
class Rows:
    """Arguments of `normalize_rows`, in its order."""

    epoch: int
    first: int
    channels: list[tuple[str, str]]
    channel: bytes
    ts_recv: bytes
    connection: bytes
    places: bytes
    chunks: list[tuple[bytes, bytes]]

    def arguments(
        self,
    ) -> tuple[int, int, list[tuple[str, str]], bytes, bytes, bytes, bytes, list[tuple[bytes, bytes]]]:
        """To be given as they are."""
        return (
            self.epoch,
            self.first,
            self.channels,
            self.channel,
            self.ts_recv,
            self.connection,
            self.places,
            self.chunks,
        )


def columns(response: bytes) -> Rows:
    """A batch's payloads."""
    batch = SubscribeResponse.FromString(response).batch
    payloads = batch.payloads
    ends = np.cumsum([0, *(len(payload.data) for payload in payloads)], dtype="<i8")
    return Rows(
        batch.epoch,
        batch.first_sequence,
        [(channel.name, channel.schema) for channel in batch.channels],
        np.array([payload.channel for payload in payloads], dtype="<u4").tobytes(),
        np.array([payload.ts_recv for payload in payloads], dtype="<i8").tobytes(),
        np.array([payload.connection for payload in payloads], dtype="<i8").tobytes(),
        np.arange(len(payloads), dtype="<i8").tobytes(),
        [(ends.tobytes(), b"".join(payload.data for payload in payloads))],
    )
