"""`tapeline postprocess` as a person and a machine see it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tapeline.cli.main import main
from tests.postprocess.raw_store import fill

DAY = "2026-08-02"


@pytest.fixture
def data(tmp_path: Path, recordings: Path) -> Path:
    """A data directory with a few raw objects of Kraken."""
    capture = recordings / "kraken" / "btcusd_v2_20260802.jsonl.zst"
    for instance, late in (("PRIMARY", 0), ("REPLICA", 777)):
        fill(tmp_path / "data" / "store", "kraken", capture, instance, later=late, limit=100)
    return tmp_path / "data"


def run(capsys: pytest.CaptureFixture[str], data: Path, *words: str) -> tuple[int, str, list[str]]:
    """The exit code, what it says on stdout, and its lines on stderr."""
    code = main(["postprocess", DAY, "--data-dir", str(data), *words])
    told = capsys.readouterr()
    return code, told.out, told.err.splitlines()


def test_a_day_is_made_once(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first run tells each provider's figures and every unit that ends; the second has nothing to do."""
    code, out, err = run(capsys, data)
    assert code == 0
    assert "KRAKEN" in out
    assert "2026-08-02: 100 payloads" in out
    assert [line.partition(":")[0].strip() for line in err] == ["2026-08-02 KRAKEN version 1"]
    assert not list((data / "lake" / "work").rglob("*.*"))
    code, out, err = run(capsys, data, "--json")
    told = json.loads(out)
    assert (code, err) == (0, [])
    assert (told["versions"], told["providers"]["KRAKEN"]["state"]) == ({"KRAKEN": 1}, "unchanged")
    assert (told["payloads"], told["both"], told["primary_only"], told["rejected"]) == (100, 100, 0, 0)
    assert told["files"] == sum(1 for path in (data / "lake").rglob("*/version=1/*") if path.is_file())
    assert "nothing to do" in run(capsys, data)[1]


def test_intermediate_data_is_kept_on_wish(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With TAPELINE_KEEP_WORK_DAYS what a version was made by stays; the next run without it removes it."""
    monkeypatch.setenv("TAPELINE_KEEP_WORK_DAYS", "7")
    assert run(capsys, data)[0] == 0
    assert list((data / "lake" / "work").rglob("plan.json"))
    monkeypatch.delenv("TAPELINE_KEEP_WORK_DAYS")
    assert run(capsys, data)[0] == 0
    assert not list((data / "lake" / "work").rglob("*.*"))


def test_what_is_wrong_with_one_object_costs_only_itself(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A cut object, a foreign file, an object that is none and a provider nobody knows: a line each, and the rest is published."""
    (first, *_) = sorted((data / "store").rglob("instance=PRIMARY/**/*.tsv.gz"))
    first.write_bytes(first.read_bytes()[:-30])
    (first.parent / "notes.txt").write_text("not ours")
    (first.parent / first.name.replace(first.name.split("-")[0], "7")).write_bytes(b"no gzip at all")
    stranger = Path(str(first.parent).replace("provider=KRAKEN", "provider=NOWHERE"))
    shutil.copytree(first.parent, stranger)
    code, out, err = run(capsys, data, "--json")
    told = json.loads(out)
    assert code == 1
    assert (told["payloads"], told["versions"]) == (100, {"KRAKEN": 1})
    problems = sorted(line for line in err if line.startswith("tapeline: "))
    assert len(problems) == len(told["problems"]) == 5
    assert [line.split()[1] for line in problems] == ["object", "object", "object", "object", "venue"]
    assert all(any(word in line for line in problems) for word in ("notes.txt", "cut short", "/7-", "NOWHERE"))


def test_what_cannot_be_done_at_all_is_one_line(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No such store, no such day, a day without payloads: one clear line and an exit code."""
    assert main(["postprocess", DAY, "--data-dir", str(tmp_path / "nowhere")]) == 1
    assert f"{tmp_path / 'nowhere' / 'store'} is not there" in capsys.readouterr().err
    assert main(["postprocess", "2026-02-30", "--data-dir", str(data)]) == 2
    assert "'2026-02-30' is no day" in capsys.readouterr().err
    assert main(["postprocess", "2026-08-03", "--data-dir", str(data)]) == 1
    assert "has no raw payloads of 2026-08-03; the day is published empty" in capsys.readouterr().err
