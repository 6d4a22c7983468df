"""Sessions that end, records of what fell out of reach, and days' ends: what is known to be missing, and what is not known."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from postprocess.ledger.combine import Ledger, combine
from postprocess.ledger.records import GapRecord, read_records
from tapeline.objectstore import open_store
from tests.postprocess.ledger_truth import DAY_NS, START, Day, Line

DAY = datetime.fromtimestamp(START // 10**9, UTC).date()
SECOND = 1_000_000_000
MEMORY = 256 << 20


def two_lines(count: int, first_epoch: int = START - DAY_NS, second_epoch: int = START - DAY_NS - 7) -> Day:
    """A message a second on one channel, from 01:00 on; both sessions are older than the day."""
    stamps = [START + 3600 * SECOND + number * SECOND for number in range(count)]
    first = Line(first_epoch, [500 + number for number in range(count)], stamps)
    second = Line(second_epoch, [900 + number for number in range(count)], [stamp + 2_000_000 for stamp in stamps])
    return Day([("c", "TRADES")], [0] * count, (first, second))


def later_session(made: Day, side: int, place: int, epoch: int) -> list[Day]:
    """The same messages where a side begins a new session, with sequence 1, at a message."""
    line = made.lines[side]
    after = replace(line, epoch=epoch, sequence=[max(0, number - place) + 1 for number in range(len(line.sequence))])
    lines = list(made.lines)
    lines[side] = after
    return [made, Day(made.channels, made.channel, (lines[0], lines[1]))]


def ledger(tmp_path: Path, parts: list[Day], cut: int, records: list[GapRecord]) -> Ledger:
    """Of the first part's messages up to a place, and the second's from there on."""
    folders = []
    for number, part in enumerate(parts):
        wanted = range(cut) if number == 0 else range(cut, len(part.channel))
        lost = [line.lost for line in part.lines]
        for line in part.lines:
            line.lost = line.lost | (set(range(len(part.channel))) - set(wanted))
        folders.append(part.account(tmp_path / str(number)))
        for line, before in zip(part.lines, lost, strict=True):
            line.lost = before
    return combine(DAY, folders, records, MEMORY)


def rows(found: Ledger) -> list[tuple[object, ...]]:
    names = ("instance", "raw_epoch", "from_sequence", "to_sequence", "from_ts", "to_ts", "missing", "reason")
    return [tuple(row[name] for name in names) for row in found.gaps.to_pylist()]


def test_an_ended_session_is_no_loss_where_the_other_was_there(tmp_path: Path) -> None:
    """What it had after its last payload is not known, but the other instance went on all the while."""
    made = two_lines(100)
    made.lines[0].lost = set(range(40, 50))
    epoch = made.lines[0].stamps[49]
    parts = later_session(made, 0, 50, epoch)
    old = made.lines[0].epoch
    record = GapRecord("PRIMARY", old, 540, 0, "epoch_ended", made.lines[0].stamps[39])
    found = ledger(tmp_path, parts, 50, [record])
    times = (made.lines[0].stamps[39], made.lines[0].stamps[50])
    assert rows(found) == [("PRIMARY", old, 540, None, *times, 0, "epoch_ended")]
    assert (found.totals["gaps"], found.totals["replica_only"]) == (0, 10)


def test_both_gone_at_once_is_a_gap_of_unknown_size(tmp_path: Path) -> None:
    """Nobody can tell what there was while neither listened."""
    made = two_lines(100)
    for line in made.lines:
        line.lost = set(range(40, 50))
    parts = later_session(made, 0, 50, made.lines[0].stamps[49])
    parts[1] = later_session(parts[1], 1, 50, made.lines[1].stamps[49])[1]
    records = [
        GapRecord(instance, line.epoch, line.sequence[40], 0, "epoch_ended", line.stamps[39])
        for instance, line in zip(("PRIMARY", "REPLICA"), made.lines, strict=True)
    ]
    found = ledger(tmp_path, parts, 50, records)
    assert [(row[0], row[2], row[3], row[6], row[7]) for row in rows(found)] == [
        ("PRIMARY", 540, None, None, "epoch_ended"),
        ("REPLICA", 940, None, None, "epoch_ended"),
    ]
    assert found.totals["gaps"] == 2


def test_a_new_session_without_a_word_on_the_old_one_is_told_all_the_same(tmp_path: Path) -> None:
    """As when the record was lost, too."""
    made = two_lines(100)
    parts = later_session(made, 1, 50, made.lines[1].stamps[49])
    found = ledger(tmp_path, parts, 50, [])
    times = (made.lines[1].stamps[49], made.lines[1].stamps[50])
    assert rows(found) == [("REPLICA", made.lines[1].epoch, 950, None, *times, 0, "new_session")]


def test_a_session_of_this_day_begins_with_its_first_sequence(tmp_path: Path) -> None:
    """Whatever comes before the first payload that is there is missing since the session's beginning."""
    made = two_lines(50, first_epoch=START + 3599 * SECOND)
    made.lines[0].sequence = [number + 4 for number in range(50)]
    found = combine(DAY, [made.account(tmp_path / "unit")], [], MEMORY)
    ((instance, epoch, first, last, opened, closed, missing, reason),) = rows(found)
    assert (instance, epoch, first, last, missing, reason) == ("PRIMARY", made.lines[0].epoch, 1, 3, 3, "no_object")
    assert (opened, closed) == (made.lines[0].epoch, made.lines[0].stamps[0])


def test_what_fell_out_of_the_ring_at_the_end_of_the_day_is_of_that_day(tmp_path: Path) -> None:
    """No payload of the day comes behind it, but its record says after which time it began."""
    made = two_lines(60)
    made.lines[0].lost = set(range(50, 60))
    record = GapRecord("PRIMARY", made.lines[0].epoch, 550, 569, "fell_out_of_ring", made.lines[0].stamps[49])
    found = combine(DAY, [made.account(tmp_path / "unit")], [record], MEMORY)
    assert rows(found) == [("PRIMARY", record.epoch, 550, 569, made.lines[0].stamps[49], None, 10, "fell_out_of_ring")]


def test_what_another_day_has_lost_is_not_told_here(tmp_path: Path) -> None:
    """Of the same session, before and after."""
    made = two_lines(60)
    epoch = made.lines[0].epoch
    records = [
        GapRecord("PRIMARY", epoch, 100, 120, "fell_out_of_ring", START - 5),
        GapRecord("PRIMARY", epoch, 700, 720, "fell_out_of_ring", START + DAY_NS + 5),
        GapRecord("PRIMARY", epoch, 800, 0, "epoch_ended", START + DAY_NS + 9),
    ]
    assert rows(combine(DAY, [made.account(tmp_path / "unit")], records, MEMORY)) == []


def test_a_single_instance_has_nobody_to_fill_its_holes(tmp_path: Path) -> None:
    """All of a hole is missing."""
    made = two_lines(60)
    made.lines[0].lost = {20, 21, 30}
    made.lines[1].lost = set(range(60))
    found = combine(DAY, [made.account(tmp_path / "unit")], [], MEMORY)
    assert [row[2:4] + row[6:7] for row in rows(found)] == [(520, 521, 2), (530, 530, 1)]


def test_what_an_instance_says_of_itself_fills_nothing(tmp_path: Path) -> None:
    """Its own session's events are no copies of anything."""
    made = two_lines(60)
    made.channels = [("_session", "STATUS")]
    made.lines[0].lost = {20}
    assert [row[6] for row in rows(combine(DAY, [made.account(tmp_path / "unit")], [], MEMORY))] == [1]


def test_holes_at_midnight_are_of_the_day_they_open_in(tmp_path: Path) -> None:
    """Copies of one message lie on both sides of midnight; nothing of that is a hole, and a real one is told once."""
    count = 40
    stamps = [START + DAY_NS - 20 * SECOND + number * SECOND for number in range(count)]
    ahead = [stamp + 3 * SECOND for stamp in stamps]
    lines = (
        Line(START - 5, [100 + n for n in range(count)], stamps),
        Line(START - 9, [1 + n for n in range(count)], ahead),
    )
    made = Day([("c", "TRADES")], [0] * count, lines)
    lines[0].lost = {19, 20, 21}
    lines[1].epoch -= DAY_NS
    first = replace(lines[0], epoch=lines[0].epoch - DAY_NS)
    made.lines = (first, lines[1])
    found = rows(combine(DAY, [made.account(tmp_path / "this")], [], MEMORY))
    assert [row[2:4] + row[6:7] for row in found] == [(119, 121, 0)]
    tomorrow = datetime.fromtimestamp((START + DAY_NS) // 10**9, UTC).date()
    assert rows(combine(tomorrow, [made.account(tmp_path / "next", day=1)], [], MEMORY)) == []


def test_records_of_the_store_are_read_by_instance(tmp_path: Path) -> None:
    """Foreign objects are passed over, broken ones counted, sessions that began later left out."""
    store = open_store(str(tmp_path))
    place = "gaps/instance=PRIMARY/provider=KRAKEN/"
    record = {"instance": "PRIMARY", "provider": "KRAKEN", "epoch": START, "first": 3, "last": 9, "reason": "hole"}
    later = START + DAY_NS
    for name, data in ((f"{START}-3-9.json", json.dumps(record).encode()), ("notes.txt", b"?"), (f"{START}-11-12.json", b"{"),
                       (f"{later}-3-9.json", json.dumps({**record, "epoch": later}).encode())):  # fmt: skip
        store.put(place + name, data)
    found = read_records(store, "KRAKEN", ["PRIMARY", "REPLICA"], DAY)
    assert found == [GapRecord("PRIMARY", START, 3, 9, "hole")]


@pytest.mark.parametrize("reason", ["broken_object", "no_object"])
def test_a_broken_object_is_the_reason_of_its_holes(tmp_path: Path, reason: str) -> None:
    """Others have none."""
    made = two_lines(60)
    made.lines[0].lost = {20} if reason == "broken_object" else {40}
    folder = made.account(tmp_path / "unit", broken=(0, made.lines[0].epoch, 515, 530, "gzip is cut short"))
    assert [row[-1] for row in rows(combine(DAY, [folder], [], MEMORY))] == [reason]


def talking(made: Day, events: dict[int, tuple[int, str]]) -> None:
    """Some of the messages are words of one side on its own connection."""
    made.channels = [("c", "TRADES"), ("_session", "STATUS")]
    for place, (side, event) in events.items():
        made.channel[place] = 1
        made.lines[1 - side].lost.add(place)
        made.payloads[place] = json.dumps({"event": event, "connection": 1, "reason": ""}).encode()


def test_nobody_connected_is_a_gap_of_unknown_size(tmp_path: Path) -> None:
    """From the later loss to the first return, if nothing was heard in between."""
    made = two_lines(60)
    talking(made, {20: (0, "down"), 21: (1, "down"), 22: (1, "up"), 23: (0, "up"), 40: (0, "down"), 44: (0, "up")})
    found = combine(DAY, [made.account(tmp_path / "unit")], [], MEMORY)
    (gap,) = [row for row in found.gaps.to_pylist() if row["reason"] == "both_disconnected"]
    place = [made.lines[0].stamps[number] for number in (21, 22)]
    assert (gap["kind"], gap["instance"], gap["from_ts"], gap["to_ts"], gap["missing"]) == ("raw", None, *place, None)


def test_both_without_some_connection_is_no_gap_while_something_is_heard(tmp_path: Path) -> None:
    """Of several connections, others live on."""
    made = two_lines(60)
    talking(made, {20: (0, "down"), 21: (1, "down"), 25: (1, "up"), 26: (0, "up"), 30: (0, "stale"), 31: (1, "down")})
    found = combine(DAY, [made.account(tmp_path / "unit")], [], MEMORY)
    assert [row for row in found.gaps.to_pylist() if row["reason"] == "both_disconnected"] == []
