"""An emulation made from a session half: all of it for replays; with a `Script` for a made-up market too."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from urllib.parse import parse_qsl, urlsplit

import msgspec

from emulator import halves
from emulator.dialogue import GenericDialogue
from emulator.synth.listing import Listing
from emulator.synth.script import Script
from emulator.venue import Ask, Asked, Dialogue, Synth, TapeBook
from tapeline.errors import UsageError
from tapeline.spec.session import Request, Session
from tapeline.spec.template import names, read, render


class Generic:
    """A venue by its session half. Everything may be overridden; most venues need a `script` and `listings` only."""

    def __init__(self, name: str, script: type[Script] | None = None, listings: Sequence[Listing] = ()) -> None:
        self.name, self.script, self.listings = name, script, listings
        self.symbols: Sequence[str] = [listing.symbol for listing in listings]

    @cached_property
    def session(self) -> Session:
        """The session half."""
        return halves.session(self.name)

    def synth(self) -> Synth:
        """Builds the market."""
        if self.script is None:
            raise UsageError(f"{self.name} has no synthetic market: give a capture")
        return self.script(self.session, self.listings)

    def dialogue(self, query: Mapping[str, str], known: Collection[str], url: str = "") -> Dialogue:
        """A connection's."""
        return GenericDialogue(self.session, known, url)

    def ask(self, path: str, query: Mapping[str, str]) -> Ask | None:
        """Understands the session's own requests."""
        for request in self.session.requests:
            found = _asked(request, path, query)
            if found is None:
                continue
            limit = query.get("limit", "")
            count = int(limit) if limit.isdigit() else 0
            symbol = found.get("symbol", "")
            if request.name in self.session.instruments:
                return Ask(Asked.INSTRUMENTS, symbol, count, channel=request.channel)
            if any(family.poll and family.poll.request == request.name for family in self.session.families):
                return Ask(Asked.PAGE, symbol, count, self._polled(request, found), cursor=found.get("cursor", ""))
            return Ask(Asked.SNAPSHOT, symbol, count)
        return None

    def _polled(self, request: Request, found: Mapping[str, str]) -> str:
        """The channel that a poll's request is made for."""
        for family in self.session.families:
            if family.poll and family.poll.request == request.name:
                for pattern in family.patterns:
                    if names(pattern) <= found.keys() | dict(family.fields).keys():
                        return render(pattern, {**dict(family.fields), **found})
        return ""

    def refusal(self, status: int, reason: str) -> bytes:
        """A REST error."""
        return msgspec.json.encode({"error": {"code": status, "message": reason}})

    def book_channel(self, symbol: str) -> str:
        """The channels of families whose book is asked for, of that symbol in whatever case."""
        glob = "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in symbol)
        for family in self.session.families:
            if family.snapshot:
                pieces = {name: "*" for pattern in family.patterns for name in names(pattern)}
                several = "*" if len(family.patterns) > 1 else ""
                return render(family.patterns[0], {**pieces, "symbol": glob}) + several
        return ""

    def tape_book(self, channel: str) -> TapeBook | None:
        """None: a late subscription to a replay begins in the middle."""
        return None


def _asked(request: Request, path: str, query: Mapping[str, str]) -> dict[str, str] | None:
    """The pieces of any of a request's URLs; None where this is none of them."""
    for url in (request.url, *request.also):
        if url and (found := _pieces(url, path, query)) is not None:
            return found
    return None


def _pieces(url: str, path: str, query: Mapping[str, str]) -> dict[str, str] | None:
    form = urlsplit(url)
    found = read(form.path, path.rstrip("/") or "/") or read(form.path.rstrip("/"), path.rstrip("/"))
    if found is None:
        return None
    for key, text in parse_qsl(form.query, keep_blank_values=True):
        pieces = read(text, query.get(key, ""))
        if pieces is None and names(text) - {"cursor"}:
            return None
        if pieces is None and not names(text) and query.get(key) != text:
            return None
        found.update(pieces or {})
    return found
