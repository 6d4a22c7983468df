"""A day of all venues' recordings through both instances, each of which lost something else: the union, and what the hot path makes of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import zstandard
from tapeline_kernel import SIDECAR, Normalizer, Router

from tapeline.identity import of_payloads
from tapeline.ingest.v1.ingest_pb2 import SubscribeResponse
from tapeline.objectstore import open_store
from tapeline.offline.feed import Feed
from tapeline.offline.lake import Lake, Manifest
from tapeline.offline.normalizing import normalize_file
from tapeline.offline.tables import KINDS
from tapeline.offline.views import connect
from tapeline.partitions import Partition, object_key
from tapeline.rawfile import RawRow, compress, encode_rows
from tapeline.spec.encode import encode
from tapeline.spec.merging import uncounted
from tapeline.venues import load
from tests.postprocess.running import make

DAY = date(2026, 3, 4)
NOON = int(datetime(2026, 3, 4, 12, tzinfo=UTC).timestamp()) * 10**9
LIMIT = 900
ROWS_IN_OBJECT = 300
SKEW = 40_000_000
"""By how much the replica's clock is ahead, ns."""

CAPTURES = {
    "binance_coinm": "recordings:binance_coinm/btcusd_perp_20240808",
    "binance_fix": "fixtures:binance_fix",
    "binance_spot": "recordings:binance_spot/ten_symbols_20210405",
    "binance_usdm": "recordings:binance_usdm/five_symbols_20210405",
    "bitfinex": "recordings:bitfinex/20210405",
    "bitstamp": "recordings:bitstamp/20210417",
    "bybit": "recordings:bybit/v5_20250816",
    "coinbase": "recordings:coinbase/advanced_2026",
    "deribit": "recordings:deribit/20210405",
    "ethereum": "recordings:ethereum/logs_blocks_17173049_50",
    "htx": "recordings:htx/swap",
    "kraken": "recordings:kraken/btcusd_v2_20260802",
    "kucoin": "recordings:kucoin/first_half",
    "mexc": "fixtures:mexc",
    "okx": "recordings:okx/v5_20220227",
}

Channel = tuple[str, str]


@dataclass
class Filled:
    """What was put into a store: by provider and channel the payloads that either instance had, in the venue's order."""

    root: Path
    union: dict[str, dict[Channel, list[bytes]]] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)


def kept(instance: str, number: int) -> bool:
    """Each loses every so often one or a run of what the other has; every 97th is lost by both."""
    if number % 97 == 0:
        return False
    if instance == "PRIMARY":
        return number % 7 != 0 and not 300 <= number < 340
    return number % 5 != 0 or number % 7 == 0 or 300 <= number < 340


class Said(NamedTuple):
    """What a venue said."""

    channel: Channel
    connection: int
    stamp: int
    payload: bytes
    kept: bool
    """Neither instance loses it: it is the first of its channel, or it comes again word for word."""


@pytest.fixture(scope="module")
def captured(recordings: Path) -> dict[str, list[Said]]:
    """The beginnings of all venues' captures, by venue, at noon of the day."""
    fixtures = Path(__file__).parent.parent / "fixtures" / "captures"
    found: dict[str, list[Said]] = {}
    for name, place in CAPTURES.items():
        venue = load(name)
        kind, _, path = place.partition(":")
        capture = (recordings if kind == "recordings" else fixtures) / f"{path}.jsonl.zst"
        payloads = (
            (batch.channels[payload.channel], payload)
            for encoded in Feed(venue, "PRIMARY").capture(capture)
            for batch in [SubscribeResponse.FromString(encoded).batch]
            for payload in batch.payloads
        )
        first = list(islice(payloads, LIMIT))
        identity = of_payloads(venue.session.routing, venue.meaning)
        contents = [(channel.name, identity(payload.data)) for channel, payload in first]
        counts = Counter(contents)
        shift = NOON - first[0][1].ts_recv
        begun: set[str] = set()
        found[name] = []
        stamp = 0
        for (at, said), content in zip(first, contents, strict=True):
            # As a session manager stamps: it never gives a time twice.
            stamp = max(stamp + 2, said.ts_recv + shift)
            kept_by_both = counts[content] > 1 or at.name not in begun
            begun.add(at.name)
            found[name].append(Said((at.name, at.schema), said.connection, stamp, said.data, kept_by_both))
    return found


def fill_all(root: Path, captured: dict[str, list[Said]], instances: tuple[str, ...], holes: bool) -> Filled:
    """All venues' captures as raw objects of one day.

    Nothing is lost of what a venue said more than once, for nobody can tell which of two equal messages it was; nor what
    a channel begins with, for by that both instances' clocks are set.
    """
    filled = Filled(root)
    store = open_store(str(root))
    for name, messages in captured.items():
        provider = load(name).provider
        union: dict[Channel, list[bytes]] = defaultdict(list)
        rows: dict[Partition, list[RawRow]] = defaultdict(list)
        for number, said in enumerate(messages, 1):
            having = [instance for instance in instances if not holes or said.kept or kept(instance, number)]
            if having:
                union[said.channel].append(said.payload)
                filled.seen["both" if len(having) == 2 else having[0]] += 1
            for instance in having:
                stamp = said.stamp + (SKEW if instance == "REPLICA" else 0)
                partition = Partition.at(instance, provider, said.channel[1], said.channel[0], stamp)
                rows[partition].append(RawRow(NOON, number, said.connection, stamp, said.payload))
        filled.union[provider] = union
        for partition, found in rows.items():
            for start in range(0, len(found), ROWS_IN_OBJECT):
                part = found[start : start + ROWS_IN_OBJECT]
                key = object_key("", partition, NOON, part[0].sequence, part[-1].sequence)
                store.put(key, compress(encode_rows(part)))
    return filled


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, captured: dict[str, list[Said]]) -> tuple[Filled, Lake]:
    """Both instances with holes, and the lake of them."""
    root = tmp_path_factory.mktemp("two")
    filled = fill_all(root / "store", captured, ("PRIMARY", "REPLICA"), holes=True)
    result = make(DAY, root / "store", root / "lake")
    assert result.problems == []
    return filled, Lake.at(root / "lake")


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, captured: dict[str, list[Said]]) -> tuple[Filled, Lake]:
    """The primary alone and whole, and the lake of it."""
    root = tmp_path_factory.mktemp("one")
    filled = fill_all(root / "store", captured, ("PRIMARY",), holes=False)
    result = make(DAY, root / "store", root / "lake")
    assert result.problems == []
    return filled, Lake.at(root / "lake")


def test_the_coalesced_day_is_the_union(two: tuple[Filled, Lake]) -> None:
    """Of every channel exactly the payloads that either instance has, in the venue's order, and who has which."""
    filled, lake = two
    found: dict[str, dict[Channel, list[bytes]]] = defaultdict(lambda: defaultdict(list))
    with connect(lake) as connection:
        rows = connection.sql(
            'SELECT provider, channel, "schema", payload FROM raw_payloads ORDER BY provider, ordinal'
        ).fetchall()
        seen = connection.sql("SELECT seen_by, count(*) FROM raw_payloads GROUP BY 1").fetchall()
        told = connection.sql("SELECT sum(in_both), sum(primary_only), sum(replica_only) FROM ledger").fetchall()
    for provider, channel, schema, payload in rows:
        found[provider][channel, schema].append(payload)
    assert set(found) == {load(name).provider for name in CAPTURES}
    for provider, channels in filled.union.items():
        assert {key: Counter(payloads) for key, payloads in found[provider].items()} == {
            key: Counter(payloads) for key, payloads in channels.items()
        }, provider
        for key, payloads in channels.items():
            assert found[provider][key] == payloads, (provider, key)
    assert Counter(dict(seen)) == filled.seen
    assert told == [(filled.seen["both"], filled.seen["PRIMARY"], filled.seen["REPLICA"])]


def test_records_of_the_union_are_the_hot_paths(two: tuple[Filled, Lake]) -> None:
    """The kernel of the live path, payload by payload over the same stream, gives each schema's file byte for byte."""
    _, lake = two
    records = 0
    for manifest in lake.current():
        venue = load(manifest.provider.lower())
        kernel = Normalizer(encode(uncounted(venue.meaning)), venue.provider, "MERGED", "dbn")
        router = Router(encode(venue.session.routing), venue.provider, "MERGED", NOON)
        with connect(lake) as connection:
            rows = connection.sql(
                'SELECT channel, "schema", ts_recv, connection, payload FROM raw_payloads '
                f"WHERE provider = '{manifest.provider}' AND channel <> '_session' ORDER BY ordinal"
            ).fetchall()
        for row in rows:
            router.inject(*row)
        taken = router.take()
        assert taken is not None
        output = kernel.normalize(taken[2])
        assert by_schema(output.data, output.sidecar) == published(lake, manifest), manifest.provider
        records += output.records
    assert records > 50_000


def test_one_instance_gives_what_was_published_live(one: tuple[Filled, Lake], tmp_path: Path) -> None:
    """`tapeline normalize` of the same raw files, byte for byte, of every venue."""
    filled, lake = one
    for manifest in lake.current():
        venue = load(manifest.provider.lower())
        normalize_file(venue, filled.root / "instance=PRIMARY", tmp_path / "direct.dbn.zst")
        data = plain(tmp_path / "direct.dbn.zst")
        assert by_schema(data, None) == published(lake, manifest), manifest.provider


def by_schema(data: bytes, sidecar: bytes | None) -> dict[str, bytes]:
    """Records of several schemas, apart."""
    if sidecar is not None:
        offsets = np.frombuffer(sidecar, np.dtype(SIDECAR))["offset"].tolist()
    else:
        offsets, at = [], 0
        while at < len(data):
            offsets.append(at)
            at += data[at] * 4
    found: dict[str, list[bytes]] = defaultdict(list)
    for at in offsets:
        found[KINDS[data[at + 1]].schema.dbn].append(data[at : at + data[at] * 4])
    return {schema: b"".join(records) for schema, records in found.items()}


def published(lake: Lake, manifest: Manifest) -> dict[str, bytes]:
    """The records of a version's DBN files."""
    return {
        schema: b"".join(plain(Path(lake.place) / file.key) for file in files) for schema, files in manifest.dbn.items()
    }


def plain(path: Path) -> bytes:
    """A DBN file's records without its metadata."""
    data = zstandard.ZstdDecompressor().stream_reader(path.read_bytes(), read_across_frames=True).read()
    return data[8 + int.from_bytes(data[4:8], "little") :]
