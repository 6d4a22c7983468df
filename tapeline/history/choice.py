"""What is replayed: the units of the versions that count, and the channels in them that patterns name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import numpy.typing as npt

from tapeline.channels import ALL_INSTANCES, MARKET_DATA, REPLAY, ChannelName, market_data, matches
from tapeline.errors import TapelineError
from tapeline.history.canonical import Part, listed, parts
from tapeline.history.lake_files import LakeFiles
from tapeline.history.span import Span, iso
from tapeline.offline.lake import Lake, Manifest
from tapeline.schemas import Schema

_SHOWN = 12


class NothingThereError(TapelineError):
    """History has nothing of what was asked for."""


@dataclass(slots=True)
class Channels:
    """The channels of a replay, by number."""

    names: list[ChannelName] = field(default_factory=list)
    published: list[bool] = field(default_factory=list)
    """False of those that are followed for late joiners alone: definitions, without which no number can be read."""
    _numbers: dict[ChannelName, int] = field(default_factory=dict)

    def number(self, name: ChannelName, published: bool) -> int:
        """A channel's number."""
        if name not in self._numbers:
            self._numbers[name] = len(self.names)
            self.names.append(name)
            self.published.append(published)
        return self._numbers[name]

    def known(self, name: ChannelName) -> int:
        """A channel's number; -1 where it is not wanted."""
        return self._numbers.get(name, -1)


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of a version, and which of its channels are wanted."""

    part: Part
    numbers: npt.NDArray[np.int32]
    """By place in its index; -1: not wanted."""


@dataclass(frozen=True, slots=True)
class Day:
    """The versions of a day that have something to give."""

    day: date
    manifests: list[Manifest]
    units: list[Unit]


@dataclass(frozen=True, slots=True)
class Choice:
    """What is replayed."""

    days: list[Day]
    channels: Channels

    @property
    def providers(self) -> list[str]:
        """The providers that are published."""
        pairs = zip(self.channels.names, self.channels.published, strict=True)
        return sorted({name.provider for name, published in pairs if published})


def replay_pattern(text: str) -> str:
    """A pattern over the channels of a replay: whole, of another instance, or without `MARKET_DATA.REPLAY.`."""
    parts_ = text.split(".", 2)
    if parts_[0] == MARKET_DATA and len(parts_) == 3 and parts_[1] in ALL_INSTANCES:
        return f"{MARKET_DATA}.{REPLAY}.{parts_[2]}"
    # A pattern that begins with a glob may take the whole name.
    whole = parts_[0] == MARKET_DATA or text.startswith(("*", "?", "["))
    return text if whole else f"{MARKET_DATA}.{REPLAY}.{text}"


def choose(lake: Lake, files: LakeFiles, span: Span, patterns: Sequence[str]) -> Choice:
    """The channels that any of the patterns names, with all that a late joiner needs; raises NothingThereError."""
    wanted = [replay_pattern(pattern) for pattern in patterns]
    days = {
        day: [lake.manifest(day, provider, number) for provider, number in (lake.published(day) or {}).items()]
        for day in span.days()
    }
    if not any(days.values()):
        raise NothingThereError(f"no day from {iso(span.start)} to {iso(span.end)} is published; {_days(lake.days())}")
    found = {
        day: [_Found(part, manifest.provider, files, wanted) for manifest in manifests for part in parts(manifest)]
        for day, manifests in days.items()
    }
    units = [unit for several in found.values() for unit in several]
    providers = {unit.provider for unit in units if any(unit.taken)}
    if not providers:
        there = (name.format() for unit in units for name, one in unit.channels if one.records)
        raise NothingThereError(f"no channel matches {', '.join(patterns)}; there are {_some(there)}")
    if not any(unit.reaches(span) for unit in units):
        raise NothingThereError(f"those channels have nothing from {iso(span.start)} to {iso(span.end)}")
    channels = Channels()
    chosen = [
        Day(
            day,
            [manifest for manifest in manifests if manifest.provider in providers],
            [unit.of(channels) for unit in found[day] if unit.provider in providers],
        )
        for day, manifests in days.items()
    ]
    return Choice(chosen, channels)


class _Found:
    """A unit's channels, and which of them are wanted."""

    def __init__(self, part: Part, provider: str, files: LakeFiles, wanted: Sequence[str]) -> None:
        self.part = part
        self.provider = provider
        self.channels = [
            (market_data(REPLAY, Schema(one.schema), provider, one.channel), one) for one in listed(files, part)
        ]
        self.taken = [
            bool(one.records) and any(matches(pattern, name.format()) for pattern in wanted)
            for name, one in self.channels
        ]

    def reaches(self, span: Span) -> bool:
        """Whether what is published of it reaches into the span."""
        pairs = zip(self.taken, self.channels, strict=True)
        return any(yes and one.first < span.end and one.last >= span.start for yes, (_, one) in pairs)

    def of(self, channels: Channels) -> Unit:
        """The unit with numbers for what is published or needed of it."""
        numbers = [
            channels.number(name, yes) if yes or (one.records and name.schema is Schema.DEFINITION) else -1
            for yes, (name, one) in zip(self.taken, self.channels, strict=True)
        ]
        return Unit(self.part, np.array(numbers, dtype=np.int32))


def _some(names: Iterable[str]) -> str:
    texts = sorted(set(names))
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return (", ".join(texts[:_SHOWN]) or "none") + more


def _days(days: list[date]) -> str:
    if not days:
        return "there is none"
    if len(days) == 1:
        return f"there is {days[0]}"
    return f"there are {len(days)}, from {days[0]} to {days[-1]}"
