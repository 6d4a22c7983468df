"""What makes two messages of the two instances the same message; one rule for the SDK, the arbiter and the raw store.

A published message is known by the venue's id (of a book message its sequence, of a trade its id, of a quote its update id),
else by its content without what is each instance's own (publisher, `ts_recv`, `ts_in_delta`, a `ts_event` that is only
our clock). A raw payload is known by its content. Content that comes again is told apart by its place: each instance has the
venue's order, so equal messages are paired in that order, and a pair further apart than `WINDOW_NS` is none.
"""

from __future__ import annotations

from typing import NamedTuple

import tapeline_kernel

from tapeline.errors import RefusedError
from tapeline.schemas import Schema

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
    """The identity of a raw payload: what a venue sends on two connections is the same text, ids included."""
    return payload
