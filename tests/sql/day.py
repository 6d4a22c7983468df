"""A small day of four venues, made by the real post-process from the committed fixtures; the one place that knows how."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import zstandard

from tests.fixtures.make_captures import START_NS
from tests.postprocess.raw_store import fill
from tests.postprocess.running import make

DAY = date(2026, 1, 1)
VENUES = ("binance_spot", "binance_usdm", "kraken", "deribit")
STRETCH = 3300
"""The fixtures' second becomes more than an hour, so that there are minutes and hours to speak of."""

_CAPTURES = Path(__file__).resolve().parents[1] / "fixtures" / "captures"
_NUMBER = re.compile(r"\b1767225[6-9]\d{2}(\d{3}|\d{6}|\d{9})\b")
_ISO = re.compile(r"2026-01-01T00:00:0\d(\.\d+)?Z")
_START = datetime(2026, 1, 1, tzinfo=UTC)


def make_day(root: Path) -> Path:
    """Both instances' raw store and the lake under `root`, published; the primary of Kraken misses some payloads, both miss others."""
    for venue in VENUES:
        capture = stretched(_CAPTURES / f"{venue}.jsonl.zst", root / f"{venue}.jsonl.zst")
        lossy = venue == "kraken"
        fill(root / "store", venue, capture, "PRIMARY", keep=_all_but(300, 320, lossy))
        fill(root / "store", venue, capture, "REPLICA", keep=_all_but(310, 330, lossy), later=777)
    make(DAY, root / "store", root / "lake")
    return root / "lake"


def _all_but(first: int, end: int, lossy: bool) -> Callable[[int], bool]:
    return lambda number: not (lossy and first <= number < end)


def stretched(capture: Path, target: Path) -> Path:
    """A capture whose times, ours and those in payloads, lie further apart."""
    with capture.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as plain:
        lines = [json.loads(line) for line in io.TextIOWrapper(plain, encoding="utf-8")]
    for number, line in enumerate(lines):
        line["t"] = START_NS + (line["t"] - START_NS) * STRETCH
        if "d" in line:
            line["d"] = _ISO.sub(_later_text, _NUMBER.sub(_later_number, line["d"]))
            # A market of a second has one funding rate.
            line["d"] = line["d"].replace('"current_funding":0.00000123', f'"current_funding":0.0000012{number // 150}')
    target.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join([*(json.dumps(line, ensure_ascii=False) for line in lines), ""])
    target.write_bytes(zstandard.ZstdCompressor().compress(text.encode()))
    return target


def _later_number(found: re.Match[str]) -> str:
    unit = 10 ** (19 - len(found[0]))
    return str((START_NS + (int(found[0]) * unit - START_NS) * STRETCH) // unit)


def _later_text(found: re.Match[str]) -> str:
    moment = datetime.fromisoformat(found[0])
    later = _START + timedelta(microseconds=(moment - _START) // timedelta(microseconds=1) * STRETCH)
    return later.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
