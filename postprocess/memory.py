"""The memory of a process that runs units: how it is kept, and how much was held at most since a unit began."""

from __future__ import annotations

import contextlib
import ctypes
import resource
from pathlib import Path

_SELF = Path("/proc/self")

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Of glibc's mallopt(3)."""
_MAPPED_BYTES = 32 << 20
"""The most that glibc takes; arrays of a batch are smaller."""
_KEPT_BYTES = 256 << 20


def keep_freed() -> None:
    """Lets freed memory stay with the process, where its C library is glibc, which else gives every large array back.

    To have it given anew, page by page, was an eighth of a unit's time.
    """
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


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
