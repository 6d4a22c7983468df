"""The versions of a day: which there are, going back to an earlier one, removing what is not wanted or was left over.

What is removed is first marked, so that its number is not given again; then it loses its manifest and its plan, so that nobody
publishes it or goes on with it, and then its files. An end of any kind in between leaves files that `sweep` finds.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum

from tapeline.errors import RefusedError
from tapeline.offline.lake import DBN, MANIFESTS, PUBLISHED, WORK, Lake, Made, Manifest, stem, version_folder

_FILE = re.compile(r"day=(\d{4}-\d{2}-\d{2})/provider=([^/]+)/version=(\d+)/", re.ASCII)
_DAY_FOLDER = re.compile(r"day=(\d{4}-\d{2}-\d{2})/\Z", re.ASCII)


class VersionError(RefusedError):
    """There is no such version, or what was asked of it cannot be."""


class Standing(Enum):
    """What a version is."""

    PUBLISHED = "published"
    """It counts."""
    KEPT = "kept"
    """It is whole and does not count."""
    UNFINISHED = "unfinished"
    """A run is at it, or has ended before it was whole; the next run of the day goes on with it."""
    LEFT_OVER = "left over"
    """Nobody goes on with it: files without a manifest or a plan."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a provider's day."""

    day: date
    provider: str
    number: int
    standing: Standing
    manifest: Manifest | None
    made: Made | None
    files: dict[str, int]
    """Bytes of what there is, by key."""
    strays: dict[str, int]
    """Files in its folders that its manifest does not know."""

    @property
    def name(self) -> str:
        """As on the command line."""
        return f"{self.provider}={self.number}"


def days_of(lake: Lake) -> list[date]:
    """All days of which there is anything, published or not."""
    folders = (folder for root in _roots(lake) for folder in lake.store.folders(root))
    found = (_DAY_FOLDER.search(folder) for folder in folders)
    return sorted({date.fromisoformat(match.group(1)) for match in found if match})


def versions_of(lake: Lake, day: date) -> list[Version]:
    """All versions of a day, by provider, the newest first."""
    published = lake.published(day) or {}
    files: dict[tuple[str, int], dict[str, int]] = defaultdict(dict)
    begun = set()
    for root in _roots(lake):
        for key, size in lake.store.sizes(f"{root}day={day.isoformat()}/").items():
            if match := _FILE.search(key):
                version = match.group(2), int(match.group(3))
                files[version][key] = size
                if key == _plan(day, *version):
                    begun.add(version)
    for folder in lake.store.folders(f"{MANIFESTS}/day={day.isoformat()}/"):
        provider = folder.split("/")[-2].removeprefix("provider=")
        for number in lake.versions(day, provider):
            files.setdefault((provider, number), {})
    found = []
    for (provider, number), there in sorted(files.items(), key=lambda item: (item[0][0], -item[0][1])):
        manifest = lake.manifest(day, provider, number) if number in lake.versions(day, provider) else None
        if manifest is not None:
            standing = Standing.PUBLISHED if published.get(provider) == number else Standing.KEPT
            known = {file.key for file in manifest.files()}
            strays = {key: there[key] for key in there.keys() - known if not key.startswith(f"{WORK}/")}
        else:
            going = (provider, number) in begun and number > published.get(provider, 0)
            standing, strays = (Standing.UNFINISHED if going else Standing.LEFT_OVER), {}
        made = lake.made(day, provider, number) if manifest is not None else None
        found.append(Version(day, provider, number, standing, manifest, made, there, strays))
    return found


def publish_version(lake: Lake, day: date, provider: str, number: int) -> None:
    """Makes a version that is whole the one that counts, in one step; raises VersionError."""
    version = _find(lake, day, provider, number)
    if version.manifest is None:
        raise VersionError(f"{version.name} of {day} is {version.standing.value}, not whole: it cannot be published")
    missing = [file.key for file in version.manifest.files() if version.files.get(file.key) != file.size]
    if missing:
        raise VersionError(f"{version.name} of {day} lacks {len(missing)} of its files, such as {missing[0]}")
    lake.publish(day, {provider: number})


def drop_version(lake: Lake, day: date, provider: str, number: int) -> Version:
    """Removes a version that does not count; what was removed. Raises VersionError."""
    version = _find(lake, day, provider, number)
    if version.standing is Standing.PUBLISHED:
        raise VersionError(f"{version.name} of {day} is the published one; publish another before it is dropped")
    if (next_ := _goes_on(lake, version)) is not None:
        after = day + timedelta(days=1)
        raise VersionError(
            f"{version.name} of {day} is what {provider}={next_} of {after} goes on from; make that day anew "
            f"(`tapeline backfill --from {after} --to {after}`) or drop that version first"
        )
    _remove(lake, version)
    return version


def sweep(lake: Lake, day: date) -> Iterator[Version]:
    """Removes what is left over of a day, and files that no manifest knows; says of what."""
    for version in versions_of(lake, day):
        if version.standing is Standing.LEFT_OVER:
            _remove(lake, version)
            yield version
        elif version.strays:
            for key in version.strays:
                lake.store.delete(key)
            yield version


def _goes_on(lake: Lake, version: Version) -> int | None:
    """The version of the day after that begins as this one, and no other of its day, has ended."""
    if version.manifest is None:
        return None
    state = [file.sha256 for file in version.manifest.state]
    others = [number for number in lake.versions(version.day, version.provider) if number != version.number]
    manifests = [lake.manifest(version.day, version.provider, number) for number in others]
    if not state or any([file.sha256 for file in manifest.state] == state for manifest in manifests):
        return None
    after = version.day + timedelta(days=1)
    begun = (number for number in lake.versions(after, version.provider))
    return next((n for n in begun if lake.manifest(after, version.provider, n).before == state), None)


def _remove(lake: Lake, version: Version) -> None:
    begin = stem(version.day, version.provider, version.number)
    plan = _plan(version.day, version.provider, version.number)
    lake.store.put(f"{begin}.dropped", b"", if_absent=False)
    lake.store.delete(f"{begin}.json")
    lake.store.delete(f"{begin}.made.json")
    lake.store.delete(plan)
    for key in sorted(version.files):
        lake.store.delete(key)


def _find(lake: Lake, day: date, provider: str, number: int) -> Version:
    versions = [version for version in versions_of(lake, day) if version.provider == provider]
    for version in versions:
        if version.number == number:
            return version
    there = ", ".join(version.name for version in versions) or "none"
    raise VersionError(f"no version {provider}={number} of {day}; there are: {there}")


def _plan(day: date, provider: str, number: int) -> str:
    return f"{WORK}/{version_folder(day, provider, number)}/plan.json"


def _roots(lake: Lake) -> list[str]:
    """The folders in which days are, but for manifests and the list of what counts; a slash at the end of each."""
    tops = [top for top in lake.store.folders("") if top not in (f"{MANIFESTS}/", f"{PUBLISHED}/", f"{DBN}/")]
    return tops + lake.store.folders(f"{DBN}/")
