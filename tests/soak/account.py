"""`python -m tests.soak.account FOLDER STORE VENUE`: sets the raw store and MERGED against the emulator's ledger, for one venue."""

from __future__ import annotations

import argparse
import json
import sys
from array import array
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from postprocess.raw import DayObjects, find_day
from tapeline.objectstore import ObjectStore, open_store
from tapeline.venues import Venue, load
from tests.soak.comparing import Difference, compare, occurrences
from tests.soak.ledger import Keys, Truth, read
from tests.soak.replaying import Replay, received
from tests.soak.schedule import PARTIES
from tests.soak.stretches import Side, coalesced
from tests.soak.stretches import read as read_side

Window = tuple[int, int]


class Gap(msgspec.Struct):
    """A gap record of the store; `last` 0: to an ended epoch's end."""

    epoch: int
    first: int
    last: int
    reason: str


@dataclass(slots=True)
class Stored:
    """One instance's payloads: of each channel the keys, and all sequences by epoch."""

    keys: dict[str, Keys] = field(default_factory=dict)
    sequences: dict[int, list[npt.NDArray[np.int64]]] = field(default_factory=lambda: defaultdict(list))

    def note(self, channel: str, side: Side) -> None:
        """What is in the store of a channel."""
        self.keys[channel] = np.concatenate([self.keys[channel], side.keys]) if channel in self.keys else side.keys
        for epoch, numbers in side.sequences.items():
            self.sequences[epoch].append(np.array(numbers, np.int64))


@dataclass(slots=True)
class Account:
    """What one venue comes to; all lists of problems are empty where all is well."""

    venue: str
    payloads: int = 0
    """What the ledger says was sent, each once."""
    nobody: int = 0
    """What the market had while nobody was connected."""
    coalesced: dict[str, int] = field(default_factory=dict)
    instances: dict[str, dict[str, int]] = field(default_factory=dict)
    merged: dict[str, dict[str, int]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    reconnects: dict[str, list[int]] = field(default_factory=dict)


def account(folder: Path, store_url: str, venue_name: str, windows: dict[str, list[Window]]) -> Account:
    """`windows`: by party the times in which its session manager was killed and what it held was lost."""
    venue, truth = load(venue_name), read(folder / "ledger.rows", venue_name)
    store = open_store(store_url)
    found = Account(venue_name, sum(len(sent.keys) for sent in truth.channels.values()), truth.missed)
    found.reconnects = dict(truth.ends)
    objects = _all_days(store)
    stored = {party: Stored() for party in PARTIES}
    merged: dict[str, Keys] = {}
    replay = Replay(venue)
    both = 0
    # Instruments go first: each channel is coalesced, and normalized, by itself.
    channels = sorted(objects.of(venue.provider), key=lambda item: item[0].schema != "DEFINITION")
    for channel, keys in channels:
        sides = [read_side(store, keys.get(party, [])) for party in PARTIES]
        for party, side in zip(PARTIES, sides, strict=True):
            stored[party].note(channel.name, side)
        sent = truth.channels.get(channel.name)
        own = Counter(sent.own.tolist()) if sent is not None else Counter()
        begun = False
        kept: array[int] = array("Q")
        for side, place, by_both in coalesced(*sides):
            key = int(side.keys[place])
            kept.append(key)
            both += by_both
            if own and own[key]:
                # A book begins with its first snapshot; what further connections began with is no part of the market.
                own[key] -= 1
                if begun:
                    continue
                begun = True
            replay.take(channel.name, channel.schema, side.times[place], side.connections[place], side.payloads[place])
        found_keys = np.frombuffer(kept, np.uint64) if kept else np.zeros(0, np.uint64)
        merged[channel.name] = np.concatenate([merged.get(channel.name, found_keys[:0]), found_keys])
    counts = {"in both": both}
    _coalesced(found, truth, merged, counts)
    for party in PARTIES:
        _instance(found, truth, party, stored[party], _gaps(store, party, venue), windows.get(party, []))
    expected = replay.finish()
    harmed = json.loads((folder / "harmed.json").read_text()).get(venue_name, 0)
    _merged(
        found, venue, harmed, {name: keys for name, keys in expected.items() if _told(name, truth)}, folder / "merged"
    )
    return found


def _all_days(store: ObjectStore) -> DayObjects:
    return find_day(store, datetime.now(UTC).date())


def _gaps(store: ObjectStore, party: str, venue: Venue) -> list[Gap]:
    prefix = f"gaps/instance={party}/provider={venue.provider}/"
    return [msgspec.json.decode(store.get(key), type=Gap) for key in store.list(prefix)]


def _coalesced(found: Account, truth: Truth, merged: dict[str, Keys], counts: dict[str, int]) -> None:
    total = Difference()
    own = 0
    for channel, sent in truth.channels.items():
        stored = merged.get(channel, sent.keys[:0])
        one = compare(sent.keys, stored, ordered=True)
        explained = occurrences(one.surplus_keys, sent.own)
        own += explained
        one.surplus -= explained
        total.add(one)
    found.coalesced = {
        "sent": found.payloads, "stored": found.payloads - total.missing, "missing": total.missing,
        "a party's own": own, "answers": total.surplus, "answers given": truth.answers,
        "out of order": total.inversions, "in both": counts["in both"],
    }  # fmt: skip
    if total.missing:
        found.problems.append(f"raw: {total.missing} payloads are in neither instance's objects")
    if total.surplus > truth.answers:
        found.problems.append(f"raw: {total.surplus} payloads too many, of which only {truth.answers} can be answers")


def _instance(found: Account, truth: Truth, party: str, stored: Stored, gaps: list[Gap], windows: list[Window]) -> None:
    sent = lost = unexplained = unsent = 0
    doubtful = [*truth.unsure.get(party, []), *windows]
    for channel, told in truth.channels.items():
        there = stored.keys.get(channel, told.keys[:0])
        given, times = told.keys[told.to[party]], told.times[told.to[party]]
        one = compare(given, there)
        sent += len(given)
        lost += one.missing
        unexplained += one.missing - occurrences(one.missing_keys, given[_within(times, doubtful)])
        of_market = one.surplus_keys[np.isin(one.surplus_keys, told.keys)]
        unsent += len(of_market) - occurrences(of_market, told.own)
    holes = _holes(stored, gaps)
    found.instances[party] = {
        "sent": sent, "stored": sent - lost, "lost with a connection or process": lost - unexplained, "unexplained": unexplained,
        "not sent to it": found.payloads - sent, "gap records": len(gaps), "sequences neither stored nor in a gap": holes,
        "epochs": len(stored.sequences),
    }  # fmt: skip
    if unexplained or unsent:
        found.problems.append(f"{party}: {unexplained} sent and not stored, {unsent} stored and not sent")
    if holes:
        found.problems.append(f"{party}: {holes} sequences are neither stored nor in a gap record")


def _within(times: npt.NDArray[np.int64], windows: list[Window]) -> npt.NDArray[np.bool_]:
    inside = np.zeros(len(times), bool)
    for first, last in windows:
        inside |= (times >= first) & (times <= last)
    return inside


def _holes(stored: Stored, gaps: list[Gap]) -> int:
    """Sequences of an epoch, up to its last known one, that are neither stored nor in a gap; and those that are in both."""
    wrong = 0
    for epoch, held in stored.sequences.items():
        every = np.concatenate(held)
        sequences = np.unique(every)
        wrong += len(every) - len(sequences)
        own = [gap for gap in gaps if gap.epoch == epoch]
        last = int(max([int(sequences[-1]), *(gap.last for gap in own)]))
        missing = np.setdiff1d(np.arange(1, last + 1), sequences, assume_unique=True)
        covered = np.zeros(len(missing), bool)
        for gap in own:
            end = gap.last or last
            covered |= (missing >= gap.first) & (missing <= end)
            wrong += int(((sequences >= gap.first) & (sequences <= end)).sum())
        wrong += int((~covered).sum())
    return wrong


def _told(name: str, truth: Truth) -> bool:
    """Whether a published channel is of what the venue sends; what each instance asks for by REST is its own."""
    schema, channel = name.split(".", 1)
    return schema == "DEFINITION" or channel in truth.channels


def _merged(found: Account, venue: Venue, harmed: int, expected: dict[str, bytes], folder: Path) -> None:
    """`harmed`: how many frames faults have changed, doubled or moved at one instance, whose books were wrong for a moment."""
    too_many = 0
    for name, keys in sorted(expected.items()):
        schema = name.split(".", 1)[0]
        if schema == "STATUS":
            continue
        one = compare(np.frombuffer(keys, np.uint64), received(folder, venue.provider, name), ordered=True, warm=True)
        total = found.merged.setdefault(schema, defaultdict(int))
        for what, number in (("expected", len(keys) // 8), ("missing", one.missing), ("surplus", one.surplus),
                             ("before the first", one.before), ("out of order", one.inversions)):  # fmt: skip
            total[what] += number
        if schema in ("MBO", "TRADES"):
            too_many += one.surplus
        if one.missing:
            found.problems.append(f"MERGED {name}: {one.missing} missing of {len(keys) // 8}, places {one.places}")
    if too_many > harmed:
        found.problems.append(f"MERGED: {too_many} messages too many, where {harmed} frames were harmed")


def main() -> int:
    """Prints the account as JSON."""
    parser = argparse.ArgumentParser(prog="tests.soak.account", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("store")
    parser.add_argument("venue")
    args = parser.parse_args()
    windows = json.loads((args.folder / "killed.json").read_text())
    found = account(args.folder, args.store, args.venue, windows)
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
