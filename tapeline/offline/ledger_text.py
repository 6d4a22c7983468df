"""A day's ledger for people at a terminal, and for machines as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from operator import attrgetter

from tapeline.offline.ledger_day import HOURS, ChannelLedger, Counts, DayLedger
from tapeline.offline.ledger_findings import findings, is_complete, notes, verdict

_COLUMNS = ("both", "primary only", "replica only", "duplicates", "gaps", "rejects", "bars")
_SHOWN = 50


def as_json(ledger: DayLedger) -> str:
    """One JSON object; `gap_bounds` has an entry for each gap left."""
    told = {
        "day": ledger.day.isoformat(),
        "complete": is_complete(ledger),
        "verdict": verdict(ledger),
        "versions": ledger.versions,
        **asdict(ledger.total),
        "channels": [_channel(channel) for channel in ledger.channels],
        "gap_bounds": [{name: getattr(gap, name) for name in gap.__struct_fields__} for gap in ledger.gaps],
        "holes_filled": ledger.filled_count,
        "findings": [asdict(finding) for finding in findings(ledger)],
        "notes": [asdict(note) for note in notes(ledger)],
    }
    return json.dumps(told, ensure_ascii=False)


def as_text(ledger: DayLedger, every_channel: bool) -> Iterator[str]:
    """Lines: the verdict, what is wrong, what is worth knowing, and the counts of providers and channels."""
    yield f"{ledger.day}  {verdict(ledger)}"
    for title, told in (("findings", findings(ledger)), ("notes", notes(ledger))):
        if told:
            yield ""
            yield f"{title}:"
            yield from (
                f"  {_plain(f'{each.provider}: ' if each.provider else '')}{_plain(each.text)}" for each in told
            )
    if not ledger.versions:
        return
    yield ""
    rows = [
        ([f"{provider}", f"version {ledger.versions[provider]}"], total)
        for provider, total in ledger.providers().items()
    ]
    yield from _table(["provider", "tables"], [*rows, (["all", ""], ledger.total)])
    shown = ranked(ledger)
    yield ""
    cut = shown if every_channel else shown[:_SHOWN]
    yield from _table(
        ["provider", "channel", "schema"],
        [([_plain(channel.provider), _plain(channel.channel), channel.schema], channel.total) for channel in cut],
    )
    if len(cut) < len(shown):
        yield f"and {len(shown) - len(cut):,} more channels; --all shows them"


def ranked(ledger: DayLedger) -> list[ChannelLedger]:
    """Channels with the most wrong first: gaps, rejects and bars, then what one instance alone has; else by name."""

    def rank(channel: ChannelLedger) -> tuple[int, int, str, str, str]:
        total = channel.total
        wrong = total.gaps + total.rejects + total.bars_missing
        return -wrong, -(total.primary_only + total.replica_only), channel.provider, channel.channel, channel.schema

    return sorted(ledger.channels, key=rank)


def _channel(channel: ChannelLedger) -> dict[str, object]:
    return {
        **{name: attrgetter(name)(channel) for name in ("provider", "channel", "schema")},
        **asdict(channel.total),
        "hours": [{"hour": hour, **asdict(channel.hours[hour])} for hour in range(HOURS) if hour in channel.hours],
    }


def _table(names: Sequence[str], rows: Sequence[tuple[list[str], Counts]]) -> Iterator[str]:
    cells = [[*words, *_numbers(counts)] for words, counts in rows]
    header = [*names, *_COLUMNS]
    widths = [max(len(row[place]) for row in (header, *cells)) for place in range(len(header))]
    for row in (header, ["─" * width for width in widths], *cells):
        aligned = [
            f"{text:<{width}}" if place < len(names) else f"{text:>{width}}"
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(aligned).rstrip()


def _numbers(counts: Counts) -> list[str]:
    bars = f"{counts.bars_found:,}/{counts.bars_expected:,}" if counts.bars_expected else "–"
    numbers = (
        counts.both, counts.primary_only, counts.replica_only, counts.duplicates, counts.gaps, counts.rejects,
    )  # fmt: skip
    return [*(f"{number:,}" for number in numbers), bars]


def _plain(text: str) -> str:
    """Without what would steer a terminal."""
    return "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in text)
