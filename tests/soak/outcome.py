"""What a soak came to: judged, and written as a report."""

from __future__ import annotations

import bisect
import os
import platform
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from tapeline.venues import load
from tests.soak.account import Account
from tests.soak.acts import Done
from tests.soak.options import Options

_MIB = 1 << 20
_GROWTH = 0.25
"""By how much of itself, beyond 32 MiB, a process may be larger at the end than after the first quarter."""


@dataclass(slots=True)
class Outcome:
    """Everything that is told of a soak."""

    options: dict[str, Any]
    machine: str
    load_before: float
    seconds: float
    sent: int
    steps: list[dict[str, Any]]
    accounts: list[dict[str, Any]]
    memory: dict[str, dict[str, float]]
    reconnects: dict[str, dict[str, Any]]
    cpu: dict[str, float]
    told: dict[str, Any]
    account_seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """`path`.json and `path`.md."""
        path.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(asdict(self)), indent=1) + b"\n")
        path.with_suffix(".md").write_text(text(self))


def judge(
    options: Options,
    done: list[Done],
    accounts: list[Account],
    stats: Mapping[str, Mapping[str, Any]],
    memory: Mapping[str, list[tuple[float, int]]],
    cpu: Mapping[str, float],
    seconds: float,
    load_before: float,
) -> Outcome:
    """Puts everything together; `problems` is empty where all is as it should be."""
    problems = [f"{one.venue}: {problem}" for one in accounts for problem in one.problems]
    reconnects = {one.venue: _attempts(one) for one in accounts}
    problems += [f"{venue}: {told['most']} connections in {told['window']:g} s, allowed {told['allowed']}"
                 for venue, told in reconnects.items() if told["allowed"] and told["most"] > told["allowed"]]  # fmt: skip
    grown = _memory(memory)
    if options.seconds >= 300:
        problems += [f"{name} grew from {told['early']:.0f} to {told['last']:.0f} MiB" for name, told in grown.items()
                     if told["last"] > told["early"] * (1 + _GROWTH) + 32 and told["seconds"] > 240]  # fmt: skip
    listener = stats.get("listener", {})
    nobody = {one.venue.upper(): one.nobody for one in accounts}
    # Where a venue spoke and nobody was there, a hole is the truth.
    problems += [f"MERGED: {count} holes told of {provider}" for provider, count in listener.get("holes", {}).items()
                 if not nobody.get(provider)]  # fmt: skip
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    steps = [{"step": str(one.step), "kind": one.step.kind.value, "at": round((one.from_ns - done[0].from_ns) / 1e9, 1),
              "seconds": one.step.seconds, "count": one.step.count, "recovery": round(one.recovery, 1), "told": one.told}
             for one in done]  # fmt: skip
    return Outcome(
        {**{name: value for name, value in asdict(options).items() if name != "folder"}},
        machine, round(load_before, 1), round(seconds, 1), sum(one.payloads for one in accounts), steps,
        [asdict(one) for one in accounts], grown, reconnects, {name: round(value, 1) for name, value in cpu.items()},
        {"listener": {name: listener.get(name) for name in ("records", "holes", "reconnects", "repeats", "snapshots", "late_join")},
         "arbiter": _arbiter(stats)},
        problems=problems,
    )  # fmt: skip


def _arbiter(stats: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    found: Counter[str] = Counter()
    for told in stats.get("arbiter", {}).get("providers", {}).values():
        found.update({name: value for name, value in told.items() if isinstance(value, int) and name in ("twins", "repeats", "gaps", "doubts", "snapshots")})  # fmt: skip
    return dict(found)


def _attempts(one: Account) -> dict[str, Any]:
    """The most connections that an instance has made in the venue's own window."""
    budget = load(one.venue).session.reconnect.budget
    window = budget.window if budget else 60.0
    most = 0
    for ends in one.reconnects.values():
        times = sorted(end / 1e9 for end in ends)
        for place, time in enumerate(times):
            most = max(most, bisect.bisect_right(times, time + window) - place)
    made = {party: len(ends) for party, ends in one.reconnects.items()}
    return {"ended": made, "most": most, "window": window, "allowed": budget.units if budget else 0}


def _memory(samples: Mapping[str, list[tuple[float, int]]]) -> dict[str, dict[str, float]]:
    """MiB by process: the median of the minute after the first quarter of its life, of its last minute, and the slope."""
    found = {}
    for name, told in samples.items():
        if len(told) < 5:
            continue
        begin, end = told[0][0], told[-1][0]
        early = begin + (end - begin) / 4
        first = [size for at, size in told if early <= at <= early + 60]
        last = [size for at, size in told if at >= end - 60]
        at = [one for one, _ in told if one >= early]
        sizes = [size / _MIB for one, size in told if one >= early]
        mean_at, mean = sum(at) / len(at), sum(sizes) / len(sizes)
        spread = sum((one - mean_at) ** 2 for one in at) or 1.0
        slope = sum((one - mean_at) * (size - mean) for one, size in zip(at, sizes, strict=True)) / spread
        found[name.rpartition(" ")[0] + (" (again)" if begin > 30 else "")] = {
            "seconds": round(end - begin), "early": round(median(first) / _MIB, 1), "last": round(median(last) / _MIB, 1),
            "MiB a minute": round(slope * 60, 2),
        }  # fmt: skip
    return found


def text(outcome: Outcome) -> str:
    """The report."""
    options = outcome.options
    kinds = Counter(step["kind"] for step in outcome.steps)
    rate = outcome.sent / options["seconds"] if options["seconds"] else 0
    lines = [
        "# Soak", "",
        f"`python -m tests.soak --seconds {options['seconds']:g} --rate {options['rate']} --steps {options['steps']} --seed {options['seed']}` on {outcome.machine};",
        f"the load average before it began was {outcome.load_before}: what is above 0 is other work, which shared the cores.", "",
        f"{len(options['venues'])} venues, both instances, {outcome.sent:,} payloads of the venues ({rate:,.0f} a second to each instance), {len(outcome.steps)} steps. "
        + ("**Every payload is accounted for.**" if not outcome.problems else f"**{len(outcome.problems)} problems.**"), "",
    ]  # fmt: skip
    lines += [f"- {problem}" for problem in outcome.problems] + ([""] if outcome.problems else [])
    lines += _tables(outcome, kinds)
    return "\n".join(lines) + "\n"


def _tables(outcome: Outcome, kinds: Counter[str]) -> list[str]:
    lines = ["## What went wrong on purpose", "", "| step | times | longest recovery |", "| --- | ---: | ---: |"]
    for kind, times in sorted(kinds.items()):
        longest = max(step["recovery"] for step in outcome.steps if step["kind"] == kind)
        lines.append(f"| {kind} | {times} | {longest:.1f} s |")
    lines += ["", "## Raw store, coalesced", "", "`own` is what one instance alone was sent (what a subscription begins with, what a fault has made); answers are REST's.", "",
              "| venue | sent | stored | missing | own | answers | out of order |", "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for one in outcome.accounts:
        told: dict[str, Any] = defaultdict(int, one["coalesced"])
        lines.append(f"| {one['venue']} | {told['sent']:,} | {told['stored']:,} | {told['missing']} | {told[_OWN]} | {told['answers']} | {told['out of order']} |")  # fmt: skip
    lines += ["", "## Each instance", "", "Sent to it, stored of it, lost with a connection or process, otherwise missing, not sent to it by a fault or while it was away.", "",
              "| venue | instance | sent | stored | lost | unexplained | not sent | gap records | holes beside them |", "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for one in outcome.accounts:
        for party, told in one["instances"].items():
            lines.append(f"| {one['venue']} | {party} | {told['sent']:,} | {told['stored']:,} | {told['lost with a connection or process']} | {told['unexplained']} | {told['not sent to it']} | {told['gap records']} | {told['sequences neither stored nor in a gap']} |")  # fmt: skip
    lines += ["", "## MERGED", "", "Messages of an undisturbed normalizer over the coalesced payloads, against what a consumer of MERGED was given.", "",
              "| venue | schema | expected | missing | too many | out of order | before the first |", "| --- | --- | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for one in outcome.accounts:
        for schema, told in sorted(one["merged"].items()):
            lines.append(f"| {one['venue']} | {schema} | {told['expected']:,} | {told['missing']} | {told['surplus']} | {told['out of order']} | {told['before the first']} |")  # fmt: skip
    lines += ["", f"The consumer: {outcome.told['listener']}. The arbiter: {outcome.told['arbiter']}.", "", "## Connections", "",
              "| venue | ended, by instance | most in the venue's window | allowed |", "| --- | --- | ---: | ---: |"]  # fmt: skip
    for venue, told in outcome.reconnects.items():
        ended = ", ".join(f"{party} {count}" for party, count in sorted(told["ended"].items()))
        lines.append(f"| {venue} | {ended} | {told['most']} in {told['window']:g} s | {told['allowed'] or '–'} |")
    lines += ["", "## Memory", "", "| process | seconds | MiB early | MiB last | MiB a minute |", "| --- | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for name, told in outcome.memory.items():
        lines.append(f"| {name} | {told['seconds']} | {told['early']} | {told['last']} | {told['MiB a minute']} |")
    lines += ["", "## Where the time went", "", "| process | CPU-seconds | of a core | CPU-s per million payloads |", "| --- | ---: | ---: | ---: |"]  # fmt: skip
    for name, used in sorted(outcome.cpu.items(), key=lambda item: -item[1]):
        lines.append(f"| {name} | {used:,.0f} | {used / outcome.seconds * 100:.0f} % | {used / max(outcome.sent, 1) * 1e6:.2f} |")  # fmt: skip
    return lines


_OWN = "a party's own"
