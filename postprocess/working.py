"""What a run leaves in the lake on its way: removed when the version is published, or kept for some days."""

from __future__ import annotations

import re
import time
from datetime import date

from tapeline.days import DAY_NS
from tapeline.offline.lake import WORK, Lake

_VERSION = re.compile(rf"{WORK}/day=(\d{{4}}-\d{{2}}-\d{{2}})/provider=([^/]+)/version=(\d+)/", re.ASCII)


def tidy(lake: Lake, keep_days: int) -> int:
    """Removes what versions that are whole needed to be made, `keep_days` after they were; how many objects.

    What an unfinished version needs to go on stays; so does the plan of one beside which a later one is whole.
    """
    removed = 0
    kept: dict[tuple[date, str, int], bool] = {}
    # A run beside this one that closes the same version knows by the plan whether what it has read was all.
    for key in sorted(lake.store.list(WORK + "/"), key=lambda key: not key.endswith("/plan.json")):
        found = _VERSION.match(key)
        if found is None:
            continue
        version = (date.fromisoformat(found[1]), found[2], int(found[3]))
        if version not in kept:
            kept[version] = _needed(lake, *version, keep_days)
        if not kept[version]:
            lake.store.delete(key)
            removed += 1
    return removed


def _needed(lake: Lake, day: date, provider: str, version: int, keep_days: int) -> bool:
    if version not in lake.versions(day, provider):
        return True
    made = lake.made(day, provider, version)
    return made is not None and time.time_ns() - made.at < keep_days * DAY_NS
