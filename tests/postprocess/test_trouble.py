"""What goes wrong with stores and objects while a day is made costs what it concerns, and is told in a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import pytest

from postprocess.day import Places, run_day
from postprocess.units import Report, Unit
from postprocess.work import run_unit
from tapeline.cli.main import main
from tapeline.errors import StoreUnavailableError
from tapeline.objectstore import LocalStore, open_store
from tapeline.objectstore.base import StoreRefusedError
from tests.postprocess.raw_store import fill
from tests.postprocess.running import MEMORY_BYTES, make

DAY = date(2021, 4, 5)


@pytest.fixture
def store(tmp_path: Path, recordings: Path) -> Path:
    """Raw objects of two providers."""
    for venue, name in (("bitfinex", "20210405"), ("binance_usdm", "five_symbols_20210405")):
        fill(tmp_path / "store", venue, recordings / venue / f"{name}.jsonl.zst", limit=300)
    return tmp_path / "store"


class After:
    """An executor that does something to the store before the first unit begins."""

    def __init__(self, removed: Path) -> None:
        self._removed = removed

    def run(self, units: Sequence[Unit]) -> Iterator[Report]:
        """Removes a file, then runs units here."""
        self._removed.unlink()
        return map(run_unit, units)


def test_an_object_that_vanishes_is_named(tmp_path: Path, store: Path) -> None:
    """Gone between listing and reading: the rest of the day is there, and the object is told of."""
    victim = min(store.rglob("provider=BITFINEX/**/*.gz"))
    result = run_day(DAY, Places(str(store), str(tmp_path / "lake")), After(victim), MEMORY_BYTES)
    assert [(problem.kind, problem.key) for problem in result.problems] == [
        ("object", victim.relative_to(store).as_posix())
    ]
    assert "no object" in result.problems[0].reason
    assert result.versions == {"BITFINEX": 1, "BINANCE_USDM": 1}
    assert 0 < result.payloads < 600


@pytest.mark.parametrize(
    "error",
    [StoreRefusedError("object store: access denied"), StoreUnavailableError("object store: it does not answer")],
)
def test_a_provider_that_cannot_be_read_keeps_nobody(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """One line, what was published of it goes on to count, the other provider is published, and the next run makes up for it."""
    get = LocalStore.get

    def refused(self: LocalStore, key: str) -> bytes:
        if key.startswith("instance=PRIMARY/provider=BITFINEX"):
            raise error
        return get(self, key)

    with monkeypatch.context() as patched:
        patched.setattr(LocalStore, "get", refused)
        patched.setattr("postprocess.channels._REFUSALS", 2)
        result = make(DAY, store, tmp_path / "lake")
    assert [(problem.kind, problem.key, problem.reason) for problem in result.problems] == [
        ("unit", "2021-04-05 BITFINEX version 1", str(error))
    ]
    assert result.versions == {"BINANCE_USDM": 1}
    assert make(DAY, store, tmp_path / "lake").versions == {"BINANCE_USDM": 1, "BITFINEX": 1}


def test_what_the_store_would_not_give_is_made_up_for(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The day goes on without one object and says so; a run that is given it makes another version, and the next nothing."""
    whole = make(DAY, store, tmp_path / "whole")
    get = LocalStore.get
    key = LocalStore(store).list("instance=PRIMARY/provider=BITFINEX")[0]

    def refused(self: LocalStore, asked: str) -> bytes:
        if asked == key:
            raise StoreRefusedError("object store: access denied")
        return get(self, asked)

    with monkeypatch.context() as patched:
        patched.setattr(LocalStore, "get", refused)
        result = make(DAY, store, tmp_path / "lake")
    assert [(problem.kind, problem.key) for problem in result.problems] == [("unread", key)]
    assert result.versions == {"BINANCE_USDM": 1, "BITFINEX": 1}
    assert result.payloads < whole.payloads
    again = make(DAY, store, tmp_path / "lake")
    assert (again.problems, again.versions) == ([], {"BINANCE_USDM": 1, "BITFINEX": 2})
    assert make(DAY, store, tmp_path / "lake").unchanged == ["BINANCE_USDM", "BITFINEX"]


def test_a_day_in_s3(tmp_path: Path, store: Path, s3_store: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Raw objects and tables in a real S3 by worker processes; a bucket that is none is one line."""
    raw, there = open_store(str(store)), open_store(f"{s3_store}/raw")
    for key in raw.list("instance=PRIMARY/provider=BITFINEX/"):
        there.put(key, raw.get(key))
    words = ["postprocess", DAY.isoformat(), "--lake", f"{s3_store}/lake", "--workers", "1"]
    assert main([*words, "--store", f"{s3_store}/raw"]) == 0
    assert "2021-04-05: 300 payloads" in capsys.readouterr().out
    assert open_store(f"{s3_store}/lake").get("published/day=2021-04-05/published.tsv") == b"BITFINEX\t1\n"
    assert main([*words, "--store", "s3://no-such-bucket-here/raw"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "no-such-bucket-here" in line
