"""A range of days made anew where their raw objects or their mapping ask for another version than the one that counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import Enum

import msgspec

from postprocess.day import DayRun, Places, Step
from postprocess.executor.base import Executor
from postprocess.sharing import run_in_steps
from postprocess.units import Problem, Report


class State(Enum):
    """What becomes of a provider's day."""

    PUBLISHED = "published"
    """A new version counts."""
    UNCHANGED = "unchanged"
    """The version that counts is of the same raw objects and the same mapping."""
    TO_DO = "to do"
    """A new version would be made."""
    OPEN = "open"
    """A new version would be made where the day before it, made anew, ends otherwise."""
    MADE = "made"
    """A version is whole; it does not count."""
    KEPT = "kept"
    """The version that counts cannot be made anew: no raw objects are left."""
    FAILED = "failed"
    """What counted goes on to count."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a provider's day."""

    day: date
    provider: str
    state: State
    version: int
    """That the raw objects and the mapping ask for."""
    before: int | None
    """The version that counted."""
    reasons: list[str]
    """What differs from what that one was made of."""


@dataclass(frozen=True, slots=True)
class Range:
    """Days from the first to the last, both of them, of all providers or some."""

    first: date
    last: date
    providers: frozenset[str] | None = None

    def days(self) -> list[date]:
        """All of them, in order."""
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]


class Backfill:
    """One backfill; run again after an end of any kind it goes on where it was.

    A day goes on from the end of the one before it, so days are made one after the other, the providers of each beside
    one another.
    """

    def __init__(self, days: Range, places: Places, memory_bytes: int, together: bool = False) -> None:
        self._range = days
        self._places = places
        self._memory = memory_bytes
        self._together = together
        self._whole: list[_Day] = []
        self.problems: list[Problem] = []
        self.failed = False
        """A version was not made: what counted there goes on to count."""

    def dry_run(self) -> Iterator[Told]:
        """What would be done; nothing is written."""
        anew: set[str] = set()
        for date_ in self._range.days():
            day = self._day(date_)
            self.problems += day.run.result.problems
            for told in day.told(State.TO_DO, State.TO_DO):
                open_ = told.state is State.UNCHANGED and told.provider in anew
                yield replace(told, state=State.OPEN) if open_ else told
            anew = {step.plan.provider for step in day.steps if step.plan.provider in anew or not step.unchanged}

    def run(self, executor: Executor) -> Iterator[Told | Report]:
        """Tells of every unit that ends and of every provider's day; each day counts as soon as it is whole.

        Where days are to count together, that is when all are whole, and not at all where a version was not made.
        """
        before: dict[str, int] = {}
        for date_ in self._range.days():
            day = self._day(date_, before)
            for report in run_in_steps(executor, day.run.begin(day.steps)):
                day.run.take(report)
                yield report
            yield from self._ended(day)
            before = day.run.changed
        if not self.failed:
            for day in self._whole:
                day.run.publish()
                yield from (told for told in day.told(State.PUBLISHED) if told.state is State.PUBLISHED)

    def _ended(self, day: _Day) -> Iterator[Told]:
        day.run.finish()
        day.forget()
        self.problems += day.run.result.problems
        self.failed |= day.failed
        if not day.run.changed:
            yield from day.told(State.PUBLISHED)
        elif self._together:
            self._whole.append(day)
            yield from day.told(State.MADE)
        else:
            day.run.publish()
            yield from day.told(State.PUBLISHED)

    def _day(self, day: date, before: Mapping[str, int] | None = None) -> _Day:
        run = DayRun(day, self._places, self._memory, self._range.providers, before)
        steps = run.steps()
        asked, found = self._range.providers, {step.plan.provider for step in steps}
        published = run.lake.published(day) or {}
        kept = {name: published[name] for name in sorted(published.keys() - found) if asked is None or name in asked}
        return _Day(day, run, steps, kept)


@dataclass(slots=True)
class _Day:
    """A day of a backfill, and the versions it is about."""

    day: date
    run: DayRun
    steps: list[Step]
    kept: dict[str, int]
    """Published versions without raw objects."""

    def forget(self) -> None:
        """Keeps of each plan what is told of it: it names every raw object, and there may be many days."""
        nothing: dict[str, object] = {"objects": {}, "near": {}, "names": {}, "gaps": []}
        self.steps = [replace(step, plan=msgspec.structs.replace(step.plan, **nothing)) for step in self.steps]

    @property
    def failed(self) -> bool:
        return any(told.state is State.FAILED for told in self.told(State.MADE))

    def told(self, changed: State, else_: State = State.FAILED) -> list[Told]:
        """What became of each provider, where those with a new version are in this state."""
        found = [Told(self.day, name, State.KEPT, version, version, []) for name, version in self.kept.items()]
        for step in self.steps:
            provider = step.plan.provider
            new = self.run.changed.get(provider)
            state = State.UNCHANGED if step.unchanged else changed if new is not None else else_
            before = step.published.version if step.published is not None else None
            found.append(Told(self.day, provider, state, new or step.plan.version, before, step.reasons))
        return sorted(found, key=lambda told: told.provider)
