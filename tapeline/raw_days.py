"""What the object store holds of a UTC day: the keys of its raw objects, without listing all other days."""

from __future__ import annotations

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import date

from tapeline.errors import CaptureError
from tapeline.objectstore.base import ObjectStore
from tapeline.partitions import NAMES, folder

_ASKED_AT_ONCE = 16
_DAY = re.compile(r"/year=(\d{4})/month=(\d{2})/day=(\d{2})/\Z", re.ASCII)


def day_sizes(store: ObjectStore, day: date, instance: str = "", provider: str = "") -> dict[str, int]:
    """The objects of a day and their bytes, by key, sorted; of one instance or provider where it is given.

    Costs a listing for each channel and day, however much the store holds of other days. Foreign objects may be among them.
    """
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        places = _channels(store, pool, instance, provider)
        days = [f"{place}year={day.year:04d}/month={day.month:02d}/day={day.day:02d}/" for place in places]
        sizes = {key: size for answer in pool.map(store.sizes, days) for key, size in answer.items()}
    return dict(sorted(sizes.items()))


def last_day(store: ObjectStore) -> date | None:
    """The latest day that has raw objects; None where none has."""
    days = [_DAY.search(folder) for folder in days_of(store, "", "", date.min)]
    return max((date(*map(int, found.groups())) for found in days if found), default=None)


def days_of(store: ObjectStore, instance: str, provider: str, since: date) -> list[str]:
    """The folders of channels and days (a slash at the end) from a day on, sorted; of one instance or provider where it is given."""
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        places = _channels(store, pool, instance, provider)
        parts = (f"year={since.year:04d}/", f"month={since.month:02d}/", f"day={since.day:02d}/")
        for depth in (1, 2, 3):
            wanted = "".join(parts[:depth])
            below = [found for answer in pool.map(store.folders, places) for found in answer]
            places = [place for place in below if "/".join(place.split("/")[-depth - 1 :]) >= wanted]
    return sorted(places)


def _channels(store: ObjectStore, pool: ThreadPoolExecutor, instance: str, provider: str) -> list[str]:
    places = [""]
    for name, value in (("instance", instance), ("provider", provider), ("schema", ""), ("channel", "")):
        wanted = folder(name, value) + "/" if value else f"{name}="
        below = [found for answer in pool.map(store.folders, places) for found in answer]
        places = [place for place in below if f"{place.split('/')[-2]}/".startswith(wanted)]
    return places


def whole_names(store: ObjectStore) -> dict[str, str]:
    """Values that are cut in keys, for `partitions.parse_key`; raises CaptureError for an object that is no such name."""
    found = {}
    for key in store.list(NAMES):
        data = store.get(key)
        if hashlib.sha256(data).hexdigest() != key.removeprefix(NAMES):
            raise CaptureError(key, 0, "it does not hold the name that it is called after")
        found[key] = data.decode()
    return found
