"""Messages at midnight: each is of one day, whatever the instances' clocks say."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tapeline.objectstore import open_store
from tapeline.offline.lake import Lake
from tapeline.offline.views import connect
from tapeline.partitions import Partition, object_key
from tapeline.rawfile import RawRow, compress, encode_rows
from tests.postprocess.running import make

EVE, DAY = date(2026, 3, 4), date(2026, 3, 5)
MIDNIGHT = int(datetime(2026, 3, 5, tzinfo=UTC).timestamp()) * 10**9
SECOND = 10**9
CHANNELS = ("btcusdt@trade", "ethusdt@trade")


def fill(root: Path, skew: int, object_seconds: int) -> dict[str, str]:
    """Three minutes around midnight, two trades a second on each of two channels, each instance with losses.

    The instance behind which `skew` is has its clock that much ahead. Gives who has each message.
    """
    store = open_store(str(root))
    rows: dict[tuple[Partition, int], list[RawRow]] = defaultdict(list)
    who: dict[str, str] = {}
    for number in range(1, 721):
        channel = CHANNELS[number % 2]
        stamp = MIDNIGHT - 90 * SECOND + number * SECOND // 4
        symbol = channel.partition("@")[0].upper()
        payload = (
            f'{{"stream":"{channel}","data":{{"e":"trade","E":{stamp // 10**6},"s":"{symbol}","t":{number // 2},'
            f'"p":"{number}.5","q":"1.5","T":{stamp // 10**6},"m":true,"M":true}}}}'
        )
        having = [name for name, lost in (("PRIMARY", 7), ("REPLICA", 5)) if number % lost or number % 35 == 0]
        who[payload] = "both" if len(having) == 2 else having[0]
        for instance in having:
            at = stamp + (skew if instance == "REPLICA" else 0)
            place = Partition.at(instance, "BINANCE_SPOT", "TRADES", channel, at)
            rows[place, at // (object_seconds * SECOND)].append(
                RawRow(MIDNIGHT - 100 * SECOND, number, 1, at, payload.encode())
            )
    for (place, _), found in rows.items():
        key = object_key("", place, found[0].epoch, found[0].sequence, found[-1].sequence)
        store.put(key, compress(encode_rows(found)))
    return who


@pytest.mark.parametrize("skew", [-2_500_000_000, 0, 700_000_000, 12_000_000_000])
@pytest.mark.parametrize("object_seconds", [5, 60])
def test_nothing_is_lost_or_doubled_over_two_days(tmp_path: Path, skew: int, object_seconds: int) -> None:
    """Each message stands in the day of the primary's copy, else in that of the replica's; the ledgers count each once."""
    who = fill(tmp_path / "store", skew, object_seconds)
    for day in (EVE, DAY):
        assert make(day, tmp_path / "store", tmp_path / "lake").problems == []
    with connect(Lake.at(tmp_path / "lake")) as connection:
        rows = connection.sql("SELECT day, ts_recv, decode(payload), seen_by, instance FROM raw_payloads").fetchall()
        ledger = connection.sql("SELECT sum(in_both), sum(primary_only), sum(replica_only) FROM ledger").fetchall()
        trades = connection.sql("SELECT day, count(*) FROM trades GROUP BY 1 ORDER BY 1").fetchall()
        gaps = connection.sql(
            "SELECT instance, from_sequence, to_sequence, missing FROM ledger_gaps WHERE kind = 'raw'"
        ).fetchall()
    assert {payload: seen for _, _, payload, seen, _ in rows} == who
    assert len(rows) == len(who)
    for day, stamp, _, seen, instance in rows:
        assert day == (EVE if stamp < MIDNIGHT else DAY)
        assert instance == ("REPLICA" if seen == "REPLICA" else "PRIMARY")
    counts = Counter(who.values())
    assert ledger == [(counts["both"], counts["PRIMARY"], counts["REPLICA"])]
    assert trades == sorted(Counter(day for day, *_ in rows).items())
    lost = {
        (name, n) for name, lost in (("PRIMARY", 7), ("REPLICA", 5)) for n in range(1, 720) if n % lost == 0 and n % 35
    }
    assert {(name, n) for name, first, last, _ in gaps for n in range(first, last + 1)} == lost
    assert {missing for *_, missing in gaps} == {0}


def test_a_day_is_the_same_whether_the_next_has_begun_or_not(tmp_path: Path) -> None:
    """What comes after the next day's first minute changes nothing: no new version."""
    fill(tmp_path / "store", 700_000_000, 5)
    assert make(EVE, tmp_path / "store", tmp_path / "lake").versions == {"BINANCE_SPOT": 1}
    late = Partition.at("PRIMARY", "BINANCE_SPOT", "TRADES", CHANNELS[0], MIDNIGHT + 3600 * SECOND)
    row = RawRow(MIDNIGHT - 100 * SECOND, 5000, 1, MIDNIGHT + 3600 * SECOND, b"{}")
    open_store(str(tmp_path / "store")).put(object_key("", late, row.epoch, 5000, 5000), compress(encode_rows([row])))
    again = make(EVE, tmp_path / "store", tmp_path / "lake")
    assert (again.versions, again.unchanged) == ({"BINANCE_SPOT": 1}, ["BINANCE_SPOT"])
    assert make(EVE + timedelta(days=1), tmp_path / "store", tmp_path / "lake").versions == {"BINANCE_SPOT": 1}
