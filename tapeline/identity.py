"""What makes two messages of the two instances the same message; one rule for the SDK, the arbiter and the raw store.

A published message is known by the venue's id (of a book message its sequence, of a trade its id, of a quote its update id),
else by its content without what is each instance's own (publisher, `ts_recv`, `ts_in_delta`, a `ts_event` that is only
our clock). A raw payload is known by its content, without what is each connection's own. Content that comes again is told apart by its place: each instance has the
venue's order, so equal messages are paired in that order, and a pair further apart than `WINDOW_NS` is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import msgspec
import tapeline_kernel

from tapeline.errors import RefusedError
from tapeline.schemas import Schema
from tapeline.spec.decoding import Hook
from tapeline.spec.meaning import Meaning
from tapeline.spec.routing import Routing

WINDOW_NS = 30_000_000_000
"""How far apart in time the two instances may receive the same message; also bounds memory."""


class Identity(NamedTuple):
    """One venue message among published records."""

    key: bytes
    """Equal for the same message of both instances, and for messages of one that differ in nothing but their time."""
    size: int
    """Bytes of its records."""


def of_records(schema: Schema, data: bytes) -> list[Identity]:
    """The venue messages that whole records of one channel hold, in order; raises RefusedError."""
    try:
        return [Identity(key, size) for key, size in tapeline_kernel.identities(schema.value, data)]
    except ValueError as error:
        raise RefusedError(str(error)) from None


def of_payload(payload: bytes) -> bytes:
    """The identity of a raw payload of which nothing is the connection's own: what a venue sends twice is the same text."""
    return payload


def of_payloads(routing: Routing, meaning: Meaning) -> Callable[[bytes], bytes]:
    """What gives the identity of a venue's raw payloads.

    A connection's own are the keys that its acks tell (routes `{@path}`) and its counters; they are left out where they stand
    in the payload's outermost array or object. Of a FIX message they are what the session adds: header and trailer but for the type.
    """
    if isinstance(routing.decoder, Hook) and routing.decoder.name == "fix_md":
        return _of_fix
    paths = {route.channel[2:-1] for route in routing.routes if route.channel.startswith("{@")}
    paths |= {counter.path for mapping in meaning.mappings for counter in mapping.counters}
    if not paths:
        return of_payload
    places = frozenset(int(path) for path in paths if path.isdecimal())

    def identity(payload: bytes) -> bytes:
        try:
            if payload[:1] == b"[":
                entries = _ARRAY.decode(payload)
                return b",".join(bytes(entry) for place, entry in enumerate(entries) if not _own(place, entry, places))
            fields = _OBJECT.decode(payload)
        except msgspec.DecodeError:
            return payload
        return b",".join(name.encode() + b":" + bytes(value) for name, value in fields.items() if name not in paths)

    return identity


def _of_fix(payload: bytes) -> bytes:
    return _FIX_SESSION.sub(b"", payload)


def _own(place: int, entry: msgspec.Raw, places: frozenset[int]) -> bool:
    return place in places and bytes(entry).isdigit()


_FIX_SESSION = re.compile(rb"(?<![^\x01])(?:8|9|10|34|43|49|52|56|122)=[^\x01]*\x01")
"""BeginString, BodyLength, CheckSum, numbers, names and times of the session."""
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
