"""The tables' home: which versions of a day there are, which of them count, and how one takes the place of another.

A version of a (day, provider) is written beside what counts, described by its manifest, and counts from the moment that the
day's `published.tsv` names it: one put, so that no reader ever sees half a day. Earlier versions stay until they are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

import msgspec

from tapeline.errors import RefusedError, TapelineError
from tapeline.objectstore import ObjectMissingError, ObjectStore, open_store
from tapeline.offline.tables import MOST_VERSIONS

LAKE = "lake"
"""The tables' folder in a data directory, where no other place is set."""

PUBLISHED = "published"
MANIFESTS = "manifests"
WORK = "work"
DBN = "dbn"
INDEX = "index"

_DAY_FILE = re.compile(r"published/day=(\d{4}-\d{2}-\d{2})/published\.tsv\Z", re.ASCII)
_NUMBER = re.compile(r"version=(\d+)\.", re.ASCII)
_VERSION_FILE = re.compile(r"version=(\d+)\.json\Z", re.ASCII)


class NoTablesError(TapelineError):
    """There are no tables in the directory."""


class LakeError(RefusedError):
    """What stands in the lake is not what it should be."""


class File(msgspec.Struct, frozen=True):
    """One file of a version; the key is relative to the lake."""

    key: str
    rows: int
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What a version of a provider's day holds, and what it was made of."""

    day: str
    provider: str
    version: int
    digest: str
    """Of all that went in: equal digests, equal bytes."""
    tables: dict[str, list[File]]
    dbn: dict[str, list[File]]
    """By DBN schema."""
    counts: dict[str, int]
    made_of: dict[str, str]
    """What the digest is of, for people: objects, mapping, kernel, form of the tables."""
    index: list[File] = []
    """Which channel each record was published on, a file for each unit (`tapeline.offline.channel_index`)."""
    state: list[File] = []
    """What stood at the day's end, a file for each unit (`tapeline.offline.standing`)."""
    before: list[str] = []
    """SHA-256 of the state files of the day before with which it begins (`Lake.standing`)."""

    def files(self) -> list[File]:
        """All of its files."""
        return [file for part in (*self.tables.values(), *self.dbn.values(), self.index, self.state) for file in part]


class Made(msgspec.Struct, frozen=True):
    """How a version was made; beside its manifest, which is the same for the same inputs whenever it is made."""

    at: int
    """When it was whole, ns since the epoch."""
    units: int
    cpu_seconds: float
    peak_rss_bytes: int
    """The most that one unit has held."""


def version_folder(day: date, provider: str, version: int) -> str:
    """The partition folders of a version, without a slash at either end."""
    return f"day={day.isoformat()}/provider={provider}/version={version}"


def stem(day: date, provider: str, version: int) -> str:
    """What the keys of all that is said of a version begin with."""
    return f"{MANIFESTS}/{version_folder(day, provider, version)}"


class Lake:
    """The tables in one object store."""

    def __init__(self, store: ObjectStore, place: str) -> None:
        self.store = store
        self.place = place
        """Where that is: a directory or an s3:// URL."""

    @staticmethod
    def at(place: Path | str) -> Lake:
        """The lake at a directory or URL, whether it has tables yet or not."""
        return Lake(open_store(str(place)), str(place))

    @staticmethod
    def under(data_dir: Path) -> Lake:
        """The lake of a data directory, or the directory itself where it is one; raises NoTablesError."""
        for root in (data_dir / LAKE, data_dir):
            if (root / PUBLISHED).is_dir():
                return Lake.at(root)
        raise NoTablesError(f"no tables in {data_dir}; `tapeline postprocess DAY` makes them from the raw payloads")

    def days(self) -> list[date]:
        """The days that are published, in order."""
        found = (_DAY_FILE.match(key) for key in self.store.list(PUBLISHED + "/"))
        return sorted(date.fromisoformat(match.group(1)) for match in found if match)

    def published(self, day: date) -> dict[str, int] | None:
        """The version that counts of each provider; None for a day never published. Raises LakeError."""
        return self._published(day)[1]

    def _published(self, day: date) -> tuple[bytes | None, dict[str, int] | None]:
        try:
            data = self.store.get(_published_key(day))
        except ObjectMissingError:
            return None, None
        try:
            rows = [line.split("\t") for line in data.decode().splitlines()]
            return data, {provider: int(version) for provider, version in rows}
        except ValueError:
            raise LakeError(f"{_published_key(day)} in {self.place} is no list of versions") from None

    def publish(self, day: date, versions: Mapping[str, int]) -> dict[str, int]:
        """Makes these versions the ones that count, in one step, and leaves other providers as they are; what counts then.

        Each must have its manifest. A publication beside this one is not lost.
        """
        for provider, version in versions.items():
            if version > MOST_VERSIONS:
                raise LakeError(
                    f"version {version} of {provider} on {day}: Athena looks for no version above {MOST_VERSIONS} "
                    "(tapeline.offline.tables.MOST_VERSIONS, then `tapeline tables --create`)"
                )
            self.manifest(day, provider, version)
        while True:
            data, before = self._published(day)
            after = {**(before or {}), **versions}
            lines = "".join(f"{provider}\t{version}\n" for provider, version in sorted(after.items()))
            if after == before or self.store.swap(_published_key(day), data, lines.encode()):
                return after

    def versions(self, day: date, provider: str) -> list[int]:
        """The versions that have a manifest, published or not."""
        prefix = f"{MANIFESTS}/day={day.isoformat()}/provider={provider}/"
        found = (_VERSION_FILE.search(key) for key in self.store.list(prefix))
        return sorted(int(match.group(1)) for match in found if match)

    def numbers(self, day: date, provider: str) -> list[int]:
        """The numbers of versions that are or have been whole; a dropped one's is not given again."""
        prefix = f"{MANIFESTS}/day={day.isoformat()}/provider={provider}/"
        found = (_NUMBER.search(key) for key in self.store.list(prefix))
        return sorted({int(match.group(1)) for match in found if match})

    def manifest(self, day: date, provider: str, version: int) -> Manifest:
        """What a version holds; raises LakeError."""
        key = f"{stem(day, provider, version)}.json"
        try:
            return msgspec.json.decode(self.store.get(key), type=Manifest)
        except (ObjectMissingError, msgspec.DecodeError) as error:
            raise LakeError(f"{key} in {self.place}: {error}") from None

    def made(self, day: date, provider: str, version: int) -> Made | None:
        """How a version was made; None where that is not known."""
        try:
            return msgspec.json.decode(self.store.get(f"{stem(day, provider, version)}.made.json"), type=Made)
        except (ObjectMissingError, msgspec.DecodeError):
            return None

    def add(self, manifest: Manifest, made: Made) -> None:
        """Puts a version's manifest, when all its files are there; it does not count yet."""
        begin = stem(date.fromisoformat(manifest.day), manifest.provider, manifest.version)
        self.store.put(f"{begin}.made.json", msgspec.json.encode(made), if_absent=False)
        self.store.put(f"{begin}.json", msgspec.json.format(msgspec.json.encode(manifest)), if_absent=False)

    def standing(self, day: date, provider: str, before: list[str]) -> list[bytes]:
        """The state files with these SHA-256s, with which a day begins; of whichever version of the day before ended so.

        Raises LakeError where none did.
        """
        if not before:
            return []
        yesterday = day - timedelta(days=1)
        for version in reversed(self.versions(yesterday, provider)):
            files = self.manifest(yesterday, provider, version).state
            if [file.sha256 for file in files] == before:
                return [self.store.get(file.key) for file in files]
        raise LakeError(f"no version of {provider} on {yesterday} in {self.place} ended as {day} begins")

    def current(self) -> list[Manifest]:
        """The manifests of all versions that count."""
        return [
            self.manifest(day, provider, version)
            for day in self.days()
            for provider, version in (self.published(day) or {}).items()
        ]


def _published_key(day: date) -> str:
    return f"{PUBLISHED}/day={day.isoformat()}/published.tsv"
