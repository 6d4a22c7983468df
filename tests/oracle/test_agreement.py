"""The kernel against an oracle in plain Python: the same records, byte for byte."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.oracle.agreement import disagreement, expected, published
from tests.oracle.capture import Line, lines, write
from tests.oracle.made import MADE, capture

RECORDINGS = (
    "binance_spot/btcusdt_20240808",
    "binance_spot/ten_symbols_20210405",
    "binance_usdm/btcusdt_20240808",
    "binance_usdm/five_symbols_20210405",
    "binance_coinm/btcusd_perp_20240808",
    "bybit/v5_20250816",
    "okx/v5_20220227",
    "kraken/btcusd_v2_20260802",
    "kraken/btcusd_v2_resync_20260801",
    "coinbase/exchange_l3_0_20160312",
    "deribit/20210405",
)
PAYLOADS = 20_000
"""As many of each recording as are compared."""


def cut(path: Path, payloads: int) -> list[Line]:
    """The first payloads of a recording."""
    return list(lines(path, payloads))


@pytest.mark.parametrize("name", RECORDINGS)
def test_recordings(recordings: Path, tmp_path: Path, name: str) -> None:
    """Every record made of a recording is the one the oracle expects."""
    venue = name.partition("/")[0]
    short = write(tmp_path / "short.jsonl.zst", cut(recordings / f"{name}.jsonl.zst", PAYLOADS))
    wanted = expected(venue, short)
    data, kernel = published(venue, short)
    assert wanted.records
    assert disagreement(data, wanted) == ""
    assert kernel.counters()["rejected"] == {}


@pytest.mark.parametrize("venue", MADE)
def test_what_the_recordings_do_not_hold(tmp_path: Path, venue: str) -> None:
    """Definitions, odd sizes, thin sides, repeats, gaps and recoveries, as made by hand."""
    path = write(tmp_path / "made.jsonl.zst", capture(venue, MADE[venue]()))
    wanted = expected(venue, path)
    data, kernel = published(venue, path)
    assert disagreement(data, wanted) == ""
    assert kernel.counters()["rejected"] == {}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "name",
    [
        "binance_spot/ten_symbols_20210405",
        "binance_usdm/five_symbols_20210405",
        "kraken/btcusd_v2_resync_20260801",
        "coinbase/exchange_l3_0_20160312",
        "deribit/20210405",
        "okx/v5_20220227",
        "bybit/v5_20250816",
    ],
)
def test_recordings_with_lines_lost_doubled_moved_and_cut(
    recordings: Path, tmp_path: Path, name: str, seed: int
) -> None:
    """Whatever happens to the lines, the kernel does what the venue's rules say, and only broken text is rejected."""
    venue = name.partition("/")[0]
    said = cut(recordings / f"{name}.jsonl.zst", 2500)
    harmed, broken = harm(said, random.Random(f"{name} {seed}"))
    path = write(tmp_path / "harmed.jsonl.zst", harmed)
    wanted = expected(venue, path)
    data, kernel = published(venue, path)
    assert disagreement(data, wanted) == ""
    assert sum(kernel.counters()["rejected"].values()) == broken


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("venue", MADE)
def test_made_captures_with_lines_lost_doubled_and_exchanged(tmp_path: Path, venue: str, seed: int) -> None:
    """Definitions that come late, trades before the first one seen, books without a beginning: by the venue's rules."""
    chance = random.Random(f"{venue} {seed}")
    said = capture(venue, MADE[venue]())
    for _ in range(3):
        one, two = chance.randrange(1, len(said)), chance.randrange(1, len(said))
        fate = chance.random()
        if fate < 0.4:
            del said[one]
        elif fate < 0.7:
            said.insert(two, said[one])
        else:
            said[one], said[two] = said[two], said[one]
    path = write(tmp_path / "harmed.jsonl.zst", said)
    wanted = expected(venue, path)
    data, kernel = published(venue, path)
    assert disagreement(data, wanted) == ""
    assert kernel.counters()["rejected"] == {}


def harm(said: list[Line], chance: random.Random) -> tuple[list[Line], int]:
    """A recording with some of its pushed lines lost, doubled, moved or cut short; how many were cut."""
    harmed: list[Line] = []
    broken = 0
    for line in said:
        fate = chance.random() if line.kind == "recv" else 1.0
        if fate < 0.01:
            continue
        if fate < 0.02:
            harmed += [line, line]
        elif fate < 0.03 and harmed and harmed[-1].kind == "recv":
            harmed.insert(-1, line)
        elif fate < 0.035:
            harmed.append(Line(line.ts, line.kind, line.connection, line.text[: len(line.text) // 2], line.url))
            broken += 1
        else:
            harmed.append(line)
    return harmed, broken
