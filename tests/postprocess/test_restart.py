"""A run that is killed goes on where it was, and what comes of it is the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from multiprocessing import connection
from pathlib import Path

import pytest

from postprocess.day import Places, run_day
from postprocess.executor.local import LocalExecutor
from postprocess.units import Report, Unit
from postprocess.work import run_unit
from tapeline.offline.lake import Lake
from tests.postprocess.raw_store import fill
from tests.postprocess.running import MEMORY_BYTES, make

DAY = date(2021, 4, 5)
CAPTURES = {"bitfinex": "20210405", "binance_usdm": "five_symbols_20210405"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, recordings: Path) -> Path:
    """Raw objects of two providers and both instances."""
    root = tmp_path_factory.mktemp("raw") / "store"
    for venue, name in CAPTURES.items():
        capture = recordings / venue / f"{name}.jsonl.zst"
        fill(root, venue, capture, "PRIMARY", keep=lambda number: number % 7 != 0, limit=600)
        fill(root, venue, capture, "REPLICA", keep=lambda number: number % 5 != 0, limit=600)
    return root


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, store: Path) -> dict[str, str]:
    """What a run that nobody disturbs makes."""
    lake = tmp_path_factory.mktemp("whole") / "lake"
    make(DAY, store, lake)
    return contents(lake)


def contents(lake: Path) -> dict[str, str]:
    """Digests of all files of the published versions, by key; every file there is the one its manifest says."""
    found = {}
    for manifest in Lake.at(lake).current():
        for file in manifest.files():
            assert (lake / file.key).stat().st_size == file.size
            found[file.key] = file.sha256
    return found


def test_a_run_killed_at_any_write_goes_on(tmp_path: Path, store: Path, whole: dict[str, str]) -> None:
    """Killed before its first, second, fourth … put into the lake, each time by a run that goes on from there."""
    lake = tmp_path / "lake"
    words = [sys.executable, "-m", "tests.postprocess.dying_unit", DAY.isoformat(), str(store), str(lake)]
    points = (0, 3, 9, 2, 12, 1000)
    for point in points:
        ended = subprocess.run([*words, str(point)], capture_output=True, text=True, check=False)
        assert ended.returncode == (-signal.SIGKILL if point < 1000 else 0), ended.stderr
        if point < 1000:
            assert Lake.at(lake).published(DAY) is None
    assert contents(lake) == whole
    assert {manifest.version for manifest in Lake.at(lake).current()} == {1}


def test_what_an_earlier_run_has_finished_is_not_done_again(tmp_path: Path, store: Path) -> None:
    """A unit that has left its report is not run; with a report gone it is."""
    lake = tmp_path / "lake"
    ran: list[str] = []

    class Dies:
        """An executor that runs one unit and ends as Ctrl-C would."""

        def run(self, units: Sequence[Unit]) -> Iterator[Report]:
            ran.extend(unit.provider for unit in units)
            yield run_unit(units[0])
            raise KeyboardInterrupt

    places = Places(str(store), str(lake))
    with pytest.raises(KeyboardInterrupt):
        run_day(DAY, places, Dies(), MEMORY_BYTES)
    assert ran == ["BINANCE_USDM", "BITFINEX"]
    with pytest.raises(KeyboardInterrupt):
        run_day(DAY, places, Dies(), MEMORY_BYTES)
    assert ran[2:] == ["BITFINEX"]


@pytest.mark.parametrize("workers", [1, 2])
def test_processes_give_the_same_bytes(tmp_path: Path, store: Path, whole: dict[str, str], workers: int) -> None:
    """However many work on a day, and however little each may hold."""
    lake = tmp_path / "lake"
    result = run_day(DAY, Places(str(store), str(lake)), LocalExecutor(workers), 1 << 20)
    assert result.problems == []
    assert contents(lake) == whole


def test_a_worker_that_is_killed_costs_its_own_unit(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its unit is named in one line, the other provider is published, the next run makes up for it, and no process is left."""
    lake = tmp_path / "lake"
    places = Places(str(store), str(lake))
    killed: list[int] = []
    recv = connection.Connection.recv_bytes

    def after_first(self: connection.Connection, maxlength: int | None = None) -> bytes:
        """The first unit's report is the sign to kill the worker, before it can have done the second."""
        data = recv(self, maxlength)
        if not killed:
            killed.extend(workers())
            for process in killed:
                os.kill(process, signal.SIGKILL)
        return data

    with monkeypatch.context() as patched:
        patched.setattr(connection.Connection, "recv_bytes", after_first)
        result = run_day(DAY, places, LocalExecutor(1), MEMORY_BYTES)
    assert [(problem.kind, problem.key) for problem in result.problems] == [("unit", "2021-04-05 BITFINEX version 1")]
    assert "killed by SIGKILL" in result.problems[0].reason
    assert result.versions == {"BINANCE_USDM": 1}
    assert make(DAY, store, lake).versions == {"BINANCE_USDM": 1, "BITFINEX": 1}
    assert workers() == []


def test_workers_end_with_who_started_them(tmp_path: Path, store: Path) -> None:
    """Not even SIGKILL of the command leaves one behind."""
    words = ["postprocess", DAY.isoformat(), "--store", str(store), "--lake", str(tmp_path / "lake"), "--workers", "2"]
    command = subprocess.Popen([sys.executable, "-m", "tapeline.cli.main", *words], stderr=subprocess.PIPE)
    wait_for(lambda: len(workers(command.pid)) == 2)
    left = workers(command.pid)
    command.kill()
    command.communicate()
    wait_for(lambda: not any(Path(f"/proc/{process}").exists() for process in left))


def children(parent: int | None = None) -> list[int]:
    """The processes that a process (this one) has started."""
    listed = Path(f"/proc/{parent or os.getpid()}/task").glob("*/children")
    return [int(word) for path in listed for word in path.read_text().split()]


def workers(parent: int | None = None) -> list[int]:
    """Of these the ones that run units."""
    return [process for process in children(parent) if b"spawn_main" in Path(f"/proc/{process}/cmdline").read_bytes()]


def wait_for(condition: Callable[[], bool]) -> None:
    """Waits until it holds, ten seconds at most."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
