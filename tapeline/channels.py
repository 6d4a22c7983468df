"""Names of Redis channels: building, parsing, and glob patterns over them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from tapeline.errors import ChannelNameError
from tapeline.schemas import Schema

MARKET_DATA = "MARKET_DATA"
INSTANCES = ("PRIMARY", "REPLICA", "MERGED")
"""The live ones."""
REPLAY = "REPLAY"
"""The instance that history is published as."""
ALL_INSTANCES = (*INSTANCES, REPLAY)

_PART = re.compile(r"[A-Z0-9][A-Z0-9_]*\Z")
_GLOB = re.compile(r"([\\*?\[\]])")


@dataclass(frozen=True, slots=True)
class ChannelName:
    """`<data-type>.<instance>.<schema>.<provider>.<channel>`; only the channel, the venue's own id, may hold dots."""

    data_type: str
    instance: str
    schema: Schema
    provider: str
    channel: str

    def __post_init__(self) -> None:
        for part in (self.data_type, self.instance, self.provider):
            if not _PART.match(part):
                raise ChannelNameError(f"{part!r} is no part of a channel name; allowed: A-Z, 0-9 and _")
        if not self.channel:
            raise ChannelNameError("a channel name needs a channel")

    def format(self) -> str:
        """The name as Redis knows it."""
        return f"{self.data_type}.{self.instance}.{self.schema.value}.{self.provider}.{self.channel}"

    @staticmethod
    def parse(text: str) -> ChannelName:
        """Reads what `format` wrote; raises ChannelNameError."""
        parts = text.split(".", 4)
        if len(parts) != 5:
            raise ChannelNameError(f"{text!r} is no channel name; it has {len(parts)} of 5 parts")
        data_type, instance, schema, provider, channel = parts
        try:
            known = Schema(schema)
        except ValueError:
            raise ChannelNameError(f"{text!r} is no channel name; {schema!r} is no schema") from None
        return ChannelName(data_type, instance, known, provider, channel)


def market_data(instance: str, schema: Schema, provider: str, channel: str) -> ChannelName:
    """The channel on which market data of a venue's channel is published."""
    return ChannelName(MARKET_DATA, instance, schema, provider, channel)


def escape_glob(text: str) -> str:
    """A pattern that matches exactly `text`."""
    return _GLOB.sub(r"\\\1", text)


def is_pattern(text: str) -> bool:
    """Whether Redis would read anything but itself out of `text`."""
    return _GLOB.search(text) is not None


def matches(pattern: str, name: str) -> bool:
    """Whether Redis would deliver channel `name` to a PSUBSCRIBE of `pattern` (its rules go by bytes)."""
    return _compiled(pattern.encode()).match(name.encode()) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: bytes) -> re.Pattern[bytes]:
    out = bytearray()
    place = 0
    while place < len(pattern):
        byte = pattern[place : place + 1]
        if byte == b"[":
            piece, place = _class(pattern, place + 1)
            out += piece
            continue
        place += 1
        if byte == b"*":
            if not out.endswith(b".*"):
                out += b".*"
        elif byte == b"?":
            out += b"."
        else:
            # A backslash at the very end stands for itself.
            if byte == b"\\" and place < len(pattern):
                byte = pattern[place : place + 1]
                place += 1
            out += b"\\x%02x" % byte[0]
    return re.compile(bytes(out) + rb"\Z", re.DOTALL)


def _class(pattern: bytes, place: int) -> tuple[bytes, int]:
    """A bracket expression from after its `[`, as Redis reads it: it may be empty, and may lack its end."""
    negated = pattern[place : place + 1] == b"^"
    place += negated
    body = bytearray()
    while place < len(pattern) and pattern[place : place + 1] != b"]":
        low = pattern[place]
        if low == 0x5C and place + 1 < len(pattern):
            place += 1
            low = high = pattern[place]
        elif place + 2 < len(pattern) and pattern[place + 1] == 0x2D:
            low, high = sorted((low, pattern[place + 2]))
            place += 2
        else:
            high = low
        body += b"\\x%02x-\\x%02x" % (low, high)
        place += 1
    if not body:
        return (b"." if negated else b"(?!)"), place + 1
    return b"[" + (b"^" if negated else b"") + bytes(body) + b"]", place + 1
