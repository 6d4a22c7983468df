"""One day: what it is made of, its units through an executor, and the publication of what they made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

import msgspec

from postprocess.executor.base import Executor
from postprocess.plan import Plan, make_plan
from postprocess.raw import find_day
from postprocess.units import Problem, Report, Unit
from postprocess.work import report_key
from tapeline.errors import UnknownVenueError
from tapeline.objectstore import ObjectMissingError, open_store
from tapeline.offline.lake import File, Lake, Manifest
from tapeline.venues import load


@dataclass(frozen=True, slots=True)
class Places:
    """Where raw objects come from and tables go to."""

    store: str
    lake: str
    s3_endpoint: str | None = None


@dataclass(slots=True)
class Result:
    """What a run gave."""

    day: str
    payloads: int = 0
    records: int = 0
    rejected: int = 0
    gaps: int = 0
    versions: dict[str, int] = field(default_factory=dict)
    unchanged: list[str] = field(default_factory=list)
    """Providers whose published version is of the very same inputs."""
    problems: list[Problem] = field(default_factory=list)


Told = Callable[[Report], None]


def run_day(day: date, places: Places, executor: Executor, memory_bytes: int, told: Told = lambda _: None) -> Result:
    """Makes the tables of a UTC day and publishes them in one step; `told` hears of every unit that is done.

    A day without raw payloads is published empty: that is a finding too. Units that an earlier run has finished are not
    done again.
    """
    return _Day(day, places, memory_bytes, told).run(executor)


class _Day:
    def __init__(self, day: date, places: Places, memory_bytes: int, told: Told) -> None:
        self._day = day
        self._places = places
        self._memory = memory_bytes
        self._told = told
        self._store = open_store(places.store, places.s3_endpoint)
        self._lake = Lake(open_store(places.lake, places.s3_endpoint), places.lake)
        self._result = Result(day.isoformat())

    def run(self, executor: Executor) -> Result:
        published = self._lake.published(self._day)
        versions = dict(published or {})
        plans = []
        for plan in self._plans():
            if versions.get(plan.provider) == plan.version:
                self._result.unchanged.append(plan.provider)
            else:
                self._lake.store.put(plan.key, msgspec.json.encode(plan), if_absent=False)
                plans.append(plan)
        reports: dict[str, list[Report]] = defaultdict(list)
        units = []
        for plan in plans:
            for unit in self._units(plan):
                if (done := self._done(unit)) is not None:
                    reports[plan.provider].append(done)
                else:
                    units.append(unit)
        for report in executor.run(units):
            reports[report.unit.provider].append(report)
            self._told(report)
        for plan in plans:
            if self._whole(plan, reports[plan.provider]):
                versions[plan.provider] = plan.version
        if versions != published:
            self._lake.publish(self._day, versions)
        self._result.versions = versions
        return self._result

    def _plans(self) -> list[Plan]:
        objects = find_day(self._store, self._day)
        plans = []
        for provider in objects.providers():
            try:
                venue = load(provider.lower())
            except UnknownVenueError as error:
                self._result.problems.append(Problem("venue", provider, str(error)))
                continue
            plans.append(make_plan(self._lake, self._day, venue, objects))
        return plans

    def _units(self, plan: Plan) -> list[Unit]:
        places = self._places
        return [
            Unit(
                plan.day,
                plan.provider,
                plan.version,
                shard,
                plan.shards,
                places.store,
                places.lake,
                places.s3_endpoint,
                self._memory,
            )
            for shard in range(plan.shards)
        ]

    def _done(self, unit: Unit) -> Report | None:
        try:
            return Report.decode(self._lake.store.get(report_key(unit)))
        except (ObjectMissingError, msgspec.DecodeError):
            return None

    def _whole(self, plan: Plan, reports: list[Report]) -> bool:
        """Describes a version whose units are all done; else nothing of it will count."""
        result = self._result
        for report in reports:
            result.problems += report.problems
        if any(report.failed for report in reports):
            return False
        tables: dict[str, list[File]] = defaultdict(list)
        dbn: dict[str, list[File]] = defaultdict(list)
        counts: dict[str, int] = defaultdict(int)
        index: list[File] = []
        for report in sorted(reports, key=lambda report: report.unit.shard):
            for name, files in report.tables.items():
                tables[name] += files
            for name, files in report.dbn.items():
                dbn[name] += files
            index += report.index
            for name, count in report.counts.items():
                counts[name] += count
        manifest = Manifest(
            plan.day,
            plan.provider,
            plan.version,
            plan.digest,
            dict(tables),
            dict(dbn),
            dict(counts),
            plan.made_of,
            index,
        )
        self._lake.add(manifest)
        result.payloads += counts["payloads"]
        result.records += counts["records"]
        result.rejected += counts["rejected"]
        result.gaps += counts["gaps"]
        return True
