"""Runs the emulator: builds the venues, paces them, tells what was sent."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emulator import halves, tape
from emulator.connection import Connection
from emulator.feed import Shelf
from emulator.generic import Generic
from emulator.ledger import Ledger
from emulator.live import LiveFeed, LiveMarket, LiveSource
from emulator.packing import packing
from emulator.reel import Block
from emulator.served import Served, Source, SynthSource, TapeSource, synth
from emulator.server import Server
from emulator.synthfeed import SynthFeed
from emulator.tokens import DAY
from emulator.venue import Dialogue, Emulation, emulation
from tapeline import telemetry
from tapeline.errors import CaptureError, UnknownVenueError, UsageError
from tapeline.spec.session import Session
from tapeline.spec.template import render


@dataclass(frozen=True, slots=True)
class Options:
    """What to emulate and how. `speed` 0 is as fast as possible, as is `rate` 0; `seconds` 0 is without end.

    `live`: one market for all clients of a venue, paced by the clock; one with more than `slow_bytes` to read is given up.
    `token_ttl` is how long tokens of preparing calls live, in seconds.
    """

    venues: tuple[str, ...]
    captures: Path | None = None
    capture: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    speed: float = 1.0
    rate: int = 0
    seconds: float = 0.0
    ledger: Path | None = None
    live: bool = False
    slow_bytes: int = 8 << 20
    token_ttl: float = DAY


_LIVE_PACE = 0.01
"""How often live markets move, in seconds."""


class Emulator:
    """All venues, their pacer and their ledger."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.ledger = Ledger(options.ledger)
        self.venues: dict[str, Served] = {}
        for name in options.venues:
            served = self._served(name)
            if served is not None:
                self.venues[name] = served
        if not self.venues:
            raise CaptureError(options.captures or "captures", 0, f"no capture of {', '.join(options.venues)} there")
        self._over = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._first_sent = 0.0
        self.server = Server(self.venues, self._dialogue, self._pace(), self._sent, self.stats, self.ledger.party)

    def _served(self, name: str) -> Served | None:
        session, venue = halves.session(name), emulation(name) or Generic(name)
        shelf = Shelf([])
        source = self._source(name, session, venue, shelf)
        if source is None:
            telemetry.event("no_capture", telemetry.Level.WARNING, venue=name, folder=self._options.captures)
            return None
        for channel in source.channels:
            shelf.index(channel)
        tally = self.ledger.venue(name, shelf.names)
        served = Served(name, session, venue, source, shelf, tally, time.time_ns, self._options.slow_bytes)
        served.tokens.ttl = self._options.token_ttl
        return served

    def _source(self, name: str, session: Session, venue: Emulation, shelf: Shelf) -> Source | None:
        options = self._options
        if options.capture is not None:
            loaded = tape.load([options.capture], session, venue, any_host=True)
            return TapeSource(session, loaded, venue, shelf, options.speed)
        if options.captures is not None:
            paths = tape.find(options.captures, name)
            found = tape.load(paths, session, venue)
            return TapeSource(session, found, venue, shelf, options.speed) if found.count else None
        channels = synthetic_channels(session, venue)
        # Who is only polled sees a market of its own time or none.
        if not options.live and any(endpoint.url for endpoint in session.endpoints):
            return SynthSource(session, venue, channels, shelf)
        pack = packing(session.routing.decoder)
        market = LiveMarket(name, synth(venue), shelf, pack, self.ledger, lambda: self.venues[name].connections)
        market.prepare((channel, 0) for channel in channels)
        return LiveSource(market, channels)

    def _dialogue(self, served: Served, query: Mapping[str, str], url: str) -> Dialogue:
        return served.venue.dialogue(query, served.source.channels, url)

    def _pace(self) -> float:
        """Seconds a slice of synthetic payloads spans: short, but with some payloads of every venue in it."""
        rate = self._options.rate / max(len(self.venues), 1)
        if rate >= 40_000:
            return 0.004
        return min(max(8 / rate, 0.002), 0.01) if rate else 0.002

    def _sent(self, connection: Connection, block: Block, now_ns: int, kind: int) -> None:
        if isinstance(connection.feed, LiveFeed):
            self.ledger.own(connection.served.name, connection.party, kind, block, now_ns)
            return
        if not self._first_sent and connection.feed.started:
            self._first_sent = time.monotonic()
        self.ledger.sent(connection.served.name, connection.number, block, now_ns)

    def stats(self) -> dict[str, object]:
        """Totals for a stats line."""
        connections = {name: len(served.connections) for name, served in self.venues.items()}
        return {"payloads": self.ledger.payloads, "connections": connections, "venues": self.ledger.totals()}

    def channels(self) -> dict[str, list[str]]:
        """Channel ids each venue can serve; none of one that has no capture."""
        served = self.venues
        return {name: list(served[name].source.channels) if name in served else [] for name in self._options.venues}

    def punctual(self) -> list[str]:
        """Venues whose messages tell when they were sent, by this machine's clock."""
        sources = {name: served.source for name, served in self.venues.items()}
        return [
            name for name, source in sources.items() if isinstance(source, SynthSource) and source.stage.synth.punctual
        ]

    async def start(self) -> int:
        """Opens the port and begins to pace; returns the port. Raises UsageError where it is taken."""
        options, loop = self._options, asyncio.get_running_loop()
        try:
            port = await self.server.listen(options.host, options.port)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UsageError(f"cannot listen on {options.host}:{options.port}: {reason}") from None
        self._tasks = [loop.create_task(work()) for work in (self._pacer, self._live, self._watch, self._seconds)]
        return port

    async def stop(self) -> None:
        """Closes everything and finishes the ledger."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.server.close()
        self.ledger.close(time.time_ns())

    async def run(self) -> None:
        """Serves until SIGTERM or SIGINT."""
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, ended.set)
        port = await self.start()
        telemetry.ready(port=port, channels=self.channels(), punctual=self.punctual())
        try:
            async with telemetry.StatsPrinter(self.stats):
                await ended.wait()
        finally:
            await self.stop()

    async def _pacer(self) -> None:
        """Moves synthetic markets on at the wanted rate, without drift."""
        stages = [served for served in self.venues.values() if isinstance(served.source, SynthSource)]
        if not self._options.rate or not stages:
            return
        pacers = [Pacer(served, self._options.rate / len(stages)) for served in stages]
        for pacer in pacers:
            pacer.hold(time.time_ns())
        while True:
            now = time.monotonic()
            for pacer in pacers:
                pacer.move(now, time.time_ns(), hold=self._over.is_set())
            # Not less than the loop's own grain of 1 ms, or it would spin.
            await asyncio.sleep(self._pace())

    async def _live(self) -> None:
        """Moves live markets on, each to the present."""
        markets = [served.source.market for served in self.venues.values() if isinstance(served.source, LiveSource)]
        rate = self._options.rate / max(len(markets), 1)
        while markets:
            for market in markets:
                now = time.monotonic()
                if self._over.is_set():
                    market.hold(now)
                else:
                    market.move(now, time.time_ns(), rate)
                    self._first_sent = self._first_sent or (now if market.position else 0.0)
            await asyncio.sleep(_LIVE_PACE)

    @property
    def over(self) -> bool:
        """Whether all that was asked for has been sent."""
        return self._over.is_set()

    async def _watch(self) -> None:
        """Says `done` once: when every replay is at its end, or time is over."""
        while True:
            await asyncio.sleep(0.1)
            began, limit = self._first_sent, self._options.seconds
            over = bool(limit and began and time.monotonic() - began >= limit)
            if over or all(served.finished for served in self.venues.values()):
                break
        self._over.set()
        if over:
            for served in self.venues.values():
                served.over = True
        await asyncio.sleep(0.2)
        telemetry.done(**self.stats())

    async def _seconds(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self.ledger.second(time.time_ns())


class Pacer:
    """Moves one venue's market so that its subscribed channels give `rate` payloads a second."""

    def __init__(self, served: Served, rate: float) -> None:
        self._served, self._rate = served, rate
        self._then = 0.0
        self._owed = 0.0

    def hold(self, now_ns: int) -> None:
        """From now on feeds go no further than `move` lets them."""
        if isinstance(self._served.source, SynthSource):
            self._served.source.stage.advance(0, now_ns)

    def move(self, now: float, now_ns: int, hold: bool) -> None:
        """Moves the stage on to the present."""
        source = self._served.source
        assert isinstance(source, SynthSource)
        feeds = [c.feed for c in self._served.connections if isinstance(c.feed, SynthFeed) and c.feed.started]
        load = 0.0 if hold else source.stage.load(feeds)
        self._owed += (now - self._then) * self._rate / load if load else 0.0
        self._then = now
        whole = int(self._owed)
        if whole:
            self._owed -= whole
            source.stage.advance(whole, now_ns)
        for connection in self._served.connections:
            connection.nudge()


def synthetic_channels(session: Session, venue: Emulation) -> list[str]:
    """What a venue serves without a capture: its usual channels of every listed symbol, and its instrument lists."""
    own = getattr(venue, "channels", None)
    if own is not None:
        return list(own)
    usual = [render(template, {"symbol": symbol}) for symbol in venue.symbols for template in session.channels]
    asked = [request.channel for request in session.requests if request.name in session.instruments]
    return [*usual, *session.common, *asked]


def serve(options: Options) -> int:
    """Runs until stopped; exit code."""
    import uvloop

    uvloop.run(_serve(options))
    return 0


async def _serve(options: Options) -> None:
    await Emulator(options).run()


def check(options: Options, known: Sequence[str]) -> None:
    """Refuses what cannot be together; raises UsageError, UnknownVenueError or CaptureError."""
    if not options.venues:
        raise UsageError("no venue is known")
    for name in options.venues:
        if name not in known:
            raise UnknownVenueError(name, list(known))
    if options.capture is not None and len(options.venues) != 1:
        raise UsageError("--capture is of one venue: name it with --venues")
    if options.capture is not None and options.captures is not None:
        raise UsageError("--capture and --captures exclude each other")
    if options.live and (options.captures or options.capture or not options.rate):
        raise UsageError("--live is a made-up market at a --rate")
    if options.captures is not None and not options.captures.is_dir():
        raise CaptureError(options.captures, 0, "no such folder")
    if not 0 <= options.port < 65536:
        raise UsageError(f"--port {options.port}: 0 to 65535")
    if options.rate < 0 or options.seconds < 0:
        raise UsageError("--rate and --seconds cannot be negative")
    if options.ledger is not None and not options.ledger.parent.is_dir():
        raise UsageError(f"--ledger {options.ledger}: no folder {options.ledger.parent}")
