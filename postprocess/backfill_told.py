"""A backfill from the command line: what it tells people and machines as it goes."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date

import msgspec

from postprocess.backfill import Backfill, Range, State, Told
from postprocess.command import progress_line
from postprocess.day import Places
from postprocess.executor import open_executor
from postprocess.units import Report
from postprocess.working import tidy
from tapeline.objectstore import open_store
from tapeline.offline.lake import Lake
from tapeline.settings import Settings

_WORDS = {
    State.PUBLISHED: "published version {version}",
    State.UNCHANGED: "unchanged, version {version}",
    State.TO_DO: "version {version} to be made",
    State.OPEN: "version {version} stays, if the day before ends as it did",
    State.MADE: "made version {version}, to count with the others",
    State.KEPT: "kept, version {version}: no raw payloads are left",
    State.FAILED: "version {version} not published, see below",
}


def backfill(days: Range, settings: Settings, executor: str, together: bool, dry_run: bool, as_json: bool) -> int:
    """Does it and tells it; the exit code: 1 where something was not made or not whole, or nothing was found."""
    places = Places(settings.store_url, settings.lake_url, settings.s3_endpoint)
    work = Backfill(days, places, settings.task_memory_bytes, together)
    events = work.dry_run() if dry_run else work.run(open_executor(executor, settings))
    say = _json if as_json else _line
    states = _tell(events, say)
    if not dry_run:
        tidy(Lake(open_store(places.lake, places.s3_endpoint), places.lake), settings.keep_work_days)
    if as_json:
        for problem in work.problems:
            _write({"problem": problem.kind, "about": problem.key, "reason": problem.reason})
        _write({"done": {state.value: count for state, count in states.items()}, "problems": len(work.problems)})
    else:
        for problem in work.problems:
            print(f"tapeline: {problem.kind} {problem.key}: {problem.reason}", file=sys.stderr)
        print(_summary(days, states))
        if together and work.failed:
            print("tapeline: nothing is published, since not all is made", file=sys.stderr)
    return 1 if work.problems or work.failed or not states else 0


def _tell(events: Iterable[Told | Report], say: Callable[[Told], None]) -> Counter[State]:
    """What became of each provider's day in the end, counted."""
    last: dict[tuple[date, str], State] = {}
    for event in events:
        if isinstance(event, Report):
            print(progress_line(event), file=sys.stderr, flush=True)
        else:
            last[event.day, event.provider] = event.state
            say(event)
    return Counter(last.values())


def _line(told: Told) -> None:
    words = _WORDS[told.state].format(version=told.version)
    if told.state not in (State.UNCHANGED, State.OPEN, State.KEPT):
        words += f" (version {told.before} before: other {', '.join(told.reasons)})" if told.before else " (the first)"
    print(f"{told.day}  {told.provider:<16}  {words}", flush=True)


def _json(told: Told) -> None:
    _write(
        {
            "day": told.day.isoformat(),
            "provider": told.provider,
            "state": told.state.value,
            "version": told.version,
            "before": told.before,
            "reasons": told.reasons if told.before else [],
        }
    )


def _write(value: dict[str, object]) -> None:
    print(msgspec.json.encode(value).decode(), flush=True)


def _summary(days: Range, states: Counter[State]) -> str:
    span = f"{days.first} to {days.last}"
    if not states:
        return f"{span}: no raw payloads"
    return f"{span}: " + ", ".join(f"{states[state]} {state.value}" for state in State if states[state])
