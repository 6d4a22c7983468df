"""A lake of two days, and what is in it, read without the code that replays or exports it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import zstandard

from tapeline.consumer.layout import LAYOUTS
from tapeline.objectstore import open_store
from tapeline.offline.lake import Lake
from tapeline.schemas import Schema
from tests.postprocess.raw_store import fill
from tests.postprocess.running import make

CAPTURES = Path(__file__).resolve().parent.parent / "fixtures" / "captures"
DAY, NEXT_DAY = date(2026, 1, 1), date(2026, 1, 2)
DAY_NS = 86_400_000_000_000
MIDNIGHT = 1_767_225_600_000_000_000
"""The beginning of DAY, ns."""
TWICE = "binance_spot"
"""The venue that both instances have on DAY, each with losses of its own; it is there on NEXT_DAY too, once."""
VENUES = (TWICE, "kraken", "deribit", "okx")


def make_lake(root: Path, venues: Sequence[str] = VENUES) -> Path:
    """Makes it; where its tables are."""
    store, lake = root / "store", root / "lake"
    for venue in venues:
        capture = CAPTURES / f"{venue}.jsonl.zst"
        if venue == TWICE:
            fill(store, venue, capture, keep=lambda number: number % 7 != 0)
            fill(store, venue, capture, "REPLICA", keep=lambda number: number % 5 != 0, later=1_000_000)
            fill(store, venue, capture, later=DAY_NS)
        else:
            fill(store, venue, capture)
    for day in (DAY, NEXT_DAY):
        assert not make(day, store, lake).problems
    return lake


def make_lake_over_midnight(root: Path, venue: str) -> Path:
    """The same of one venue, the middle of whose capture is the midnight between the two days."""
    store, lake = root / "store", root / "lake"
    fill(root / "when", venue, CAPTURES / f"{venue}.jsonl.zst")
    make(DAY, root / "when", root / "then")
    [parts] = [manifest.tables["raw_payloads"] for manifest in Lake.at(root / "then").current()]
    stamps = [pq.read_table(root / "then" / part.key, columns=["ts_recv"]).column(0).to_numpy() for part in parts]
    later = MIDNIGHT + DAY_NS - int(np.median(np.concatenate(stamps)))
    fill(store, venue, CAPTURES / f"{venue}.jsonl.zst", later=later)
    for day in (DAY, NEXT_DAY):
        assert not make(day, store, lake).problems
    return lake


def copy_lake(lake: Path, url: str) -> None:
    """Puts what is published into another store."""
    store = open_store(url)
    for path in sorted(path for path in lake.rglob("*") if path.is_file()):
        if path.relative_to(lake).parts[0] not in ("work", ".incoming"):
            store.put(path.relative_to(lake).as_posix(), path.read_bytes())


@dataclass(frozen=True)
class Truth:
    """Every canonical record by its place in the stream of a provider's day; columns of the same length."""

    channel: npt.NDArray[np.str_]
    """`<schema>.<provider>.<channel>`."""
    when: npt.NDArray[np.int64]
    record: list[bytes]

    def of(self, channel: str, start: int = 0, end: int = 1 << 62) -> bytes:
        """A channel's records of a span, back to back."""
        places = np.flatnonzero((self.channel == channel) & (self.when >= start) & (self.when < end))
        # A channel may be of several units, which stand beside one another by time.
        places = places[np.argsort(self.when[places], kind="stable")]
        return b"".join(self.record[place] for place in places.tolist())

    def channels(self, start: int = 0, end: int = 1 << 62) -> set[str]:
        """The channels that have records in a span."""
        return set(self.channel[(self.when >= start) & (self.when < end)].tolist())

    def middle(self) -> int:
        """A time with about as many records before as after it, between two payloads."""
        return int(np.sort(self.when)[len(self.when) // 2])


def truth(lake: Path) -> Truth:
    """What the published versions of a lake hold."""
    channel: list[str] = []
    when: list[npt.NDArray[np.int64]] = []
    record: list[bytes] = []
    for path in sorted((lake / "index").rglob("*.parquet")):
        provider = next(part.removeprefix("provider=") for part in path.parts if part.startswith("provider="))
        names = json.loads((pq.read_metadata(path).metadata or {})[b"tapeline.channels"])
        table = pq.read_table(path, partitioning=None)
        stream = _bytes(lake, path)
        for number in table.column("channel").to_pylist():
            schema = Schema(names[number]["schema"])
            channel.append(f"{schema.value}.{provider}.{names[number]['channel']}")
            stride = LAYOUTS[schema].stride
            data = stream[schema]
            record.append(data[:stride])
            stream[schema] = data[stride:]
        assert not any(stream.values())
        when.append(np.maximum.accumulate(table.column("ts_recv").to_numpy()))
    return Truth(np.array(channel), np.concatenate(when), record)


def _bytes(lake: Path, index: Path) -> dict[Schema, bytes]:
    folder = index.relative_to(lake / "index").parent
    found: dict[Schema, bytes] = defaultdict(bytes)
    for schema in Schema:
        for path in sorted((lake / "dbn" / f"schema={schema.dbn}" / folder).glob(f"{index.name[:5]}*.dbn.zst")):
            data = zstandard.ZstdDecompressor().stream_reader(path.read_bytes(), read_across_frames=True).read()
            found[schema] += data[8 + int.from_bytes(data[4:8], "little") :]
    return found
