"""What Tapeline does once per message, in Rust: route, normalise, encode."""

from collections.abc import Sequence
from typing import Literal, Self, final

from typing_extensions import Buffer

__all__ = [
    "SIDECAR",
    "BatchError",
    "Coalescer",
    "Decoder",
    "Event",
    "Merged",
    "Merger",
    "Normalizer",
    "Output",
    "Router",
    "SpecError",
    "gather",
    "identities",
    "merge_batches",
    "split_batch",
]

class SpecError(ValueError):
    """A spec the kernel cannot compile; the text names the place."""

class BatchError(ValueError):
    """Bytes that are not a SubscribeResponse of this contract."""

@final
class Decoder:
    """Turns frames into JSON text; `decoder` is `tapeline.spec.encode` of a `Decoder`."""

    def __new__(cls, decoder: bytes) -> Self: ...
    def decode(self, payload: bytes) -> bytes:
        """The JSON text of a frame, the frame itself where it is JSON already; ValueError, with the reject reason, where broken."""

@final
class Router:
    """Puts frames on channels and encodes them into batches; one for each provider and instance.

    `routing` is `tapeline.spec.encode` of a `Routing`; `epoch` is ns since the Unix epoch.
    """

    def __new__(cls, routing: bytes, provider: str, instance: str, epoch: int) -> Self: ...
    def push(
        self, connection: int, stamps: Sequence[int], frames: Sequence[bytes], start: int = 0
    ) -> tuple[list[tuple[int, bytes]], int]:
        """Routes `frames[start:]` into the open batch: (place, frame) of those no route takes (control or unknown), and where to go on.

        Where the routing has a `{@path}` route it stops behind the first frame no route takes, so that a key it may tell is
        learnt before the frames behind it; else it goes on at `len(frames)`.
        """
    def connected(self, connection: int, endpoint: str) -> None:
        """A connection has begun, to the endpoint of this name; what was known of one with its number is forgotten."""
    def reroute(self, routing: bytes) -> None:
        """Goes on by another routing of the same venue; the open batch, connections and their keys stay as they are."""
    def learn(self, connection: int, key: str, channel: str) -> None:
        """From now on `key` names `channel` in frames of the connection (`Route.channel` `{@path}`)."""
    def forget(self, connection: int, key: str | None = None) -> None:
        """`key` names nothing any more; None: the connection has ended, and all that was known of it is forgotten."""
    def decode(self, frame: bytes) -> bytes:
        """The JSON text of a frame by the routing's decoder, the frame itself where it has none or is JSON already; ValueError where broken."""
    def cursor(self, channel: str) -> str:
        """The newest value at the `cursor` of the channel's route; empty where there was none."""
    def inject(self, channel: str, schema: str, ts_recv: int, connection: int, payload: bytes) -> int:
        """Puts a payload the caller has already routed (a REST answer, a session event) into the open batch; its sequence."""
    def take(self) -> tuple[int, int, bytes] | None:
        """Closes the open batch: first and last sequence and an encoded SubscribeResponse; None where it is empty."""
    @property
    def next_sequence(self) -> int:
        """The sequence the next payload will carry; the first of an epoch is 1."""
    @property
    def open_payloads(self) -> int: ...
    @property
    def open_bytes(self) -> int: ...

@final
class Event:
    """Something a person or a metric should know of; never one per ordinary payload."""

    kind: Literal[
        "reject",
        "gap",
        "resync",
        "recovered",
        "checksum",
        "inferred",
        "collision",
        "stale",
        "lost",
    ]
    """`resync` asks for a RequestResync of `channel`; `lost` is a Gap of the stream itself."""
    channel: str
    symbol: str
    reason: str
    sequence: int
    """The payload's place in the raw stream."""
    from_id: int
    """The venue's ids missing, both inclusive, where they are known; else 0."""
    to_id: int
    sample: bytes
    """The first bytes of a rejected payload."""

@final
class Output:
    """What one batch became."""

    data: bytes
    """Sink `resp`: RESP commands for one write. Sink `dbn`: DBN records back to back, in order of emission."""
    commands: int
    """Replies to expect from Redis for `data`."""
    payloads: int
    records: int
    sidecar: bytes
    """Sink `dbn` only: one 64-byte row a record, see `SIDECAR`."""
    events: list[Event]
    epoch: int
    first: int
    last: int
    """Sequences covered (of a Gap too)."""
    oldest_ts_recv: int
    """The smallest ts_recv in the batch; 0 where it holds none."""

SIDECAR: list[tuple[str, str]]
"""Columns of the sidecar as numpy dtype fields: offset u8 (of the record in data), sequence u8 (of the payload in the raw
stream), venue_id u8 (full-width id), price_mantissa i8, size_mantissa i8, price_decimals u1, size_decimals u1, schema u1,
flags u1 (1: price given, 2: size given), channel u4 (index in Normalizer.channels()), padding."""

@final
class Normalizer:
    """Turns raw batches of one provider and instance into DBN.

    `meaning` is `tapeline.spec.encode` of a `Meaning`. With `shard` (k, n), n at most 64, it does only the instruments that a hash of
    provider and raw symbol gives to k; of all else (the session, a channel's own status, payloads of which no instrument is known on a
    channel whose id carries no symbol) shard 0. The records of all n are those of one that does all, each instrument's in their order, if each
    is given every payload of the channels that `touched` names for it, in the same order, and is told of every epoch. A shard's figures
    count what it was given; each shard with quotes of a channel that is to be resynced says so.
    SpecError where it cannot be: sink `resp` (late-join keys and checkpoint are one), or a meaning with counters over a connection's messages, which
    are whole only together (a stream of one instance; MERGED counts none).
    """

    def __new__(
        cls,
        meaning: bytes,
        provider: str,
        instance: str,
        sink: Literal["resp", "dbn"] = "resp",
        shard: tuple[int, int] = (0, 1),
    ) -> Self: ...
    def normalize(self, response: bytes) -> Output:
        """One encoded SubscribeResponse (batch or gap) in, what is to be published out. Raises BatchError."""
    def normalize_rows(
        self,
        epoch: int,
        first: int,
        channels: Sequence[tuple[str, str]],
        channel: Buffer,
        ts_recv: Buffer,
        connection: Buffer,
        places: Buffer,
        chunks: Sequence[tuple[Buffer, Buffer]],
    ) -> Output:
        """The same for a batch that was never encoded: payloads in columns, the first with sequence `first`.

        `channels` are (id, schema); columns are little endian: `channel` u4 (index in `channels`), `ts_recv`, `connection` and
        `places` i8. A place is where a payload lies: a chunk in the upper 32 bits, its row there in the lower. A chunk is offsets (i8, one more
        than it has rows) and the data in which a row lies from its offset to the next. Bytes are taken as they are, other buffers
        copied. No payloads are a batch too: an epoch can begin so. Raises BatchError.
        """
    def touched(
        self,
        channels: Sequence[tuple[str, str]],
        channel: Buffer,
        ts_recv: Buffer,
        connection: Buffer,
        places: Buffer,
        chunks: Sequence[tuple[Buffer, Buffer]],
        n: int,
    ) -> dict[int, int]:
        """By index in `channels`, which of `n` shards payloads in columns (as in `normalize_rows`) concern: bit k for shard k.

        Never misses a shard; channels without payloads have no entry. Looks at payloads one by one, without books, and not at those of
        channels whose id tells the instrument. Changes nothing that is published. Raises BatchError, and SpecError for a bad n.
        """
    def flush(self, all: bool = False) -> tuple[bytes, int]:
        """RESP commands, and their number, that bring late-join keys and checkpoint up to date with what has changed since the last flush (or all of it)."""
    def checkpoint(self) -> dict[bytes, bytes]:
        """The fields of a checkpoint of all there is, for `restore`."""
    def retell(self, ts_recv: int) -> Output:
        """What stands, told anew as of `ts_recv` (ns): every instrument's definition, then every book whole (`R`, then `A…`, F_SNAPSHOT); nothing changes."""
    def restore(self, fields: dict[bytes, bytes]) -> int:
        """Takes the checkpoint hash's fields back in; the position to resume from (0: none). Publishing stays off up to `published`, if it was given as field `published`."""
    def counters(self) -> dict[str, dict[str, int]]:
        """Running totals: records by schema, rejected by reason, excluded by reason, links {ok, broken}, checksums {ok, bad}, books {resyncs, buffered, stale}, instruments {known, inferred}, sizes {rounded, capped}, payloads {total, data}."""
    def channels(self) -> list[tuple[str, str]]:
        """(channel id, schema) of published channels, by the sidecar's index."""
    def symbols(self) -> dict[int, str]:
        """instrument_id → raw symbol."""

def gather(chunks: Sequence[tuple[Buffer, Buffer]], places: Buffer) -> tuple[bytes, bytes]:
    """Payloads out of chunks, in the order of their places (as in `Normalizer.normalize_rows`), as one chunk. Raises BatchError."""

def merge_batches(responses: Sequence[bytes]) -> bytes:
    """One encoded SubscribeResponse of several batches of one stream that follow one another; raises BatchError."""

def split_batch(
    response: bytes, epoch: int, after: int, span_ns: int
) -> tuple[int, int, int, bool, list[tuple[int, int, int, int, list[tuple[str, str, int, int, int, bytes]]]]]:
    """Raw rows (the dialect of `tapeline.rawfile`) of one encoded SubscribeResponse; raises BatchError.

    Gives (epoch, first, last, gap, segments), a segment (end, first, last, ts_recv, runs) for each span of `span_ns`, cut at
    midnight UTC, and a run (channel, schema, first, last, payloads, rows) for each channel in it. Payloads up to sequence `after`
    of `epoch` are left out.
    """

@final
class Merged:
    """Messages of a coalesced stream, as columns for `numpy.frombuffer` (little endian): `<i8` unless said otherwise."""

    count: int
    """How many messages there are."""
    side: bytes
    """u1: whose copy it is, 0 or 1."""
    seen: bytes
    """u1: who has it; 1 the first side only, 2 the second only, 3 both."""
    epoch: bytes
    sequence: bytes
    connection: bytes
    ts_recv: bytes
    """Of the copy, ns."""
    order: bytes
    """Never falls within a channel; puts channels beside one another. ns, by the first side's clock."""
    other_epoch: bytes
    other_sequence: bytes
    other_ts_recv: bytes
    """The same of the other side's copy; 0 where `seen` is not 3."""
    offsets: bytes
    """`count` + 1 of them: where payloads begin and end in `data`."""
    data: bytes
    """The payloads as received, back to back."""

@final
class Coalescer:
    """Makes one ordered stream of a channel's one or two raw streams: every message once, in the venue's order; no I/O.

    `routing` and `meaning` are `tapeline.spec.encode` of the venue's; of them it takes what names a payload on both instances
    (`tapeline.identity.of_payloads`). Repeats are paired in order; a pair further apart than `window_ns` is none. Holds what is
    within the window of either side's next message and the chunks fed beyond it. Raises SpecError.

    Take until there is None, feed (or end) the sides that `needs` names, and again, until that is 0.
    """

    def __new__(cls, routing: bytes, meaning: bytes, window_ns: int, sides: int) -> Self: ...
    def feed(self, side: int, chunk: bytes) -> None:
        """Takes rows (`tapeline.rawfile`, decompressed), cut anywhere. Behind a broken row the object's rest is left out.

        Raises ValueError where the side has ended.
        """
    def boundary(self, side: int) -> None:
        """An object ends here; raises ValueError, with the row and the reason, where a row of it was broken or is cut short.

        Every whole row before it counts, and the next object begins clean whether it raises or not.
        """
    def end(self, side: int) -> None:
        """The side has nothing more; raises what `boundary` would, and the side has ended nevertheless."""
    def needs(self) -> int:
        """The sides (1: the first, 2: the second, 3: both) without which nothing comes out; 0: something will, or all is done."""
    def take(self, limit_bytes: int) -> Merged | None:
        """The next messages, up to the one with which their columns take `limit_bytes`; None where there are none for now."""
    @property
    def duplicates(self) -> tuple[int, int]:
        """Rows of each side whose (epoch, sequence) is not beyond the last one's: left out."""
    @property
    def memory_bytes(self) -> int:
        """What is held."""

@final
class Merger:
    """Makes one stream of two sides' channels: every venue message once, in the venue's order; no I/O, no clock.

    `prefer` (0 or 1) makes it a failover to the other side, None takes whoever is first. A slot is twice a channel's number plus
    the side. For the times and bounds see `tapeline.consumer.MergeOptions`; `now` never falls.
    """

    def __new__(
        cls,
        *,
        prefer: int | None,
        wait_ns: int,
        patience_ns: int,
        settle_ns: int,
        window_ns: int,
        memory_bytes: int,
        dense_after: int,
        floor_ns: int = 0,
    ) -> Self: ...
    def lane(self, name: str) -> int:
        """The number of a merged channel, from 0 in order of appearance; raises SpecError where the name is none."""
    def feed(self, slot: int, data: bytes, now: int, snapshot: bool = False) -> None:
        """Takes whole records that a side published, or that its late-join key held."""
    def tick(self, now: int) -> None:
        """Hands out what has waited for long enough; to be called some 20 times a second."""
    def take(self) -> list[tuple[int, int, bytes, int, int]]:
        """What was handed out since the last call: channel, kind (0 live, 1 snapshot, 2 gap), records, and of a gap the last id (low 32 bits) before it and the first after it."""
    def commands(self) -> tuple[bytes, int]:
        """The same as RESP commands, and their number."""
    def flush(self, all: bool = False) -> tuple[bytes, int]:
        """RESP commands, and their number, that bring late-join keys up to date with what has changed since the last flush (or all of it)."""
    def resume(self, lane: int, data: bytes) -> None:
        """Takes up where a channel's late-join key says that an earlier merger stopped."""
    def counters(self) -> dict[str, int | dict[str, int]]:
        """Running totals: delivered and missed by side, twins, repeats, snapshots (not needed), gaps, doubts, switches, malformed."""
    @property
    def memory_bytes(self) -> int:
        """What is remembered and held back."""

def identities(schema: str, data: bytes) -> tuple[tuple[bytes, int], ...]:
    """Identity and bytes of each venue message in whole records; raises ValueError."""
