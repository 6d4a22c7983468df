"""The language of a venue's meaning half: which message is which, where its values stand, how its book is proved.

Paths are those of `routing.Match`. Inside a message with `each`, a path that starts with a dot belongs to the entry,
any other to the payload; without `each` both are the payload's. A path that starts with `=` is the text after it
itself. The kernel compiles a `Meaning` once into a plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tapeline.schemas import Schema
from tapeline.spec.decoding import Decoder
from tapeline.spec.routing import Match


class TimeUnit(Enum):
    """How a time is written."""

    SECONDS = "s"
    MILLIS = "ms"
    MICROS = "us"
    NANOS = "ns"
    ISO = "iso"
    """RFC 3339 with 0 to 9 fractional digits."""
    BY_DIGITS = "digits"
    """Integer of 10, 13, 16 or 19 digits: s, ms, µs or ns (a venue that lets the client choose)."""


@dataclass(frozen=True, slots=True)
class Time:
    """Where a time stands; one that is absent, null, zero or before 1970 counts as not given (then `ts_recv` is taken)."""

    path: str
    unit: TimeUnit


@dataclass(frozen=True, slots=True)
class Side:
    """Where a side stands and which words mean buy and sell, as the **aggressor** (or, of an order, its own side).

    A maker's side is written with the words swapped. With `sign` a negative number at the path means sell and any other
    buy (a zero too), without words; the size of such a trade or order is taken without its sign, wherever it stands. A trade's side
    without words and sign is one that the venue does not tell: DBN's `N`.
    """

    path: str
    buy: tuple[str, ...] = ()
    sell: tuple[str, ...] = ()
    sign: bool = False


@dataclass(frozen=True, slots=True)
class ChannelSymbol:
    """How a symbol is read from a channel id where the payload does not carry it.

    The id is split at `separator`; pieces `first` to `last` (inclusive, negative from the end) are joined again, after
    `prefix` (which `upper` leaves as it is).
    """

    separator: str
    first: int
    last: int
    upper: bool = False
    prefix: str = ""


class Levels(Enum):
    """How the levels of a book side are coded."""

    PAIR = "pair"
    """`[price, size, …]`: size is the level's new size, zero deletes."""
    ACTION = "action"
    """`[action, price, size]` with action new, change or delete."""
    OBJECT = "object"
    """Objects; `keys` names price and size."""
    SIDED = "sided"
    """`[side, price, size]` in one array for both sides; `keys` names the words for bid and ask."""
    ORDER = "order"
    """`[price, size, order id]`: single orders."""
    SIGNED = "signed"
    """`[price, count, size]` for both sides: a negative size is an ask's; count zero deletes, whatever the size."""
    SIGNED_ORDER = "signed order"
    """`[order id, price, size]` for both sides: a negative size is an ask's; price zero deletes."""
    TEXT = "text"
    """One string `price,side,size`; `keys` names the words for bid and ask."""


@dataclass(frozen=True, slots=True)
class LevelList:
    """Where an array of levels stands and how it is coded. An absent or null array is an empty one.

    `single`: the path leads to one level, not to an array of them. `row_id`: the place (of 0, 1, 2; of `keys`, for objects)
    of a level's own id; a level of a delta whose id is not newer than the snapshot it was joined to is left out.
    `skip_zero_price`: levels of price zero change nothing, but their message counts. One path may be rows for one kind of
    message and something else (one row, an array of values) for another; an array that is not what the message that fits
    says it is is rejected.
    """

    path: str
    coding: Levels = Levels.PAIR
    keys: tuple[str, ...] = ()
    single: bool = False
    row_id: int | None = None
    skip_zero_price: bool = False


class LinkRule(Enum):
    """What must hold between a message and the one before it."""

    NONE = "none"
    NEXT = "next"
    """`first == last + 1` (a counter, or a range that follows on)."""
    BACK = "back"
    """`previous == last`."""
    RISING = "rising"
    """`last` only grows; no loss proof."""


@dataclass(frozen=True, slots=True)
class Ids:
    """A message's own sequence: `last` is its id; `first` where it spans a range; `previous` where it links back."""

    last: str
    first: str | None = None
    previous: str | None = None


@dataclass(frozen=True, slots=True)
class InBlock:
    """That a trade stands in a block of a chain, known by its `number` and `hash`, at an `index` in it (integers but for the hash).

    Such a trade is published once for each block, however often and on whatever connection it comes. It is taken back, by a record of
    action `C`, where a condition of `removed` holds, where a `Block` tells that another one stands in its block's place, and where a
    page (`Trade.page`; of blocks by rising number) that was asked for over a later connection leaves it out between its first and its last.
    Its block's time is its own where it has none. The last 1,024 of a channel can be taken back.
    """

    number: str
    hash: str
    index: str
    removed: tuple[Match, ...] = ()


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade. `id` becomes `sequence` (low 32 bits) and, with `link`, is checked for holes at full width.

    `link` other than none publishes each id once and counts what comes again as excluded (`repeated trade`). `page`: the
    entries of one payload are a page of the newest trades, which should share some with the page before. They are taken
    oldest first, whichever way the page is given. A page with something new and nothing known is a gap `window`: with
    rising ids from the one after the newest known to the one before the oldest new one, without ids of unknown extent
    (0, 0); ids that follow one another (`NEXT`) prove themselves. A request from a cursor gives only what is new and needs
    no `page`. Trades of a page without an `id` (or link) are the same where time, price, size and side are, the nth of
    them the nth; one that is older than the oldest trade of the newest page is taken as known.
    """

    symbol: str | None
    price: str
    size: str
    side: Side
    time: Time
    id: str | None = None
    sent: Time | None = None
    link: LinkRule = LinkRule.NONE
    exclude: tuple[tuple[str, Match], ...] = ()
    """Pairs of a reason and a condition: such trades are counted as excluded, not published."""
    page: bool = False
    block: InBlock | None = None
    schema: Schema = Schema.TRADES


@dataclass(frozen=True, slots=True)
class Block:
    """A block that is now the chain's newest, on `parent` (hashes): trades of other blocks of its number, or its parent's, go.

    It concerns the trades of all channels. By itself it publishes nothing.
    """

    number: str
    hash: str
    parent: str
    time: Time
    schema: Schema = Schema.TRADES


@dataclass(frozen=True, slots=True)
class Quote:
    """Top of book. A side that is absent, null or zero is published as undefined price and size 0.

    Where the conditions of `carry` (if any) hold, a value that is absent is unchanged: it is taken from the message before
    of the same channel and instrument; null, empty and zero still mean that the side is gone. What is carried is forgotten
    when the connection goes down, its counter has a hole, or the raw stream loses payloads; the channel then asks for a
    resync, and a quote with a value to carry and nothing to take it from is excluded.
    """

    symbol: str | None
    bid: str
    bid_size: str
    ask: str
    ask_size: str
    time: Time | None
    sequence: str | None = None
    sent: Time | None = None
    carry: tuple[Match, ...] = ()
    schema: Schema = Schema.MBP_1


@dataclass(frozen=True, slots=True)
class BookLevels:
    """A message of an L2 book: a snapshot (replaces the book) or a delta.

    With a coding for both sides only `bids` is given. `checksum` names the value that proves the book
    after this message; a message of a checksum alone has a level list that is never there. `book` names the entry of
    `Mapping.books` it belongs to; where that is by order, a level is an order (`ORDER`, `SIGNED_ORDER`), and one of size
    zero takes it out.

    `sampled`: a snapshot that is asked for now and then. One with the id of the one before (without ids: the same levels)
    publishes nothing and is excluded as `unchanged`, unless the book is in doubt; one with a lower id, out of some cache, as
    `older than the last`, but ten in a row are a counter that was set back.
    """

    symbol: str | None
    bids: LevelList
    asks: LevelList | None
    snapshot: bool
    book: str
    time: Time | None = None
    sent: Time | None = None
    ids: Ids | None = None
    checksum: str | None = None
    sampled: bool = False
    schema: Schema = Schema.MBO


class OrderEvent(Enum):
    """What happens to a resting order."""

    OPEN = "open"
    """It rests from now on with `size` left."""
    CHANGE = "change"
    """Its size is now `size`."""
    DONE = "done"
    """It has left the book."""
    MATCH = "match"
    """`size` of it was taken; published as trade, fill and modify or cancel."""
    NONE = "none"
    """Nothing in the book changes, but the message counts in the sequence."""


@dataclass(frozen=True, slots=True)
class BookOrder:
    """An event of an L3 book. `side` is the resting order's."""

    symbol: str | None
    event: OrderEvent
    book: str
    order_id: str | None = None
    price: str | None = None
    size: str | None = None
    side: Side | None = None
    time: Time | None = None
    ids: Ids | None = None
    schema: Schema = Schema.MBO


@dataclass(frozen=True, slots=True)
class BookTop:
    """A full top-N book each time, published as MBP_10. `sampled` as in `BookLevels`, by `sequence`."""

    symbol: str | None
    bids: LevelList
    asks: LevelList
    time: Time | None = None
    sequence: str | None = None
    sampled: bool = False
    schema: Schema = Schema.MBP_10


class StatValue(Enum):
    """Which field of a STATISTICS record a value goes to."""

    PRICE = "price"
    """`price`, scaled 1e-9 (also rates and volatilities)."""
    QUANTITY = "quantity"
    """`quantity`, in the instrument's lots."""
    TIME_MS = "time_ms"
    """`ts_ref`, from milliseconds."""


@dataclass(frozen=True, slots=True)
class Stat:
    """One statistic; absent or null publishes nothing. `type` is the DBN stat_type (20000 and up are ours)."""

    type: int
    path: str
    value: StatValue = StatValue.PRICE


@dataclass(frozen=True, slots=True)
class Statistics:
    """The statistics of one message."""

    symbol: str | None
    time: Time | None
    stats: tuple[Stat, ...]
    schema: Schema = Schema.STATISTICS


@dataclass(frozen=True, slots=True)
class Bar:
    """A candle, published when `closed` holds (always, where it is empty). `start` becomes `ts_event`."""

    symbol: str | None
    start: Time
    open: str
    high: str
    low: str
    close: str
    volume: str
    closed: tuple[Match, ...] = ()
    schema: Schema = Schema.OHLCV_1M


@dataclass(frozen=True, slots=True)
class Word:
    """A venue's word for something, and ours: `("PERPETUAL", "F")`."""

    venue: str
    ours: str


@dataclass(frozen=True, slots=True)
class Instrument:
    """An instrument list's entry. Paths may select in arrays: `filters[filterType=LOT_SIZE].stepSize`.

    `size_decimals` and `price_decimals` give a step as a number of decimals where the venue does so.
    `prefix` comes before the symbol. `kind` maps to DBN's instrument_class by `kinds` (default `kind_default`). `unit` is
    what a size counts. Entries for which `when` does not hold are left to another `Instrument` of the same message.
    """

    symbol: str
    prefix: str = ""
    when: tuple[Match, ...] = ()
    price_step: str | None = None
    price_decimals: str | None = None
    size_step: str | None = None
    size_decimals: str | None = None
    max_size: str | None = None
    base: str | None = None
    quote: str | None = None
    settle: str | None = None
    unit: str | None = None
    kind: str | None = None
    kinds: tuple[Word, ...] = ()
    kind_default: str = "X"
    expiry: Time | None = None
    activation: Time | None = None
    strike: str | None = None
    multiplier: str | None = None
    schema: Schema = Schema.DEFINITION


Emit = Trade | Block | Quote | BookLevels | BookOrder | BookTop | Statistics | Bar | Instrument


@dataclass(frozen=True, slots=True)
class Message:
    """One kind of message: how it is told apart, and what it gives.

    `channel` is a glob on the channel id, `when` are conditions on the payload; the first message that fits counts.
    With `each` the emits are made for every entry of that array, or value of that object (`.` is the payload itself). A message with no
    emits is excluded on purpose, and `excluded` says why.
    """

    name: str
    emits: tuple[Emit, ...]
    channel: str = "*"
    when: tuple[Match, ...] = ()
    each: str | None = None
    excluded: str = ""


class SnapshotFrom(Enum):
    """Where a book's snapshot comes from."""

    STREAM = "stream"
    """In the stream, before the deltas and after a new subscription."""
    REQUEST = "request"
    """By request; deltas are buffered and joined to it."""


class Discard(Enum):
    """Which buffered deltas are older than a requested snapshot."""

    LAST_AT_OR_BELOW = "last<=snapshot"
    LAST_BELOW = "last<snapshot"


class Join(Enum):
    """How the first kept delta meets a requested snapshot (any of the rules given; none: see `Book`)."""

    SPANS_NEXT = "first<=snapshot+1<=last"
    SPANS = "first<=snapshot<=last"
    PREVIOUS_IS = "previous==snapshot"
    FIRST_IS_NEXT = "first==snapshot+1"


class ChecksumText(Enum):
    """How a level's numbers become the checksum's text."""

    DIGITS = "digits"
    """Digits as sent, without the dot and without leading zeros."""
    RAW = "raw"
    """As sent."""
    NUMBER = "number"
    """As JavaScript prints the number: no trailing zeros, `1e-7` below 0.000001. (Whole digits are never shortened.)"""


@dataclass(frozen=True, slots=True)
class Checksum:
    """CRC32 over the top of the book.

    `interleaved`: bid, ask, bid, … (where one side runs out the other goes on) else all asks, then all bids. `separator`
    stands between values. `signed`: int32. `negative_asks`: asks' sizes are written with a minus. `depth` counts levels, or
    orders in a book by order, those of a level by rising id; `by_order`: an order's id (a number of up to 19 digits) stands
    in place of the price. `optional`: zero says that the venue gives none.
    """

    depth: int
    text: ChecksumText
    interleaved: bool = False
    separator: str = ""
    signed: bool = False
    negative_asks: bool = False
    by_order: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Book:
    """How one of the venue's books is kept right.

    `link` is checked on every delta at full width. `no_change`: a delta with `previous == last` links although nothing
    moved. A `BACK` link may lead to a lower id (a legal reset) if it leads back to the newest; one that leads back beyond the
    newest is a gap. What is no newer than the book is stale and changes nothing, but 200 such in a row (with `no_change` 10
    that link to one another) are a counter that was set back, and a gap. A snapshot in the stream replaces the book at any
    time. Books with neither link nor checksum nor a counter of their connection are `unverified`.

    A requested book with link `NONE` or `RISING`, without checksum and `join`, is joined by order alone (ids may be times): the first
    delta that is not discarded follows. It keeps its newest `max_buffered` deltas, so that the snapshots of a request with `every`
    are held against it: equal ones are excluded as `unchanged`, others replace it, and are a gap where they are no newer than it.
    """

    name: str
    snapshot: SnapshotFrom
    link: LinkRule
    discard: Discard = Discard.LAST_AT_OR_BELOW
    join: tuple[Join, ...] = ()
    no_change: bool = False
    depth_from: tuple[tuple[str, int], ...] = ()
    """Truncation by the channel's subscription: pairs of a channel glob and a depth; none: not truncated."""
    checksum: Checksum | None = None
    per_order: bool = False
    max_buffered: int = 10_000
    """Deltas kept while a requested snapshot is awaited; beyond it the oldest are dropped, counted."""
    skip_far: bool = False
    """Levels and orders at a price that no record can hold (some 9.2 thousand million) are left out, counted as `price beyond records`."""


@dataclass(frozen=True, slots=True)
class Counter:
    """A counter over all messages of a connection, at `path` of those that fit `when`.

    Messages without a value at `path` do not count. The first number of a connection (also after its `_session` up or down,
    and in a new epoch) begins it. A hole is a gap `counter` with exact bounds on the message's channel; every live book of
    the connection then is doubtful, says so on its STATUS and asks for a resync, once. A number out of a hole has come late
    and is taken; any other that has been is a message that came twice: excluded (`repeated message`), but 200 of them in a
    row are a counter that was set back, and a gap of unknown extent.
    """

    path: str
    when: tuple[Match, ...] = ()


@dataclass(frozen=True, slots=True)
class Mapping:
    """What messages mean from `since` (inclusive) to `until` (exclusive), RFC 3339 dates of `ts_recv`; empty: unbounded."""

    messages: tuple[Message, ...]
    books: tuple[Book, ...] = ()
    since: str = ""
    until: str = ""
    counters: tuple[Counter, ...] = ()
    """Of each message the first that fits counts; it must follow the one before on its connection by one."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a venue's messages mean.

    `number` is the venue's own, fixed for ever (publisher_id = 60000 + 4 × number + instance). `default_lot` is the size
    of a lot for an instrument of which neither a definition nor a book snapshot is known. `channel_symbol` rules are
    tried by the glob they come with.
    """

    number: int
    default_lot: str
    exchange: str
    """Up to four letters for the definition's `exchange`."""
    mappings: tuple[Mapping, ...]
    channel_symbols: tuple[tuple[str, ChannelSymbol], ...] = ()
    symbol_aliases: tuple[tuple[str, str], ...] = ()
    collisions: tuple[tuple[str, int], ...] = ()
    """Instrument ids set by hand where two raw symbols hash alike."""
    decoder: Decoder | None = None
