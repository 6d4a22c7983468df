"""What of a day is not complete, in words: the verdict, the findings, and what is only worth knowing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

from tapeline.offline.ledger_day import HOURS, ChannelLedger, Counts, DayLedger, Gap

_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is missing or wrong."""

    provider: str
    text: str


def verdict(ledger: DayLedger) -> str:
    """One line: whether the day is complete, else what is missing."""
    total = ledger.total
    if not total.payloads:
        return "EMPTY: no payload of any provider"
    wrong = [
        _count(total.gaps, "gap left", "gaps left"),
        _count(total.rejects, "payload rejected", "payloads rejected"),
        _count(total.bars_missing, "bar not as the venue's", "bars not as the venue's"),
        _count(len(silent_hours(ledger)), "hour without a payload", "hours without a payload"),
    ]
    told = ", ".join(text for text in wrong if text)
    return f"INCOMPLETE: {told}" if told else "COMPLETE: no gap left, nothing rejected, every bar found"


def is_complete(ledger: DayLedger) -> bool:
    """Whether there is no finding."""
    return bool(ledger.total.payloads) and not findings(ledger)


def findings(ledger: DayLedger) -> list[Finding]:
    """The worst first: empty providers, silent hours, gaps by provider, rejects, bars."""
    found = [
        Finding(provider, "no payload all day") for provider, total in ledger.providers().items() if not total.payloads
    ]
    if not ledger.versions:
        found.append(Finding("", "the day is published empty: no provider has raw payloads"))
    found += [
        Finding(provider, f"no payload on any channel from {first:02d}:00 to {last + 1:02d}:00")
        for provider, first, last in _runs(silent_hours(ledger))
    ]
    for provider, total in ledger.providers().items():
        found += _gap_findings(provider, [gap for gap in ledger.gaps if gap.provider == provider], ledger.day)
        channels = [channel for channel in ledger.channels if channel.provider == provider]
        if total.rejects:
            found.append(
                Finding(
                    provider, f"{_count(total.rejects, 'payload', 'payloads')} rejected: {_where(channels, 'rejects')}"
                )
            )
        if total.bars_missing:
            text = f"{total.bars_missing:,} of {total.bars_expected:,} bars not as the venue's: {_where(channels, 'bars_missing')}"
            found.append(Finding(provider, text))
    return found


def notes(ledger: DayLedger) -> list[Finding]:
    """What is no loss, but worth knowing: what one instance alone has, and channels that fell silent."""
    found = []
    for provider, total in ledger.providers().items():
        alone = {"the primary": total.primary_only, "the replica": total.replica_only}
        if not total.both and total.payloads:
            only = " and ".join(who for who, count in alone.items() if count)
            found.append(Finding(provider, f"no second copy of anything: only {only} has the day"))
        elif any(alone.values()):
            told = ", ".join(f"{count:,} only {who}" for who, count in alone.items() if count)
            found.append(
                Finding(
                    provider,
                    f"of {total.payloads:,} payloads {told}; the other instance has lost them or was never told",
                )
            )
        if total.duplicates:
            found.append(
                Finding(
                    provider, f"{_count(total.duplicates, 'row', 'rows')} stood twice in the raw store, counted once"
                )
            )
        spoken = _spoken([channel for channel in ledger.channels if channel.provider == provider])
        if ends := _ends(spoken):
            found.append(Finding(provider, f"no payload {ends}"))
        hours = {
            c: [hour for hour in quiet_hours(c) if hour in spoken] for c in ledger.channels if c.provider == provider
        }
        quiet = [c for c, silent in hours.items() if silent]
        if quiet:
            names = ", ".join(f"{c.channel} ({_hours(hours[c])})" for c in quiet[:_SHOWN])
            more = f" and {len(quiet) - _SHOWN:,} more" if len(quiet) > _SHOWN else ""
            found.append(Finding(provider, f"silent between hours in which they speak: {names}{more}"))
    if ledger.filled_count:
        found.append(Finding("", f"{_count(ledger.filled_count, 'hole', 'holes')} of one instance filled by the other"))
    return found


def silent_hours(ledger: DayLedger) -> list[tuple[str, int]]:
    """Providers and the hours between their first and their last in which no channel has anything."""
    found = []
    for provider in ledger.versions:
        spoken = _spoken([channel for channel in ledger.channels if channel.provider == provider])
        found += [(provider, hour) for hour in _between(spoken)]
    return found


def _spoken(channels: list[ChannelLedger]) -> set[int]:
    """The hours in which any of them has something."""
    return {hour for channel in channels for hour, counts in channel.hours.items() if counts.payloads}


def _ends(spoken: set[int]) -> str:
    """Before and after which hour there is nothing."""
    hours = sorted(spoken) or [0, HOURS - 1]
    told = []
    if hours[0]:
        told.append(f"before {hours[0]:02d}:00")
    if hours[-1] < HOURS - 1:
        told.append(f"after {hours[-1] + 1:02d}:00")
    return " and ".join(told)


def _runs(hours: list[tuple[str, int]]) -> list[tuple[str, int, int]]:
    """Hours that follow one another, together."""
    runs: list[tuple[str, int, int]] = []
    for provider, hour in hours:
        if runs and runs[-1][::2] == (provider, hour - 1):
            runs[-1] = (provider, runs[-1][1], hour)
        else:
            runs.append((provider, hour, hour))
    return runs


def quiet_hours(channel: ChannelLedger) -> list[int]:
    """The hours between a channel's first and last in which it has nothing."""
    return _between({hour for hour, counts in channel.hours.items() if counts.payloads})


def describe(gap: Gap, day: date) -> str:
    """A gap with its exact bounds."""
    times = f"{clock(gap.from_ts, day) or 'unknown'} to {clock(gap.to_ts, day) or 'unknown'}"
    if gap.instance is None:
        what = "neither instance was connected"
    elif gap.kind == "raw":
        last = f"{gap.to_sequence:,}" if gap.to_sequence is not None else "unknown"
        what = f"{gap.instance} raw stream, session {gap.raw_epoch}, sequences {gap.from_sequence:,} to {last}"
    else:
        what = f"{gap.channel} {gap.raw_symbol or ''}".rstrip() + ", the venue's ids"
        known = gap.from_sequence is not None
        what += f" {gap.from_sequence} to {gap.to_sequence}" if known else " (not told which)"
    missing = f"{gap.missing:,} missing" if gap.missing is not None else "not known how many are missing"
    return f"{what}; {times}; {missing}; {gap.reason}"


def clock(stamp: int | None, day: date) -> str:
    """A time (ns) as UTC text to the nanosecond, with its date where that is another; empty for None."""
    if stamp is None:
        return ""
    seconds, part = divmod(stamp, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC)
    date_text = "" if moment.date() == day else f"{moment:%Y-%m-%d} "
    digits = f".{part:09d}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return f"{date_text}{moment:%H:%M:%S}{digits.rstrip('.')}"


def _gap_findings(provider: str, gaps: list[Gap], day: date) -> Iterator[Finding]:
    for gap in gaps[:_SHOWN]:
        yield Finding(provider, f"gap: {describe(gap, day)}")
    if len(gaps) > _SHOWN:
        yield Finding(provider, f"and {len(gaps) - _SHOWN:,} more gaps")


def _where(channels: list[ChannelLedger], name: str) -> str:
    counted = sorted(
        ((_number(channel.total, name), channel.channel) for channel in channels),
        key=lambda item: (-item[0], item[1]),
    )
    told = [(count, channel) for count, channel in counted if count]
    more = f" and {len(told) - _SHOWN:,} more channels" if len(told) > _SHOWN else ""
    return ", ".join(f"{channel} {count:,}" for count, channel in told[:_SHOWN]) + more


def _number(counts: Counts, name: str) -> int:
    return counts.rejects if name == "rejects" else counts.bars_missing


def _between(hours: set[int]) -> list[int]:
    return [hour for hour in range(min(hours), max(hours)) if hour not in hours] if hours else []


def _hours(hours: list[int]) -> str:
    return ", ".join(f"{hour:02d}" for hour in hours[:_SHOWN]) + (" …" if len(hours) > _SHOWN else "")


def _count(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}" if count else ""
