"""`tapeline normalize` without its command line: a source through the kernel into a DBN file, with the account of it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tapeline_kernel import SIDECAR, Normalizer

from tapeline.errors import CaptureError
from tapeline.offline.dbn_file import DbnFile
from tapeline.offline.feed import Feed
from tapeline.offline.raw_files import SUFFIX, RawFiles, find_raw_files
from tapeline.offline.tables import KINDS
from tapeline.spec.encode import encode
from tapeline.venues import Venue

CAPTURE_INSTANCE = "PRIMARY"
"""The instance whose publisher id a capture's records carry."""

_SIDECAR = np.dtype(SIDECAR)


@dataclass(slots=True)
class Account:
    """What became of a source."""

    payloads: int = 0
    records: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    links: dict[str, int] = field(default_factory=dict)
    checksums: dict[str, int] = field(default_factory=dict)
    resyncs: int = 0
    instruments: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    excluded: dict[str, int] = field(default_factory=dict)
    control: dict[str, int] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)
    problem: str = ""
    """Why the source could not be read to its end."""


def normalize_file(venue: Venue, source: Path, target: Path) -> Account:
    """Runs a capture or raw files through the kernel into a `.dbn.zst`.

    What cannot be read at the source's end is told in `problem`, and what stands before it is written all the same; a
    source of which nothing can be read raises CaptureError.
    """
    started, cpu = time.perf_counter(), time.process_time()
    raw = find_raw_files(source, venue.provider) if source.is_dir() or source.name.endswith(SUFFIX) else None
    account = _Run(venue, raw.instance if raw else CAPTURE_INSTANCE).through(source, raw, target)
    account.seconds = round(time.perf_counter() - started, 6)
    account.cpu_seconds = round(time.process_time() - cpu, 6)
    return account


class _Run:
    def __init__(self, venue: Venue, instance: str) -> None:
        self._venue = venue
        self._feed = Feed(venue, instance)
        self._kernel = Normalizer(encode(venue.meaning), venue.provider, instance, "dbn")
        self._records: Counter[int] = Counter()
        self._events: Counter[str] = Counter()

    def through(self, source: Path, raw: RawFiles | None, target: Path) -> Account:
        broken: list[CaptureError] = []
        batches = self._feed.capture(source) if raw is None else self._feed.rows(raw.payloads(broken.append))
        with DbnFile(target, self._venue.provider) as file:
            try:
                for batch in batches:
                    self._take(batch, file)
            except CaptureError as error:
                broken.append(error)
            if broken and not self._feed.payloads:
                raise broken[0]
            file.finish(*(self._feed.span or (0, 0)), self._kernel.symbols())
        more = f" (and {len(broken) - 1} more files)" if len(broken) > 1 else ""
        return self._account(f"{broken[0]}{more}" if broken else "")

    def _take(self, batch: bytes, file: DbnFile) -> None:
        output = self._kernel.normalize(batch)
        file.write(output.data)
        self._events.update(event.kind for event in output.events)
        if not output.records:
            return
        offsets = np.frombuffer(output.sidecar, dtype=_SIDECAR)["offset"]
        rtypes = np.frombuffer(output.data, dtype=np.uint8)[offsets + np.uint64(1)]
        for rtype, count in zip(*np.unique(rtypes, return_counts=True), strict=True):
            self._records[int(rtype)] += int(count)

    def _account(self, problem: str) -> Account:
        counters = self._kernel.counters()
        rejected = dict(counters.get("rejected", {}))
        if self._feed.unreadable:
            rejected["line"] = len(self._feed.unreadable)
        return Account(
            payloads=self._feed.payloads + len(self._feed.unreadable),
            records={KINDS[rtype].schema.dbn: count for rtype, count in sorted(self._records.items())},
            rejected=rejected,
            links=_both(counters.get("links", {}), "ok", "broken"),
            checksums=_both(counters.get("checksums", {}), "ok", "bad"),
            resyncs=counters.get("books", {}).get("resyncs", 0),
            instruments=len(self._kernel.symbols()),
            excluded=dict(counters.get("excluded", {})),
            control=dict(self._feed.control),
            events=dict(self._events),
            problem=problem,
        )


def _both(counts: dict[str, int], good: str, bad: str) -> dict[str, int]:
    return {good: counts.get(good, 0), bad: counts.get(bad, 0)}
