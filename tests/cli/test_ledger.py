"""`tapeline ledger` as a user types it: text, JSON, exit codes."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tapeline.cli.main import main
from tests.cli.ledger_lake import Row, hole, hour, publish

DAY = date(2026, 8, 2)
MIDNIGHT = 1_785_628_800_000_000_000
HOSTILE = 'x<script>alert("1")</script>\x1b[31m'
VENUE_GAP: Row = {
    "kind": "venue", "instance": "PRIMARY", "channel": "depth", "raw_symbol": "BTCUSDT", "raw_epoch": 17,
    "from_sequence": 41, "to_sequence": 44, "from_ts": MIDNIGHT + 5, "to_ts": MIDNIGHT + 60_000_000_001, "missing": None,
    "reason": "link",
}  # fmt: skip


@pytest.fixture
def incomplete(tmp_path: Path) -> Path:
    """Two providers, one of which has something of everything that can be wrong."""
    wrong = [
        hour("depth", 0, "MBO", in_both=90, primary_only=4, replica_only=6, gaps=1, duplicates=7),
        hour("depth", 2, "MBO", in_both=10),
        hour("trades", 0, in_both=5, rejected=2, bars_expected=60, bars_found=57),
        hour("trades", 1, in_both=5, bars_expected=60, bars_found=60),
        hour(HOSTILE, 2, in_both=1),
        hour("_stream", 0, "", gaps=2),
    ]
    gaps = [
        hole("PRIMARY", 10, 12, MIDNIGHT + 1, MIDNIGHT + 2_000_000_000, 1),
        hole("REPLICA", 30, None, MIDNIGHT + 7, MIDNIGHT + 9, None),
        hole("REPLICA", 50, 50, MIDNIGHT + 7, MIDNIGHT + 9, 0),
        VENUE_GAP,
    ]
    publish(tmp_path, DAY, {"KRAKEN": ([hour("book", 5, "MBO", in_both=3)], []), "BINANCE_SPOT": (wrong, gaps)})
    return tmp_path


def told(data_dir: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, str]:
    code = main(["ledger", DAY.isoformat(), "--data-dir", str(data_dir), *flags])
    out = capsys.readouterr()
    assert out.err == ""
    return code, out.out


def as_json(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    answer = json.loads(told(data_dir, capsys, "--json")[1])
    assert isinstance(answer, dict)
    return answer


def test_json_has_totals_channels_and_the_bounds_of_every_gap_left(
    incomplete: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Totals are sums of channels, channels sums of hours, and there are as many bounds as gaps."""
    answer = as_json(incomplete, capsys)
    totals = {
        "both": 114, "primary_only": 4, "replica_only": 6, "duplicates": 7, "gaps": 3, "rejects": 2, "bars_expected": 120,
        "bars_found": 117,
    }  # fmt: skip
    assert (answer["day"], answer["complete"]) == ("2026-08-02", False)
    assert {name: answer[name] for name in totals} == totals
    for name, total in totals.items():
        assert sum(channel[name] for channel in answer["channels"]) == total
        assert sum(each[name] for channel in answer["channels"] for each in channel["hours"]) == total
    names = [(channel["provider"], channel["channel"], channel["schema"]) for channel in answer["channels"]]
    assert names == sorted(names)
    assert ("BINANCE_SPOT", HOSTILE, "TRADES") in names
    assert len(answer["gap_bounds"]) == totals["gaps"]
    assert answer["holes_filled"] == 1
    by_kind = {(gap["kind"], gap["instance"]): gap for gap in answer["gap_bounds"]}
    assert by_kind["raw", "PRIMARY"] == {
        "provider": "BINANCE_SPOT", "kind": "raw", "instance": "PRIMARY", "channel": None, "raw_symbol": None,
        "raw_epoch": 17, "from_sequence": 10, "to_sequence": 12, "from_ts": MIDNIGHT + 1, "to_ts": MIDNIGHT + 2_000_000_000,
        "missing": 1, "reason": "fell_out_of_ring",
    }  # fmt: skip
    assert by_kind["venue", "PRIMARY"] == {"provider": "BINANCE_SPOT", **VENUE_GAP}
    assert by_kind["raw", "REPLICA"]["to_sequence"] is None


def test_text_begins_with_the_verdict_and_the_findings(incomplete: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exact bounds in words; nothing that steers a terminal."""
    code, out = told(incomplete, capsys)
    lines = out.splitlines()
    assert code == 0
    assert lines[0] == "2026-08-02  INCOMPLETE: 3 gaps left, 2 payloads rejected, 3 bars not as the venue's"
    assert lines[2] == "findings:"
    assert (
        "  BINANCE_SPOT: gap: PRIMARY raw stream, session 17, sequences 10 to 12; 00:00:00.000000001 to 00:00:02; "
        "1 missing; fell_out_of_ring"
    ) in lines
    assert (
        "  BINANCE_SPOT: gap: depth BTCUSDT, the venue's ids 41 to 44; 00:00:00.000000005 to 00:01:00.000000001; "
        "not known how many are missing; link"
    ) in lines
    assert "  BINANCE_SPOT: 3 of 120 bars not as the venue's: trades 3" in lines
    assert "  BINANCE_SPOT: 7 rows stood twice in the raw store, counted once" in lines
    assert "  BINANCE_SPOT: silent between hours in which they speak: depth (01)" in lines
    assert "\x1b" not in out
    assert lines[-1].split()[:3] == ["KRAKEN", "book", "MBO"]


def test_a_complete_day_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What only one instance has is no loss."""
    hours = [hour("trades", at, in_both=9, replica_only=1, bars_expected=60, bars_found=60) for at in range(24)]
    publish(tmp_path, DAY, {"KRAKEN": (hours, [hole("PRIMARY", 5, 28, MIDNIGHT, MIDNIGHT + 1, 0)])})
    code, out = told(tmp_path, capsys, "--strict")
    assert code == 0
    assert out.startswith("2026-08-02  COMPLETE: no gap left, nothing rejected, every bar found\n")
    assert "findings" not in out
    assert as_json(tmp_path, capsys)["complete"] is True


def test_strict_ends_with_one_where_something_is_missing(incomplete: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For whoever asks every morning."""
    assert told(incomplete, capsys, "--strict")[0] == 1


def test_an_hour_without_any_payload_is_a_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a provider that speaks before and after; empty is no absence of findings."""
    publish(tmp_path, DAY, {"KRAKEN": ([hour("a", at, in_both=1) for at in (3, 6, 8)], [])})
    answer = as_json(tmp_path, capsys)
    assert [finding["text"] for finding in answer["findings"]] == [
        "no payload on any channel from 04:00 to 06:00",
        "no payload on any channel from 07:00 to 08:00",
    ]
    assert answer["verdict"] == "INCOMPLETE: 3 hours without a payload"


@pytest.mark.parametrize("providers", [{}, {"KRAKEN": ([], [])}])
def test_an_empty_day_is_a_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], providers: dict[str, Any]
) -> None:
    """Published, and nothing in it."""
    publish(tmp_path, DAY, providers)
    code, out = told(tmp_path, capsys, "--strict")
    assert code == 1
    assert out.startswith("2026-08-02  EMPTY: no payload of any provider\n")
    answer = as_json(tmp_path, capsys)
    assert (answer["complete"], answer["both"], len(answer["findings"])) == (False, 0, 1)


def test_a_single_instance_is_worth_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is missing as far as is known, but nothing is there twice either."""
    publish(tmp_path, DAY, {"KRAKEN": ([hour("a", 3, primary_only=8)], [])})
    answer = as_json(tmp_path, capsys)
    assert [note["text"] for note in answer["notes"]] == [
        "no second copy of anything: only the primary has the day",
        "no payload before 03:00 and after 04:00",
    ]


def test_many_channels_are_cut_unless_all_are_wanted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those with the most wrong are shown."""
    hours = [hour(f"c{number:04d}", 0, in_both=1, rejected=int(number == 777)) for number in range(1000)]
    publish(tmp_path, DAY, {"KRAKEN": (hours, [])})
    lines = told(tmp_path, capsys)[1].splitlines()
    assert lines[-1] == "and 950 more channels; --all shows them"
    assert lines[-51].split()[1] == "c0777"
    assert len(told(tmp_path, capsys, "--all")[1].splitlines()) == len(lines) + 949


@pytest.mark.parametrize(
    ("day", "code", "words"),
    [
        ("2026-08-03", 1, "2026-08-03 is not published in"),
        ("yesterday", 2, "'yesterday' is no day; a day is written 2026-08-02"),
    ],
)
def test_a_day_that_is_not_there_is_one_clear_error(
    incomplete: Path, capsys: pytest.CaptureFixture[str], day: str, code: int, words: str
) -> None:
    """Not published: 1; no day at all: 2."""
    assert main(["ledger", day, "--data-dir", str(incomplete)]) == code
    out = capsys.readouterr()
    assert out.out == ""
    assert out.err.startswith(f"tapeline: {words}")
    assert out.err.count("\n") == 1


def test_a_directory_without_tables_is_one_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With what makes them."""
    assert main(["ledger", DAY.isoformat(), "--data-dir", str(tmp_path)]) == 1
    assert "tapeline postprocess" in capsys.readouterr().err
