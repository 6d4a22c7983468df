"""A tiny session for kernel tests: payloads in, decoded records and events out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import hiredis
from databento_dbn import DBNDecoder
from tapeline_kernel import Event, Normalizer, Output, Router

from tapeline.spec.encode import encode
from tapeline.spec.meaning import Book, ChannelSymbol, Counter, Mapping, Meaning, Message
from tapeline.spec.routing import Routing
from tapeline.venues import load

EPOCH = 1_700_000_000_000_000_000


@dataclass
class Stream:
    """One venue's router and normalizer; `say` and `answer` give the output of one payload."""

    venue: str
    sink: str = "dbn"
    connection: int = 0
    clock: int = EPOCH
    outputs: list[Output] = field(default_factory=list)

    def __post_init__(self) -> None:
        loaded = load(self.venue)
        self.meaning = encode(loaded.meaning)
        self.provider = loaded.provider
        self.router = Router(encode(loaded.session.routing), self.provider, "PRIMARY", EPOCH)
        self.normalizer = self.fresh()

    def fresh(self) -> Normalizer:
        """A normalizer that knows nothing yet."""
        return Normalizer(self.meaning, self.provider, "PRIMARY", "resp" if self.sink == "resp" else "dbn")

    def batch(self, frame: object) -> bytes:
        """A batch of one frame, by the venue's routing."""
        self.clock += 1_000_000
        payload = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
        assert self.router.push(self.connection, [self.clock], [payload]) == ([], 1), "the frame is control"
        return self._take()

    def injected(self, channel: str, body: object, schema: str = "MBO") -> bytes:
        """A batch of one payload on a channel of our choice."""
        self.clock += 1_000_000
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.router.inject(channel, schema, self.clock, self.connection, payload)
        return self._take()

    def say(self, frame: object) -> Output:
        """What one frame becomes."""
        return self._run(self.batch(frame))

    def answer(self, channel: str, body: object, schema: str = "MBO") -> Output:
        """What one REST answer becomes."""
        return self._run(self.injected(channel, body, schema))

    def _take(self) -> bytes:
        taken = self.router.take()
        assert taken is not None
        return taken[2]

    def _run(self, response: bytes) -> Output:
        output = self.normalizer.normalize(response)
        self.outputs.append(output)
        return output


@dataclass
class Made(Stream):
    """The same for a meaning written by the test; payloads are put on a channel by hand."""

    venue: str = "made"
    made: Meaning | None = None

    def __post_init__(self) -> None:
        assert self.made is not None
        self.meaning = encode(self.made)
        self.provider = "MADE"
        self.router = Router(encode(Routing(routes=(), schemas=())), self.provider, "PRIMARY", EPOCH)
        self.normalizer = self.fresh()

    def on(self, channel: str, body: object, connection: int = 0) -> Output:
        """What one payload of a channel becomes."""
        self.connection = connection
        return self.answer(channel, body)

    def restored(self) -> Normalizer:
        """A normalizer that goes on from this one's checkpoint."""
        fields: dict[bytes, bytes] = {}
        for command in commands(self.normalizer.flush(all=True)[0]):
            if command[0] == b"HSET":
                fields.update(zip(command[2::2], command[3::2], strict=True))
        fresh = self.fresh()
        assert fresh.restore(fields) > 0
        return fresh


def meaning(messages: tuple[Message, ...], *books: Book, counters: tuple[Counter, ...] = ()) -> Meaning:
    """A venue of these messages and books, the symbol of a channel after its first dot."""
    return Meaning(
        number=200,
        default_lot="0.001",
        exchange="MADE",
        mappings=(Mapping(messages=messages, books=books, counters=counters),),
        channel_symbols=(("*.*", ChannelSymbol(".", 1, -1)),),
    )


def records(output: Output) -> list[object]:
    """The DBN records of an output of sink `dbn`."""
    decoder = DBNDecoder(has_metadata=False, input_version=3)
    decoder.write(output.data)
    return list(decoder.decode())


def kinds(output: Output) -> list[str]:
    """The kinds of events of an output."""
    return [event.kind for event in output.events]


def event(output: Output, kind: str) -> Event:
    """The only event of a kind."""
    [found] = [event for event in output.events if event.kind == kind]
    return found


def commands(resp: bytes) -> list[list[bytes]]:
    """RESP commands taken apart."""
    reader = hiredis.Reader()
    reader.feed(resp)
    found: list[list[bytes]] = []
    while (command := reader.gets()) is not False:
        assert isinstance(command, list)
        found.append(command)
    return found
