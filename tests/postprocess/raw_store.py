"""Fills an object store with the raw objects of a capture, as a batch processor would have written them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from tapeline.ingest.v1.ingest_pb2 import SubscribeResponse
from tapeline.objectstore import open_store
from tapeline.objectstore.base import ObjectStore
from tapeline.offline.feed import Feed
from tapeline.partitions import Partition, object_key
from tapeline.rawfile import RawRow, compress, encode_rows
from tapeline.venues import load

ROWS_IN_OBJECT = 500


def fill(
    root: Path,
    venue: str,
    capture: Path,
    instance: str = "PRIMARY",
    keep: Callable[[int], bool] = lambda _: True,
    later: int = 0,
    limit: int | None = None,
) -> ObjectStore:
    """Writes a capture's payloads whose number `keep` holds for, received `later` ns after the capture says."""
    store = open_store(str(root))
    loaded = load(venue)
    rows: dict[Partition, list[RawRow]] = defaultdict(list)
    number = 0
    for encoded in Feed(loaded, instance).capture(capture):
        batch = SubscribeResponse.FromString(encoded).batch
        for payload in batch.payloads:
            number += 1
            if not keep(number) or (limit is not None and number > limit):
                continue
            channel = batch.channels[payload.channel]
            stamp = payload.ts_recv + later
            partition = Partition.at(instance, loaded.provider, channel.schema, channel.name, stamp)
            rows[partition].append(RawRow(batch.epoch + later, number, payload.connection, stamp, payload.data))
    for partition, found in rows.items():
        for start in range(0, len(found), ROWS_IN_OBJECT):
            part = found[start : start + ROWS_IN_OBJECT]
            key = object_key("", partition, part[0].epoch, part[0].sequence, part[-1].sequence)
            store.put(key, compress(encode_rows(part)))
    return store
