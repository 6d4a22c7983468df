"""`tapeline venues check` and `coverage`: what they find, and that docs/venues.md is true."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tapeline import venues
from tapeline.cli.main import main
from tapeline.offline.checking import Verdict, check
from tapeline.offline.coverage import coverage
from tapeline.offline.coverage_page import page
from tapeline.offline.loose_messages import LooseMessages

PROJECT = Path(__file__).parents[2]


def test_check_names_what_a_whole_venue_is_made_of(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """A venue of this project passes: halves, evidence, its own capture, and a session with the emulator."""
    monkeypatch.chdir(PROJECT)
    assert main(["venues", "check", "deribit", "--seconds", "2"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert any(line.startswith("ok       emulated session") and "lost 0" in line for line in told)
    assert any(line.startswith("ok       capture deribit") for line in told)
    assert told[-1].startswith("deribit: 0 wrong")


def test_check_says_what_is_wrong_and_does_not_go_on(tmp_path: Path) -> None:
    """A venue that is not there is one finding; one outside a source tree lacks its files."""
    assert [(f.verdict, f.what) for f in check("nowhere", None, tmp_path, 1.0)] == [(Verdict.WRONG, "halves")]
    found = []
    for finding in check("kraken", None, tmp_path, 1.0):
        found.append(finding)
        if finding.what == "evidence":
            break
    missing = [finding.told for finding in found if finding.verdict is Verdict.MISSING]
    assert any(told.startswith("emulator/venues/kraken.py") for told in missing)
    assert any("no row of kraken" in told for told in missing)


def test_a_capture_with_a_rejected_payload_is_wrong(tmp_path: Path) -> None:
    """What the kernel rejects in a capture is counted with its reason."""
    capture = tmp_path / "captures" / "deribit" / "x.jsonl"
    capture.parent.mkdir(parents=True)
    frame = {"method": "subscription", "params": {"channel": "trades.BTC-PERPETUAL.raw", "data": [{"price": "x"}]}}
    capture.write_text(json.dumps({"t": 1, "k": "recv", "c": "0", "d": json.dumps(frame)}) + "\n")
    told = coverage(venues.load("deribit"), tmp_path / "captures").captures["x"]
    assert sum(told.rejected.values()) == 1


@pytest.mark.parametrize(
    ("message", "how"),
    [
        ({"method": "subscription", "params": {"channel": "quote.A", "data": {"instrument_name": "A", "timestamp": 1, "best_bid_price": 1, "best_bid_amount": 1, "best_ask_price": 2, "best_ask_amount": 1}}}, "records"),
        ({"method": "subscription", "params": {"channel": "book.A.raw", "data": {"type": "change", "instrument_name": "A", "timestamp": 1, "change_id": 2, "prev_change_id": 1, "bids": [], "asks": []}}}, "waiting"),
        ({"jsonrpc": "2.0", "id": 1, "result": ["book.A.raw"]}, "control"),
        ({"method": "subscription", "params": {"channel": "trades.A.raw", "data": [{"instrument_name": "A", "price": "x"}]}}, "rejected"),
        ({"what": "is this"}, "unknown"),
    ],
)  # fmt: skip
def test_loose_messages_come_to_what_they_are(message: object, how: str) -> None:
    """Each of the ways in which a single message can end."""
    assert LooseMessages(venues.load("deribit")).outcome(json.dumps(message).encode()).how == how


def test_every_capture_is_known_and_the_page_of_venues_is_true(recordings: Path) -> None:
    """No payload of any recording is rejected, no link broken, no checksum bad; docs/venues.md says exactly that."""
    found = [coverage(venues.load(name), recordings) for name in venues.names()]
    for row in found:
        for name, told in row.captures.items():
            bad = (dict(told.rejected), told.links["broken"], told.checksums["bad"], told.problem)
            assert bad == ({}, 0, 0, ""), (row.venue, name)
    assert (PROJECT / "docs" / "venues.md").read_text() == page(found)
