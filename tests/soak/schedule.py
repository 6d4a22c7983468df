"""What goes wrong, and in which order: chosen by a seed, one instance at a time."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum

PARTIES = ("PRIMARY", "REPLICA")


class Kind(Enum):
    """One way of hurting the pipeline."""

    CLOSE = "close"
    CLOSE_CODE = "close_code"
    STALL = "stall"
    SILENCE = "drop_silently"
    GAP = "gap"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    CORRUPT = "corrupt"
    TRUNCATE = "truncate"
    KILL_SESSION_MANAGER = "kill session_manager"
    KILL_NORMALIZER = "kill normalizer"
    KILL_BATCH_PROCESSOR = "kill batch_processor"
    PAUSE_SESSION_MANAGER = "pause session_manager"
    PAUSE_NORMALIZER = "pause normalizer"
    PAUSE_BATCH_PROCESSOR = "pause batch_processor"
    PAUSE_ARBITER = "pause arbiter"
    REDIS_FAILOVER = "Redis failover"
    STORE_OUTAGE = "object store away"

    @property
    def room(self) -> str:
        """The process it is about; empty where it is none."""
        verb, _, room = self.value.partition(" ")
        return room if verb in ("kill", "pause") else ""

    @property
    def at_venue(self) -> bool:
        """Whether the emulator does it to a venue's connections or frames."""
        return self in VENUE_KINDS


VENUE_KINDS = (
    Kind.CLOSE, Kind.CLOSE_CODE, Kind.STALL, Kind.SILENCE, Kind.GAP, Kind.DUPLICATE, Kind.REORDER, Kind.CORRUPT, Kind.TRUNCATE,
)  # fmt: skip
FRAME_KINDS = (Kind.GAP, Kind.DUPLICATE, Kind.REORDER, Kind.CORRUPT, Kind.TRUNCATE)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that goes wrong. `party` is whose it is, empty where it is nobody's alone; `seconds`, how long it lasts."""

    kind: Kind
    party: str = ""
    venues: tuple[str, ...] = ()
    seconds: float = 0.0
    count: int = 1

    def __str__(self) -> str:
        words = [self.kind.value, self.party.lower(), "+".join(self.venues)]
        return " ".join(word for word in words if word)


SHORT = (
    Kind.KILL_NORMALIZER, Kind.KILL_SESSION_MANAGER, Kind.GAP, Kind.CLOSE, Kind.REDIS_FAILOVER, Kind.STORE_OUTAGE, Kind.STALL,
    Kind.KILL_BATCH_PROCESSOR,
)  # fmt: skip
"""One of each sort, for a soak of a minute."""


def schedule(
    seed: int, steps: int, venues: tuple[str, ...], kinds: tuple[Kind, ...] = (), outage: float = 30.0
) -> list[Step]:
    """So many steps, each kind at least once where there is room; or just these kinds. The same for the same seed.

    Steps follow one another only when everybody has recovered, so that the two instances are never hurt at once: what both of
    them miss nobody can have.
    """
    chance = random.Random(seed)
    chosen = list(kinds)
    while len(chosen) < steps:
        chosen += _turn(chance, first=not chosen)
    return [_step(chance, kind, venues, outage) for kind in chosen[: steps if not kinds else len(kinds)]]


def _turn(chance: random.Random, first: bool) -> list[Kind]:
    """All kinds once, and the venue's own twice; Redis and the store only in the first turn."""
    rare = [Kind.REDIS_FAILOVER, Kind.STORE_OUTAGE]
    kinds = [kind for kind in Kind if kind not in rare]
    kinds += rare if first else VENUE_KINDS
    chance.shuffle(kinds)
    return kinds


def _step(chance: random.Random, kind: Kind, venues: tuple[str, ...], outage: float) -> Step:
    party = chance.choice(PARTIES)
    if kind.at_venue:
        hit = tuple(sorted(chance.sample(venues, min(len(venues), chance.randint(1, 3)))))
        seconds = chance.uniform(2.0, 5.0) if kind is Kind.STALL else 0.0
        return Step(kind, party, hit, round(seconds, 1), chance.randint(1, 20) if kind in FRAME_KINDS else 1)
    if kind in (Kind.REDIS_FAILOVER, Kind.PAUSE_ARBITER, Kind.STORE_OUTAGE):
        party = ""
    lasting = {Kind.STORE_OUTAGE: (outage * 2 / 3, outage)}.get(kind, (1.0, 3.0))
    return Step(kind, party, (), round(chance.uniform(*lasting), 1))
