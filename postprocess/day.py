"""One day: what it is made of, its units through an executor, and the publication of what they made."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import msgspec

from postprocess.closing import close_version
from postprocess.executor.base import Executor
from postprocess.plan import UNREAD_OBJECTS, Plan, claim, make_plan
from postprocess.raw import find_day
from postprocess.sharing import run_in_steps
from postprocess.units import UNREAD, Problem, Report, Unit
from postprocess.work import report_key
from tapeline.errors import UnknownVenueError
from tapeline.objectstore import ObjectMissingError, open_store
from tapeline.offline.lake import File, Lake, Made, Manifest
from tapeline.venues import load

RAW_OBJECTS = "raw_objects"
"""Among a manifest's counts: of how many it was made."""


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
    run = DayRun(day, places, memory_bytes)
    for report in run_in_steps(executor, run.begin(run.steps())):
        run.take(report)
        told(report)
    run.finish()
    run.publish()
    return run.result


@dataclass(frozen=True, slots=True)
class Step:
    """A provider of a day, and the version that its raw objects and its mapping ask for."""

    plan: Plan
    published: Manifest | None
    """What counts now."""
    whole: bool
    """The version is made already."""

    @property
    def unchanged(self) -> bool:
        """The version is the one that counts."""
        return self.published is not None and self.published.version == self.plan.version

    @property
    def reasons(self) -> list[str]:
        """What differs from what the published version was made of."""
        before = self.published.made_of if self.published is not None else {}
        return [name for name, value in self.plan.made_of.items() if before.get(name) != value]


class DayRun:
    """A day a step at a time: what is to be made of which providers, its making, its publication.

    Runs of one day beside one another are harmless: a version belongs to who has claimed its number with what it is
    made of, who makes the same writes the same bytes, and a publication changes the lines of its own providers only.
    """

    def __init__(
        self,
        day: date,
        places: Places,
        memory_bytes: int,
        providers: Collection[str] | None = None,
        before: Mapping[str, int] | None = None,
    ) -> None:
        """`before`: versions of the day before from whose ends it goes on, where others count."""
        self._day = day
        self._places = places
        self._memory = memory_bytes
        self._providers = providers
        self._before = before or {}
        self._store = open_store(places.store, places.s3_endpoint, must_exist=True)
        self.lake = Lake(open_store(places.lake, places.s3_endpoint), places.lake)
        self.result = Result(day.isoformat())
        self._plans: list[tuple[Plan, Manifest | None]] = []
        self._reports: dict[str, list[Report]] = defaultdict(list)
        self.changed: dict[str, int] = {}
        """The versions that `publish` will make count."""

    def steps(self) -> list[Step]:
        """The day's providers, all or those asked for; nothing is written."""
        published = self.lake.published(self._day) or {}
        yesterday = self._day - timedelta(days=1)
        before = {**(self.lake.published(yesterday) or {}), **self._before}
        objects = find_day(self._store, self._day)
        for key in objects.foreign:
            self.result.problems.append(Problem("object", key, "no raw object: its name is none of theirs"))
        steps = []
        for provider in objects.providers():
            if self._providers is not None and provider not in self._providers:
                continue
            try:
                venue = load(provider.lower())
            except UnknownVenueError as error:
                self.result.problems.append(Problem("venue", provider, str(error)))
                continue
            ended = self.lake.manifest(yesterday, provider, before[provider]) if provider in before else None
            plan = make_plan(self.lake, self._store, self._day, venue, objects, ended)
            now = self.lake.manifest(self._day, provider, published[provider]) if provider in published else None
            steps.append(Step(plan, now, plan.version in self.lake.versions(self._day, provider)))
        return steps

    def begin(self, steps: Collection[Step]) -> list[Unit]:
        """The units that have to be run for these versions, apart from those that an earlier run has done."""
        units = []
        for step in steps:
            if step.unchanged:
                self.result.unchanged.append(step.plan.provider)
            elif step.whole:
                if self._complete(step.plan, step.published):
                    self.changed[step.plan.provider] = step.plan.version
            else:
                plan = claim(self.lake, step.plan)
                self._plans.append((plan, step.published))
                for unit in self._units(plan):
                    if (done := self._done(unit)) is not None:
                        self._reports[plan.provider].append(done)
                    else:
                        units.append(unit)
        return units

    def take(self, report: Report) -> None:
        """A unit has come to its end."""
        self._reports[report.unit.provider].append(report)

    def finish(self) -> None:
        """Describes the versions whose units are all done; none of them counts before `publish`."""
        for plan, before in self._plans:
            if self._whole(plan, self._reports[plan.provider]) and self._complete(plan, before):
                self.changed[plan.provider] = plan.version
        self._plans.clear()

    def publish(self) -> None:
        """Makes what was made count, in one step."""
        self.result.versions = self.lake.publish(self._day, self.changed)

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
            return Report.decode(self.lake.store.get(report_key(unit)))
        except (ObjectMissingError, msgspec.DecodeError):
            return None

    def _whole(self, plan: Plan, reports: list[Report]) -> bool:
        """Describes a version whose units are all done; else nothing of it will count."""
        result = self.result
        failed = any(report.failed for report in reports)
        if failed and self._made_by_another(plan):
            return True
        for report in reports:
            result.problems += report.problems
        if failed:
            return False
        tables: dict[str, list[File]] = defaultdict(list)
        dbn: dict[str, list[File]] = defaultdict(list)
        counts: dict[str, int] = defaultdict(int)
        index: list[File] = []
        state: list[File] = []
        for report in sorted(reports, key=lambda report: report.unit.shard):
            for name, files in report.tables.items():
                tables[name] += files
            for name, files in report.dbn.items():
                dbn[name] += files
            index += report.index
            state += report.state
            for name, count in report.counts.items():
                counts[name] += count
        closed = close_version(self.lake, plan, self._units(plan))
        if closed is None:
            return self._made_by_another(plan)
        files_of_ledger, totals = closed
        tables |= files_of_ledger
        counts |= totals
        counts[RAW_OBJECTS] = len(plan.objects)
        counts[UNREAD_OBJECTS] = sum(problem.kind == UNREAD for report in reports for problem in report.problems)
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
            state,
            plan.before,
        )
        self.lake.add(manifest, _made(reports))
        result.payloads += counts["payloads"]
        result.records += counts["records"]
        result.rejected += counts["rejects"]
        result.gaps += counts["gaps"]
        return True

    def _made_by_another(self, plan: Plan) -> bool:
        """Whether a run beside this one has made the very same version, and has tidied up before this one was done."""
        return (
            plan.version in self.lake.versions(self._day, plan.provider)
            and self.lake.manifest(self._day, plan.provider, plan.version).digest == plan.digest
        )

    def _complete(self, plan: Plan, before: Manifest | None) -> bool:
        """A version of fewer raw objects than the one that counts does not take its place unasked: they are gone since."""
        made = self.lake.manifest(self._day, plan.provider, plan.version).counts
        read = len(plan.objects) - made.get(UNREAD_OBJECTS, 0)
        had = before.counts.get(RAW_OBJECTS, 0) - before.counts.get(UNREAD_OBJECTS, 0) if before is not None else 0
        if read >= had:
            return True
        reason = f"version {plan.version} is made, but not published: {read} raw objects are left of {had}"
        self.result.problems.append(Problem("provider", plan.provider, reason))
        return False


def _made(reports: Collection[Report]) -> Made:
    return Made(
        at=time.time_ns(),
        units=len(reports),
        cpu_seconds=round(sum(report.cpu_seconds for report in reports), 3),
        peak_rss_bytes=max(report.peak_rss_bytes for report in reports),
    )
