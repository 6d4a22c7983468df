"""A day's ledger as one HTML file with charts: no server, no network, no script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tapeline.offline.ledger_day import ChannelLedger, Counts, DayLedger, Gap
from tapeline.offline.ledger_findings import Finding, clock, findings, is_complete, notes, verdict
from tapeline.offline.ledger_heat import heat_map, legend
from tapeline.offline.ledger_lines import time_line, volumes
from tapeline.offline.ledger_markup import INK, RULE, WRONG, safe
from tapeline.offline.ledger_text import ranked

_FIRST = 40
"""Channels that are shown without unfolding: those with the most wrong."""
_BLOCK = 200
"""Channels of one drawing, so that no browser has to hold one of a mile."""
_GAPS = 2000

_STYLE = f"""
body{{font:15px/1.5 system-ui,sans-serif;color:{INK};background:#fff;max-width:1180px;margin:2rem auto;padding:0 1rem}}
h1{{font-size:1.6rem;margin:0}}h2{{font-size:1.2rem;margin:2.2rem 0 .6rem;border-bottom:1px solid {RULE};padding-bottom:.2rem}}
.verdict{{padding:.7rem 1rem;margin:1rem 0;border-left:6px solid;font-size:1.05rem;font-weight:600;background:#f6f8fa}}
.bad{{border-color:{WRONG}}}.good{{border-color:#0072b2}}
.tiles{{display:flex;flex-wrap:wrap;gap:.6rem}}.tiles div{{border:1px solid {RULE};border-radius:6px;padding:.5rem .9rem;min-width:6.5rem}}
.tiles b{{display:block;font-size:1.3rem;font-variant-numeric:tabular-nums}}.tiles .wrong b{{color:{WRONG}}}
.scroll{{overflow-x:auto}}svg{{display:block;font-family:system-ui,sans-serif}}svg text{{font-variant-numeric:tabular-nums}}
rect.cell{{stroke:#e4e8ec;stroke-width:.6}}
.key{{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;margin:.2rem 0 .6rem;font-size:.85rem}}
.key i{{display:inline-block;width:1rem;height:.85rem;margin-right:.4rem;vertical-align:-.1rem;border:1px solid {RULE}}}
.small{{display:flex;flex-wrap:wrap;gap:.4rem 1rem}}figure{{margin:0}}
table{{border-collapse:collapse;font-size:.86rem;font-variant-numeric:tabular-nums}}
th,td{{padding:.22rem .7rem;border-bottom:1px solid {RULE};text-align:left;vertical-align:top;overflow-wrap:anywhere}}
th.n,td.n{{text-align:right;white-space:nowrap}}td.bad{{color:{WRONG};font-weight:600}}
summary{{cursor:pointer;padding:.4rem 0}}li{{margin:.25rem 0;overflow-wrap:anywhere}}
"""

_ABOUT_MAP = """<p>Each cell counts the payloads of an hour; its colour is the share that both instances have. Channels with
the most wrong come first.</p>"""

_NUMBERS = ("both", "primary only", "replica only", "duplicates", "gaps left", "rejects", "bars found", "bars expected")


def page(ledger: DayLedger) -> str:
    """The whole file."""
    good = is_complete(ledger)
    title = f"Ledger of {ledger.day}"
    parts = [
        f"<h1>{title}</h1>",
        f"<p>{len(ledger.versions):,} providers, {len(ledger.channels):,} channels. All times are UTC.</p>",
        f'<div class="verdict {"good" if good else "bad"}">{safe(verdict(ledger))}</div>',
        _tiles(ledger.total),
        _list("Findings", findings(ledger)),
        _list("Worth knowing", notes(ledger)),
    ]
    if ledger.channels:
        parts += [
            "<h2>Coverage by channel and hour</h2>",
            _ABOUT_MAP,
            legend(),
            *_maps(ranked(ledger)),
            "<h2>Gaps on the time line</h2>",
            f'<div class="scroll">{time_line(ledger)}</div>',
            _gap_table(ledger),
            "<h2>Volume by provider and hour</h2>",
            volumes(ledger),
            "<h2>Providers</h2>",
            _table(
                ("provider", "version"),
                [((name, str(ledger.versions[name])), total) for name, total in ledger.providers().items()],
            ),
            "<h2>Channels</h2>",
            _folded(
                f"all {len(ledger.channels):,} channels",
                _table(
                    ("provider", "channel", "schema"),
                    [((c.provider, c.channel, c.schema), c.total) for c in ledger.channels],
                ),
            ),
        ]
    body = "\n".join(part for part in parts if part)
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title><style>{_STYLE}</style>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'


def _tiles(total: Counts) -> str:
    tiles = [
        ("in both", total.both, False), ("primary only", total.primary_only, False),
        ("replica only", total.replica_only, False), ("duplicates", total.duplicates, False),
        ("gaps left", total.gaps, True), ("rejected", total.rejects, True),
    ]  # fmt: skip
    boxes = [
        f"<div{' class=wrong' if wrong and count else ''}><b>{count:,}</b>{text}</div>" for text, count, wrong in tiles
    ]
    marked = " class=wrong" if total.bars_missing else ""
    boxes.append(f"<div{marked}><b>{total.bars_found:,} of {total.bars_expected:,}</b>bars found</div>")
    return f'<div class="tiles">{"".join(boxes)}</div>'


def _list(title: str, told: Sequence[Finding]) -> str:
    if not told:
        return ""
    items = "".join(
        f"<li>{f'<b>{safe(each.provider)}</b> ' if each.provider else ''}{safe(each.text)}</li>" for each in told
    )
    return f"<h2>{title}</h2><ul>{items}</ul>"


def _maps(channels: Sequence[ChannelLedger]) -> Iterable[str]:
    yield f'<div class="scroll">{heat_map(channels[:_FIRST])}</div>'
    for start in range(_FIRST, len(channels), _BLOCK):
        some = channels[start : start + _BLOCK]
        yield _folded(f"channels {start + 1:,} to {start + len(some):,}", heat_map(some))


def _gap_table(ledger: DayLedger) -> str:
    if not ledger.gaps:
        return "<p>No gap is left.</p>"
    shown = ledger.gaps[:_GAPS]
    names = ("provider", "what", "session", "from", "to", "after", "before", "missing", "why")
    rows = "".join(f"<tr>{''.join(_cells(gap, ledger))}</tr>" for gap in shown)
    head = "".join(f"<th>{name}</th>" for name in names)
    more = f"<p>and {len(ledger.gaps) - len(shown):,} more; table <code>ledger_gaps</code> has all.</p>"
    table = f'<table class="gaps"><tr>{head}</tr>{rows}</table>{more if len(ledger.gaps) > len(shown) else ""}'
    return _folded(f"exact bounds of {len(ledger.gaps):,} gaps left", table, open_=len(ledger.gaps) <= _FIRST)


def _cells(gap: Gap, ledger: DayLedger) -> Iterable[str]:
    stream = f"{gap.instance} stream" if gap.instance is not None else "both streams"
    what = stream if gap.kind == "raw" else f"{gap.channel} {gap.raw_symbol or ''}"
    unknown = "unknown"
    for value in (
        gap.provider, what, _shown(gap.raw_epoch), _shown(gap.from_sequence), _shown(gap.to_sequence),
        clock(gap.from_ts, ledger.day) or unknown, clock(gap.to_ts, ledger.day) or unknown, _shown(gap.missing), gap.reason,
    ):  # fmt: skip
        yield f"<td>{safe(value)}</td>"


def _shown(number: int | None) -> str:
    return "unknown" if number is None else str(number)


def _table(names: Sequence[str], rows: Iterable[tuple[Sequence[str], Counts]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in names) + "".join(f'<th class="n">{name}</th>' for name in _NUMBERS)
    lines = []
    for texts, counts in rows:
        numbers = (
            (counts.both, False), (counts.primary_only, False), (counts.replica_only, False), (counts.duplicates, False),
            (counts.gaps, True), (counts.rejects, True), (counts.bars_found, counts.bars_missing > 0),
            (counts.bars_expected, False),
        )  # fmt: skip
        cells = "".join(f"<td>{safe(text)}</td>" for text in texts)
        cells += "".join(
            f'<td class="n{" bad" if wrong and number else ""}">{number:,}</td>' for number, wrong in numbers
        )
        lines.append(f"<tr>{cells}</tr>")
    return f'<div class="scroll"><table><tr>{head}</tr>{"".join(lines)}</table></div>'


def _folded(title: str, inner: str, open_: bool = False) -> str:
    return f'<details{" open" if open_ else ""}><summary>{title}</summary><div class="scroll">{inner}</div></details>'
