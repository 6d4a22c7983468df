"""What a payload is by its venue's meaning half: where faults find ids, levels, prices, sizes, times and checksums."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import NamedTuple

from emulator import exact
from emulator.exact import ABSENT, Value
from tapeline import venues
from tapeline.errors import SpecIncompleteError, UnknownVenueError
from tapeline.spec.meaning import Book, BookLevels, Emit, LevelList, Levels, Mapping, Message, Time, Trade
from tapeline.spec.routing import Match

_WORDS: dict[bool | str | None, str] = {True: "true", False: "false", None: "null"}


class Part(NamedTuple):
    """One thing a payload tells; `base` is the place of its entry."""

    message: Message
    emit: Emit
    base: str

    def path(self, path: str) -> str:
        """A path of the meaning half from the payload's root."""
        return f"{self.base}{path}".lstrip(".") if path.startswith(".") else path


class Shapes:
    """A venue's messages as they are now."""

    def __init__(self, name: str) -> None:
        try:
            mappings = venues.load(name).meaning.mappings
        except (SpecIncompleteError, UnknownVenueError):
            mappings = ()
        self.mapping: Mapping | None = next((mapping for mapping in reversed(mappings) if not mapping.until), None)

    def parts(self, channel: str, value: Value) -> list[Part]:
        """What a payload of a channel tells; nothing where no message fits."""
        for message in self.mapping.messages if self.mapping else ():
            if fnmatchcase(channel, message.channel) and all(_meets(value, match) for match in message.when):
                return list(_parts(message, value))
        return []

    def book(self, emit: BookLevels) -> Book | None:
        """The book it belongs to."""
        books = self.mapping.books if self.mapping else ()
        return next((book for book in books if book.name == emit.book), None)

    def delta(self, channel: str, value: Value) -> tuple[Part, BookLevels, Book] | None:
        """The payload as a delta of a book of levels."""
        for part in self.parts(channel, value):
            if isinstance(part.emit, BookLevels) and not part.emit.snapshot:
                book = self.book(part.emit)
                if book is not None and any(rows(part, part.emit, value)):
                    return part, part.emit, book
        return None

    def trades(self, channel: str, value: Value) -> list[tuple[Part, Trade]]:
        """The trades of a payload."""
        return [(part, part.emit) for part in self.parts(channel, value) if isinstance(part.emit, Trade)]


def _parts(message: Message, value: Value) -> Iterator[Part]:
    bases = [""]
    if message.each is not None:
        each = "" if message.each == "." else message.each
        entries = exact.at(value, each)
        bases = [f"{each}.{n}".lstrip(".") for n in range(len(entries))] if isinstance(entries, list) else []
    for base in bases:
        for emit in message.emits:
            yield Part(message, emit, base)


def _meets(value: Value, match: Match) -> bool:
    found = exact.at(value, match.path)
    if found is ABSENT:
        return match.absent
    text = found if isinstance(found, str) else _WORDS.get(_plain(found), "[]")
    wanted = not match.equals or text in match.equals
    return (wanted and (not match.like or any(fnmatchcase(text, glob) for glob in match.like))) is not match.absent


def _plain(found: object) -> bool | str | None:
    return found if found is None or isinstance(found, bool) else ""


def rows(part: Part, emit: BookLevels, value: Value) -> Iterator[tuple[LevelList, list[Value]]]:
    """The arrays of levels that are there and not empty; none of a list that is one level or single orders."""
    for levels in (emit.bids, emit.asks):
        if levels is None or levels.single or levels.coding in (Levels.ORDER, Levels.SIGNED_ORDER):
            continue
        found = exact.at(value, part.path(levels.path))
        if isinstance(found, list) and found and not isinstance(found[0], exact.Number):
            yield levels, found


def id_paths(part: Part) -> list[str]:
    """Where the ids of a thing stand: `last`, then `first` and `previous`."""
    emit = part.emit
    if isinstance(emit, Trade):
        return [part.path(emit.id)] if emit.id else []
    ids = getattr(emit, "ids", None)
    return [part.path(path) for path in (ids.last, ids.first, ids.previous) if path] if ids else []


def time_of(part: Part) -> Time | None:
    """Where its time stands."""
    time = getattr(part.emit, "time", None)
    return Time(part.path(time.path), time.unit) if isinstance(time, Time) else None
