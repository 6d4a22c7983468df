"""What a version of a provider's day is made of: its raw objects, the mapping and the forms, and their digest."""

from __future__ import annotations

import hashlib
from datetime import date
from importlib.metadata import version as installed

import msgspec
import pyarrow as pa
import zstandard
from tapeline_kernel import Normalizer, SpecError

from postprocess.ledger.records import GapRecord, read_records
from postprocess.raw import INSTANCES, PRIMARY, DayObjects, near
from tapeline.objectstore import ObjectMissingError, ObjectStore
from tapeline.offline.lake import WORK, Lake, Manifest, version_folder
from tapeline.offline.tables import all_tables
from tapeline.spec.encode import encode
from tapeline.spec.merging import uncounted
from tapeline.venues import Venue

FORM = "4"
"""How the post-process makes files of records; another number, another digest."""

SHARD_BYTES = 256 << 20
"""Bytes of raw objects that one unit takes on, where the mapping allows several."""

UNREAD_OBJECTS = "unread_objects"
"""Among a manifest's counts: raw objects that the store would not give."""

MOST_SHARDS = 64


class Plan(msgspec.Struct, frozen=True):
    """What a version is made of; written once, so that every unit and every restart uses the very same inputs."""

    day: str
    provider: str
    version: int
    digest: str
    made_of: dict[str, str]
    objects: dict[str, int]
    """The day's raw objects: bytes by key."""
    near: dict[str, int]
    """Those of the days beside it that tell whose day a message at midnight is of."""
    gaps: list[GapRecord]
    """What is known not to be in the raw store."""
    names: dict[str, str]
    """See `partitions.parse_key`."""
    shards: int
    before: list[str] = []
    """What stood at the end of the day before: SHA-256 of the state files (`Lake.standing`)."""

    @property
    def key(self) -> str:
        """Where it stands in the lake."""
        return plan_key(date.fromisoformat(self.day), self.provider, self.version)


def plan_key(day: date, provider: str, version: int) -> str:
    """Where a version's plan stands in the lake."""
    return f"{WORK}/{version_folder(day, provider, version)}/plan.json"


def read_plan(lake: Lake, day: date, provider: str, version: int) -> Plan:
    """A version's plan; raises ObjectMissingError or msgspec.DecodeError."""
    return msgspec.json.decode(lake.store.get(plan_key(day, provider, version)), type=Plan)


def make_plan(
    lake: Lake, store: ObjectStore, day: date, venue: Venue, objects: DayObjects, yesterday: Manifest | None
) -> Plan:
    """The plan of a provider's day, which goes on from the end of `yesterday`.

    It is of the version that is made of the same where there is one, else of a new one.
    """
    provider = venue.provider
    sizes = objects.sizes(provider)
    instances = objects.instances(provider)
    # What the primary has counts for the day of its own clock, whatever there is beside.
    beside = near(store, day, provider) if instances != [PRIMARY] else {}
    gaps = [gap for gap in read_records(store, provider, INSTANCES, day) if gap.is_of(day)]
    made_of = {
        "objects": _digest(*(f"{key}\t{size}" for key, size in (sizes | beside).items()), *map(repr, gaps)),
        "mapping": _digest(encode(venue.meaning).decode("latin-1"), encode(venue.session.routing).decode("latin-1")),
        "kernel": installed("tapeline-kernel"),
        "form": f"{FORM} pyarrow {pa.__version__} zstandard {zstandard.__version__}",
        "tables": _digest(*(f"{table.name} {table.columns}" for table in all_tables().values())),
    }
    before = [file.sha256 for file in yesterday.state] if yesterday is not None else []
    if before:
        made_of["before"] = _digest(*before)
    shards = _shards(venue, sizes, instances)
    if shards > 1:
        made_of["shards"] = str(shards)
    while True:
        digest = _digest(*(f"{name}={value}" for name, value in made_of.items()))
        version = _version(lake, day, provider, digest)
        if not _lacks(lake, day, provider, version):
            break
        # What the store would not give then it may give now: the same inputs are not the same bytes.
        made_of["again"] = f"version {version} lacks objects"
    return Plan(day.isoformat(), provider, version, digest, made_of, sizes, beside, gaps, objects.names, shards, before)


def _lacks(lake: Lake, day: date, provider: str, version: int) -> bool:
    """Whether a version was made without objects that the store had and would not give."""
    made = version in lake.versions(day, provider)
    return made and lake.manifest(day, provider, version).counts.get(UNREAD_OBJECTS, 0) > 0


def _shards(venue: Venue, sizes: dict[str, int], instances: list[str]) -> int:
    """How many units share the instruments; one where what the venue counts is whole only together."""
    shards = min(MOST_SHARDS, -(-sum(sizes.values()) // SHARD_BYTES))
    if shards > 1:
        meaning = uncounted(venue.meaning) if len(instances) > 1 else venue.meaning
        try:
            Normalizer(encode(meaning), venue.provider, instances[0], "dbn", (0, shards))
        except SpecError:
            return 1
    return max(1, shards)


def claim(lake: Lake, plan: Plan) -> Plan:
    """Writes a plan before its units begin; where another run has taken the number for something else, under the next."""
    while not lake.store.put(plan.key, msgspec.json.encode(plan)):
        day = date.fromisoformat(plan.day)
        try:
            if read_plan(lake, day, plan.provider, plan.version).digest == plan.digest:
                return plan
        except (ObjectMissingError, msgspec.DecodeError):
            pass  # half removed: its number is taken all the same
        plan = msgspec.structs.replace(plan, version=_next(lake, day, plan.provider))
    return plan


def _next(lake: Lake, day: date, provider: str) -> int:
    return max([0, *lake.numbers(day, provider), *_begun(lake, day, provider)]) + 1


def _version(lake: Lake, day: date, provider: str, digest: str) -> int:
    """The number of the version, whole or not, that has this digest; else the next."""
    whole = lake.versions(day, provider)
    begun = _begun(lake, day, provider)
    for version in sorted({*whole, *begun}, reverse=True):
        try:
            found = (
                lake.manifest(day, provider, version).digest
                if version in whole
                else read_plan(lake, day, provider, version).digest
            )
        except (ObjectMissingError, msgspec.DecodeError):
            continue  # half removed: its number is taken all the same
        if found == digest:
            return version
    return _next(lake, day, provider)


def _begun(lake: Lake, day: date, provider: str) -> list[int]:
    prefix = f"{WORK}/day={day.isoformat()}/provider={provider}/version="
    found = {key.removeprefix(prefix).partition("/")[0] for key in lake.store.list(prefix)}
    return sorted(int(text) for text in found if text.isdecimal())


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode("utf-8", "surrogateescape")).hexdigest()
