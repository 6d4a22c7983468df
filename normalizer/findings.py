"""What the kernel noticed becomes counters, log lines in bounded number, and requests for snapshots."""

from __future__ import annotations

import time
from collections.abc import Callable

from tapeline_kernel import Event

from normalizer.resync import Resyncs
from tapeline.telemetry import Level, count, event

DEAD_LETTERS = 10
"""Log lines a second for rejected payloads, per provider; all others are only counted."""
NOTES = 50
"""The same for everything else."""


_LEVELS = {
    "lost": Level.ERROR,
    "gap": Level.WARNING,
    "checksum": Level.WARNING,
    "collision": Level.ERROR,
    "reject": Level.WARNING,
    "stale": Level.WARNING,
    "resync": Level.INFO,
    "recovered": Level.INFO,
}

# What the kernel says of a book that has never had a snapshot.
_FIRST = "no snapshot"
_PATIENCE_SECONDS = 1.0
_BEHIND_NS = 250_000_000


def _patience(finding: Event, behind_ns: int) -> float:
    """How long to wait for a snapshot that may be on its way: the session's own first one, or one further on in the ring."""
    return _PATIENCE_SECONDS if finding.reason == _FIRST or behind_ns > _BEHIND_NS else 0.0


class Allowance:
    """So many a second, and no more."""

    def __init__(self, each_second: int, clock: Callable[[], float]) -> None:
        self._each_second = each_second
        self._clock = clock
        self._second = -1
        self._left = 0

    def take(self) -> bool:
        """Whether one more is allowed now."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._left = second, self._each_second
        self._left -= 1
        return self._left >= 0


class Findings:
    """Takes the events of one provider's batches."""

    def __init__(self, provider: str, resyncs: Resyncs, clock: Callable[[], float] = time.monotonic) -> None:
        self._provider = provider
        self._resyncs = resyncs
        self._dead_letters = Allowance(DEAD_LETTERS, clock)
        self._notes = Allowance(NOTES, clock)

    def take(self, epoch: int, finding: Event, behind_ns: int) -> None:
        """Counts, tells and acts; `behind_ns` is how old the finding's batch is."""
        kind = finding.kind
        count("kernel_events", provider=self._provider, kind=kind)
        if kind == "resync":
            self._resyncs.want(finding.channel, finding.symbol, finding.reason, _patience(finding, behind_ns))
        elif kind == "recovered":
            self._resyncs.answered(finding.channel, finding.symbol)
        allowance = self._dead_letters if kind == "reject" else self._notes
        if allowance.take():
            self._tell(epoch, finding)
        else:
            count("kernel_events_untold", provider=self._provider, kind=kind)

    def _tell(self, epoch: int, finding: Event) -> None:
        fields: dict[str, object] = {"channel": finding.channel, "symbol": finding.symbol, "reason": finding.reason,
                                     "epoch": epoch, "sequence": finding.sequence}  # fmt: skip
        if finding.from_id or finding.to_id:
            fields |= {"from_id": finding.from_id, "to_id": finding.to_id}
        if finding.sample:
            fields["sample"] = finding.sample.decode(errors="backslashreplace")
        name = "dead_letter" if finding.kind == "reject" else finding.kind
        event(name, _LEVELS.get(finding.kind, Level.INFO), provider=self._provider, **fields)
