"""A venue's emulator, session manager and kernel in one process, on a clock that leaps: for what happens after a fault."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, TypeVar

import msgspec
from databento_dbn import DBNDecoder, InstrumentDefMsg, MBOMsg
from tapeline_kernel import Event, Normalizer

from emulator.live import LiveSource
from emulator.run import Emulator, Options
from emulator.served import Served
from normalizer.findings import Findings
from normalizer.resync import Resyncs
from session_manager.batch import ChannelReader
from session_manager.halves import load
from session_manager.provider import Provider, Running
from session_manager.ring import Batch
from session_manager.session.subscriptions import Status
from tapeline import venues
from tapeline.offline.final_book import FinalBook
from tapeline.spec.encode import encode
from tapeline.spec.meaning import BookLevels, BookOrder, Mapping
from tapeline.spec.session import Resync, Session
from tapeline.spec.subscribe import channel
from tests.faults.truth import Sides, truth
from tests.support.still_loop import StillLoop

Done = TypeVar("Done")
_EPOCH = 1_795_000_000 * 10**9
_SLICE = 60
"""Places of the market at once: a few payloads."""
_STILL, _ON_ITS_WAY = 3, 0.004
"""So often nothing new came, each after so many real seconds."""
_numbers = itertools.count(1)


def channels_of(session: Session, served: Sequence[str], symbol: str) -> list[str]:
    """What the emulator serves of a symbol, and of none."""
    own = (symbol, "")
    found = ((name, channel(session, name)) for name in served)
    return [name for name, known in found if known is None or known.symbol.lower() in (own[0].lower(), own[1])]


def mapping(venue: str) -> Mapping:
    """What a venue's messages mean now."""
    return next(mapping for mapping in reversed(venues.load(venue).meaning.mappings) if not mapping.until)


def carries_book(session: Session, venue: str, name: str) -> bool:
    """Whether a channel has a book that can be got anew."""
    known = channel(session, name)
    if known is None or known.family.resync is Resync.NONE:
        return False
    kinds = (BookLevels, BookOrder)
    fitting = [message for message in mapping(venue).messages if fnmatchcase(name, message.channel)]
    return any(isinstance(emit, kinds) for message in fitting for emit in message.emits)


class Noted(NamedTuple):
    """How far everything was at a moment."""

    events: int
    reconnects: int
    counters: dict[str, dict[str, int]]
    time: float


@dataclass
class Books:
    """What was published, as books by instrument."""

    books: dict[int, FinalBook] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._decoder = DBNDecoder(has_metadata=False, input_version=3)

    def take(self, data: bytes) -> None:
        """Records in their order."""
        self._decoder.write(data)
        for record in self._decoder.decode():
            if isinstance(record, InstrumentDefMsg):
                self.books.setdefault(record.instrument_id, FinalBook()).define(record)
            elif isinstance(record, MBOMsg):
                self.books.setdefault(record.instrument_id, FinalBook()).apply(record)


class Bench:
    """One venue, one symbol, until closed."""

    def __init__(self, venue: str) -> None:
        self.venue = venue
        self.loop = StillLoop()
        self.session = load(venue)
        self.meaning = venues.load(venue).meaning
        self.events: list[Event] = []
        self.heard: dict[str, float] = {}
        """When a channel last had something to tell."""
        self._reader = ChannelReader()
        self._struck: tuple[str, float] | None = None
        self._books = Books()
        self.run(self._start())

    def run(self, work: Coroutine[Any, Any, Done]) -> Done:
        """Does some work on the bench's own loop; its time passes only then."""
        asyncio.set_event_loop(self.loop)
        try:
            return self.loop.run_until_complete(work)
        finally:
            asyncio.set_event_loop(None)

    async def _start(self) -> None:
        self.emulator = Emulator(Options((self.venue,), rate=1, live=True))
        self.served: Served = self.emulator.venues[self.venue]
        self.served.clock = lambda: _EPOCH + int(self.loop.time() * 1e9)
        assert isinstance(self.served.source, LiveSource)
        self.market = self.served.source.market
        port = await self.emulator.server.listen("127.0.0.1", 0)
        self.symbol = self.served.venue.symbols[0]
        self.channels = channels_of(self.session, self.served.source.channels, self.symbol)
        where = f"http://127.0.0.1:{port}/_as/BENCH"
        running = Running(self.venue, self.venue.upper(), "PRIMARY", next(_numbers), 64 << 20, 0.001, where)
        self.provider = Provider(self.session, self.channels, running)
        self.kernel = Normalizer(encode(self.meaning), self.venue.upper(), "PRIMARY", "dbn")
        self._resyncs = Resyncs(self, self.venue.upper())
        self._findings = Findings(self.venue.upper(), self._resyncs, self.loop.time)
        cursor, _ = self.provider.ring.open("bench", None)
        self._cursor = cursor
        self._reading = self.loop.create_task(self._read())
        self.provider.start()
        await self.until(self.ready, 60.0)
        await self.turn()

    async def request_resync(self, provider: str, channel: str, reason: str) -> bool:
        """Passed on to the session manager, as over gRPC."""
        return self.provider.request_resync(channel, reason)

    async def _read(self) -> None:
        ring = self.provider.ring
        while await ring.wait(self._cursor):
            while (batch := ring.read(self._cursor)) is not None:
                assert isinstance(batch, Batch)
                self._take(batch.data)

    def _take(self, data: bytes) -> None:
        self.heard.update(dict.fromkeys(self._reader.channels(data), self.loop.time()))
        output = self.kernel.normalize(data)
        self._books.take(output.data)
        for event in output.events:
            # A book's first snapshot the session asks for by itself; what is no book is another test's.
            book = carries_book(self.session, self.venue, event.channel)
            if event.kind != "resync" or (event.reason != "no snapshot" and book):
                self.events.append(event)
                self._findings.take(output.epoch, event, 0)

    def close(self) -> None:
        """Ends it all."""
        self.run(self._close())
        self.loop.close()

    async def _close(self) -> None:
        await self.provider.stop()
        await self._reading
        await self._resyncs.close()
        await self.emulator.stop()

    # the market

    async def move(self, places: int) -> None:
        """The market moves on, as fast as everybody keeps up."""
        while places > 0:
            places -= self.market.advance(min(places, _SLICE), self.served.clock())
            await asyncio.sleep(0.01)

    async def turn(self) -> None:
        """To the end of the loop, where all that happened has been told; until all of it is through."""
        period = self.market.synth.period
        await self.move(period - self.market.position % period)
        await self.settle()

    async def settle(self) -> None:
        """Until nothing moves any more, nor is on its way on a machine that is busy."""
        before, still = -1, 0
        while still < _STILL:
            now = self.provider.ring.last_sequence + len(self.events)
            still = still + 1 if now == before else 0
            before = now
            time.sleep(_ON_ITS_WAY)  # noqa: ASYNC251 (the loop's own time stands)
            await asyncio.sleep(0.3)

    async def until(self, condition: Callable[[], bool], seconds: float, moving: bool = True) -> bool:
        """Lets time pass until something holds; whether it does."""
        end = self.loop.time() + seconds
        while not condition():
            if self.loop.time() > end:
                return False
            if moving:
                self.market.advance(5, self.served.clock())
            await asyncio.sleep(1.0)
        return True

    # what is so

    def ready(self) -> bool:
        """Whether all connections are up, all channels speak, and no book waits for a snapshot."""
        lines = self.provider.session.lines
        states = [state.status for line in lines for state in line.subscriptions.states.values()]
        # In a maintenance all is subscribed, and nothing comes.
        active = (
            bool(states) and all(status is Status.ACTIVE for status in states) and not any(one.paused for one in lines)
        )
        return active and not self._resyncs.waiting and not self.waiting()

    def alone(self) -> bool:
        """Whether no connection is left that another one has taken over from."""
        lines = self.provider.session.lines
        return self.ready() and len(self.served.connections) == len({id(line.shard) for line in lines})

    def waiting(self) -> set[str]:
        """Channels whose books have asked for a snapshot and not got it."""
        state: dict[str, bool] = {}
        for event in self.events:
            if event.kind in ("resync", "recovered"):
                state[event.channel] = event.kind == "resync"
        return {name for name, still in state.items() if still}

    def book_channels(self) -> list[str]:
        """The subscribed channels that carry a book."""
        return [name for name in self.channels if carries_book(self.session, self.venue, name)]

    def published(self) -> Sides:
        """The symbol's book as published, best first."""
        symbols = {name: number for number, name in self.kernel.symbols().items()}
        number = next(n for name, n in symbols.items() if name.lower() == self.symbol.lower())
        book = self._books.books[number]
        return Sides.of(book.side(True), book.side(False))

    def true(self, channel_id: str) -> Sides:
        """The emulator's true book."""
        return truth(self.served, self.market, channel_id)

    def note(self) -> Noted:
        """How far everything is."""
        return Noted(len(self.events), self.provider.session.reconnects, self.kernel.counters(), self.loop.time())

    def since(self, noted: Noted) -> Counter[str]:
        """What has happened: events by kind, reconnects, rejected and excluded payloads."""
        found = Counter[str](event.kind for event in self.events[noted.events :] if event.kind != "reject")
        found["reconnect"] = self.provider.session.reconnects - noted.reconnects
        now = self.kernel.counters()
        for name in ("rejected", "excluded"):
            found[name] = sum(now[name].values()) - sum(noted.counters[name].values())
        return +found

    def fault(self, **command: object) -> None:
        """Arms a fault."""
        self._struck = None
        self.emulator.server.fault(self.served, msgspec.json.encode(command))

    def struck(self, fault: str) -> bool:
        """Whether nothing of a kind is armed any more."""
        done = all(command.fault != fault for _, command in self.served.faults.armed)
        if done and self._struck is None:
            self._struck = (fault, self.loop.time())
        return done

    def struck_at(self, fault: str) -> float:
        """When `struck` first said so of the last fault."""
        return self._struck[1] if self._struck is not None and self._struck[0] == fault else 0.0


Work = Callable[[Bench], Awaitable[None]]
