"""What `tapeline up` refuses before anything starts, and what it takes."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from tapeline.cli import up
from tapeline.cli.up.plan import Plan, Source, make_plan
from tapeline.errors import UnknownVenueError, UsageError
from tapeline.settings import Settings


def plan(tmp_path: Path, *words: str) -> Plan:
    """The plan of a command line."""
    parser = argparse.ArgumentParser()
    up.configure(parser)
    args = parser.parse_args([*words, "--data-dir", str(tmp_path / "data")])
    return make_plan(args, Settings.from_environment({}))


@pytest.fixture
def captures(tmp_path: Path) -> Path:
    """A folder with a capture of kraken."""
    folder = tmp_path / "captures"
    (folder / "kraken").mkdir(parents=True)
    (folder / "kraken" / "one.jsonl.zst").write_bytes(b"")
    return folder


def test_without_arguments_load_is_synthesised(tmp_path: Path) -> None:
    """All venues, 10,000 payloads a second, until Ctrl-C; the data directory is made."""
    found = plan(tmp_path)
    assert found.source is Source.SYNTHETIC
    assert found.rate == 10_000
    assert found.seconds is None
    assert {"kraken", "deribit", "coinbase", "binance_spot", "binance_usdm"} <= set(found.venues)
    assert found.instances == ("PRIMARY",)
    assert found.data_dir.is_dir()
    assert found.store == str(found.data_dir / "store")


def test_captures_choose_the_venues(tmp_path: Path, captures: Path) -> None:
    """Without --venues those run that have captures."""
    found = plan(tmp_path, "--captures", str(captures), "--speed", "max")
    assert found.source is Source.CAPTURES
    assert found.venues == ("kraken",)
    assert found.speed == "max"


@pytest.mark.parametrize(
    "words",
    [
        ["--speed", "0", "--captures", "CAPTURES"],
        ["--speed", "fast", "--captures", "CAPTURES"],
        ["--speed", "nan", "--captures", "CAPTURES"],
        ["--speed", "2"],
        ["--rate", "0"],
        ["--rate", "-5"],
        ["--rate", "1e5"],
        ["--rate", "10", "--captures", "CAPTURES"],
        ["--seconds", "0"],
        ["--seconds", "inf"],
        ["--live", "--captures", "CAPTURES"],
        ["--live", "--rate", "5"],
        ["--captures", "/nowhere/at/all"],
        ["--captures", "CAPTURES/kraken"],
        ["--captures", "CAPTURES", "--venues", "deribit"],
        ["--venues", ","],
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, captures: Path, words: list[str]) -> None:
    """Each wrong value or combination is one UsageError that names the flag or the folder."""
    given = [word.replace("CAPTURES", str(captures)) for word in words]
    with pytest.raises(UsageError):
        plan(tmp_path, *given)


def test_unknown_venue_names_the_known(tmp_path: Path) -> None:
    """A venue that is misspelt is told with those there are."""
    with pytest.raises(UnknownVenueError, match="kraken"):
        plan(tmp_path, "--venues", "kraken,krakn")


def test_a_data_directory_that_cannot_be_is_refused(tmp_path: Path) -> None:
    """A file in its place is named."""
    (tmp_path / "data").write_text("")
    with pytest.raises(UsageError, match="data directory"):
        plan(tmp_path)
