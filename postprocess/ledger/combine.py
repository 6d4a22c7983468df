"""The ledger of a provider's day out of its units' accounts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import zstandard

from postprocess.ledger.account import ACCOUNT, BARS, CANDLES, HOUR_NS, HOURS, PLACES, Broken, Tally, VenueGap
from postprocess.ledger.bars import compare_bars
from postprocess.ledger.filling import Holes
from postprocess.ledger.holes import Hole, Session, find_holes
from postprocess.ledger.records import GapRecord
from postprocess.ledger.rows import Span
from postprocess.ledger.seen import BLOCK, Seen
from postprocess.ledger.silence import both_down
from postprocess.ledger.timing import Edge, Places
from tapeline.offline.tables import LEDGER, LEDGER_GAPS
from tapeline.schemas import Schema

STREAM_CHANNEL = "_stream"
"""Where the ledger counts the holes of an instance's stream, which is of all channels."""

JITTER_NS = 250_000_000
"""How far from a hole of one instance a message may come that fills it: lines to a venue differ by some milliseconds."""
STRAYED_JITTER_NS = 5_000_000
"""The same for a message that is paired with another: more might be by chance."""

BOTH_DOWN = "both_disconnected"
"""Neither instance was connected to the venue; what it said then is not known."""

_COUNTS = ("primary_only", "replica_only", "in_both", "duplicates", "rejected", "gaps", "bars_expected", "bars_found")
_AT_ONCE = 50_000
"""Holes that are looked up, or become rows, in one go."""
_TRADE_ID = "trade id"
_MOST = (1 << 63) - 1


Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Ledger:
    """The rows of both tables, and their totals."""

    hours: pa.Table
    gaps: pa.Table
    totals: dict[str, int]
    """both, primary_only, replica_only, duplicates, gaps, rejects, bars_expected, bars_found."""


def combine(day: date, folders: Sequence[Path], records: Sequence[GapRecord], memory_bytes: int) -> Ledger:
    """Joins the accounts of all units of a provider's day; each folder holds the files that `Account.close` told."""
    return _Joined(day, folders, records).ledger(memory_bytes)


class _Joined:
    def __init__(self, day: date, folders: Sequence[Path], records: Sequence[GapRecord]) -> None:
        self._day = day
        self._folders = folders
        self._tallies = [msgspec.msgpack.decode((folder / ACCOUNT).read_bytes(), type=Tally) for folder in folders]
        self._instances = self._tallies[0].instances if self._tallies else []
        self._records: dict[tuple[int, int], list[GapRecord]] = defaultdict(list)
        for record in records:
            if record.instance in self._instances:
                self._records[self._instances.index(record.instance), record.epoch].append(record)
        self._broken: dict[tuple[int, int], list[Broken]] = defaultdict(list)
        for tally in self._tallies:
            for found in tally.broken:
                self._broken[found.side, found.epoch].append(found)
        self._cells: dict[tuple[str, str, int], Counter[str]] = defaultdict(Counter)

    def ledger(self, memory_bytes: int) -> Ledger:
        sessions = self._sessions()
        holes = list(find_holes(self._day, sessions, self._records, self._broken))
        with Places(
            self._files(PLACES), memory_bytes, self._folders[0] / "spill" if self._folders else Path()
        ) as places:
            _time(holes, sessions, places)
            _fill(holes, sessions, len(self._instances), places)
            gaps = _table(self._gap_rows(holes, sessions, places))
        for tally in self._tallies:
            self._count(tally)
        self._compare(sessions)
        hours = [
            {"channel": channel, "schema": schema, "hour": hour, **{name: counts[name] for name in _COUNTS}}
            for (channel, schema, hour), counts in sorted(self._cells.items())
        ]
        sums = {name: sum(counts[name] for counts in self._cells.values()) for name in _COUNTS}
        totals = {"both": sums.pop("in_both"), **sums}
        totals["rejects"] = totals.pop("rejected")
        return Ledger(
            pa.Table.from_pylist(hours, schema=LEDGER.columns),
            gaps,
            totals,
        )

    def _gap_rows(self, holes: Sequence[Hole], sessions: Sequence[Session], places: Places) -> Iterator[Row]:
        """All gaps, and counts those that are left."""
        for hole in holes:
            yield self._raw_row(hole)
        if len(self._instances) == 2:
            yield from self._silences(sessions, places)
        for tally in self._tallies:
            for gap in tally.gaps:
                yield self._venue_row(tally, gap)

    def _files(self, name: str) -> list[Path]:
        return [path for folder in self._folders if (path := folder / name).is_file()]

    def _sessions(self) -> list[Session]:
        """By side and epoch, those too that only a record tells of."""
        seen: dict[tuple[int, int], Seen] = {key: Seen() for key in (*self._records, *self._broken)}
        spans: dict[tuple[int, int], Span] = {}
        unpacker = zstandard.ZstdDecompressor()
        for tally in self._tallies:
            for side, epoch, number, packed in tally.seen:
                bits = np.frombuffer(unpacker.decompress(packed, BLOCK // 8), dtype=np.uint8)
                seen.setdefault((side, epoch), Seen()).add(Seen({number: bits}))
            for side, epoch, span in tally.spans:
                before = spans.get((side, epoch))
                spans[side, epoch] = span if before is None else before.joined(span)
        return [Session(*key, found, spans.get(key)) for key, found in sorted(seen.items(), key=lambda item: item[0])]

    def _count(self, tally: Tally) -> None:
        names = [f"{instance.lower()}_only" for instance in tally.instances]
        for channel, hour, (first, second, both, duplicates, rejected) in tally.hours:
            cell = self._cells[*tally.channels[channel], hour]
            for name, count in zip(names, (first, second), strict=False):
                cell[name] += count
            cell["in_both"] += both
            cell["duplicates"] += duplicates
            cell["rejected"] += rejected

    def _raw_row(self, hole: Hole) -> Row:
        stamp = hole.opened_ts or hole.closed_ts or hole.epoch
        if hole.left:
            self._cells[STREAM_CHANNEL, "", stamp // HOUR_NS % HOURS]["gaps"] += 1
        return {
            "kind": "raw",
            "instance": self._instances[hole.side],
            "raw_epoch": hole.epoch,
            "from_sequence": hole.first,
            "to_sequence": hole.last or None,
            "from_ts": hole.opened_ts,
            "to_ts": hole.closed_ts,
            "missing": hole.missing,
            "reason": hole.reason,
        }

    def _silences(self, sessions: Sequence[Session], places: Places) -> Iterator[Row]:
        """Times in which neither instance was connected, nor heard anything."""
        links = [link for tally in self._tallies for link in tally.links]
        end = max((session.span.last_place for session in sessions if session.span is not None), default=0)
        for opened, closed in both_down(links, end):
            if places.silent(opened, closed):
                self._cells[STREAM_CHANNEL, "", opened // HOUR_NS % HOURS]["gaps"] += 1
                yield {"kind": "raw", "from_ts": opened, "to_ts": closed, "reason": BOTH_DOWN}

    def _venue_row(self, tally: Tally, gap: VenueGap) -> Row:
        channel, schema = tally.channels[gap.channel]
        self._cells[channel, schema, gap.ts // HOUR_NS % HOURS]["gaps"] += 1
        known = 0 < gap.from_id <= gap.to_id <= _MOST
        return {
            "kind": "venue",
            "instance": tally.instances[gap.side],
            "channel": channel,
            "raw_symbol": gap.symbol or None,
            "raw_epoch": gap.epoch,
            "from_sequence": gap.from_id if known else None,
            "to_sequence": gap.to_id if known else None,
            "from_ts": gap.before_ts or None,
            "to_ts": gap.ts,
            "missing": gap.to_id - gap.from_id + 1 if known and gap.reason == _TRADE_ID else None,
            "reason": gap.reason,
        }

    def _compare(self, sessions: Sequence[Session]) -> None:
        spans = [session.span for session in sessions if session.span is not None]
        if not spans:
            return
        first = min(span.first_ts for span in spans)
        schemas = self._trades_schemas()
        for bars in compare_bars(self._files(BARS), self._files(CANDLES), first):
            cell = self._cells[bars.channel, schemas.get(bars.channel, ""), bars.hour]
            cell["bars_expected"] += bars.expected
            cell["bars_found"] += bars.found

    def _trades_schemas(self) -> dict[str, str]:
        """The schema under which each channel stands in the raw store: TRADES where it has several."""
        found: dict[str, str] = {}
        for tally in self._tallies:
            for name, schema in tally.channels:
                if name not in found or schema == Schema.TRADES.value:
                    found[name] = schema
        return found


def _table(rows: Iterator[Row]) -> pa.Table:
    """A row takes far less in a table than by itself."""
    parts = []
    while some := list(islice(rows, _AT_ONCE)):
        parts.append(pa.Table.from_pylist(some, schema=LEDGER_GAPS.columns))
    return pa.concat_tables(parts) if parts else LEDGER_GAPS.columns.empty_table()


def _time(holes: Sequence[Hole], sessions: Sequence[Session], places: Places) -> None:
    """Notes when each hole opened and closed: at its neighbours, or where its session or the next one ends or begins."""
    for side in (0, 1):
        chain = [session for session in sessions if session.side == side and session.span is not None]
        mine = [hole for hole in holes if hole.side == side]
        for start in range(0, len(mine), _AT_ONCE):
            part = mine[start : start + _AT_ONCE]
            edges: list[Edge] = [(hole.epoch, hole.first - 1) for hole in part]
            edges += [(hole.epoch, hole.last + 1) for hole in part if hole.last]
            found = places.times(side, edges)
            for hole in part:
                before = found.get((hole.epoch, hole.first - 1)) or _start(hole, chain)
                after = found.get((hole.epoch, hole.last + 1)) if hole.last else None
                after = after or _next(hole, chain)
                hole.opened_ts, hole.opened = before or (None, None)
                hole.closed_ts, hole.closed = after or (None, None)


def _start(hole: Hole, chain: Sequence[Session]) -> tuple[int, int] | None:
    """Before a session's first sequence: when it began."""
    if hole.first > 1:
        return None  # that was on another day
    skews = [session.span.first_place - session.span.first_ts for session in chain if session.span is not None]
    return hole.epoch, hole.epoch + (skews[0] if skews else 0)


def _next(hole: Hole, chain: Sequence[Session]) -> tuple[int, int] | None:
    """Behind a session's last sequence: the next session's first payload."""
    later = [session.span for session in chain if session.epoch > hole.epoch and session.span is not None]
    return (later[0].first_ts, later[0].first_place) if later else None


def _fill(holes: Sequence[Hole], sessions: Sequence[Session], sides: int, places: Places) -> None:
    spans = [session.span for session in sessions if session.span is not None]
    begin = min((span.first_place for span in spans), default=0)
    end = max((span.last_place for span in spans), default=0)
    for side in (0, 1):
        counted = sorted(
            (hole for hole in holes if hole.side == side and hole.last),
            key=lambda hole: (begin if hole.opened is None else hole.opened, hole.epoch, hole.first),
        )
        if not counted:
            continue
        opened = np.array([begin if hole.opened is None else hole.opened for hole in counted], dtype=np.int64)
        closed = np.array([end if hole.closed is None else hole.closed for hole in counted], dtype=np.int64)
        sizes = np.array([hole.size for hole in counted], dtype=np.int64)
        fillable = Holes(opened, closed, sizes)
        if sides == 2:
            fillable.fill(places.only_other(side), JITTER_NS)
            if (fillable.filled < sizes).any():
                fillable.fill(places.strayed(side), STRAYED_JITTER_NS)
        for hole, count in zip(counted, fillable.filled.tolist(), strict=True):
            hole.missing = hole.size - count
    for hole in holes:
        if not hole.last and hole.opened is not None:
            others = [session.span for session in sessions if session.side != hole.side and session.span is not None]
            until = end if hole.closed is None else hole.closed
            if any(
                span.first_place <= hole.opened + JITTER_NS and until <= span.last_place + JITTER_NS for span in others
            ):
                hole.missing = 0
