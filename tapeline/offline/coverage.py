"""What a venue's halves cover, and what its captures come to: the facts behind `tapeline venues check` and docs/venues.md."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tapeline.offline.loose_messages import LooseMessages, read_lines
from tapeline.offline.normalizing import Account, normalize_file
from tapeline.spec.meaning import (
    Bar,
    Book,
    BookLevels,
    BookOrder,
    BookTop,
    Emit,
    Instrument,
    LinkRule,
    Meaning,
    Quote,
    SnapshotFrom,
    Statistics,
    Trade,
)
from tapeline.venues import SESSIONS, Venue

LOOSE = "single_messages"
"""The folder beside the captures with one message a line, a file a venue."""

_STATISTICS = {
    20001: "mark",
    20002: "index",
    20003: "funding",
    20004: "next funding",
    20005: "open interest",
    20006: "mark volatility",
    20007: "settlement",
    20008: "funding 8 h",
    20009: "underlying",
}
# The files of single messages go by the venues' names of their time.
_LOOSE_FILES = {
    "binance_spot": "binance",
    "binance_usdm": "binance",
    "binance_coinm": "binance",
    "coinbase": "coinbase_pro",
    "htx": "huobi",
}


@dataclass(frozen=True, slots=True)
class Kinds:
    """What a meaning half maps, in words."""

    trades: bool
    top: bool
    books: tuple[str, ...]
    tops: bool
    definitions: bool
    statistics: tuple[str, ...]
    bars: bool

    @property
    def missing(self) -> tuple[str, ...]:
        """What a user expects of a venue and does not find here."""
        wanted = (
            (self.trades, "trades"),
            (self.top, "top of book"),
            (bool(self.books) or self.tops, "book"),
            (self.definitions, "instrument definitions"),
        )
        return tuple(name for there, name in wanted if not there)


@dataclass(slots=True)
class Loose:
    """What single messages came to."""

    file: str = ""
    lines: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    bad: list[tuple[int, str, str]] = field(default_factory=list)
    """Line, how and why of those that came to nothing."""


@dataclass(slots=True)
class Coverage:
    """A venue, its halves' lines of code, what they map, and what its captures came to."""

    venue: str
    transport: str
    lines: int
    kinds: Kinds
    captures: dict[str, Account] = field(default_factory=dict)
    foreign: list[str] = field(default_factory=list)
    """Captures in the venue's folder that are of another API of it."""
    loose: Loose | None = None


def coverage(venue: Venue, captures: Path | None) -> Coverage:
    """Measures a venue; without `captures` only what its halves say."""
    found = Coverage(venue.name, transport(venue), _lines(venue.name), kinds(venue.meaning))
    if captures is None:
        return found
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted((captures / venue.name).glob("*.jsonl*")):
            told = normalize_file(venue, path, Path(folder) / "out.dbn.zst")
            if told.rejected == {"unknown_channel": told.payloads}:
                # The venue's other API: not a word of it is of this one's.
                found.foreign.append(path.name)
            else:
                found.captures[path.name.removesuffix(".zst").removesuffix(".jsonl")] = told
    loose = captures / LOOSE / f"{_LOOSE_FILES.get(venue.name, venue.name)}.jsonl"
    if loose.is_file():
        found.loose = loose_messages(venue, loose)
    return found


def loose_messages(venue: Venue, path: Path) -> Loose:
    """What a file of single messages comes to."""
    reader = LooseMessages(venue)
    found = Loose(path.name)
    for number, line in enumerate(read_lines(path), 1):
        outcome = reader.outcome(line)
        found.lines += 1
        found.outcomes[outcome.how] += 1
        if outcome.how in ("rejected", "unknown"):
            found.bad.append((number, outcome.how, outcome.why))
    return found


def transport(venue: Venue) -> str:
    """How the venue is reached, in a word or two."""
    kinds = []
    if any(endpoint.fix for endpoint in venue.session.endpoints):
        kinds.append("FIX")
    if any(endpoint.url and not endpoint.fix for endpoint in venue.session.endpoints):
        kinds.append("WebSocket")
    if any(family.poll for family in venue.session.families):
        kinds.append("REST polled")
    decoder = venue.session.routing.decoder
    return " + ".join(kinds) + (f" ({type(decoder).__name__.lower()})" if decoder is not None else "")


def kinds(meaning: Meaning) -> Kinds:
    """What a meaning half maps."""
    emits = [emit for mapping in meaning.mappings for message in mapping.messages for emit in message.emits]
    books = [book for mapping in meaning.mappings for book in mapping.books]
    used = {emit.book for emit in emits if isinstance(emit, BookLevels | BookOrder)}
    stats = {stat.type for emit in emits if isinstance(emit, Statistics) for stat in emit.stats}
    return Kinds(
        trades=_any(emits, Trade),
        top=_any(emits, Quote),
        books=tuple(dict.fromkeys(_book(book) for book in books if book.name in used)),
        tops=_any(emits, BookTop),
        definitions=_any(emits, Instrument),
        statistics=tuple(_STATISTICS.get(kind, str(kind)) for kind in sorted(stats)),
        bars=_any(emits, Bar),
    )


def _any(emits: Iterable[Emit], kind: type[Emit]) -> bool:
    return any(isinstance(emit, kind) for emit in emits)


def _book(book: Book) -> str:
    level = "L3" if book.per_order else "L2"
    proof: list[str] = []
    if book.link in (LinkRule.NEXT, LinkRule.BACK):
        proof.append("links")
    if book.checksum is not None:
        proof.append("checksum")
    source = "by request" if book.snapshot is SnapshotFrom.REQUEST else "in stream"
    return f"{level}, snapshot {source}, {' and '.join(proof) or 'unverified'}"


def _lines(name: str) -> int:
    return sum(len(path.read_text().splitlines()) for path in halves(name))


def halves(name: str) -> Iterator[Path]:
    """The two files of a venue."""
    root = Path(__file__).resolve().parents[2]
    for package in (SESSIONS, "normalizer.venues"):
        path = root.joinpath(*package.split("."), f"{name}.py")
        if path.is_file():
            yield path
