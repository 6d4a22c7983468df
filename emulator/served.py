"""One venue as it is served: its tape or its synthetic market, who is connected, what is armed, what was sent."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from emulator.faults import Board, Target
from emulator.feed import Feed, Shelf
from emulator.http import HttpResponse
from emulator.ledger import REST, Tally
from emulator.packing import packing
from emulator.reading import UNKNOWN_CHANNEL
from emulator.shapes import Shapes
from emulator.synthfeed import Stage, SynthFeed, past
from emulator.tape import Answer, Tape
from emulator.tapefeed import TapeFeed
from emulator.tokens import Tokens
from emulator.venue import Ask, Asked, Emulation, Synth, TapeBook
from tapeline import telemetry
from tapeline.spec.session import Resync, Session
from tapeline.spec.subscribe import channel

if TYPE_CHECKING:
    from emulator.connection import Connection

_HOLD = 20.0
"""How long a snapshot request waits for its place in the replay, in seconds."""
_AHEAD_NS = 2_000_000_000
"""A captured later snapshot is worth waiting for if it is no further ahead on the tape."""

_SLOW_BYTES = 8 << 20
_PROOF = 300
"""So many checksums in a row prove a book."""


class Source(Protocol):
    """Where a venue's data comes from."""

    @property
    def channels(self) -> list[str]:
        """Channel ids that can be served."""
        ...

    def feed(self) -> Feed:
        """A new connection's stream."""
        ...

    async def answer(self, ask: Ask, feed: Feed | None, now_ns: int, behind: int) -> bytes | None:
        """A REST answer for the client that has this feed; None where there is none."""
        ...

    def passed(self, feed: Feed) -> None:
        """Tells that a feed has moved."""
        ...

    def opening(self, feed: Feed, channel: str, now_ns: int) -> list[bytes]:
        """What a subscription would begin with now; nothing where that is not known."""
        ...

    def past(self, feed: Feed, channel: str, count: int, now_ns: int) -> list[bytes]:
        """The last messages of a channel, as they go over the wire; nothing where that is not known."""
        ...


@functools.cache
def synth(venue: Emulation) -> Synth:
    """A venue's market, built once."""
    # A market never changes; how far it is, the stage knows.
    return venue.synth()


class SynthSource:
    """An endless made market."""

    def __init__(self, session: Session, venue: Emulation, channels: list[str], shelf: Shelf) -> None:
        self.stage = Stage(synth(venue), shelf, packing(session.routing.decoder))
        self.channels = channels
        self._session, self._venue = session, venue
        self.stage.prepare(channels)

    def feed(self) -> SynthFeed:
        """A stream from the market's present place on."""
        return SynthFeed(self.stage, self._by_request)

    def _by_request(self, name: str) -> bool:
        known = channel(self._session, name)
        return known is not None and known.family.resync is Resync.REQUEST

    async def answer(self, ask: Ask, feed: Feed | None, now_ns: int, behind: int) -> bytes | None:
        """As of the place of the client's stream."""
        own = feed if isinstance(feed, SynthFeed) else SynthFeed(self.stage)
        body = own.answer(ask, now_ns, behind)
        own.asked(self._venue.book_channel(ask.symbol))
        return body

    def passed(self, feed: Feed) -> None:
        """Nobody waits for places."""

    def opening(self, feed: Feed, channel: str, now_ns: int) -> list[bytes]:
        """As of the feed's place."""
        return feed.opening(channel, now_ns) if isinstance(feed, SynthFeed) else []

    def past(self, feed: Feed, channel: str, count: int, now_ns: int) -> list[bytes]:
        """Before the feed's place."""
        if not isinstance(feed, SynthFeed):
            return []
        item = (channel, feed.wanted.get(channel, 0))
        return past(self.stage.synth, self.stage.packing, item, feed.position, count, now_ns)


def _answers(answer: Answer, ask: Ask) -> bool:
    """Whether a captured answer is one to such a question."""
    if answer.asked is not ask.asked or (ask.symbol and answer.symbol != ask.symbol):
        return False
    if ask.asked is Asked.INSTRUMENTS and answer.channel != ask.channel:
        return False
    return not ask.channel or answer.spoken is None or answer.spoken.channel == ask.channel


class TapeSource:
    """A venue's captures."""

    def __init__(self, session: Session, tape: Tape, venue: Emulation, shelf: Shelf, speed: float) -> None:
        self.tape, self._venue, self._shelf, self._speed = tape, venue, shelf, speed
        lists = [answer.channel for answer in tape.answers if answer.asked is Asked.INSTRUMENTS]
        named = [name for name in tape.names if name != UNKNOWN_CHANNEL]
        self.channels = [*named, *dict.fromkeys(lists)]
        self._books: dict[str, tuple[int, TapeBook]] = {}
        self._sound: dict[str, tuple[npt.NDArray[np.int64], list[bool]]] = {}
        self._waiting: dict[int, list[tuple[int, asyncio.Future[None]]]] = {}
        self._given: dict[tuple[int, str], int] = {}
        self._pages: dict[str, int] = {}
        self._packing = packing(session.routing.decoder)

    def feed(self) -> TapeFeed:
        """A replay from the beginning."""
        return TapeFeed(self.tape, self._shelf, self._speed, self._opening, self._asked_for)

    def _asked_for(self, channel: str) -> list[int]:
        return [a.place for a in self.tape.answers if a.asked is Asked.SNAPSHOT and self._belongs(a.symbol, channel)][
            :1
        ]

    async def answer(self, ask: Ask, feed: Feed | None, now_ns: int, behind: int) -> bytes | None:
        """The capture's own answer, held back until the stream has come to it; later ones are computed."""
        if ask.asked is Asked.PAGE:
            return self._page(ask)
        held = [answer for answer in self.tape.answers if _answers(answer, ask)]
        if ask.asked is Asked.INSTRUMENTS or not isinstance(feed, TapeFeed):
            return held[0].body if held else None
        key = (id(feed), ask.symbol)
        number = self._given.get(key, 0)
        later = [n for n in range(number, len(held)) if n == 0 or held[n].place > feed.place]
        if later and (later[0] == 0 or self._near(held[later[0]], feed)):
            chosen = held[later[0]]
            if await self._reached(feed, chosen.place):
                self._given[key] = later[0] + 1
                feed.open_gate(chosen.place)
                return self._renumbered(chosen, ask)
        place = max(feed.place - behind, 0)
        channel = self._book_channel(ask.symbol, feed)
        return self._snapshot(channel, place, now_ns) if channel else None

    def _renumbered(self, answer: Answer, ask: Ask) -> bytes:
        """An answer over the socket bears the number of its question."""
        spoken = answer.spoken
        if spoken is None:
            return answer.body
        text = self._packing.unpack(answer.body)
        if not spoken.number or not ask.number:
            return text
        key = re.escape(spoken.request.id.rpartition(".")[2].encode())
        pattern = rb'("' + key + rb'"\s*:\s*"?)' + re.escape(spoken.number.encode()) + rb"\b"
        return re.sub(pattern, lambda found: found[1] + ask.number.encode(), text, count=1)

    def _page(self, ask: Ask) -> bytes | None:
        """A poll's next captured answer; the last one again and again."""
        pages = [answer for answer in self.tape.answers if answer.asked is Asked.PAGE and answer.symbol == ask.symbol]
        number = self._pages.get(ask.symbol, 0)
        self._pages[ask.symbol] = number + 1
        return pages[min(number, len(pages) - 1)].body if pages else None

    def _near(self, answer: Answer, feed: TapeFeed) -> bool:
        times, last = self.tape.times, self.tape.count - 1
        return bool(times[min(answer.place, last)] - times[min(feed.place, last)] <= _AHEAD_NS)

    def _book_channel(self, symbol: str, feed: TapeFeed) -> str:
        glob = self._venue.book_channel(symbol)
        return next((name for name in sorted(feed.channels) if fnmatchcase(name, glob)), "")

    async def _reached(self, feed: TapeFeed, place: int) -> bool:
        if feed.started and (feed.place >= place or feed.finished):
            return True
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(id(feed), []).append((place, future))
        feed.stops.add(place)
        try:
            async with asyncio.timeout(_HOLD):
                await future
        except TimeoutError:
            return False
        return True

    def opening(self, feed: Feed, channel: str, now_ns: int) -> list[bytes]:
        """Captures hold what they hold."""
        return []

    def past(self, feed: Feed, channel: str, count: int, now_ns: int) -> list[bytes]:
        """Captures hold what they hold."""
        return []

    def passed(self, feed: Feed) -> None:
        """Wakes those who waited for a place of this feed."""
        waiting = self._waiting.get(id(feed))
        if not waiting or not isinstance(feed, TapeFeed):
            return
        for place, future in waiting:
            if feed.place >= place:
                feed.stops.discard(place)
                if not future.done():
                    future.set_result(None)
        self._waiting[id(feed)] = [entry for entry in waiting if entry[0] > feed.place]

    def _snapshot(self, channel: str, place: int, now_ns: int) -> bytes | None:
        """The channel's book from all of the tape before a place."""
        book = self._book(channel, place)
        return book.snapshot(now_ns) if book else None

    def _opening(self, channel: str, place: int, now_ns: int) -> tuple[bytes, int] | None:
        """The snapshot a late subscription begins with, and the place from which frames follow it.

        Where the capture lacks messages its own checksums say that the book is wrong: then it is that of the next place
        from which on they hold again.
        """
        own, sound = self._soundness(channel)
        first = int(np.searchsorted(own, place))
        # A checksum covers the best levels only: deeper ones are right if it goes on to hold for a while.
        wrong = [first - 1, *(n for n in range(max(first - 1, 0), len(own)) if not sound[n])]
        proved = [n for n, then in zip(wrong, [*wrong[1:], len(own) + _PROOF], strict=True) if then - n > _PROOF]
        after = proved[0] if proved and proved[0] < len(own) - 1 else first - 1
        start = place if after < first else int(own[after]) + 1
        body = self._snapshot(channel, start, now_ns)
        return (body, start) if body is not None else None

    def _soundness(self, channel: str) -> tuple[npt.NDArray[np.int64], list[bool]]:
        """The places of a channel's frames, and whether the book is right after each."""
        if channel not in self._sound:
            book = self._venue.tape_book(channel)
            own = np.flatnonzero(self.tape.channels == self.tape.names.index(channel))
            sound = [True] * len(own)
            if book is not None and book.checked:
                for number, place in enumerate(own.tolist()):
                    self._play(book, channel, place, place + 1)
                    sound[number] = book.sound
            self._sound[channel] = (own, sound)
        return self._sound[channel]

    def _book(self, channel: str, place: int) -> TapeBook | None:
        at, book = self._books.get(channel, (0, None))
        if book is None or at > place:
            at, book = 0, self._venue.tape_book(channel)
        if book is not None:
            self._play(book, channel, at, place)
            self._books[channel] = (place, book)
        return book

    def _play(self, book: TapeBook, channel: str, start: int, end: int) -> None:
        index = self.tape.names.index(channel)
        places = (np.flatnonzero(self.tape.channels[start:end] == index) + start).tolist()
        payloads = [(place, 1, self._packing.unpack(self.tape.payload(place))) for place in places]
        payloads += [
            (answer.place, 0, answer.body)
            for answer in self.tape.answers
            if answer.asked is Asked.SNAPSHOT and start <= answer.place < end and self._belongs(answer.symbol, channel)
        ]
        for _, _, payload in sorted(payloads, key=lambda entry: entry[:2]):
            try:
                book.take(payload)
            except (ValueError, KeyError, TypeError, IndexError, ArithmeticError):
                telemetry.count("tape_book_passed_over", channel=channel)

    def _belongs(self, symbol: str, channel: str) -> bool:
        return fnmatchcase(channel, self._venue.book_channel(symbol))


class Served:
    """A venue on the emulator's port."""

    def __init__(
        self,
        name: str,
        session: Session,
        venue: Emulation,
        source: Source,
        shelf: Shelf,
        tally: Tally,
        clock: Callable[[], int],
        slow_bytes: int = _SLOW_BYTES,
    ) -> None:
        self.slow_bytes = slow_bytes
        """What may wait for a live market's client before it is given up."""
        self.packing = packing(session.routing.decoder)
        self.tokens = Tokens(session)
        self.shapes = Shapes(name)
        self.max_age = 0.0
        """A connection is closed when it is so old, in seconds; 0: never."""
        self.ended: set[str] = set()
        """Channels that have come to their end of life."""
        self._last: dict[tuple[Asked, str], bytes] = {}
        self.name, self.session, self.venue, self.source = name, session, venue, source
        self.shelf, self.tally = shelf, tally
        self.clock = clock
        self.faults = Board([], tally.faults)
        self.connections: list[Connection] = []
        self._bans: dict[str, float] = {}
        self.over = False
        """Set when no more data is to be sent; conversations go on."""

    def ban(self, party: str, seconds: float) -> None:
        """Refuses all that a party (a glob) asks for a while."""
        self._bans[party] = self.clock() / 1e9 + seconds

    def banned(self, party: str) -> bool:
        """Whether a party is refused now."""
        now = self.clock() / 1e9
        return any(until > now and fnmatchcase(party, glob) for glob, until in self._bans.items())

    @property
    def finished(self) -> bool:
        """Whether something was replayed, and everything that began is at its end."""
        moving = [connection.feed for connection in self.connections if connection.feed.channels]
        return bool(moving) and all(feed.finished for feed in moving)

    async def rest(self, path: str, query: dict[str, str], party: str = "") -> HttpResponse:
        """Answers a REST request."""
        ask = self.venue.ask(path, query)
        if ask is None:
            return self._refused(404, f"no such path {path}")
        return await self.answer(ask, self._feed(ask.symbol, party), party)

    async def answer(self, ask: Ask, feed: Feed | None, party: str) -> HttpResponse:
        """The market's answer to a request, over REST or the socket, for the client that has this feed."""
        if self.over and ask.asked is Asked.PAGE and not ask.number:
            # The market is closed: who polls on is told nothing that would have to be carried yet.
            return self._refused(503, "Unavailable")
        fault = self.faults.hit(Target.REST, ask.symbol or "*", party)
        behind = 0
        if fault is not None:
            if fault.fault == "reject_rest":
                headers = {"retry-after": str(fault.retry_after)}
                return HttpResponse(fault.status, self.venue.refusal(fault.status, "Too many requests"), headers)
            if fault.fault == "rest_error_200":
                return HttpResponse(200, self.venue.refusal(500, "Internal error"))
            if fault.fault == "rest_timeout":
                await asyncio.sleep(fault.seconds or 60.0)
            behind = fault.behind if fault.fault == "stale_snapshot" else 0
            before = self._last.get((ask.asked, ask.symbol))
            if fault.fault == "cached" and before is not None:
                return HttpResponse(200, before)
        body = await self.source.answer(ask, feed, self.clock(), behind)
        if body is None:
            return self._refused(404, f"nothing recorded for {ask.asked.value} {ask.symbol}".strip())
        self._last[ask.asked, ask.symbol] = body
        channel = ask.symbol or ask.asked.value
        self.tally.rest[channel] = self.tally.rest.get(channel, 0) + 1
        return HttpResponse(200, body)

    def _refused(self, status: int, reason: str) -> HttpResponse:
        self.tally.rest[f"{REST}_refused"] = self.tally.rest.get(f"{REST}_refused", 0) + 1
        return HttpResponse(status, self.venue.refusal(status, reason))

    def _feed(self, symbol: str, party: str) -> Feed | None:
        """The stream a snapshot is for: of the latest connection that carries the symbol's book."""
        if not symbol:
            return None
        glob = self.venue.book_channel(symbol)
        for connection in reversed(self.connections):
            if connection.guest.name == party and any(
                fnmatchcase(channel, glob) for channel in connection.feed.channels
            ):
                return connection.feed
        return None
