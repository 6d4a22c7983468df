"""Pieces of SVG and HTML for the ledger's page: everything that comes from outside is escaped here."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

INK = "#1b1f24"
RULE = "#d0d7de"
WRONG = "#c2410c"
"""What is missing or wrong; everything else on the page is blue, amber or plain."""


def safe(text: object) -> str:
    """Text for HTML and SVG, also in attributes; signs that cannot be shown become their numbers."""
    return escape(_shown(str(text)), quote=True)


def _shown(text: str) -> str:
    return "".join(sign if sign.isprintable() or sign == "\n" else f"\\u{ord(sign):04x}" for sign in text)


def svg(width: float, height: float, label: str, parts: Iterable[str]) -> str:
    """A drawing; `label` says what it is to whoever cannot see it."""
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" '
        f'aria-label="{safe(label)}">{"".join(parts)}</svg>'
    )


def box(x: float, y: float, width: float, height: float, fill: str, title: str = "", kind: str = "") -> str:
    """A rectangle, with what it says when pointed at."""
    named = f' class="{safe(kind)}"' if kind else ""
    shape = f'<rect{named} x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{fill}"'
    return f"{shape}><title>{safe(title)}</title></rect>" if title else f"{shape}/>"


def words(x: float, y: float, text: object, anchor: str = "start", size: float = 12, title: str = "") -> str:
    """A line of text."""
    told = f"<title>{safe(title)}</title>" if title else ""
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size:g}" fill="{INK}">{told}{safe(text)}</text>'
    )


def rule(x: float, y: float, to_x: float, to_y: float) -> str:
    """A thin line."""
    return f'<line x1="{x:g}" y1="{y:g}" x2="{to_x:g}" y2="{to_y:g}" stroke="{RULE}"/>'


def short(count: int) -> str:
    """A count in four signs or fewer."""
    for size, sign in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            shown = count / size
            return f"{shown:.1f}{sign}" if shown < 9.95 else f"{shown:.0f}{sign}"
    return str(count)


def cut(text: str, signs: int) -> str:
    """Text of at most so many signs, both ends kept."""
    text = _shown(text)
    return text if len(text) <= signs else text[: signs // 2] + "…" + text[-(signs - signs // 2 - 1) :]


def key(entries: Iterable[tuple[str, str]]) -> str:
    """A legend: colours (or any CSS background) and what they mean."""
    return (
        '<p class="key">'
        + "".join(f'<span><i style="background:{safe(fill)}"></i>{safe(text)}</span>' for fill, text in entries)
        + "</p>"
    )
