"""What an instance is known to lack: the kernel hears of it offline as it would have live."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from tapeline_kernel import Normalizer

from tapeline.ingest.v1.ingest_pb2 import SubscribeResponse
from tapeline.objectstore import open_store
from tapeline.offline.feed import Feed
from tapeline.offline.lake import Lake
from tapeline.offline.views import connect
from tapeline.spec.encode import encode
from tapeline.venues import load
from tests.postprocess.raw_store import fill
from tests.postprocess.running import make
from tests.postprocess.test_all_venues import by_schema, published

CASES = {
    "binance_usdm": ("five_symbols_20210405", date(2021, 4, 5)),
    "kraken": ("btcusd_v2_20260802", date(2026, 8, 2)),
}
FIRST, LAST, LIMIT = 700, 760, 1500


@pytest.mark.parametrize("venue", sorted(CASES))
def test_a_recorded_gap_doubts_the_books_as_it_did_live(tmp_path: Path, recordings: Path, venue: str) -> None:
    """Payloads that a gap record tells of: the same bytes as of a stream that said Gap in their place."""
    name, day = CASES[venue]
    capture = recordings / venue / f"{name}.jsonl.zst"
    loaded = load(venue)
    fill(tmp_path / "store", venue, capture, keep=lambda number: not FIRST <= number <= LAST, limit=LIMIT)
    batch = next(SubscribeResponse.FromString(encoded).batch for encoded in Feed(loaded, "PRIMARY").capture(capture))
    record = (
        f'{{"instance":"PRIMARY","provider":"{loaded.provider}","epoch":{batch.epoch},"first":{FIRST},"last":{LAST},'
        f'"reason":"out_of_reach","after_ts":{batch.payloads[0].ts_recv},"missing":{LAST - FIRST + 1},"held":[]}}'
    )
    place = f"gaps/instance=PRIMARY/provider={loaded.provider}/{batch.epoch}-{FIRST}-{LAST}.json"
    open_store(str(tmp_path / "store")).put(place, record.encode())
    make(day, tmp_path / "store", tmp_path / "lake")
    lake = Lake.at(tmp_path / "lake")
    (manifest,) = lake.current()
    assert published(lake, manifest) == live(venue, capture)
    with connect(lake) as connection:
        [(doubtful,)] = connection.sql("SELECT count(*) FROM mbo WHERE flags & 4 <> 0").fetchall()
        gaps = connection.sql(
            "SELECT from_sequence, to_sequence, reason FROM ledger_gaps WHERE kind = 'raw'"
        ).fetchall()
    assert doubtful > 0
    assert gaps == [(FIRST, LAST, "out_of_reach")]


def live(venue: str, capture: Path) -> dict[str, bytes]:
    """What a normalizer publishes of the stream with the gap in it."""
    loaded = load(venue)
    kernel = Normalizer(encode(loaded.meaning), loaded.provider, "PRIMARY", "dbn")
    found: dict[str, bytes] = {}

    def take(response: SubscribeResponse) -> None:
        output = kernel.normalize(response.SerializeToString())
        for schema, data in by_schema(output.data, output.sidecar).items():
            found[schema] = found.get(schema, b"") + data

    number = 0
    for encoded in Feed(loaded, "PRIMARY").capture(capture):
        whole = SubscribeResponse.FromString(encoded)
        for payload in whole.batch.payloads:
            number += 1
            if number == FIRST:
                lost = SubscribeResponse()
                lost.gap.provider, lost.gap.instance, lost.gap.epoch = loaded.provider, "PRIMARY", whole.batch.epoch
                lost.gap.from_sequence, lost.gap.to_sequence = FIRST, LAST
                take(lost)
            if FIRST <= number <= LAST or number > LIMIT:
                continue
            one = SubscribeResponse()
            one.CopyFrom(whole)
            del one.batch.payloads[:]
            one.batch.payloads.append(payload)
            one.batch.first_sequence = number
            take(one)
    return found
