"""Versions of a day: going back to one, dropping one, what a crash leaves over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from tapeline.cli.main import main
from tapeline.objectstore import LocalStore
from tapeline.offline.lake import Lake
from tapeline.offline.versions import Standing, VersionError, drop_version, publish_version, sweep, versions_of
from tapeline.offline.views import connect
from tests.postprocess import other_mapping
from tests.postprocess.raw_store import fill
from tests.postprocess.running import make

DAY = date(2026, 8, 2)


@pytest.fixture
def data(tmp_path: Path, recordings: Path) -> Iterator[Path]:
    """A data directory with a day of two versions, of which the second counts and has fewer rows."""
    fill(tmp_path / "store", "kraken", recordings / "kraken" / "btcusd_v2_20260802.jsonl.zst", limit=200)
    make(DAY, tmp_path / "store", tmp_path / "lake")
    with pytest.MonkeyPatch.context() as patch:
        other_mapping.patch(patch)
        make(DAY, tmp_path / "store", tmp_path / "lake")
        yield tmp_path


def lake_of(data: Path) -> Lake:
    return Lake.at(data / "lake")


def rows(data: Path) -> int:
    with connect(lake_of(data)) as connection:
        ((count,),) = connection.sql("SELECT count(*) FROM mbo").fetchall()
    return int(count)


def standings(data: Path) -> dict[int, Standing]:
    return {version.number: version.standing for version in versions_of(lake_of(data), DAY)}


class Dying(LocalStore):
    """A store whose process dies at the n-th change."""

    def __init__(self, root: Path, changes: int) -> None:
        super().__init__(root)
        self._left = changes

    def put(self, key: str, data: bytes, if_absent: bool = True) -> bool:
        self._count()
        return super().put(key, data, if_absent)

    def delete(self, key: str) -> None:
        self._count()
        super().delete(key)

    def _count(self) -> None:
        if not self._left:
            raise KeyboardInterrupt
        self._left -= 1


def test_going_back_is_one_put_and_keeps_all(data: Path) -> None:
    """The older version's rows are what a reader sees, and the newer one can be gone back to as well."""
    after = rows(data)
    files = {path: path.stat().st_mtime_ns for path in (data / "lake").rglob("*") if path.is_file()}
    publish_version(lake_of(data), DAY, "KRAKEN", 1)
    before = rows(data)
    assert before > after > 0
    assert standings(data) == {1: Standing.PUBLISHED, 2: Standing.KEPT}
    changed = {
        path.name
        for path in (data / "lake").rglob("*")
        if path.is_file() and path.stat().st_mtime_ns != files.get(path)
    }
    assert changed == {"published.tsv"}
    publish_version(lake_of(data), DAY, "KRAKEN", 2)
    assert rows(data) == after


def test_making_the_day_anew_ends_a_rollback_without_making_a_version_again(data: Path) -> None:
    """What raw objects and mapping ask for is there already."""
    publish_version(lake_of(data), DAY, "KRAKEN", 1)
    made = lake_of(data).made(DAY, "KRAKEN", 2)
    make(DAY, data / "store", data / "lake")
    assert standings(data) == {1: Standing.KEPT, 2: Standing.PUBLISHED}
    assert lake_of(data).made(DAY, "KRAKEN", 2) == made


def test_the_published_version_is_not_dropped(data: Path) -> None:
    """Nothing that counts is removed, nor a version that is not there, nor is one published that has lost a file."""
    lake = lake_of(data)
    with pytest.raises(VersionError, match="KRAKEN=2 of 2026-08-02 is the published one"):
        drop_version(lake, DAY, "KRAKEN", 2)
    with pytest.raises(VersionError, match=r"no version KRAKEN=7 .* there are: KRAKEN=2, KRAKEN=1"):
        drop_version(lake, DAY, "KRAKEN", 7)
    lake.store.delete(lake.manifest(DAY, "KRAKEN", 1).tables["mbo"][0].key)
    with pytest.raises(VersionError, match="lacks 1 of its files, such as mbo/day=2026-08-02"):
        publish_version(lake, DAY, "KRAKEN", 1)


def test_a_dropped_version_is_gone_and_its_number_is_not_given_again(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The highest number too: who still reads its folder never finds another's rows there."""
    publish_version(lake_of(data), DAY, "KRAKEN", 1)
    drop_version(lake_of(data), DAY, "KRAKEN", 2)
    assert standings(data) == {1: Standing.PUBLISHED}
    left = [path.name for path in (data / "lake").rglob("*") if path.is_file() and "version=2" in str(path)]
    assert left == ["version=2.dropped"]
    make(DAY, data / "store", data / "lake")
    assert standings(data) == {1: Standing.KEPT, 3: Standing.PUBLISHED}


def test_a_drop_that_dies_anywhere_leaves_nothing_that_sweeping_does_not_find(data: Path) -> None:
    """At every step the day is whole for readers, and the version is either whole or left over."""
    after = rows(data)
    whole = {path: path.read_bytes() for path in (data / "lake").rglob("*") if path.is_file()}
    for changes in range(100):
        for path, content in whole.items():
            path.write_bytes(content)
        dying = Lake(Dying(data / "lake", changes), str(data / "lake"))
        try:
            drop_version(dying, DAY, "KRAKEN", 1)
        except KeyboardInterrupt:
            pass
        else:
            break
        standing = standings(data).get(1)
        assert standing in (Standing.KEPT, Standing.LEFT_OVER, None)
        if standing is Standing.KEPT:
            publish_version(lake_of(data), DAY, "KRAKEN", 1)
            assert rows(data) > after
            publish_version(lake_of(data), DAY, "KRAKEN", 2)
        assert rows(data) == after
        list(sweep(lake_of(data), DAY))
        assert standings(data) in ({1: Standing.KEPT, 2: Standing.PUBLISHED}, {2: Standing.PUBLISHED})
    assert changes > 6
    assert standings(data) == {2: Standing.PUBLISHED}


def test_sweeping_takes_what_belongs_to_no_version_and_nothing_else(data: Path) -> None:
    """Files beside a manifest's, of a number without manifest or plan, or of an overtaken run go; what a run is at stays."""
    lake = lake_of(data)
    version = "day=2026-08-02/provider=KRAKEN/version="
    for key in (f"mbo/{version}2/0009-0000.parquet", f"dbn/schema=mbo/{version}3/0000-0000.dbn.zst"):
        lake.store.put(key, b"left over")
    lake.store.put(f"work/{version}4/plan.json", b"{}")
    lake.store.put(f"mbo/{version}4/0000-0000.parquet", b"on the way")
    before = set(lake.store.list(""))
    assert standings(data)[3] is Standing.LEFT_OVER
    assert standings(data)[4] is Standing.UNFINISHED
    swept = {found.number: sorted(found.strays or found.files) for found in sweep(lake, DAY)}
    assert swept == {
        2: [f"mbo/{version}2/0009-0000.parquet"],
        3: [f"dbn/schema=mbo/{version}3/0000-0000.dbn.zst"],
    }
    assert before - set(lake.store.list("")) == {key for keys in swept.values() for key in keys}
    assert list(sweep(lake, DAY)) == []
    with pytest.raises(VersionError, match="KRAKEN=4 of 2026-08-02 is unfinished, not whole"):
        publish_version(lake, DAY, "KRAKEN", 4)
    drop_version(lake, DAY, "KRAKEN", 4)
    assert set(standings(data)) == {1, 2}


def test_the_command_lists_and_acts(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table for people, JSON for machines; a version is named as KRAKEN=1."""
    word = ["versions", "2026-08-02", "--data-dir", str(data)]
    assert main(word) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["provider", "version", "standing", "made"]
    assert [line.split()[:3] for line in lines[2:4]] == [["KRAKEN", "2", "published"], ["KRAKEN", "1", "kept"]]
    assert main([*word, "--publish", "kraken=1"]) == 0
    assert main([*word, "--drop", "KRAKEN=1"]) == 1
    assert "is the published one" in capsys.readouterr().err
    assert main([*word, "--drop", "KRAKEN=2"]) == 0
    assert "2026-08-02  KRAKEN=2: " in capsys.readouterr().out
    assert main([*word, "--json"]) == 0
    (only,) = json.loads(capsys.readouterr().out)
    assert (only["version"], only["standing"], only["raw_objects"], len(only["mapping"])) == (1, "published", 1, 64)
    assert main(["versions", "--sweep", "--data-dir", str(data)]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (["2026-08-02", "--publish", "KRAKEN"], 2, "'KRAKEN' names no version; it is written KRAKEN=2"),
        (["2026-08-09"], 1, "no versions of 2026-08-09"),
        ([], 2, "of which day? `tapeline versions DAY`"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(
    words: list[str], code: int, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong usage, or a day of which there is nothing."""
    (tmp_path / "lake").mkdir()
    assert main(["versions", *words, "--data-dir", str(tmp_path)]) == code
    assert capsys.readouterr().err == f"tapeline: {reason}\n"
    assert main(["versions", "2026-08-02", "--data-dir", str(tmp_path / "none")]) == 1
