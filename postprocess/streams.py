"""All channels' coalesced payloads side by side."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from functools import partial

from postprocess.canonical import Payload
from postprocess.coalesce import Identity, coalesce
from postprocess.ledger import BOTH, PRIMARY, REPLICA, Ledger
from postprocess.raw import Broken, Channel, rows
from tapeline.objectstore.base import ObjectStore


def payloads(
    channels: list[tuple[Channel, dict[str, list[str]]]],
    store: ObjectStore,
    ledger: Ledger,
    identity: Identity,
    broken: Broken,
) -> Iterator[Payload]:
    """All channels' coalesced payloads side by side, by time of receipt."""
    streams = [_channel(channel, keys, store, ledger, identity, broken) for channel, keys in channels]
    for _, _, payload in heapq.merge(*streams, key=lambda item: item[:2]):
        ledger.note_merged(payload.channel, payload.schema, payload.row.ts_recv, payload.seen_by)
        yield payload


def _channel(
    channel: Channel,
    keys: dict[str, list[str]],
    store: ObjectStore,
    ledger: Ledger,
    identity: Identity,
    broken: Broken,
) -> Iterator[tuple[int, int, Payload]]:
    streams = {
        instance: rows(store, found, partial(ledger.note_raw, instance), broken)
        for instance, found in sorted(keys.items())
    }
    if len(streams) == 1:
        ((instance, stream),) = streams.items()
        for row in stream:
            yield row.ts_recv, row.sequence, Payload(channel.name, channel.schema, row, instance, instance)
        return
    for merged in coalesce(streams.get(PRIMARY, iter(())), streams.get(REPLICA, iter(())), identity):
        instance = PRIMARY if merged.first else REPLICA
        payload = Payload(channel.name, channel.schema, merged.row, instance, BOTH if merged.both else instance)
        yield merged.order, merged.row.sequence, payload
