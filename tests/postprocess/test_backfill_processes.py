"""Backfills and runs as processes: killed, watched by readers, and beside one another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from tapeline.offline.lake import Lake
from tests.postprocess import other_mapping
from tests.postprocess.raw_store import fill
from tests.postprocess.running import make

pytestmark = pytest.mark.timeout(240)

DAYS = [date(2026, 8, 2), date(2026, 8, 3)]
_DAY_NS = 86_400 * 10**9
_WAIT_SECONDS = 90.0

READER = """
import json
import sys
from tapeline.offline.lake import Lake
from tapeline.offline.views import connect

print("reading", flush=True)
while True:
    with connect(Lake.at(sys.argv[1])) as connection:
        found = {
            table: connection.sql(f"SELECT count(*) FROM {table} GROUP BY day ORDER BY day").fetchall()
            for table in ("raw_payloads", "mbo", "definitions", "ledger")
        }
    print(json.dumps({table: [count for (count,) in counts] for table, counts in found.items()}), flush=True)
"""


@pytest.fixture
def data(tmp_path: Path, recordings: Path) -> Path:
    """A data directory with two days of a provider, published."""
    kraken = recordings / "kraken" / "btcusd_v2_20260802.jsonl.zst"
    for number, day in enumerate(DAYS):
        fill(tmp_path / "store", "kraken", kraken, later=number * _DAY_NS)
        make(day, tmp_path / "store", tmp_path / "lake")
    return tmp_path


def start(data: Path, *words: str, first_on_path: Path | None = None) -> subprocess.Popen[str]:
    """A command in a process group of its own, with the venues found in a folder."""
    environment = {**os.environ, "TAPELINE_WORKERS": "1", "PYTHONPATH": str(first_on_path or "")}
    return subprocess.Popen(
        [sys.executable, "-m", "tapeline.cli.main", *words, "--data-dir", str(data)],
        cwd=data, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def until(holds: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Waits for something that a process brings about."""
    end = time.monotonic() + _WAIT_SECONDS
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.002)


def kill(process: subprocess.Popen[str]) -> None:
    """With all that it has started, at once."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@contextmanager
def reading(data: Path) -> Iterator[Counter[str]]:
    """A process that reads over and over; what it saw, and how often."""
    seen: Counter[str] = Counter()
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(data / "lake")], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "reading\n"
    lines = reader.stdout
    thread = threading.Thread(target=lambda: seen.update(line.strip() for line in lines))
    thread.start()
    try:
        yield seen
        assert reader.poll() is None, "the reader met with something it could not read"
    finally:
        os.killpg(reader.pid, signal.SIGKILL)
        thread.join()
        reader.wait()
        lines.close()


def more(seen: Counter[str]) -> None:
    """Waits for two readings more: the second was begun after this was called."""
    count, end = seen.total(), time.monotonic() + _WAIT_SECONDS
    while seen.total() < count + 2:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_readers_see_whole_days_whatever_becomes_of_the_backfill(data: Path, tmp_path: Path) -> None:
    """Killed between the files of a day, it has changed nothing; run again, it goes on, and each day changes once."""
    other = other_mapping.folder(tmp_path / "other")
    lake = Lake.at(data / "lake")
    words = ("backfill", "--from", "2026-08-02", "--to", "2026-08-03")
    with reading(data) as seen:
        more(seen)
        (before,) = set(seen)
        first = start(data, *words, first_on_path=other)
        until(lambda: any("version=2" in key for key in lake.store.list("raw_payloads/day=2026-08-02")), first)
        kill(first)
        more(seen)
        assert set(seen) == {before}
        second = start(data, *words, first_on_path=other)
        until(lambda: lake.published(DAYS[0]) == {"KRAKEN": 2}, second)
        kill(second)
        more(seen)
        done = {path: path.stat().st_mtime_ns for path in (data / "lake").rglob("*version=2*/*") if path.is_file()}
        done = {
            path: when for path, when in done.items() if "day=2026-08-02" in str(path) and "/work/" not in str(path)
        }
        third = start(data, *words, first_on_path=other)
        out, err = third.communicate(timeout=_WAIT_SECONDS)
        assert third.returncode == 0, err
        more(seen)
    assert "2026-08-02  KRAKEN            unchanged, version 2" in out
    assert lake.published(DAYS[1]) == {"KRAKEN": 2}
    assert {path: path.stat().st_mtime_ns for path in done} == done
    views = [json.loads(line) for line in seen]
    (raw,) = {tuple(view["raw_payloads"]) for view in views}
    books = [{view["mbo"][number] for view in views} for number in range(len(DAYS))]
    assert len(raw) == 2
    assert [len(counts) for counts in books] == [2, 2], seen
    assert not lake.store.list("work/")


def test_two_runs_of_a_day_at_once_give_the_day_once(data: Path, tmp_path: Path) -> None:
    """Both make the same version of the same bytes, and both end well."""
    other = other_mapping.folder(tmp_path / "other")
    both = [start(data, "postprocess", "2026-08-02", first_on_path=other) for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=_WAIT_SECONDS)
        assert process.returncode == 0, err
    lake = Lake.at(data / "lake")
    assert lake.published(DAYS[0]) == {"KRAKEN": 2}
    assert lake.versions(DAYS[0], "KRAKEN") == [1, 2]
    with pytest.MonkeyPatch.context() as patch:
        other_mapping.patch(patch)
        make(DAYS[0], data / "store", data / "alone")
    alone = Lake.at(data / "alone").manifest(DAYS[0], "KRAKEN", 1)
    beside = lake.manifest(DAYS[0], "KRAKEN", 2)
    assert [file.sha256 for file in beside.files()] == [file.sha256 for file in alone.files()]
    for file in beside.files():
        assert len(lake.store.get(file.key)) == file.size
