"""A range of days is made anew after a mapping has changed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from postprocess.backfill import Backfill, Range, State, Told
from postprocess.day import DayRun, Places
from postprocess.units import Report, Unit, failure
from tapeline.cli.main import main
from tapeline.objectstore import open_store
from tapeline.offline.lake import Lake
from tapeline.offline.versions import VersionError, drop_version, publish_version
from tapeline.offline.views import connect
from tests.postprocess import other_mapping
from tests.postprocess.raw_store import fill
from tests.postprocess.running import MEMORY_BYTES, Here, make

DAYS = [date(2026, 8, 2), date(2026, 8, 3)]
_DAY_NS = 86_400 * 10**9
_OF_SPOT = date(2024, 8, 8)


@pytest.fixture
def data(tmp_path: Path, recordings: Path) -> Path:
    """A data directory with two days of two providers, published."""
    kraken = recordings / "kraken" / "btcusd_v2_20260802.jsonl.zst"
    spot = recordings / "binance_spot" / "btcusdt_20240808.jsonl.zst"
    for day in DAYS:
        fill(tmp_path / "store", "kraken", kraken, later=(day - DAYS[0]).days * _DAY_NS, limit=200)
        fill(tmp_path / "store", "binance_spot", spot, later=(day - _OF_SPOT).days * _DAY_NS, limit=100)
        make(day, tmp_path / "store", tmp_path / "lake")
    return tmp_path


def backfill(data: Path, together: bool = False, last: date = DAYS[-1]) -> Backfill:
    places = Places(str(data / "store"), str(data / "lake"))
    return Backfill(Range(DAYS[0], last), places, MEMORY_BYTES, together)


def outcome(events: Iterator[Told | Report]) -> list[tuple[date, str, State, int]]:
    return [(told.day, told.provider, told.state, told.version) for told in events if isinstance(told, Told)]


def rows(data: Path) -> dict[tuple[date, str], int]:
    """Rows of order books by day and provider, as a reader sees them."""
    with connect(Lake.at(data / "lake")) as connection:
        counted = connection.sql("SELECT day, provider, count(*) FROM mbo GROUP BY 1, 2").fetchall()
    return {(day, provider): count for day, provider, count in counted}


def keys(data: Path) -> dict[str, int]:
    """Everything in the lake, with when it was written."""
    files = (path for path in (data / "lake").rglob("*") if path.is_file())
    return {path.relative_to(data).as_posix(): path.stat().st_mtime_ns for path in files}


class Failing(Here):
    """An executor that fails for some days."""

    def __init__(self, days: Sequence[date]) -> None:
        self._days = days

    def run(self, units: Sequence[Unit]) -> Iterator[Report]:
        for unit in units:
            if unit.date in self._days:
                yield failure(unit, "no memory")
            else:
                yield from super().run([unit])


def test_only_what_the_mapping_touches_is_made_anew(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The changed venue gets a new version with other rows; the other's files and version stay as they are."""
    before, files = rows(data), keys(data)
    assert outcome(backfill(data).run(Here())) == [
        (day, provider, State.UNCHANGED, 1) for day in DAYS for provider in ("BINANCE_SPOT", "KRAKEN")
    ]
    assert keys(data) == files
    other_mapping.patch(monkeypatch)
    work = backfill(data)
    told = [event for event in work.run(Here()) if isinstance(event, Told)]
    assert [(event.day, event.provider, event.state, event.version) for event in told] == [
        (day, provider, state, version)
        for day in DAYS
        for provider, state, version in (("BINANCE_SPOT", State.UNCHANGED, 1), ("KRAKEN", State.PUBLISHED, 2))
    ]
    of_kraken = {event.day: event.reasons for event in told if event.provider == "KRAKEN"}
    assert of_kraken == {DAYS[0]: ["mapping"], DAYS[1]: ["mapping", "before"]}
    assert {state for *_, state, _ in outcome(backfill(data).run(Here()))} == {State.UNCHANGED}
    after = rows(data)
    for day in DAYS:
        assert after[day, "BINANCE_SPOT"] == before[day, "BINANCE_SPOT"]
        assert 0 < after[day, "KRAKEN"] < before[day, "KRAKEN"]
        assert Lake.at(data / "lake").versions(day, "KRAKEN") == [1, 2]
        assert Lake.at(data / "lake").versions(day, "BINANCE_SPOT") == [1]
    changed = {key for key, when in keys(data).items() if files.get(key) != when}
    assert all("provider=KRAKEN/version=2" in key or key.startswith("lake/published/") for key in changed)


def test_a_dry_run_says_what_would_be_made_and_writes_nothing(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it tells is what a run then does."""
    other_mapping.patch(monkeypatch)
    files = keys(data)
    told = outcome(backfill(data).dry_run())
    assert [(day, provider) for day, provider, state, _ in told if state is State.TO_DO] == [
        (day, "KRAKEN") for day in DAYS
    ]
    assert keys(data) == files
    assert [line[3] for line in outcome(backfill(data).run(Here()))] == [version for *_, version in told]


def test_a_day_after_one_made_anew_is_made_anew_where_it_begins_otherwise(data: Path, recordings: Path) -> None:
    """A dry run cannot know and says so; what a day goes on from is not dropped."""
    kraken = recordings / "kraken" / "btcusd_v2_20260802.jsonl.zst"
    lake = Lake.at(data / "lake")
    fill(data / "store", "kraken", kraken, limit=20, later=300 * 10**9)
    told = {(day, provider): state for day, provider, state, _ in outcome(backfill(data).dry_run())}
    assert told[DAYS[0], "KRAKEN"] is State.TO_DO
    assert told[DAYS[1], "KRAKEN"] is State.OPEN
    assert told[DAYS[1], "BINANCE_SPOT"] is State.UNCHANGED
    assert (DAYS[0], "KRAKEN", State.PUBLISHED, 2) in outcome(backfill(data, last=DAYS[0]).run(Here()))
    with pytest.raises(VersionError, match=r"KRAKEN=1 of 2026-08-02 is what KRAKEN=1 of 2026-08-03 goes on from"):
        drop_version(lake, DAYS[0], "KRAKEN", 1)
    events = [event for event in backfill(data).run(Here()) if isinstance(event, Told) and event.provider == "KRAKEN"]
    assert [(event.state, event.version, event.reasons) for event in events] == [
        (State.UNCHANGED, 2, []), (State.PUBLISHED, 2, ["before"])
    ]  # fmt: skip
    drop_version(lake, DAYS[1], "KRAKEN", 1)
    drop_version(lake, DAYS[0], "KRAKEN", 1)
    assert {state for *_, state, _ in outcome(backfill(data).run(Here()))} == {State.UNCHANGED}


def test_a_day_that_fails_keeps_what_counted_and_the_others_go_on(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run again it makes what is left, and the day after it, which now begins otherwise; then nothing."""
    other_mapping.patch(monkeypatch)
    before = rows(data)
    work = backfill(data)
    told = outcome(work.run(Failing([DAYS[0]])))
    assert (DAYS[0], "KRAKEN", State.FAILED, 2) in told
    assert (DAYS[1], "KRAKEN", State.PUBLISHED, 2) in told
    assert work.failed
    assert [problem.reason for problem in work.problems] == ["no memory"]
    after = rows(data)
    assert after[DAYS[0], "KRAKEN"] == before[DAYS[0], "KRAKEN"]
    assert after[DAYS[1], "KRAKEN"] < before[DAYS[1], "KRAKEN"]
    files = keys(data)
    again = outcome(backfill(data).run(Here()))
    assert (DAYS[0], "KRAKEN", State.PUBLISHED, 2) in again
    assert (DAYS[1], "KRAKEN", State.PUBLISHED, 3) in again
    assert {state for *_, state, _ in outcome(backfill(data).run(Here()))} == {State.UNCHANGED}
    of_second = {key: when for key, when in files.items() if DAYS[1].isoformat() in key and "published" not in key}
    assert {key: when for key, when in keys(data).items() if key in of_second} == of_second


def test_together_nothing_counts_before_all_is_made(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One day that fails holds all back; what was made is not made again."""
    other_mapping.patch(monkeypatch)
    before = rows(data)
    work = backfill(data, together=True)
    told = outcome(work.run(Failing([DAYS[1]])))
    assert (DAYS[0], "KRAKEN", State.MADE, 2) in told
    assert rows(data) == before
    seen = []
    for event in backfill(data, together=True).run(Here()):
        if isinstance(event, Report):
            seen.append(event.unit.day)
            assert rows(data) == before
    assert seen == [DAYS[1].isoformat()]
    assert all(rows(data)[day, "KRAKEN"] < before[day, "KRAKEN"] for day in DAYS)


def test_a_day_that_has_lost_raw_objects_is_not_replaced_unasked(
    data: Path, recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raw objects that are kept for less long than tables do not take rows from them."""
    store = fill(
        data / "store", "kraken", recordings / "kraken" / "btcusd_v2_20260802.jsonl.zst", "REPLICA", limit=200, later=1
    )
    make(DAYS[0], data / "store", data / "lake")
    before = rows(data)
    other_mapping.patch(monkeypatch)
    gone = [key for key in store.list("instance=REPLICA/") if "KRAKEN" in key]
    store.delete(gone[0])
    for _ in range(2):
        work = backfill(data, last=DAYS[0])
        assert (DAYS[0], "KRAKEN", State.FAILED, 3) in outcome(work.run(Here()))
        (problem,) = work.problems
        assert problem.reason == "version 3 is made, but not published: 1 raw objects are left of 2"
        assert rows(data) == before
    assert Lake.at(data / "lake").versions(DAYS[0], "KRAKEN") == [1, 2, 3]


def test_what_has_no_raw_objects_any_more_is_kept_and_told(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is no failure: what counted goes on to count."""
    before = rows(data)
    for path in (data / "store").rglob("*provider=KRAKEN*"):
        shutil.rmtree(path)
    assert outcome(backfill(data, last=DAYS[0]).run(Here())) == [
        (DAYS[0], "BINANCE_SPOT", State.UNCHANGED, 1),
        (DAYS[0], "KRAKEN", State.KEPT, 1),
    ]
    assert rows(data) == before
    range_ = ["--from", "2026-08-02", "--to", "2026-08-02", "--providers", "KRAKEN"]
    assert main(["backfill", "--data-dir", str(data), *range_]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "2026-08-02  KRAKEN            kept, version 1: no raw payloads are left",
        "2026-08-02 to 2026-08-02: 1 kept",
    ]


def test_runs_beside_one_another_of_other_inputs_make_versions_of_their_own(data: Path, recordings: Path) -> None:
    """A raw object that comes between two plans: neither writes into the other's files."""
    places = Places(str(data / "store"), str(data / "lake"))
    kraken = recordings / "kraken" / "btcusd_v2_20260802.jsonl.zst"
    runs = []
    for later in (1, 2):
        fill(data / "store", "kraken", kraken, "REPLICA", limit=100, later=later)
        run = DayRun(DAYS[0], places, MEMORY_BYTES, {"KRAKEN"})
        runs.append((run, run.steps()))
    assert [[step.plan.version for step in steps] for _, steps in runs] == [[2], [2]]
    for run, steps in reversed(runs):
        for report in Here().run(run.begin(steps)):
            run.take(report)
        run.finish()
        run.publish()
    assert [run.changed for run, _ in runs] == [{"KRAKEN": 3}, {"KRAKEN": 2}]
    lake = Lake.at(data / "lake")
    digests = [lake.manifest(DAYS[0], "KRAKEN", number).digest for number in (1, 2, 3)]
    assert len(set(digests)) == 3
    assert lake.published(DAYS[0]) == {"BINANCE_SPOT": 1, "KRAKEN": 3}


@pytest.mark.timeout(180)
def test_a_lake_on_s3_is_made_anew_and_gone_back_in(
    tmp_path: Path, recordings: Path, s3_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Conditional puts of a real server: a new version, a rollback, a drop, and the version made anew after it."""
    fill(tmp_path / "store", "kraken", recordings / "kraken" / "btcusd_v2_20260802.jsonl.zst", limit=100)
    lake = Lake(open_store(s3_store), s3_store)
    places = Places(str(tmp_path / "store"), s3_store)
    told = []
    for patch in (False, True, True):
        if patch:
            other_mapping.patch(monkeypatch)
        work = Backfill(Range(DAYS[0], DAYS[0]), places, MEMORY_BYTES)
        told += [(state, version) for *_, state, version in outcome(work.run(Here()))]
    assert told == [(State.PUBLISHED, 1), (State.PUBLISHED, 2), (State.UNCHANGED, 2)]
    publish_version(lake, DAYS[0], "KRAKEN", 1)
    assert lake.published(DAYS[0]) == {"KRAKEN": 1}
    drop_version(lake, DAYS[0], "KRAKEN", 2)
    assert [key for key in lake.store.list("") if "version=2/" in key] == []
    work = Backfill(Range(DAYS[0], DAYS[0]), places, MEMORY_BYTES)
    assert outcome(work.run(Here())) == [(DAYS[0], "KRAKEN", State.PUBLISHED, 3)]
    with connect(lake) as connection:
        assert connection.sql("SELECT DISTINCT version FROM mbo").fetchall() == [(3,)]


def test_the_command_tells_each_day_and_a_total(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For people a line for each provider's day, for machines an object; days before the first raw object are a finding."""
    word = ["backfill", "--data-dir", str(data), "--from"]
    assert main([*word, "2026-08-02", "--to", "2026-08-03", "--providers", "kraken", "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "2026-08-02  KRAKEN            unchanged, version 1",
        "2026-08-03  KRAKEN            unchanged, version 1",
        "2026-08-02 to 2026-08-03: 2 unchanged",
    ]
    assert main([*word, "2026-08-02", "--to", "2026-08-02", "--json", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == '{"done":{"unchanged":2},"problems":0}'
    assert '"provider":"KRAKEN","state":"unchanged","version":1' in lines[1]
    assert main([*word, "2025-01-01", "--to", "2025-01-02"]) == 1
    assert capsys.readouterr().out == "2025-01-01 to 2025-01-02: no raw payloads\n"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--from", "2026-08-03", "--to", "2026-08-02"], "--to 2026-08-02 is before --from 2026-08-03"),
        (["--from", "2026-8-3", "--to", "2026-08-04"], "'2026-8-3' is no day; a day is written 2026-08-02"),
        (["--from", "2026-08-02", "--to", "2026-08-02", "--providers", "krakn"], "unknown venue 'KRAKN'"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(words: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line says what is wrong."""
    assert main(["backfill", *words]) == 2
    assert reason in capsys.readouterr().err


def test_days_are_counted_to_the_last(tmp_path: Path) -> None:
    """A range holds both of its ends, also over the end of a month."""
    days = Range(date(2026, 7, 30), date(2026, 8, 2))
    assert days.days() == [date(2026, 7, 30) + timedelta(days=number) for number in range(4)]
    assert replace(days, last=days.first).days() == [days.first]
