"""`tapeline cost`: what a store's day comes to at other thresholds, held against cutting it so."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from tapeline.cli.main import main
from tapeline.objectstore import open_store
from tapeline.offline.cost import GivenLoad, Limits, line
from tapeline.offline.cost_prices import GIB, Prices
from tapeline.offline.cost_sample import DAY_SECONDS, sample_day
from tapeline.partitions import Partition, object_key
from tapeline.raw_days import last_day
from tapeline.rawfile import RawRow, compress, encode_rows

SECOND = 1_000_000_000
NOON = 1_775_044_800 * SECOND
DAY = date(2026, 4, 1)
CHANNELS = ("a", "b", "c")
SECONDS = 1200
LIMITS = Limits(max_bytes=1 << 40, ring_bytes=1_000_000, keep_days=30)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty minutes: ten payloads a second, of channel `c` one every 100 s, cut each 10 s."""
    root = tmp_path_factory.mktemp("store")
    objects = open_store(str(root))
    for start in range(0, SECONDS, 10):
        for channel, rows in rows_of(start, start + 10).items():
            partition = Partition.at("PRIMARY", "X", "MBO", channel, rows[0].ts_recv)
            key = object_key("", partition, NOON, rows[0].sequence, rows[-1].sequence)
            objects.put(key, compress(encode_rows(rows)))
    objects.put("progress/instance=PRIMARY/provider=X.json", b"{}")
    return root


def rows_of(begin: int, end: int) -> dict[str, list[RawRow]]:
    """The rows of some seconds, by channel."""
    found: dict[str, list[RawRow]] = {}
    for number in range(begin * 10, end * 10):
        channel = "c" if number % 1000 == 7 else CHANNELS[number % 2]
        data = b'{"price":"%d","size":"%d"}' % (number * 7919 % 1000, number % 13)
        found.setdefault(channel, []).append(RawRow(NOON, number + 1, 0, NOON + number * SECOND // 10, data))
    return found


@pytest.mark.parametrize("threshold", [10, 60, 300])
def test_a_day_is_what_cutting_it_so_would_give(store: Path, threshold: int) -> None:
    """Objects and compressed bytes at a threshold are those of the rows really cut and compressed there."""
    (feed,) = sample_day(open_store(str(store)), DAY, 1 << 30)
    told = feed.regroup(Decimal(threshold), LIMITS.max_bytes)
    whole = (SECONDS - 1) // threshold
    parts = [rows for n in range(whole) for rows in rows_of(n * threshold, (n + 1) * threshold).values()]
    day = Decimal(DAY_SECONDS) / (whole * threshold)
    assert told.objects == len(parts) * day
    assert told.cuts == whole * day
    assert told.seconds == threshold
    ratio = Decimal(sum(len(compress(encode_rows(rows))) for rows in parts)) / sum(
        len(encode_rows(rows)) for rows in parts
    )
    assert told.stored == feed.row_bytes * DAY_SECONDS * ratio
    assert feed.channels == 3
    assert round(feed.payloads) == 10


def test_larger_objects_compress_better_and_a_threshold_beyond_the_sample_is_one_window(store: Path) -> None:
    """The ratio is measured, not stated; an hour of twenty minutes' rows is one object of each channel."""
    (feed,) = sample_day(open_store(str(store)), DAY, 1 << 30)
    stored = [feed.regroup(Decimal(seconds), LIMITS.max_bytes).stored for seconds in (10, 60, 300)]
    assert stored == sorted(stored, reverse=True)
    hour = feed.regroup(Decimal(3600), LIMITS.max_bytes)
    assert [int(number) for number in (hour.objects, hour.cuts, hour.seconds)] == [3 * 24, 24, 3600]


def test_bytes_cut_before_time_does(store: Path) -> None:
    """Where rows pass the bound sooner than the threshold, that is how often objects come, and how much is at risk."""
    (feed,) = sample_day(open_store(str(store)), DAY, 1 << 30)
    bound = int(feed.row_bytes * 20)
    told = feed.regroup(Decimal(300), bound)
    assert Decimal("18.5") < told.seconds <= 20
    assert abs(told.cuts / (DAY_SECONDS / told.seconds) - 1) < Decimal("0.001")
    at_hour = feed.regroup(Decimal(3600), bound)
    assert abs(at_hour.cuts / told.cuts - 1) < Decimal("0.1")
    one = line([feed], Decimal(300), Limits(bound, 1_000_000, 30), Prices())
    assert one.risk_seconds == told.seconds
    assert abs(one.risk_bytes / bound - 1) < Decimal("0.1")


def test_a_sample_of_a_day_gives_nearly_its_rates(store: Path) -> None:
    """A quarter of the bytes, from the middle: the same rates and channels, for a quarter of the time."""
    whole, part = (sample_day(open_store(str(store)), DAY, most)[0] for most in (1 << 30, 35_000))
    assert part.seconds < whole.seconds / 3
    assert (part.objects, part.channels, part.stored) == (whole.objects, whole.channels, whole.stored)
    assert abs(part.row_bytes / whole.row_bytes - 1) < Decimal("0.1")


def test_money_is_exact_and_adds_up() -> None:
    """By hand: 10 channels that always have something, 60 s, one provider."""
    load = GivenLoad(10, Decimal(1000), Decimal(300_000), Decimal("0.2"))
    one = line([load], Decimal(60), Limits(1 << 40, 10_000_000, 90), Prices())
    assert (round(one.objects), round(one.puts)) == (14_400, 15_840)
    assert round(one.put_money, 6) == Decimal(15840) * 30 * Decimal("0.005") / 1000
    stored = 300_000 * 86_400 * Decimal("0.2")
    assert one.stored == stored
    assert one.storage_money == stored * 90 / GIB * Decimal("0.023")
    # The root, instance, provider and schema are listed, and each channel's day of 1,440 objects twice.
    assert round(one.nightly_money, 6) == round((24 * Decimal("0.005") + 14_400 * Decimal("0.0004")) * 30 / 1000, 6)
    assert [int(number) for number in (one.risk_seconds, one.risk_payloads, one.risk_bytes)] == [60, 60_000, 18_000_000]
    assert one.beyond_ring


def test_the_command_tells_people_and_machines(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table with the threshold that is set marked, and the same numbers as JSON; the last day is taken."""
    assert last_day(open_store(str(store))) == DAY
    assert main(["cost", "--store", str(store), "--ring-bytes", "500000", "--thresholds", "10,60,3600"]) == 0
    text = capsys.readouterr().out
    assert "2026-04-01" in text
    assert "X PRIMARY: 3 channels, 10 payloads/s" in text
    assert [row.split()[:3] for row in text.splitlines() if row.startswith(">")] == [[">", "1", "min"]]
    assert "1 h!" in text
    assert "$0.005" in text
    assert (
        main(["cost", "2026-04-01", "--store", str(store), "--thresholds", "60", "--put-price", "0.01", "--json"]) == 0
    )
    told = json.loads(capsys.readouterr().out)
    assert told["day"] == "2026-04-01"
    assert told["prices"]["put"] == "0.01"
    (row,) = told["thresholds"]
    assert (row["threshold_seconds"], row["at_risk_seconds"], row["at_risk_payloads"]) == (60.0, 60.0, 600)
    assert row["puts_per_day"] == row["objects_per_day"] + 1440
    assert float(row["put_usd_per_month"]) == round(row["puts_per_day"] * 30 * 0.01 / 1000, 2)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--store", "none"], 1, "is not there"),
        (["2026-13-01", "--store", "{store}"], 2, "is no day"),
        (["2026-04-02", "--store", "{store}"], 1, "no raw objects of 2026-04-02"),
        (["--rate", "5", "--store", "{store}"], 2, "not both"),
        (["--rate", "5", "--keep-days", "0"], 2, "begin at 1"),
        (["--data-dir", "{store}", "--store", "{store}"], 2, "not both"),
    ],
)
def test_what_is_wrong_is_one_line(words: list[str], code: int, told: str, store: Path, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    """And the exit code says whether it was called wrongly."""
    assert main(["cost", *(word.replace("{store}", str(store)) for word in words)]) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert told in lines[0]


def test_a_broken_object_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its key."""
    key = object_key("", Partition("PRIMARY", "X", "MBO", "a", 2026, 4, 1), 1, 2, 3)
    open_store(str(tmp_path)).put(key, b"<html>")
    assert main(["cost", "--store", str(tmp_path)]) == 1
    assert f"cannot read {key}: it is no gzip file" in capsys.readouterr().err
