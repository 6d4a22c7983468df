"""What `tapeline up` was asked to do, checked before anything starts."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tapeline import venues
from tapeline.errors import UnknownVenueError, UsageError
from tapeline.settings import Settings

DEFAULT_RATE = 10_000


class Source(Enum):
    """Where payloads come from."""

    CAPTURES = "captures"
    SYNTHETIC = "synthetic"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class Plan:
    """A run; `seconds` is None where the captures' end or Ctrl-C ends it."""

    source: Source
    venues: tuple[str, ...]
    instances: tuple[str, ...]
    captures: Path | None
    speed: str
    rate: int
    seconds: float | None
    data_dir: Path
    store: str
    redis_url: str | None

    @property
    def logs(self) -> Path:
        """Where the processes' logs go."""
        return self.data_dir / "logs"

    @property
    def lake(self) -> Path:
        """Where the canonical tables go."""
        return self.data_dir / "lake"


def make_plan(args: argparse.Namespace, settings: Settings) -> Plan:
    """Checks arguments against each other and the file system; raises UsageError or UnknownVenueError."""
    source = _source(args)
    data_dir = _data_dir(args.data_dir or settings.data_dir)
    return Plan(
        source=source,
        venues=_venues(args.venues, args.captures),
        instances=("PRIMARY", "REPLICA") if args.replica else settings.instances,
        captures=args.captures,
        speed=_speed(args.speed),
        rate=_rate(args.rate),
        seconds=_seconds(args.seconds),
        data_dir=data_dir,
        store=settings.store or str(data_dir / "store"),
        redis_url=settings.redis_url,
    )


def _source(args: argparse.Namespace) -> Source:
    given = [name for name in ("captures", "speed", "rate") if getattr(args, name) is not None]
    if args.live and given:
        raise UsageError(f"--live does not go with --{given[0]}: the real venues set the pace")
    if args.live:
        return Source.LIVE
    if args.captures is None:
        if args.speed is not None:
            raise UsageError("--speed goes with --captures; synthesised load takes --rate")
        return Source.SYNTHETIC
    if args.rate is not None:
        raise UsageError("--rate does not go with --captures; a replay takes --speed")
    return Source.CAPTURES


def _venues(text: str | None, captures: Path | None) -> tuple[str, ...]:
    known = venues.names()
    recorded = None if captures is None else _recorded(captures, known)
    if text is None:
        chosen = known if recorded is None else recorded
        if not chosen:
            raise UsageError(f"no captures in {captures}: want <venue>/*.jsonl.zst for one of {', '.join(known)}")
        return tuple(chosen)
    asked = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not asked:
        raise UsageError(f"--venues {text!r} names none; known: {', '.join(known)}")
    for name in asked:
        if name not in known:
            raise UnknownVenueError(name, known)
        if recorded is not None and name not in recorded:
            raise UsageError(f"no captures of {name} in {captures}: want {name}/*.jsonl.zst")
    return tuple(asked)


def _recorded(captures: Path, known: list[str]) -> list[str]:
    if not captures.is_dir():
        raise UsageError(f"--captures {captures}: no such folder")
    return [name for name in known if any((captures / name).glob("*.jsonl*"))]


def _speed(text: str | None) -> str:
    if text is None or text == "max":
        return text or "1"
    if not 0 < _number(text) < math.inf:
        raise UsageError(f"--speed {text!r} is not allowed; allowed: a number above 0, or max")
    return text


def _rate(text: str | None) -> int:
    if text is None:
        return DEFAULT_RATE
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 100_000_000:
        raise UsageError(f"--rate {text!r} is not allowed; allowed: an integer, 1 to 100000000")
    return int(text)


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    seconds = _number(text)
    if not 0 < seconds < math.inf:
        raise UsageError(f"--seconds {text!r} is not allowed; allowed: a number above 0")
    return seconds


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _data_dir(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"data directory {path}: {error.strerror}") from None
    return path
