"""`python -m tests.postprocess.dying_unit DAY STORE LAKE POINT`: runs a day and kills itself at a point, as SIGKILL would.

A point is the number of the put into the lake that is not made any more.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import date

from tapeline.objectstore import LocalStore
from tests.postprocess.running import make


def main() -> None:
    """Runs until the point, or to the end."""
    day, store, lake, point = sys.argv[1:]
    left = int(point)
    put = LocalStore.put

    def counted(self: LocalStore, key: str, data: bytes, if_absent: bool = True) -> bool:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return put(self, key, data, if_absent)

    LocalStore.put = counted  # type: ignore[method-assign]
    make(date.fromisoformat(day), store, lake)


if __name__ == "__main__":
    main()
