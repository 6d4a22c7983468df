"""One day: from the raw objects of both instances to published tables and DBN files."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import partial

from postprocess.canonical import MERGED, Canonical, Payload
from postprocess.coalesce import Identity, coalesce
from postprocess.ledger import BOTH, PRIMARY, REPLICA, Ledger
from postprocess.raw import Channel, DayObjects, find_day, rows
from postprocess.staging import ProviderFiles, Staging
from tapeline import telemetry
from tapeline.errors import UnknownVenueError
from tapeline.identity import of_payloads
from tapeline.objectstore.base import ObjectStore
from tapeline.offline.lake import Lake, Manifest
from tapeline.offline.tables import LEDGER, LEDGER_GAPS, RAW_PAYLOADS, all_tables, record_tables
from tapeline.venues import Venue, load


@dataclass(slots=True)
class Result:
    """What a run gave."""

    day: str
    payloads: int = 0
    records: int = 0
    rejected: int = 0
    gaps: int = 0
    providers: list[str] = field(default_factory=list)
    objects: int = 0


def run_day(day: date, store: ObjectStore, lake: Lake) -> Result:
    """Makes the tables of a UTC day and publishes them in one step.

    A day without raw payloads is published empty: that is a finding too.
    """
    objects = find_day(store, day)
    result = Result(day.isoformat(), objects=len(objects.keys()))
    versions: dict[str, int] = {}
    for provider in objects.providers():
        try:
            venue = load(provider.lower())
        except UnknownVenueError as error:
            telemetry.count("postprocess_unknown_providers")
            telemetry.event("unknown_provider", telemetry.Level.ERROR, provider=provider, reason=str(error))
            continue
        version = max(lake.versions(day, provider), default=0) + 1
        with Staging(lake, day, provider, version) as staging:
            files = _provider(venue, objects, store, staging, result)
            tables, dbn = staging.settle(files.rows)
        digest = hashlib.sha256("\n".join(objects.keys()).encode()).hexdigest()
        lake.add(Manifest(day.isoformat(), provider, version, digest, tables, dbn, {}, {}))
        versions[provider] = version
        result.providers.append(provider)
    lake.publish(day, versions)
    return result


def _provider(venue: Venue, objects: DayObjects, store: ObjectStore, staging: Staging, result: Result) -> ProviderFiles:
    provider = venue.provider
    channels = objects.of(provider)
    instances = {instance for _, keys in channels for instance in keys}
    canonical = Canonical(venue, instances.pop() if len(instances) == 1 else MERGED)
    ledger = Ledger()
    files = ProviderFiles(staging, provider)
    span: tuple[int, int] | None = None
    try:
        identity = of_payloads(venue.session.routing, venue.meaning)
        for step in canonical.steps(_payloads(channels, store, ledger, identity)):
            files.add_rows(RAW_PAYLOADS, step.raw)
            result.payloads += step.raw.num_rows
            stamps = step.raw.column("ts_recv").to_numpy()
            low, high = int(stamps.min()), int(stamps.max())
            span = (min(low, span[0]), max(high, span[1])) if span is not None else (low, high)
            for part in step.parts:
                files.add_rows(record_tables()[part.kind.schema], part.rows)
                files.add_records(part.kind.schema, part.data)
                result.records += part.rows.num_rows
            for payload in step.rejected:
                ledger.note_rejected(payload.channel, payload.schema, payload.row.ts_recv)
                result.rejected += 1
        gaps = ledger.gaps()
        result.gaps += gaps.num_rows
        files.add_rows(LEDGER, ledger.hours())
        files.add_rows(LEDGER_GAPS, gaps)
        files.finish(all_tables(), span or (0, 0), canonical.symbols())
        return files
    except BaseException:
        files.abandon()
        raise


def _payloads(
    channels: list[tuple[Channel, dict[str, list[str]]]], store: ObjectStore, ledger: Ledger, identity: Identity
) -> Iterator[Payload]:
    """All channels' coalesced payloads side by side, by time of receipt."""
    streams = [_channel(channel, keys, store, ledger, identity) for channel, keys in channels]
    for _, _, payload in heapq.merge(*streams, key=lambda item: item[:2]):
        ledger.note_merged(payload.channel, payload.schema, payload.row.ts_recv, payload.seen_by)
        yield payload


def _channel(
    channel: Channel, keys: dict[str, list[str]], store: ObjectStore, ledger: Ledger, identity: Identity
) -> Iterator[tuple[int, int, Payload]]:
    streams = {
        instance: rows(store, found, partial(ledger.note_raw, instance)) for instance, found in sorted(keys.items())
    }
    if len(streams) == 1:
        ((instance, stream),) = streams.items()
        for row in stream:
            yield row.ts_recv, row.sequence, Payload(channel.name, channel.schema, row, instance, instance)
        return
    for merged in coalesce(streams[PRIMARY], streams[REPLICA], identity):
        instance = PRIMARY if merged.first else REPLICA
        payload = Payload(channel.name, channel.schema, merged.row, instance, BOTH if merged.both else instance)
        yield merged.order, merged.row.sequence, payload
