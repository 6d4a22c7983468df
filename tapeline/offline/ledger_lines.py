"""The gaps on a time line and the volumes by hour, for the ledger's page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from tapeline.days import DAY_NS, day_span
from tapeline.offline.ledger_day import HOURS, ChannelLedger, Counts, DayLedger, Gap
from tapeline.offline.ledger_findings import describe
from tapeline.offline.ledger_markup import RULE, WRONG, box, key, rule, short, svg, words

_NAMES, _WIDTH, _LANE, _HEAD = 330, HOURS * 31, 22, 22
_DRAWN = 400
"""Gaps of a lane that are drawn one by one; where there are more, what falls on one spot is one mark."""

FILLED = "#56b4e9"
BOTH, PRIMARY, REPLICA = "#0072b2", "#e69f00", "#cc79a7"


def time_line(ledger: DayLedger) -> str:
    """A lane for each instance's stream and for the venue's ids, of each provider."""
    lanes: list[tuple[str, list[Gap], list[Gap]]] = []
    for provider in ledger.versions:
        for name, kind, instance in (
            ("PRIMARY stream", "raw", "PRIMARY"), ("REPLICA stream", "raw", "REPLICA"), ("venue's ids", "venue", None),
        ):  # fmt: skip
            left, filled = (
                [
                    g
                    for g in gaps
                    if g.provider == provider
                    and g.kind == kind
                    and (instance is None or g.instance in (None, instance))
                ]
                for gaps in (ledger.gaps, ledger.filled)
            )
            lanes.append((f"{provider} · {name}", left, filled))
    width = _NAMES + _WIDTH + 70
    height = _HEAD + len(lanes) * _LANE
    parts = [rule(_NAMES + hour * 31, _HEAD - 4, _NAMES + hour * 31, height) for hour in range(HOURS + 1)]
    parts += [words(_NAMES + hour * 31, 14, f"{hour:02d}", "middle", 11) for hour in range(0, HOURS + 1, 2)]
    for row, (name, left, filled) in enumerate(lanes):
        top = _HEAD + row * _LANE
        parts.append(words(_NAMES - 8, top + 15, name, "end", 11.5))
        parts.append(rule(_NAMES, top + _LANE / 2, _NAMES + _WIDTH, top + _LANE / 2))
        parts += _marks(filled, ledger.day, top + 8, _LANE - 16, FILLED, "filled")
        parts += _marks(left, ledger.day, top + 3, _LANE - 6, WRONG, "left")
        told = f"{len(left):,} left" if left else "none left"
        parts.append(words(_NAMES + _WIDTH + 6, top + 15, told, "start", 11))
    entries = ((WRONG, "gap left: nobody has it, or that is not known"), (FILLED, "hole that the other instance fills"))
    return key(entries) + svg(width, height + 4, "gaps by time", parts)


def _marks(gaps: Sequence[Gap], day: date, top: float, height: float, fill: str, kind: str) -> list[str]:
    start, _ = day_span(day)
    spots = []
    for gap in gaps:
        begin = gap.from_ts if gap.from_ts is not None else gap.to_ts if gap.to_ts is not None else start
        end = gap.to_ts if gap.to_ts is not None else start + DAY_NS if gap.kind == "raw" else begin
        left, right = (min(max(0.0, (stamp - start) / DAY_NS), 1.0) * _WIDTH for stamp in (begin, max(begin, end)))
        spots.append((left, max(3.0, right - left), gap))
    if len(spots) <= _DRAWN:
        return [box(_NAMES + x, top, width, height, fill, describe(gap, day), kind) for x, width, gap in spots]
    taken: dict[int, tuple[float, int]] = {}
    for x, width, _ in spots:
        wide, count = taken.get(int(x), (0.0, 0))
        taken[int(x)] = (max(wide, width), count + 1)
    return [
        box(_NAMES + x, top, width, height, fill, f"{count:,} together", kind) for x, (width, count) in taken.items()
    ]


def volumes(ledger: DayLedger) -> str:
    """A small chart for each provider: payloads by hour, by who has them."""
    charts = []
    for provider in ledger.versions:
        channels = [channel for channel in ledger.channels if channel.provider == provider]
        charts.append(f"<figure>{_volume(provider, channels)}</figure>")
    entries = ((BOTH, "in both"), (PRIMARY, "primary only"), (REPLICA, "replica only"))
    return key(entries) + f'<div class="small">{"".join(charts)}</div>'


def _volume(provider: str, channels: Sequence[ChannelLedger]) -> str:
    hours = [Counts() for _ in range(HOURS)]
    for channel in channels:
        for hour, counts in channel.hours.items():
            hours[hour].add(counts)
    most = max(counts.payloads for counts in hours)
    left, top, tall, wide = 48, 24, 110, 13
    total = sum(counts.payloads for counts in hours)
    parts = [words(left, 14, f"{provider}, {total:,} payloads", size=12.5)]
    for share in (0.0, 0.5, 1.0) if most else (0.0,):
        y = top + tall * (1 - share)
        parts += [rule(left, y, left + HOURS * wide, y), words(left - 6, y + 4, short(round(most * share)), "end", 11)]
    for hour, counts in enumerate(hours):
        base = float(top + tall)
        title = f"{provider} {hour:02d}:00–{hour + 1:02d}:00 UTC\nin both {counts.both:,}\nprimary only {counts.primary_only:,}\nreplica only {counts.replica_only:,}"
        for count, fill in ((counts.both, BOTH), (counts.primary_only, PRIMARY), (counts.replica_only, REPLICA)):
            if count:
                # What is there is seen, however little it is.
                height = max(1.5, tall * count / most)
                base -= height
                parts.append(box(left + hour * wide + 1, base, wide - 2, height, fill, title, "volume"))
        if hour % 6 == 0:
            parts.append(words(left + hour * wide, top + tall + 15, f"{hour:02d}", "start", 11))
    parts.append(words(left + HOURS * wide, top + tall + 15, "24 UTC", "end", 11))
    parts.append(f'<rect x="{left}" y="{top}" width="{HOURS * wide}" height="{tall}" fill="none" stroke="{RULE}"/>')
    return svg(left + HOURS * wide + 8, top + tall + 22, f"payloads of {provider} by hour", parts)
