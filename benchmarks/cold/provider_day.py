"""One provider's synthetic day: its markets, both instances with their seeded losses, and the truth about them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.cold.exchanges.listed import ACTIVITY, EXCHANGES
from benchmarks.cold.instance import Clock, Instance, Outage, Received
from benchmarks.cold.market import Market, Shares
from benchmarks.cold.sheet import Mask
from benchmarks.cold.words import Lines, Single, once
from tapeline.schemas import Schema

MINUTE = 60_000_000_000
_SECOND = 1_000_000_000
_BLOCK_PAYLOADS = 120_000
_BLOCK_MINUTES = (60, 30, 20, 15, 12, 10, 6, 5, 4, 3, 2, 1)
_QUIET = 100_000_000
"""At the end of a block nothing happens, so that what is late falls in it too; ns."""

LOST_SINGLY = 2e-4
"""The part of its payloads that one instance alone does not receive."""

_CYCLE = 40
_HOLE_SECONDS = 4.0
_OUTAGE_SECONDS = (1.5, 8.0, 0.4, 35.0)
"""One after another; the longest is more than the coalescing looks ahead."""

_TRADES_ONLY = Shares(quotes=0.0, trades=1.0, depth=0.0)
_UP = Single("_session", Schema.STATUS, b'{"event":"up","connection":0,"reason":""}')


class Hour(msgspec.Struct):
    """What the ledger must say of an hour of a channel."""

    primary_only: int = 0
    replica_only: int = 0
    in_both: int = 0


class Truth(msgspec.Struct):
    """What was put into the store of one provider."""

    provider: str
    payloads: int
    """Venue messages that either instance has."""
    rows: int
    row_bytes: int
    objects: int
    object_bytes: int
    gaps: dict[str, list[tuple[int, int]]]
    """Sequences that are not in the store, by instance."""
    channels: dict[str, dict[int, Hour]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to make: `payloads` venue messages of this provider, between `begin` and so many minutes later."""

    root: Path
    exchange: int
    payloads: int
    begin: int
    minutes: int
    threshold: int
    seed: int
    trades_only: bool = False


def make(plan: Plan) -> Truth:
    """Fills the store with a provider's part of the day; the same plan always gives the same bytes."""
    return _Day(plan).make()


class _Day:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._exchange = EXCHANGES[plan.exchange]
        shares = _TRADES_ONLY if plan.trades_only else self._exchange.shares
        self._markets = [
            Market(listing, shares, (plan.seed, plan.exchange, place))
            for place, listing in enumerate(self._exchange.listings)
        ]
        self._random = np.random.Generator(np.random.PCG64([plan.seed, plan.exchange, 1000]))
        self._instances = [
            self._instance(1, "PRIMARY", Clock(1_200_000, 20_000_000), 5_100_000_321),
            self._instance(2, "REPLICA", Clock(4_700_000, 30_000_000), 3_300_000_123),
        ]
        self._payloads = 0
        self._channels: dict[str, dict[int, Hour]] = defaultdict(dict)

    def _instance(self, number: int, name: str, clock: Clock, before: int) -> Instance:
        plan = self._plan
        random = np.random.Generator(np.random.PCG64([plan.seed, plan.exchange, 1000 + number]))
        provider = self._exchange.name.upper()
        return Instance(plan.root, name, provider, plan.begin - before, clock, plan.threshold, random)

    def make(self) -> Truth:
        plan = self._plan
        self._open()
        market_minutes = plan.minutes - 1
        for first, minutes in self._blocks(market_minutes):
            # By whole payloads so far, so that all blocks together give exactly what was asked for.
            count = (
                plan.payloads * (first - 1 + minutes) // market_minutes - plan.payloads * (first - 1) // market_minutes
            )
            self._block(first, minutes, count)
        for instance in self._instances:
            instance.finish()
        written = [instance.written for instance in self._instances]
        return Truth(
            self._instances[0].provider,
            self._payloads,
            sum(part.rows for part in written),
            sum(part.row_bytes for part in written),
            sum(part.objects for part in written),
            sum(part.object_bytes for part in written),
            {instance.name: instance.gaps for instance in self._instances},
            dict(self._channels),
        )

    def _blocks(self, market_minutes: int) -> list[tuple[int, int]]:
        """Begin and length in minutes of the parts of the day, of which none crosses an hour."""
        rate = self._plan.payloads / market_minutes
        length = next((one for one in _BLOCK_MINUTES if one * rate <= _BLOCK_PAYLOADS), 1)
        blocks = []
        at = 1
        while at < self._plan.minutes:
            end = min(at // length * length + length, self._plan.minutes)
            blocks.append((at, end - at))
            at = end
        return blocks

    def _open(self) -> None:
        """The first minute: the session is up, instruments and whole books have come; the market begins with the next."""
        begin = self._plan.begin + 10_000_000
        singles = [_UP, self._exchange.instruments(self._exchange.listings, begin)]
        singles += [self._exchange.begin(market, begin) for market in self._markets]
        self._write(
            [once(single, begin + place * 100_000_000) for place, single in enumerate(singles)], [], single=False
        )

    def _block(self, first: int, minutes: int, count: int) -> None:
        begin = self._plan.begin + first * MINUTE
        length = minutes * MINUTE - _QUIET
        weights = np.array(ACTIVITY[: len(self._markets)])
        counts = np.floor(count * weights / weights.sum()).astype(int)
        counts[0] += count - counts.sum()
        lines: list[Lines] = []
        if first % 60 == 0:
            lines.append(once(self._exchange.instruments(self._exchange.listings, begin), begin))
        for market, share in zip(self._markets, counts.tolist(), strict=True):
            lines += self._exchange.speak(market.listing, market.block(share, begin, length))
        self._write([part for part in lines if len(part.times)], list(range(first, first + minutes)), single=True)

    def _write(self, lines: list[Lines], minutes: list[int], *, single: bool) -> None:
        outages = [self._outages(place, minutes) for place in (0, 1)]
        missed: tuple[list[Mask], list[Mask]] = ([], [])
        for part in lines:
            drawn = self._random.random(len(part.times)) if single else np.ones(len(part.times))
            for place in (0, 1):
                # What the other has not must be here.
                alone = self._within_minutes(part, outages[1 - place])
                mine = (drawn >= place * LOST_SINGLY) & (drawn < (place + 1) * LOST_SINGLY)
                missed[place].append(
                    mine & ~alone if len(part.times) > 1 else np.zeros(len(part.times), dtype=np.bool_)
                )
        received = [
            instance.write(lines, missed[place], outages[place]) for place, instance in enumerate(self._instances)
        ]
        for part, primary, replica in zip(lines, *received, strict=True):
            self._note(part.channel, primary, replica)

    def _outages(self, place: int, minutes: list[int]) -> list[Outage]:
        """In turn, every ten minutes: one instance receives nothing, the other, one's payloads are not stored, the other's."""
        found = []
        for minute in minutes:
            turn, phase = divmod(minute, _CYCLE)
            if phase not in (5 + 10 * place, 25 + 10 * place):
                continue
            begin = self._plan.begin + minute * MINUTE + 15 * _SECOND
            received = phase < 20
            seconds = _OUTAGE_SECONDS[turn % len(_OUTAGE_SECONDS)] if received else _HOLE_SECONDS
            found.append(Outage(begin, begin + int(seconds * _SECOND), stored=received))
        return found

    def _within_minutes(self, part: Lines, outages: list[Outage]) -> Mask:
        inside = np.zeros(len(part.times), dtype=np.bool_)
        for outage in outages:
            inside |= part.times // MINUTE == outage.begin // MINUTE
        return inside

    def _note(self, channel: str, primary: Received, replica: Received) -> None:
        one, two = primary.held, replica.held
        stamps = np.where(one, primary.stamps, replica.stamps)
        hours = (stamps - self._plan.begin) // (60 * MINUTE)
        for hour in np.unique(hours[one | two]).tolist():
            there = hours == hour
            known = self._channels[channel].setdefault(int(hour), Hour())
            known.primary_only += int(np.count_nonzero(there & one & ~two))
            known.replica_only += int(np.count_nonzero(there & two & ~one))
            known.in_both += int(np.count_nonzero(there & one & two))
        self._payloads += int(np.count_nonzero(one | two))
