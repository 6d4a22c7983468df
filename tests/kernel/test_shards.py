"""Instruments shared out among several normalizers give what one normalizer gives, each instrument's records in their order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from tapeline_kernel import SIDECAR, Normalizer, Output, SpecError

from tapeline.ingest.v1.ingest_pb2 import SubscribeResponse
from tapeline.spec.encode import encode
from tapeline.spec.merging import uncounted
from tapeline.venues import load, names
from tests.kernel.columns import Rows
from tests.kernel.test_rows import batches

SHARDS = 3
SIZE = 400
MOST = 2500
"""Payloads of one recording."""
DOWN = b'{"event":"down","connection":"%d","reason":"reset"}'
UP = b'{"event":"up","connection":"%d"}'


class Payload(NamedTuple):
    """One payload, and its place among all."""

    place: int
    channel: str
    schema: str
    ts_recv: int
    connection: int
    data: bytes


def payloads(venue: str, path: Path) -> list[Payload]:
    """A recording's payloads; connections go down and up now and then, and something comes that nobody understands."""
    found: list[Payload] = []

    def add(channel: str, schema: str, ts_recv: int, connection: int, data: bytes) -> None:
        found.append(Payload(len(found) + 1, channel, schema, ts_recv, connection, data))

    for response in batches(venue, path):
        batch = SubscribeResponse.FromString(response).batch
        for payload in batch.payloads:
            channel = batch.channels[payload.channel]
            if len(found) % 900 == 700:
                for text in (DOWN, UP):
                    add("_session", "", payload.ts_recv, 0, text % payload.connection)
            if len(found) % 500 == 300:
                for text in (b'{"', b'{"some":"thing"}', payload.data[:-1], b"[]"):
                    add(channel.name, channel.schema, payload.ts_recv, payload.connection, text)
                add("_unknown", "", payload.ts_recv, payload.connection, b"?")
            add(channel.name, channel.schema, payload.ts_recv, payload.connection, payload.data)
            if len(found) >= MOST:
                return found
    return found


def rows(taken: Sequence[Payload], epoch: int, first: int) -> Rows:
    """A batch of payloads."""
    channels = list(dict.fromkeys((payload.channel, payload.schema) for payload in taken))
    index = {channel: place for place, channel in enumerate(channels)}
    return Rows(
        epoch,
        first,
        channels,
        np.array([index[payload.channel, payload.schema] for payload in taken], dtype="<u4").tobytes(),
        np.array([payload.ts_recv for payload in taken], dtype="<i8").tobytes(),
        np.array([payload.connection for payload in taken], dtype="<i8").tobytes(),
        np.arange(len(taken), dtype="<i8").tobytes(),
        [
            (
                np.cumsum([0, *(len(one.data) for one in taken)], dtype="<i8").tobytes(),
                b"".join(one.data for one in taken),
            )
        ],
    )


def batched(given: list[Payload], middle: int) -> Iterator[tuple[list[Payload], int, int]]:
    """Payloads by batch, each with its epoch and first sequence; a second epoch begins behind `middle`."""
    for epoch, half in enumerate(([p for p in given if p.place <= middle], [p for p in given if p.place > middle]), 1):
        yield [], epoch, 1
        for start in range(0, len(half), SIZE):
            yield half[start : start + SIZE], epoch, start + 1


class Told(NamedTuple):
    """What came of some payloads: records and events by whom they are about, and what was rejected."""

    records: dict[tuple[int, str], list[tuple[object, ...]]]
    events: dict[tuple[str, str], list[tuple[object, ...]]]
    rejected: dict[str, int]


def told(kernel: Normalizer, given: list[Payload], middle: int) -> Told:
    """Everything that is said of each instrument, in order."""
    records: dict[tuple[int, str], list[tuple[object, ...]]] = defaultdict(list)
    events: dict[tuple[str, str], list[tuple[object, ...]]] = defaultdict(list)
    places: dict[tuple[int, int], int] = {}
    for taken, epoch, first in batched(given, middle):
        places.update({(epoch, first + at): payload.place for at, payload in enumerate(taken)})
        output = kernel.normalize_rows(*rows(taken, epoch, first).arguments())
        channels = kernel.channels()
        for at, sequence, *exact, channel in np.frombuffer(output.sidecar, dtype=np.dtype(SIDECAR)).tolist():
            record = output.data[at : at + output.data[at] * 4]
            about = int.from_bytes(record[4:8], "little")
            place = places.get((epoch, sequence))  # None: it waited for a snapshot since an earlier batch
            records[about, "" if about else channels[channel][0]].append((channels[channel], place, record, *exact))
        _events(output, events, places, epoch)
    return Told(dict(records), dict(events), kernel.counters()["rejected"])


def _events(
    output: Output,
    events: dict[tuple[str, str], list[tuple[object, ...]]],
    places: dict[tuple[int, int], int],
    epoch: int,
) -> None:
    for event in output.events:
        if event.kind == "resync" and not event.symbol:
            continue  # quotes of a channel are asked for anew by each shard that has any
        ids = (0, 0) if event.kind == "lost" else (event.from_id, event.to_id)  # lost are numbers of one's own stream
        found = (event.kind, event.reason, *ids, event.sample)
        place = places.get((epoch, event.sequence)) if event.kind == "reject" else None
        events[event.channel, event.symbol].append((*found, place))


def united(shards: list[Told]) -> Told:
    """All shards' together; nothing of one may be another's as well."""
    records: dict[tuple[int, str], list[tuple[object, ...]]] = {}
    events: dict[tuple[str, str], list[tuple[object, ...]]] = {}
    rejected: dict[str, int] = defaultdict(int)
    for shard in shards:
        assert not records.keys() & shard.records.keys()
        records |= shard.records
        for about, found in shard.events.items():
            events[about] = sorted(events.get(about, []) + found, key=str) if about in events else found
        for reason, count in shard.rejected.items():
            rejected[reason] += count
    return Told(records, events, dict(rejected))


def made(venue: str, shard: tuple[int, int] = (0, 1)) -> Normalizer:
    loaded = load(venue)
    return Normalizer(encode(uncounted(loaded.meaning)), loaded.provider, "MERGED", "dbn", shard)


@pytest.mark.parametrize("venue", [name for name in names() if name != "mexc"])  # nobody has recorded it
def test_shards_together_give_what_one_normalizer_gives(recordings: Path, venue: str) -> None:
    """Every recording, with all payloads given to each shard, and with those of the channels it is said to need."""
    paths = sorted((recordings / {"binance_fix": "fix", "kraken_rest": "kraken"}.get(venue, venue)).glob("*.jsonl.zst"))
    assert paths
    for path in paths:
        given = payloads(venue, path)
        middle = len(given) * 2 // 3
        whole = told(made(venue), given, middle)
        masks = needed(made(venue), given)
        for masked in (False, True):
            shards = [
                told(
                    made(venue, (shard, SHARDS)),
                    [p for p in given if not masked or masks[p.channel, p.schema] >> shard & 1],
                    middle,
                )
                for shard in range(SHARDS)
            ]
            found = united(shards)
            assert found.records == whole.records
            assert found.rejected == whole.rejected
            assert {about: sorted(items, key=str) for about, items in found.events.items()} == {
                about: sorted(items, key=str) for about, items in whole.events.items()
            }


def test_every_instrument_has_a_shard_and_shards_are_of_a_size() -> None:
    """Symbols that differ in little are spread nonetheless."""
    kernel = made("binance_spot")
    counts = [0] * 16
    channels = [(f"a{number}usdt@trade", "TRADES") for number in range(3200)]
    size = len(channels)
    columns = rows([Payload(at, *channel, 1, 0, b"{}") for at, channel in enumerate(channels)], 1, 1)
    masks = kernel.touched(*columns.arguments()[2:], 16)
    assert len(masks) == size
    for mask in masks.values():
        assert mask.bit_count() == 1
        counts[mask.bit_length() - 1] += 1
    assert 140 < min(counts) <= max(counts) < 260


def test_what_cannot_be_shared_out_is_refused() -> None:
    """Counters over a connection, late-join keys, and shards that are none."""
    bitfinex, kraken = load("bitfinex"), load("kraken")
    for meaning, sink, shard in [
        (bitfinex.meaning, "dbn", (0, 2)),
        (kraken.meaning, "resp", (0, 2)),
        (kraken.meaning, "dbn", (2, 2)),
        (kraken.meaning, "dbn", (0, 0)),
        (kraken.meaning, "dbn", (0, 65)),
    ]:
        with pytest.raises(SpecError, match="shard"):
            Normalizer(encode(meaning), "P", "MERGED", sink, shard)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="shard"):
        made("kraken").touched([], b"", b"", b"", b"", [], 65)


def needed(kernel: Normalizer, given: list[Payload]) -> dict[tuple[str, str], int]:
    """Which shards each channel concerns."""
    masks: dict[tuple[str, str], int] = defaultdict(int)
    for taken, _, _ in batched(given, 0):
        asked = rows(taken, 1, 1)
        for channel, mask in kernel.touched(*asked.arguments()[2:], SHARDS).items():
            assert 0 < mask < 1 << SHARDS
            masks[asked.channels[channel]] |= mask
    assert kernel.counters()["payloads"] == {"total": 0}
    return masks
