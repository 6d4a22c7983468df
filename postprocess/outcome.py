"""What came of a day's run, in figures, by provider and together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date

import msgspec
from rich import box
from rich.table import Table

from postprocess.day import DayRun
from postprocess.units import Problem
from tapeline.offline.lake import Manifest

COUNTS = ("payloads", "both", "primary_only", "replica_only", "records", "rejected", "gaps", "duplicates")

_MOSTLY_NONE = ("rejected", "gaps", "duplicates")


class ProviderOutcome(msgspec.Struct, frozen=True):
    """A provider whose version counts now."""

    version: int
    state: str
    """`new`, or `unchanged` where the version was published before."""
    payloads: int
    both: int
    primary_only: int
    replica_only: int
    records: int
    rejected: int
    gaps: int
    """That neither instance fills."""
    duplicates: int
    files: int
    bytes: int
    seconds: float
    """Of its units, 0 where it is unchanged."""


class Outcome(msgspec.Struct, frozen=True):
    """A day; counts are of all providers together."""

    day: str
    versions: dict[str, int]
    providers: dict[str, ProviderOutcome]
    payloads: int
    both: int
    primary_only: int
    replica_only: int
    records: int
    rejected: int
    gaps: int
    duplicates: int
    files: int
    bytes: int
    seconds: float
    problems: list[Problem]


def outcome(run: DayRun, seconds: Mapping[str, float], elapsed: float) -> Outcome:
    """What counts after a run; `seconds` are those of each provider's units."""
    result = run.result
    day = date.fromisoformat(result.day)
    providers = {}
    for provider, version in sorted(result.versions.items()):
        manifest = run.lake.manifest(day, provider, version)
        state = "new" if provider in run.changed else "unchanged"
        providers[provider] = _of(manifest, state, round(seconds.get(provider, 0.0), 3))
    sums = Counter[str]()
    for one in providers.values():
        sums.update({name: getattr(one, name) for name in (*COUNTS, "files", "bytes")})
    totals = {name: sums[name] for name in (*COUNTS, "files", "bytes")}
    return Outcome(
        day=result.day,
        versions=result.versions,
        providers=providers,
        seconds=elapsed,
        problems=result.problems,
        **totals,
    )


def _of(manifest: Manifest, state: str, seconds: float) -> ProviderOutcome:
    counts = {name: manifest.counts.get(name, 0) for name in COUNTS}
    counts["rejected"] = manifest.counts.get("rejects", 0)
    files = manifest.files()
    return ProviderOutcome(
        version=manifest.version,
        state=state,
        files=len(files),
        bytes=sum(file.size for file in files),
        seconds=seconds,
        **counts,
    )


def lines(found: Outcome) -> Iterator[Table | str]:
    """The same for people."""
    if found.providers:
        # What nobody has needs no column: a line is short enough for any terminal then.
        counts = [name for name in COUNTS if name not in _MOSTLY_NONE or getattr(found, name)]
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        table.add_column("provider", no_wrap=True)
        for name in ("v", *(name.replace("_", " ") for name in counts), "MB", "s"):
            table.add_column(name, justify="right", min_width=max(map(len, name.split())))
        for provider, one in found.providers.items():
            numbers = [f"{getattr(one, name):,}" for name in counts]
            took = f"{one.seconds:.1f}" if one.state == "new" else "–"
            table.add_row(provider, str(one.version), *numbers, f"{one.bytes / 1e6:,.1f}", took)
        yield table
    new = sum(one.state == "new" for one in found.providers.values())
    problems = f", {len(found.problems)} problem{'' if len(found.problems) == 1 else 's'}" if found.problems else ""
    if found.providers and not new:
        yield f"{found.day}: nothing to do, all of it is published as it is{problems}"
    else:
        yield (
            f"{found.day}: {found.payloads:,} payloads, {found.records:,} records, {found.files:,} files, "
            f"{found.bytes / 1e6:,.1f} MB in {found.seconds:.1f} s{problems}"
        )
