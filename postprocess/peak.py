"""How much memory this process held at most since a unit began."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path

_SELF = Path("/proc/self")


def begin_peak() -> None:
    """Forgets what was held before, where the system can."""
    # Not every container may write here; then the peak is the process's.
    with contextlib.suppress(OSError):
        (_SELF / "clear_refs").write_text("5")


def peak_bytes() -> int:
    """The most that was resident at a time."""
    try:
        for line in (_SELF / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass  # no such system
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
