"""The account of a run: what was sent, received, lost and refused, how late, and at what cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tapeline import venues
from tapeline.cli.up.histogram import Histogram
from tapeline.cli.up.ledger import missing
from tapeline.cli.up.tally import DEFINITIONS

_UNNEEDED = "snapshot not needed"
"""What a normalizer calls a REST snapshot it had no use for; nothing of the socket is missing for it."""


@dataclass(frozen=True, slots=True)
class VenueReport:
    """One venue's part. `lost` is None where nobody knows what was sent."""

    sent: int | None
    received: int
    records: int
    lost: int | None
    missing: dict[str, int]
    """By channel: sent and not published as records, for whatever reason."""
    unpublished: dict[str, int]
    """By reason: payloads that the normalizer did not publish on purpose."""
    rejected: dict[str, int]
    gaps: int
    latency_us: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Report:
    """The whole."""

    payloads: int
    records: int
    lost: int | None
    rejected: int
    gaps: int
    latency_us: dict[str, float | None]
    latency_from: str
    """`venue`: from the venue's sending; `receipt`: from ours."""
    cpu_seconds: dict[str, float]
    startup_cpu_seconds: dict[str, float]
    """What of it was spent before the first payload."""
    venues: dict[str, VenueReport]
    holes: dict[str, int]
    repeats: int
    seconds: float
    """From the first to the last message received."""
    tables: dict[str, int] = field(default_factory=dict)
    problem: str = ""
    """What went wrong besides: a process that ended badly, tables that could not be made."""

    @property
    def failed(self) -> bool:
        """Whether something was lost or went wrong."""
        return bool(self.lost or self.problem)


@dataclass(slots=True)
class Observed:
    """What the processes of a run have told at their end."""

    venues: tuple[str, ...]
    instances: tuple[str, ...]
    sent: dict[str, dict[str, int]] | None
    punctual: tuple[str, ...]
    """Venues whose messages tell when they were sent, by this machine's clock."""
    verifier: dict[str, Any]
    normalizers: dict[str, dict[str, Any]]
    """By instance: the normalizer's last statistics."""
    cpu_seconds: dict[str, float]
    startup_cpu_seconds: dict[str, float]


def make_report(seen: Observed) -> Report:
    """Adds everything up."""
    parts = {name: _venue(name, seen) for name in seen.venues}
    exact = _merged(seen, list(seen.punctual), "end_to_end")
    from_venue = exact.total > 0
    latency = exact if from_venue else _merged(seen, list(seen.venues), "lag")
    lost = [part.lost for part in parts.values() if part.lost is not None]
    return Report(
        payloads=sum(part.received for part in parts.values()),
        records=sum(part.records for part in parts.values()),
        lost=sum(lost) if seen.sent is not None else None,
        rejected=sum(sum(part.rejected.values()) for part in parts.values()),
        gaps=sum(part.gaps for part in parts.values()),
        latency_us=latency.summary(),
        latency_from="venue" if from_venue else "receipt",
        cpu_seconds=seen.cpu_seconds,
        startup_cpu_seconds=seen.startup_cpu_seconds,
        venues=parts,
        holes=dict(seen.verifier.get("holes", {})),
        repeats=int(seen.verifier.get("repeats", 0)),
        seconds=round(float(seen.verifier.get("seconds", 0.0)), 3),
    )


def _venue(name: str, seen: Observed) -> VenueReport:
    provider = venues.provider(name)
    streams = _streams(seen, provider)
    told = [stats.get("providers", {}).get(provider, {}) for stats in seen.normalizers.values()]
    rejected = _sum(part.get("rejected", {}) for part in told)
    unpublished = _sum(unpublished_by_reason(part) for part in told)
    # Definitions come of many payloads: of lists, and of the first that names an instrument.
    received = sum(
        counts["payloads"]
        for stream in streams
        for channel, counts in stream["channels"].items()
        if channel != DEFINITIONS
    )
    sent = seen.sent.get(name, {}) if seen.sent is not None else None
    lacking = missing(name, sent, [stream["channels"] for stream in streams]) if sent is not None else {}
    explained = sum(unpublished.values()) - unpublished.get(_UNNEEDED, 0) + sum(rejected.values())
    return VenueReport(
        sent=sum(sent.values()) if sent is not None else None,
        received=received,
        records=sum(int(stream["records"]) for stream in streams),
        lost=max(0, sum(lacking.values()) - explained) if sent is not None else None,
        missing=lacking,
        unpublished=unpublished,
        rejected=rejected,
        gaps=sum(gaps(part) for part in told),
        latency_us=_merged(seen, [name], "lag").summary(),
    )


def unpublished_by_reason(told: Mapping[str, Any]) -> dict[str, int]:
    """Payloads that the normalizer kept back on purpose: excluded by the venue's meaning, or older than the snapshot."""
    out = {str(reason): int(count) for reason, count in told.get("excluded", {}).items() if count}
    if stale := int(told.get("books", {}).get("stale", 0)):
        out["older than the snapshot"] = stale
    return out


def gaps(told: Mapping[str, Any]) -> int:
    """Gaps that a normalizer found in the venue's own sequence or checksums."""
    return int(told.get("links", {}).get("broken", 0)) + int(told.get("checksums", {}).get("bad", 0))


def rejects(told: Mapping[str, Any]) -> int:
    """Payloads that a normalizer has rejected."""
    return sum(int(count) for count in told.get("rejected", {}).values())


def _streams(seen: Observed, provider: str) -> list[dict[str, Any]]:
    all_streams = seen.verifier.get("streams", {})
    return [all_streams[key] for key in (f"{provider}.{one}" for one in seen.instances) if key in all_streams]


def _merged(seen: Observed, names: list[str], which: str) -> Histogram:
    out = Histogram()
    for name in names:
        for stream in _streams(seen, venues.provider(name)):
            out.add_counts(stream[which])
    return out


def _sum(parts: Any) -> dict[str, int]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update({str(key): int(value) for key, value in part.items()})
    return {key: value for key, value in total.items() if value}
