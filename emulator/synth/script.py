"""A venue's made-up market with only the writing left to do: what each event of the market is as a message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from emulator.reel import Clock, Counter, Id, Line
from emulator.synth.listing import Listing
from emulator.synth.market import Depth, Event, Ladder, Mutation, Quote, Symbol, Trade, market
from emulator.venue import Ask, Asked
from tapeline.spec.session import Session
from tapeline.spec.subscribe import Channel, channel

Written = tuple[str, tuple[Id, ...]]
"""A message's text with marks (`ID_MARK`, the clock's, `KEY_MARK`, `COUNTER_MARK`), and the ids for its id marks."""

Kind = TypeVar("Kind", Quote, Trade)
_SERIALS = 700_000_000_000


class Beat(NamedTuple):
    """One event of a symbol, as it is to be written."""

    symbol: Symbol
    event: Event
    book: Ladder
    """As the depth events up to this one have told it."""
    number: int
    """How many events of the symbol came before it in the turn."""
    serial: Id
    """Counts the messages of the channel, without a hole."""
    previous: Id
    """The serial of the message before."""

    @property
    def listing(self) -> Listing:
        """The symbol's."""
        return self.symbol.listing


@dataclass(frozen=True, slots=True)
class View:
    """A symbol as of a place in the loop."""

    symbol: Symbol
    turn: int
    place: int
    now_ns: int
    serial: int = 0
    """Of the channel's last message."""

    @property
    def listing(self) -> Listing:
        """The symbol's."""
        return self.symbol.listing

    def published(self) -> tuple[Ladder, int]:
        """The book that the depth events so far have told, and the last update id of them."""
        ladder, last = self.symbol.published(self.place)
        return ladder, last.at(self.turn)

    def true(self) -> tuple[Ladder, int]:
        """The book as it really is, possibly in the middle of what the next depth event will tell, and its update id."""
        ladder, last = self.symbol.book(self.place)
        return ladder, last.at(self.turn)

    def quote(self) -> Quote:
        """The last quote."""
        return self._last(Quote)

    def trade(self) -> Trade:
        """The last trade."""
        return self._last(Trade)

    def _last(self, kind: type[Kind]) -> Kind:
        own = [event for event in self.symbol.events if isinstance(event, kind)]
        return next((event for event in reversed(own) if event.place < self.place), own[-1])


class Script:
    """The market of some listings in a venue's words; write the methods below.

    `clock` is how times stand in the messages (`clock.mark`), `stride` by how much update ids rise at most.
    """

    clock: Clock = Clock.MILLIS
    punctual = True
    """Whether a message's own time is that of its sending."""
    stride = 1
    by_change: frozenset[str] = frozenset()
    """Families whose books are told change by change, not by depth events."""
    first_id = 500_000_000_000

    def __init__(self, session: Session, listings: Sequence[Listing]) -> None:
        self.session, self.listings = session, listings
        self._market = market(listings, stride=self.stride, first_id=self.first_id)
        self.period = self._market.period
        self._serials: dict[str, tuple[list[int], Counter]] = {}

    def write(self, known: Channel, beat: Beat) -> Written | None:
        """An event as a message of a channel (`known.family.name` tells which kind); None where it says nothing there."""
        raise NotImplementedError

    def write_change(self, known: Channel, symbol: Symbol, change: Mutation, book: Ladder) -> Written | None:
        """One change of a book as a message, of families named in `by_change`; `book` is the true one after it."""
        raise NotImplementedError

    def begin(self, known: Channel, view: View, depth: int) -> list[str]:
        """What a subscription begins with: a snapshot where the venue sends one."""
        return []

    def snapshot(self, ask: Ask, view: View) -> str | None:
        """The answer to a snapshot request, by REST or (`ask.number`, `ask.channel`) over the socket."""
        return None

    def instruments(self, ask: Ask, now_ns: int) -> str | None:
        """The instrument list."""
        return None

    def page(self, ask: Ask, view: View) -> str | None:
        """The answer to a poll: what has happened since `ask.cursor`, see `pages.trades`."""
        return None

    # What the emulator asks for.

    def lines(self, channel_id: str, depth: int) -> list[Line]:
        """All messages of a channel in a turn."""
        found = self._found(channel_id)
        if found is None:
            return []
        known, symbol = found
        if known.family.name in self.by_change:
            return self._changes(channel_id, known, symbol)
        serials = Counter(_SERIALS)
        previous = Id(serials, serials.start)
        book, made = symbol.start.copy(), []
        for number, event in enumerate(symbol.events):
            if isinstance(event, Depth):
                for change in event.changes:
                    book.apply(change)
            serial = Id(serials, serials.value + 1)
            written = self.write(known, Beat(symbol, event, book, number, serial, previous))
            if written is not None:
                serials.next()
                previous = serial
                made.append(Line(event.place, channel_id, *written))
        self._serials[channel_id] = ([line.place for line in made], serials)
        return made

    def _changes(self, channel_id: str, known: Channel, symbol: Symbol) -> list[Line]:
        book, made = symbol.start.copy(), []
        for change in symbol.mutations:
            book.apply(change.change)
            written = self.write_change(known, symbol, change, book)
            if written is not None:
                made.append(Line(change.place, channel_id, *written))
        return made

    def opening(self, channel_id: str, depth: int, turn: int, place: int, now_ns: int) -> list[bytes]:
        """What a subscription begins with, as of a place in the loop."""
        known = channel(self.session, channel_id)
        if known is None:
            return []
        symbol = self._symbol(known.symbol) or next(iter(self._market.symbols.values()))
        if known.symbol and self._symbol(known.symbol) is None:
            return []
        view = View(symbol, turn, place, now_ns, self._serial(channel_id, turn, place))
        return [text.encode() for text in self.begin(known, view, depth)]

    def answer(self, ask: Ask, turn: int, place: int, now_ns: int) -> bytes | None:
        """An answer as of a place in the loop; None for an unknown symbol."""
        if ask.asked is Asked.INSTRUMENTS:
            text = self.instruments(ask, now_ns)
        else:
            symbol = self._symbol(ask.symbol)
            if symbol is None:
                return None
            view = View(symbol, turn, place, now_ns, self._serial(ask.channel, turn, place))
            text = self.page(ask, view) if ask.asked is Asked.PAGE else self.snapshot(ask, view)
        return None if text is None else text.encode()

    def _serial(self, channel_id: str, turn: int, place: int) -> int:
        if channel_id not in self._serials:
            self.lines(channel_id, 0)
        if channel_id not in self._serials:
            return 0
        places, serials = self._serials[channel_id]
        return serials.start + turn * serials.step + int(np.searchsorted(places, place))

    def _found(self, channel_id: str) -> tuple[Channel, Symbol] | None:
        known = channel(self.session, channel_id)
        symbol = self._symbol(known.symbol) if known else None
        return (known, symbol) if known and symbol else None

    def _symbol(self, name: str) -> Symbol | None:
        exact = self._market.symbols.get(name)
        if exact is not None:
            return exact
        return next((s for key, s in self._market.symbols.items() if key.lower() == name.lower()), None)
