"""The synthetic day: the same bytes each time, messages that their venues' meanings take, and losses that the other instance makes good."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.cold.provider_day import Truth
from benchmarks.cold.synthetic_day import Made, fill
from tapeline.offline.normalizing import normalize_file
from tapeline.partitions import ObjectKey, parse_key
from tapeline.rawfile import RawRow, read_file
from tapeline.venues import load

_MINUTE = 60_000_000_000


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Made]:
    """Forty minutes, so that each kind of loss is in it once for each instance."""
    root = tmp_path_factory.mktemp("synthetic") / "store"
    return root, fill(root, 60_000, minutes=40, workers=1)


def objects(root: Path, provider: str, instance: str) -> list[tuple[ObjectKey, list[RawRow]]]:
    folder = root / f"instance={instance}/provider={provider}"
    return [(parse_key(path.as_posix()), list(read_file(path))) for path in sorted(folder.rglob("*.tsv.gz"))]


def test_the_same_arguments_give_the_same_bytes(day: tuple[Path, Made], tmp_path: Path) -> None:
    """Every object, whatever the number of processes."""

    def digest(root: Path) -> str:
        found = hashlib.sha256()
        for path in sorted(file for file in root.rglob("*") if file.is_file()):
            found.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
        return found.hexdigest()

    again = tmp_path / "store"
    fill(again, 60_000, minutes=40, workers=2)
    assert digest(again) == digest(day[0])


def test_objects_are_named_by_what_they_hold_and_cut_where_minutes_end(day: tuple[Path, Made]) -> None:
    """First and last sequence, one threshold of payload time, rows in order."""
    seen = 0
    for instance in ("PRIMARY", "REPLICA"):
        for key, rows in objects(day[0], "OKX", instance):
            assert (key.first, key.last) == (rows[0].sequence, rows[-1].sequence)
            assert {row.epoch for row in rows} == {key.epoch}
            assert len({row.ts_recv // _MINUTE for row in rows}) == 1
            assert all(one.sequence < other.sequence and one.ts_recv < other.ts_recv for one, other in pairwise(rows))
            seen += len(rows)
    assert seen > 10_000


def test_sequences_have_no_hole_but_those_that_are_recorded(day: tuple[Path, Made]) -> None:
    """Of each instance, over all channels; both have a recorded hole."""
    root, made = day
    for truth in made.providers:
        for instance in ("PRIMARY", "REPLICA"):
            numbers = sorted(row.sequence for _, rows in objects(root, truth.provider, instance) for row in rows)
            holes = [(one + 1, other - 1) for one, other in pairwise([0, *numbers]) if other != one + 1]
            assert holes == truth.gaps[instance] != []


@pytest.mark.parametrize("name", ["binance_spot", "binance_usdm", "bybit", "okx", "deribit"])
def test_nothing_is_rejected_and_links_break_only_where_something_was_left_out(
    day: tuple[Path, Made], tmp_path: Path, name: str
) -> None:
    """Each instance's own stream through the kernel: every payload is understood, every instrument is known before it trades."""
    root, made = day
    truth = next(part for part in made.providers if part.provider == name.upper())
    for instance in ("PRIMARY", "REPLICA"):
        account = normalize_file(
            load(name), root / f"instance={instance}/provider={name.upper()}", tmp_path / "out.dbn.zst"
        )
        assert account.rejected == {}
        assert "inferred" not in account.events
        assert account.links["ok"] > 20 * account.links["broken"]
        assert account.payloads == held(truth, instance)


def held(truth: Truth, instance: str) -> int:
    """Rows of an instance, by the truth."""
    alone = "primary_only" if instance == "PRIMARY" else "replica_only"
    return sum(getattr(hour, alone) + hour.in_both for hours in truth.channels.values() for hour in hours.values())


def test_the_truth_counts_what_is_there(day: tuple[Path, Made]) -> None:
    """Channel by channel, what one instance has alone and what both have; together nothing is missing."""
    root, made = day
    for truth in made.providers:
        contents: dict[str, dict[str, set[bytes]]] = {name: defaultdict(set) for name in ("PRIMARY", "REPLICA")}
        for instance, channels in contents.items():
            for key, rows in objects(root, truth.provider, instance):
                channels[key.partition.channel].update(row.payload for row in rows)
        for channel, hours in truth.channels.items():
            one, two = (contents[name][channel] for name in ("PRIMARY", "REPLICA"))
            assert sum(hour.primary_only for hour in hours.values()) == len(one - two)
            assert sum(hour.replica_only for hour in hours.values()) == len(two - one)
            assert sum(hour.in_both for hour in hours.values()) == len(one & two)
        lost = [sum(getattr(hour, side) for hours in truth.channels.values() for hour in hours.values())
                for side in ("primary_only", "replica_only")]  # fmt: skip
        assert min(lost) > 0
