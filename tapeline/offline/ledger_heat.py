"""The coverage heat map of the ledger's page: channels by hour."""

from __future__ import annotations

from collections.abc import Sequence

from tapeline.offline.ledger_day import HOURS, ChannelLedger, Counts
from tapeline.offline.ledger_findings import quiet_hours
from tapeline.offline.ledger_markup import RULE, WRONG, box, cut, key, safe, short, svg, words

_NAMES, _CELL, _ROW, _HEAD, _SUM = 330, 31, 20, 22, 70
_NAME_SIGNS = 40

ALL, MOST, PART, FEW, ALONE = "#6baed6", "#9ecae1", "#c6dbef", "#e6f0f9", "#fdc98d"
_SILENT = f"repeating-linear-gradient(45deg,#fff 0 3px,{RULE} 3px 6px)"
_HATCH = (
    '<defs><pattern id="silent" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    f'<rect width="6" height="6" fill="#fff"/><rect width="3" height="6" fill="{RULE}"/></pattern></defs>'
)


def legend() -> str:
    """What the colours mean; once, above the maps."""
    return key(
        (
            (ALL, "both instances have all"),
            (MOST, "99 % or more"),
            (PART, "90 % or more"),
            (FEW, "less"),
            (ALONE, "one instance only"),
            (_SILENT, "silent, though it speaks before and after"),
            (f"linear-gradient(225deg,{WRONG} 0 40%,#fff 40%)", "gap left, rejected payload, or bar that differs"),
        )
    )


def heat_map(channels: Sequence[ChannelLedger]) -> str:
    """A row for each channel, as they come; the hatching is defined in each drawing, so that each stands alone."""
    width = _NAMES + HOURS * _CELL + _SUM
    parts = [_HATCH]
    parts += [words(_NAMES + (hour + 0.5) * _CELL, 14, f"{hour:02d}", "middle", 11) for hour in range(HOURS)]
    parts.append(words(width - 4, 14, "payloads", "end", 11))
    for row, channel in enumerate(channels):
        parts += _row(channel, _HEAD + row * _ROW, width)
    return svg(width, _HEAD + len(channels) * _ROW + 4, "payloads of each channel by hour", parts)


def _row(channel: ChannelLedger, top: float, width: float) -> list[str]:
    name = f"{channel.provider} {'(raw streams)' if channel.is_stream else channel.channel}"
    title = f"{channel.provider} · {channel.channel} · {channel.schema or 'no schema'}"
    parts = [words(_NAMES - 8, top + 14, cut(name, _NAME_SIGNS), "end", 11.5, title)]
    silent = set(quiet_hours(channel))
    for hour in range(HOURS):
        counts = channel.hours.get(hour, Counts())
        left = _NAMES + hour * _CELL
        fill = "url(#silent)" if hour in silent else _colour(counts)
        parts.append(box(left + 0.5, top + 0.5, _CELL - 1, _ROW - 1, fill, _told(title, hour, counts), "cell"))
        wrong = counts.gaps or counts.rejects or counts.bars_missing
        if counts.payloads:
            middle = left + _CELL / 2 - (2 if wrong else 0)
            parts.append(words(middle, top + 14.5, short(counts.payloads), "middle", 10))
        if wrong:
            corner = left + _CELL - 1
            parts.append(
                f'<path class="wrong" d="M{corner - 7:g} {top + 1:g}H{corner:g}V{top + 8:g}Z" fill="{WRONG}">'
                f"<title>{safe(_told(title, hour, counts))}</title></path>"
            )
    parts.append(words(width - 4, top + 14, f"{channel.total.payloads:,}", "end", 11))
    return parts


def _colour(counts: Counts) -> str:
    if not counts.payloads:
        return "#fff"
    if not counts.both:
        return ALONE
    share = counts.both / counts.payloads
    return ALL if share == 1 else MOST if share >= 0.99 else PART if share >= 0.9 else FEW


def _told(title: str, hour: int, counts: Counts) -> str:
    told = [f"{title}, {hour:02d}:00–{hour + 1:02d}:00 UTC"]
    if not counts.payloads:
        told.append("no payload")
    told += [
        f"{text} {count:,}"
        for text, count in (
            ("in both", counts.both),
            ("primary only", counts.primary_only),
            ("replica only", counts.replica_only),
            ("duplicates", counts.duplicates),
            ("gaps left", counts.gaps),
            ("rejected", counts.rejects),
            ("bars that differ", counts.bars_missing),
        )
        if count
    ]
    return "\n".join(told)
