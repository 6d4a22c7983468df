"""How frames that are not JSON text become JSON, so that routes, conditions and paths read them like any other.

A decoder is declared by both halves of a venue. A frame that is JSON already (control beside binary data, REST answers)
passes it untouched. What is kept and carried is always the frame as it came; the kernel decodes it where it reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Compression(Enum):
    """How single frames are compressed."""

    GZIP = "gzip"
    RAW_DEFLATE = "raw deflate"
    ZLIB = "zlib"


@dataclass(frozen=True, slots=True)
class Inflate:
    """Every frame is compressed by itself; `largest` bounds what one may become (bytes)."""

    compression: Compression
    largest: int = 64 << 20


class ProtoKind(Enum):
    """How a protobuf field is written, and what JSON it becomes."""

    TEXT = "text"
    """`string`: a JSON string."""
    INTEGER = "integer"
    """`int32`, `int64`, `uint32`, `uint64`, `bool`, `enum`: a JSON number."""
    ZIGZAG = "zigzag"
    """`sint32`, `sint64`."""
    MESSAGE = "message"
    """A nested message: a JSON object."""


@dataclass(frozen=True, slots=True)
class ProtoField:
    """A field of a message. `repeated` ones are arrays, `[]` where none is sent; others are absent where not sent."""

    number: int
    name: str
    kind: ProtoKind = ProtoKind.TEXT
    message: str = ""
    """Which message, where `kind` says so."""
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class ProtoMessage:
    """A message; fields it does not name are skipped."""

    name: str
    fields: tuple[ProtoField, ...]


@dataclass(frozen=True, slots=True)
class Protobuf:
    """Binary frames hold one message `root` each."""

    root: str
    messages: tuple[ProtoMessage, ...]


@dataclass(frozen=True, slots=True)
class Hook:
    """A decoder of the kernel's own, by name, for what data cannot say; listed in docs/adding-a-venue.md."""

    name: str
    parameters: tuple[tuple[str, str], ...] = ()


Decoder = Inflate | Protobuf | Hook
