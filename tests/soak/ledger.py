"""What the emulator's ledger says: the market of each channel, who was sent it, and what was only one party's."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from emulator.ledger import MADE, OWN, read_rows
from tests.soak.schedule import PARTIES

Keys = npt.NDArray[np.uint64]
"""Payloads, known by CRC32 and length."""
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent of one channel."""

    keys: Keys
    """The market, in its order, so far as anybody was sent it."""
    times: npt.NDArray[np.int64]
    to: dict[str, Flags]
    """By party, whether it was sent the payload unharmed."""
    own: Keys
    """What only one party's connection got: what a subscription begins with, and what faults have made."""
    made: int
    """How many of those a fault has made."""


@dataclass(slots=True)
class Truth:
    """A venue's part of the ledger."""

    channels: dict[str, Sent] = field(default_factory=dict)
    unsure: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    """By party the times (ns) in which what was sent may not have left: each connection's last."""
    ends: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """By party when connections ended, ns."""
    missed: int = 0
    """Payloads of the market that nobody was sent."""
    answers: int = 0
    """REST answers given."""


def read(path: Path, venue: str) -> Truth:
    """A venue's truth out of a whole ledger."""
    rows = np.memmap(path, read_rows(Path("/dev/null")).dtype, mode="r")
    told = json.loads(path.with_suffix(".json").read_text())
    bits = {party: 1 << told["parties"].index(party) for party in PARTIES if party in told["parties"]}
    truth = Truth(answers=sum(told["totals"][venue]["rest"].values()))
    for number, name in enumerate(told["channels"]):
        if name["venue"] == venue:
            sent, missed = _sent(rows[rows["channel"] == number], bits)
            truth.channels[name["channel"]] = sent
            truth.missed += missed
    for end in told["ends"].get(venue, []):
        truth.unsure[end["party"]].append((int(end["sure_until"]), int(end["ended"])))
        truth.ends[end["party"]].append(int(end["ended"]))
    return truth


def _sent(rows: np.ndarray, bits: dict[str, int]) -> tuple[Sent, int]:
    takers = rows["connection"]
    own = takers & (OWN | MADE) != 0
    market = rows[~own]
    given = market[market["connection"] != 0]
    to = {party: given["connection"] & bits.get(party, 0) != 0 for party in PARTIES}
    made = int((takers & MADE != 0).sum())
    return Sent(_keys(given), given["ts"].copy(), to, _keys(rows[own]), made), len(market) - len(given)


def _keys(rows: np.ndarray) -> Keys:
    return rows["crc"].astype(np.uint64) << np.uint64(32) | rows["length"].astype(np.uint64)
