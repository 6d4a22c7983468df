"""Which fault applies to which venue, by its two halves, and what must come of it: the fault matrix as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property

from tapeline.spec.decoding import Compression, Hook, Inflate, Protobuf
from tapeline.spec.meaning import Book, BookLevels, BookOrder, Emit, Levels, LinkRule, SnapshotFrom, TimeUnit, Trade
from tapeline.spec.session import AckBy, Resync, Session, Severity
from tapeline.spec.subscribe import channel
from tests.faults.bench import carries_book, mapping


@dataclass(frozen=True)
class Halves:
    """What the matrix asks of a venue: of the channels that the bench subscribes."""

    name: str
    session: Session
    channels: tuple[str, ...]

    @cached_property
    def emits(self) -> list[Emit]:
        """All that its messages now mean."""
        return [emit for message in mapping(self.name).messages for emit in message.emits]

    @cached_property
    def book_channel(self) -> str:
        """The channel with the book; empty where there is none."""
        return next((name for name in self.channels if carries_book(self.session, self.name, name)), "")

    @cached_property
    def trade_channel(self) -> str:
        """A channel of trades; empty where there is none."""
        for message in mapping(self.name).messages:
            if any(isinstance(emit, Trade) for emit in message.emits):
                for name in self.channels:
                    if name != self.book_channel and fnmatchcase(name, message.channel):
                        return name
        return ""

    @cached_property
    def trade(self) -> Trade | None:
        """How trades are read."""
        return next((emit for emit in self.emits if isinstance(emit, Trade)), None) if self.trade_channel else None

    @cached_property
    def levels(self) -> BookLevels | None:
        """How a delta of the book is read."""
        if not self.book_channel or self.by_order:
            return None
        fitting = [
            message for message in mapping(self.name).messages if fnmatchcase(self.book_channel, message.channel)
        ]
        found = [emit for message in fitting for emit in message.emits if isinstance(emit, BookLevels)]
        # Of those that share a channel's pattern the ones whose snapshot comes as the channel's family says.
        asked = self.by_request
        own = {book.name for book in mapping(self.name).books if (book.snapshot is SnapshotFrom.REQUEST) is asked}
        return next((emit for emit in found if not emit.snapshot and emit.book in own), None)

    @cached_property
    def by_request(self) -> bool:
        """Whether the book's snapshot is asked for."""
        known = channel(self.session, self.book_channel)
        return known is not None and known.family.resync is Resync.REQUEST

    @cached_property
    def by_order(self) -> bool:
        """Whether the book is of single orders."""
        fitting = [
            message for message in mapping(self.name).messages if fnmatchcase(self.book_channel, message.channel)
        ]
        return any(isinstance(emit, BookOrder) for message in fitting for emit in message.emits)

    @cached_property
    def book(self) -> Book | None:
        """How the book is proved."""
        wanted = self.levels.book if self.levels is not None else ""
        return next((book for book in mapping(self.name).books if book.name == wanted), None)

    @property
    def linked(self) -> bool:
        """Whether a lost delta shows by ids."""
        return self.book is not None and self.book.link in (LinkRule.NEXT, LinkRule.BACK)

    @property
    def summed(self) -> bool:
        """Whether the book has checksums."""
        return self.book is not None and self.book.checksum is not None

    @property
    def counted(self) -> bool:
        """Whether a counter runs over all of a connection's messages."""
        return bool(mapping(self.name).counters)

    @property
    def watched(self) -> bool:
        """Whether a book's channel that falls silent is noticed."""
        known = channel(self.session, self.book_channel) if self.book_channel else None
        return known is not None and known.family.cadence > 0

    @property
    def reconnects(self) -> bool:
        """Whether a fresh book takes a new connection."""
        known = channel(self.session, self.book_channel) if self.book_channel else None
        return self.counted or (known is not None and known.family.resync is Resync.RECONNECT)

    @property
    def rowed(self) -> bool:
        """Whether deltas are arrays of rows."""
        if self.levels is None:
            return False
        deltas = [emit for emit in self.emits if isinstance(emit, BookLevels) and emit.book == self.levels.book]
        lists = [one for emit in deltas if not emit.snapshot for one in (emit.bids, emit.asks) if one is not None]
        return not any(one.single or one.coding in (Levels.ORDER, Levels.SIGNED_ORDER) for one in lists)

    def severity(self, *wanted: Severity) -> bool:
        """Whether the venue has a notice of such a kind."""
        return any(rule.severity in wanted for rule in self.session.rules)


Outcome = frozenset[str]
QUIET: Outcome = frozenset()
Rule = Callable[[Halves], bool]


@dataclass(frozen=True)
class Case:
    """A fault, where it applies, and what is seen of it.

    `must` and `may` are names of what happened (`Bench.since`): exactly `must`, and of `may` whatever. `on` names the
    channel aimed at: `book`, `trade` or any. `waits` is how much protocol time it may take, in seconds. `anew`: struck when the
    channels are subscribed again after a closed connection, else while they run.
    """

    name: str
    applies: Rule
    must: Callable[[Halves], Outcome]
    may: Outcome = frozenset()
    on: str = "book"
    command: dict[str, object] = field(default_factory=dict)
    waits: float = 0.0
    anew: bool = False
    heals: bool = False
    """A channel stays refused on this connection; the next one has it again."""
    lasting: bool = False
    """It leaves something behind: the bench begins anew after it."""


def _book(halves: Halves) -> bool:
    return bool(halves.book_channel)


def _proved(halves: Halves) -> bool:
    return _book(halves) and (halves.linked or halves.summed or halves.counted or halves.by_order)


def _found(halves: Halves) -> Outcome:
    """How a book that is no longer right shows."""
    if halves.linked or halves.counted or halves.by_order:
        return frozenset({"gap", "resync", "recovered"})
    return frozenset({"checksum", "resync", "recovered"})


def _rejected(halves: Halves) -> Outcome:
    """How a delta that cannot be read shows; a damaged protobuf message may still be one."""
    unread = QUIET if isinstance(halves.session.routing.decoder, Protobuf) else frozenset({"rejected"})
    return unread | (_found(halves) if unread else QUIET)


def _always(halves: Halves) -> bool:
    return True


def _numbered_times(halves: Halves) -> bool:
    units = {getattr(getattr(emit, "time", None), "unit", None) for emit in (halves.levels, halves.trade)}
    return bool(units - {None, TimeUnit.ISO}) and _written(halves)


def _iso_times(halves: Halves) -> bool:
    return any(
        getattr(getattr(emit, "time", None), "unit", None) is TimeUnit.ISO for emit in (halves.levels, halves.trade)
    )


def _trades(halves: Halves) -> bool:
    return halves.trade is not None and halves.trade.id is not None and _written(halves)


def _linked_trades(halves: Halves) -> bool:
    return halves.trade is not None and halves.trade.link is not LinkRule.NONE


def _next_trades(halves: Halves) -> bool:
    return halves.trade is not None and halves.trade.link is LinkRule.NEXT


def _by_request(halves: Halves) -> bool:
    return halves.book is not None and halves.book.snapshot is SnapshotFrom.REQUEST


def _in_stream(halves: Halves) -> bool:
    return halves.rowed and halves.book is not None and halves.book.snapshot is SnapshotFrom.STREAM


def _summed(halves: Halves) -> bool:
    return halves.summed and halves.rowed


def _free(halves: Halves) -> bool:
    """Whether a delta may say what it likes: nothing else has to tell of it."""
    book = halves.book
    return halves.rowed and not halves.summed and not halves.counted and book is not None and not book.depth_from


def _no_change(halves: Halves) -> bool:
    return halves.rowed and halves.book is not None and halves.book.no_change


def _gzip(halves: Halves) -> bool:
    decoder = halves.session.routing.decoder
    return isinstance(decoder, Inflate) and decoder.compression is Compression.GZIP


def _written(halves: Halves) -> bool:
    """Whether the meaning half reads payloads as they are: what a hook decodes stands elsewhere."""
    return not isinstance(halves.session.routing.decoder, Hook)


def _texts(halves: Halves) -> bool:
    return not isinstance(halves.session.routing.decoder, Protobuf) and _written(halves)


def _objects(halves: Halves) -> bool:
    """Whether frames are objects: who counts his frames sends arrays."""
    return not halves.counted


def _acked(halves: Halves) -> bool:
    return _book(halves) and halves.session.subscription.ack.by in (AckBy.ID, AckBy.CHANNEL)


def _listed(halves: Halves) -> bool:
    ack = halves.session.subscription.ack
    return _book(halves) and ack.by is AckBy.ID and ack.accepted is not None and not ack.accepted.inner


def _sum_found(halves: Halves) -> Outcome:
    return frozenset({"checksum", "resync", "recovered"})


def _zero_found(halves: Halves) -> Outcome:
    optional = halves.book is not None and halves.book.checksum is not None and halves.book.checksum.optional
    return QUIET if optional else _sum_found(halves)


def _trade_lost(halves: Halves) -> Outcome:
    return _found(halves) if halves.counted else frozenset({"gap"})


def _leap(halves: Halves) -> Outcome:
    return frozenset({"gap"}) if _next_trades(halves) else QUIET


def exactly(*words: str) -> Callable[[Halves], Outcome]:
    """The same at every venue."""
    return lambda halves: frozenset(words)


quiet = exactly()
reconnected = exactly("reconnect")
UNREAD: Outcome = frozenset({"rejected"})
MISSED: Outcome = frozenset({"excluded"})
DOWN: Outcome = frozenset({"gap", "resync", "recovered", "excluded", "stale"})
"""What a lost connection may bring about: gaps of what was missed, fresh books, trades that come twice."""
GONE: Outcome = DOWN | {"reconnect"}
RESYNCED: Outcome = frozenset({"gap", "checksum", "resync", "recovered", "excluded"})

CASES: tuple[Case, ...] = (
    # Frames lost, doubled, out of order, damaged.
    Case("gap", _proved, _found, MISSED | {"checksum"}, command={"count": 2}),
    Case("gap", _next_trades, _trade_lost, RESYNCED, on="trade"),
    Case("duplicate", _book, quiet, MISSED),
    Case("duplicate", _linked_trades, exactly("excluded"), on="trade"),
    Case("reorder", _proved, exactly("resync", "recovered"), RESYNCED),
    Case("stale_delta", lambda halves: halves.linked, quiet, MISSED),
    Case("truncate", _proved, _rejected, UNREAD | RESYNCED),
    Case("corrupt", _proved, _rejected, UNREAD | RESYNCED),
    # Ids.
    Case("empty_delta", lambda halves: halves.rowed and not halves.counted, quiet, lasting=True),
    Case("no_change", _no_change, quiet),
    Case("sequence_reset", _no_change, quiet, lasting=True),
    Case("restart", lambda halves: _in_stream(halves) and halves.linked, quiet, lasting=True),
    Case("unsolicited_snapshot", _in_stream, quiet),
    Case("big_ids", _trades, _leap, on="trade", lasting=True),
    Case("same_trade_id", _next_trades, exactly("excluded", "gap"), on="trade"),
    # Content.
    Case("checksum", _summed, _sum_found, MISSED),
    Case("checksum_zero", _summed, _zero_found, MISSED),
    Case("checksum_absent", _summed, quiet, UNREAD | RESYNCED),
    Case("level_dropped", _summed, _sum_found, MISSED),
    Case("crossed", _free, quiet, lasting=True),
    Case("repeated_price", lambda halves: halves.rowed, quiet),
    Case("zero_price", lambda halves: halves.levels is not None and halves.levels.bids.skip_zero_price, quiet),
    Case("number_text", lambda halves: halves.rowed and _texts(halves), quiet, command={"count": 10}),
    Case("number_text", lambda halves: _trades(halves) and _texts(halves), quiet, on="trade", command={"count": 10}),
    Case("key_order", _objects, quiet, on="any", command={"count": 50}),
    Case("unknown_field", _objects, quiet, on="any", command={"count": 50}),
    Case("unknown_type", _always, quiet, UNREAD, on="any", command={"count": 3}),
    Case("plain_text", _always, quiet, UNREAD, on="any", command={"count": 3}),
    Case("zero_time", _numbered_times, quiet, on="any", command={"count": 10}),
    Case("year_one", _iso_times, quiet, on="any", command={"count": 10}),
    Case("member_split", _gzip, quiet, on="any", command={"count": 20}),
    Case("mixed", _texts, quiet, on="any", command={"count": 20}),
    # Connections.
    Case("close", _always, reconnected, DOWN, on="any", waits=60.0),
    Case("close_code", _always, reconnected, DOWN, on="any", command={"code": 1011, "reason": "down"}, waits=60.0),
    Case("stall", _always, quiet, GONE, on="any", command={"seconds": 3.0}, waits=30.0),
    Case("drop_silently", _always, reconnected, DOWN, on="any", waits=1500.0),
    Case("drop_when_idle", _always, quiet, GONE, on="any", command={"seconds": 40.0}, waits=1500.0, lasting=True),
    Case("max_age", _always, reconnected, DOWN, on="any", command={"seconds": 5.0}, waits=120.0),
    Case(
        "notice",
        lambda halves: halves.severity(Severity.ROTATE),
        quiet,
        GONE,
        on="any",
        command={"seconds": 20.0},
        waits=120.0,
    ),
    Case(
        "maintenance",
        lambda halves: halves.severity(Severity.PAUSE) and halves.severity(Severity.RESUME),
        quiet,
        GONE,
        on="any",
        command={"seconds": 100.0},
        waits=400.0,
    ),
    Case("ping", lambda halves: bool(halves.session.server_pings), quiet, on="any", waits=15.0),
    Case("ban", _always, reconnected, DOWN, on="any", command={"seconds": 20.0}, waits=400.0),
    Case(
        "token_expires",
        lambda halves: any(place.prepare is not None for place in halves.session.endpoints),
        reconnected,
        DOWN,
        on="any",
        waits=120.0,
    ),
    # Subscribing.
    Case("refuse", _book, quiet, GONE, waits=400.0, anew=True),
    Case("ack_only", lambda halves: _acked(halves) and halves.watched, quiet, GONE, waits=1500.0, anew=True),
    Case("late_ack", _acked, quiet, GONE | UNREAD, command={"seconds": 3.0}, waits=60.0, anew=True),
    Case("data_before_ack", _book, quiet, GONE | UNREAD, waits=60.0, anew=True),
    Case("partial_ack", _listed, exactly("refused"), GONE, waits=400.0, anew=True, heals=True),
    Case(
        "replay_trades",
        _linked_trades,
        quiet,
        GONE,
        on="trade",
        command={"size": 400},
        waits=60.0,
        anew=True,
    ),
    # REST.
    Case(
        "reject_rest",
        _by_request,
        reconnected,
        DOWN,
        on="any",
        command={"count": 2, "retry_after": 3},
        waits=120.0,
        anew=True,
    ),
    Case("rest_error_200", _by_request, reconnected, DOWN, on="any", command={"count": 2}, waits=120.0, anew=True),
    Case("rest_timeout", _by_request, reconnected, DOWN, on="any", command={"seconds": 90.0}, waits=300.0, anew=True),
    Case("stale_snapshot", _by_request, reconnected, DOWN, on="any", command={"behind": 3000}, waits=120.0, anew=True),
)
