"""What is missing or wrong about a venue, for whoever adds it: its halves, its captures, a session with the emulator."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tapeline_kernel import Normalizer, Router, SpecError

from tapeline import venues
from tapeline.errors import TapelineError
from tapeline.offline.coverage import Coverage, kinds
from tapeline.offline.coverage import coverage as measure
from tapeline.spec import subscribe
from tapeline.spec.encode import encode
from tapeline.spec.template import render
from tapeline.venues import Venue

_SESSION_SECONDS = 90.0
_EVIDENCE = Path("docs/adding-a-venue.md")


class Verdict(Enum):
    """How a check ended."""

    GOOD = "ok"
    MISSING = "missing"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    verdict: Verdict
    what: str
    told: str


def check(name: str, captures: Path | None, project: Path, seconds: float) -> Iterator[Finding]:
    """Findings about a venue, as they are made; `project` is the source tree, `seconds` the length of the emulated session."""
    try:
        venue = venues.load(name)
    except TapelineError as error:
        yield Finding(Verdict.WRONG, "halves", str(error))
        return
    wrong = False
    for finding in _halves(venue):
        wrong |= finding.verdict is Verdict.WRONG
        yield finding
    yield from _kinds(venue)
    yield from _files(venue, project)
    if wrong:
        return
    fixtures = project / "tests" / "fixtures" / "captures"
    if (fixtures / f"{name}.jsonl.zst").is_file():
        yield from _fixture(venue, fixtures / f"{name}.jsonl.zst")
    if captures is not None:
        yield from _captures(measure(venue, captures))
    yield _emulated(name, seconds)


def _halves(venue: Venue) -> Iterator[Finding]:
    validate = importlib.import_module("session_manager.session.validate").validate
    try:
        validate(venue.name, venue.session)
        Router(encode(venue.session.routing), venue.provider, "PRIMARY", 1)
        Normalizer(encode(venue.meaning), venue.provider, "PRIMARY")
    except (TapelineError, SpecError) as error:
        yield Finding(Verdict.WRONG, "halves", str(error))
        return
    yield Finding(Verdict.GOOD, "halves", "both are there, whole in themselves, and compile")
    others = {
        load.meaning.number: other for other in venues.names() if (load := _loaded(other)) and other != venue.name
    }
    if venue.meaning.number in others:
        yield Finding(Verdict.WRONG, "number", f"{venue.meaning.number} is {others[venue.meaning.number]}'s")
    for symbol in venue.session.symbols[:1]:
        for template in venue.session.channels:
            channel = render(template, {"symbol": symbol})
            if subscribe.channel(venue.session, channel) is None:
                yield Finding(Verdict.WRONG, "default channels", f"no family knows {channel}")
            elif not _schema(venue, channel):
                yield Finding(Verdict.WRONG, "default channels", f"{channel} has no schema")


def _loaded(name: str) -> Venue | None:
    try:
        return venues.load(name)
    except TapelineError:
        # That venue's own check tells.
        return None


def _schema(venue: Venue, channel: str) -> bool:
    from tapeline.channels import matches

    return any(matches(entry.glob, channel) for entry in venue.session.routing.schemas)


def _kinds(venue: Venue) -> Iterator[Finding]:
    found = kinds(venue.meaning)
    told = [
        word for there, word in ((found.trades, "trades"), (found.top, "top of book"), (found.tops, "top N")) if there
    ]
    told += [*found.books, *found.statistics, *(("bars",) if found.bars else ())]
    yield Finding(Verdict.GOOD, "mapped", ", ".join(told) or "nothing")
    for missing in found.missing:
        yield Finding(Verdict.MISSING, "mapped", f"no {missing}")
    if not found.statistics:
        yield Finding(
            Verdict.MISSING, "mapped", "no statistics (mark, index, funding, open interest), where the venue has them"
        )


def _files(venue: Venue, project: Path) -> Iterator[Finding]:
    name = venue.name
    wanted = {
        f"emulator/venues/{name}.py": "a conversation of its own or synthesised load",
        f"tests/normalizer/test_{name}.py": "messages written by hand for what is odd about the venue",
        f"tests/fixtures/captures/{name}.jsonl.zst": "a small capture of our own making",
    }
    for path, what in wanted.items():
        if not (project / path).is_file():
            yield Finding(Verdict.MISSING, "files", f"{path}: {what}")
    page = project / _EVIDENCE
    if not page.is_file() or f"| `{name}` |" not in page.read_text():
        yield Finding(Verdict.MISSING, "evidence", f"no row of {name} in {_EVIDENCE}")
    else:
        yield Finding(Verdict.GOOD, "evidence", f"a row in {_EVIDENCE}")


def _fixture(venue: Venue, path: Path) -> Iterator[Finding]:
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / venue.name
        link.mkdir()
        (link / path.name).symlink_to(path.resolve())
        yield from _captures(measure(venue, Path(folder)))


def _captures(found: Coverage) -> Iterator[Finding]:
    for name, told in found.captures.items():
        bad = {
            "rejected": sum(told.rejected.values()),
            "links broken": told.links["broken"],
            "checksums bad": told.checksums["bad"],
        }
        wrong = ", ".join(f"{count} {what}" for what, count in bad.items() if count)
        reasons = ", ".join(told.rejected)
        good = f"{told.payloads:,} payloads, {sum(told.records.values()):,} records"
        verdict = Verdict.WRONG if wrong or told.problem else Verdict.GOOD
        yield Finding(verdict, f"capture {name}", f"{wrong or good}{f' ({reasons})' if reasons else ''}{told.problem}")
    if found.loose is not None:
        bad_lines = ", ".join(f"line {number}: {why}" for number, _, why in found.loose.bad[:5])
        verdict = Verdict.MISSING if bad_lines else Verdict.GOOD
        yield Finding(verdict, f"messages {found.loose.file}", f"{found.loose.lines} lines; {bad_lines or 'all known'}")


def _emulated(name: str, seconds: float) -> Finding:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "tapeline.cli.main",
            "up",
            "--venues",
            name,
            "--seconds",
            f"{seconds:g}",
            "--rate",
            "500",
            "--json",
        ]
        try:
            done = subprocess.run(
                [*command, "--data-dir", folder], capture_output=True, text=True, timeout=_SESSION_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return Finding(Verdict.WRONG, "emulated session", f"not over after {_SESSION_SECONDS:g} s")
    try:
        told = json.loads(done.stdout)
    except json.JSONDecodeError:
        return Finding(Verdict.WRONG, "emulated session", done.stderr.strip()[-300:] or "it said nothing")
    summary = ", ".join(
        f"{key} {told[key]}" for key in ("payloads", "records", "lost", "rejected", "gaps") if key in told
    )
    return Finding(Verdict.GOOD if done.returncode == 0 else Verdict.WRONG, "emulated session", summary)
