"""The same payloads give the same bytes, live as Redis commands and offline as a file, however they are cut into batches."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from tapeline_kernel import SIDECAR, Normalizer, Router

from tapeline.ingest.v1.ingest_pb2 import SubscribeResponse
from tapeline.offline.feed import Feed
from tapeline.spec.encode import encode
from tapeline.venues import load
from tests.oracle.capture import lines, write
from tests.oracle.made import MADE, capture


def commands(data: bytes) -> list[list[bytes]]:
    """RESP commands as lists of their words."""
    found, place = [], 0
    while place < len(data):
        end = data.index(b"\r\n", place)
        words = []
        count, place = int(data[place + 1 : end]), end + 2
        for _ in range(count):
            end = data.index(b"\r\n", place)
            size = int(data[place + 1 : end])
            words.append(data[end + 2 : end + 2 + size])
            place = end + 4 + size
        found.append(words)
    return found


def live(venue: str, batches: list[bytes]) -> dict[str, bytes]:
    """What is published on each channel."""
    loaded = load(venue)
    kernel = Normalizer(encode(loaded.meaning), loaded.provider, "PRIMARY", "resp")
    published: dict[str, bytes] = defaultdict(bytes)
    for batch in batches:
        for words in commands(kernel.normalize(batch).data):
            if words[0] == b"PUBLISH":
                published[words[1].decode()] += words[2]
    return dict(published)


def offline(venue: str, batches: list[bytes]) -> dict[str, bytes]:
    """What a file holds of each channel."""
    loaded = load(venue)
    kernel = Normalizer(encode(loaded.meaning), loaded.provider, "PRIMARY", "dbn")
    written: dict[int, bytes] = defaultdict(bytes)
    for batch in batches:
        output = kernel.normalize(batch)
        side = np.frombuffer(output.sidecar, dtype=np.dtype(SIDECAR))
        for offset, channel in zip(side["offset"].tolist(), side["channel"].tolist(), strict=True):
            written[channel] += output.data[offset : offset + output.data[offset] * 4]
    names = [f"MARKET_DATA.PRIMARY.{schema}.{loaded.provider}.{channel}" for channel, schema in kernel.channels()]
    return {names[channel]: data for channel, data in written.items()}


def one_by_one(venue: str, batches: list[bytes]) -> list[bytes]:
    """The same payloads, each in a batch of its own."""
    loaded = load(venue)
    single = []
    router: Router | None = None
    for encoded in batches:
        batch = SubscribeResponse.FromString(encoded).batch
        if router is None:
            router = Router(encode(loaded.session.routing), loaded.provider, "PRIMARY", batch.epoch)
        for payload in batch.payloads:
            channel = batch.channels[payload.channel]
            router.inject(channel.name, channel.schema, payload.ts_recv, payload.connection, payload.data)
            taken = router.take()
            assert taken is not None
            single.append(taken[2])
    return single


@pytest.mark.parametrize("venue", MADE)
def test_made_captures(tmp_path: Path, venue: str) -> None:
    """Definitions, gaps, recoveries: equal on every channel, in one batch or in many."""
    path = write(tmp_path / "made.jsonl.zst", capture(venue, MADE[venue]()))
    _compare(venue, path)


@pytest.mark.parametrize(
    "name",
    [
        "binance_spot/ten_symbols_20210405",
        "binance_usdm/btcusdt_20240808",
        "kraken/btcusd_v2_20260802",
        "coinbase/exchange_l3_0_20160312",
        "deribit/20210405",
    ],
)
def test_recordings(recordings: Path, tmp_path: Path, name: str) -> None:
    """The first thousands of each recording: equal on every channel, in one batch or in many."""
    path = write(tmp_path / "short.jsonl.zst", list(lines(recordings / f"{name}.jsonl.zst", 4000)))
    _compare(name.partition("/")[0], path)


def _compare(venue: str, path: Path) -> None:
    batches = list(Feed(load(venue), "PRIMARY").capture(path))
    written = offline(venue, batches)
    assert written
    assert live(venue, batches) == written
    assert live(venue, one_by_one(venue, batches)) == written
