"""The batch processors' own records of what they know is missing, as the object store holds them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

import msgspec

from tapeline import telemetry
from tapeline.days import day_of
from tapeline.errors import RefusedError
from tapeline.objectstore import ObjectStore
from tapeline.partitions import folder

_NAME = re.compile(r"/(\d+)-\d+-\d+\.json\Z", re.ASCII)


class GapRecord(msgspec.Struct, frozen=True):
    """Sequences that are in no object; `last` is 0 where an ended session's last sequence is not known.

    `after_ts` is the time of the last payload stored before, 0 where none is known.
    """

    instance: str
    epoch: int
    first: int
    last: int
    reason: str
    after_ts: int = 0

    def is_of(self, day: date) -> bool:
        """Whether it began on this UTC day."""
        return is_within(self.after_ts or self.epoch, day)


def is_within(stamp: int, day: date) -> bool:
    """Whether a time (ns) is on a UTC day."""
    return day_of(stamp) == day


def read_records(store: ObjectStore, provider: str, instances: Sequence[str], day: date) -> list[GapRecord]:
    """The records of sessions that had not ended before a day, by instance, epoch and first sequence.

    One that cannot be read is counted and left out: what it tells of shows as a hole all the same.
    """
    found = []
    for instance in instances:
        for key in store.list(f"gaps/{folder('instance', instance)}/{folder('provider', provider)}/"):
            name = _NAME.search(key)
            if name is None or _began(int(name[1])) > day:
                continue
            try:
                found.append(msgspec.json.decode(store.get(key), type=GapRecord))
            except (RefusedError, msgspec.DecodeError) as error:
                telemetry.count("postprocess_broken_objects")
                telemetry.event("broken_object", telemetry.Level.ERROR, key=key, reason=str(error))
    return sorted(found, key=lambda record: (record.instance, record.epoch, record.first))


def _began(epoch: int) -> date:
    return day_of(epoch)
