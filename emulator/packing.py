"""How a venue packs its frames, by the decoder its session half declares: as text, compressed one by one, as protobuf."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Protocol

import msgspec
import numpy as np
from isal import isal_zlib

from emulator import protobuf, wire
from emulator.reel import Block
from emulator.venue import Say
from tapeline.errors import UsageError
from tapeline.spec.decoding import Compression, Decoder, Inflate, Protobuf

_WINDOW = {Compression.GZIP: 31, Compression.RAW_DEFLATE: -15, Compression.ZLIB: 15}
_LEVEL = 1


class Packing(Protocol):
    """Payloads as they go over the wire."""

    opcode: wire.Opcode
    """Of data frames."""

    def line(self, text: str) -> bytes:
        """A line of a script as it is compiled, its marks kept."""
        ...

    def finish(self, block: Block) -> Block:
        """Played lines as they are sent."""
        ...

    def pack(self, text: bytes) -> bytes:
        """One JSON text as a payload."""
        ...

    def unpack(self, payload: bytes) -> bytes:
        """The JSON text of a payload."""
        ...

    def say(self, said: Say) -> bytes:
        """A control frame, framed."""
        ...


class Plain:
    """JSON text."""

    opcode = wire.Opcode.TEXT

    def line(self, text: str) -> bytes:
        """Itself."""
        return text.encode()

    def finish(self, block: Block) -> Block:
        """Nothing is left to do."""
        return block

    def pack(self, text: bytes) -> bytes:
        """Itself."""
        return text

    def unpack(self, payload: bytes) -> bytes:
        """Itself."""
        return payload

    def say(self, said: Say) -> bytes:
        """A text frame."""
        return wire.frame(said.payload)


class Squeezed(Plain):
    """Every frame compressed by itself, control too."""

    opcode = wire.Opcode.BINARY

    def __init__(self, inflate: Inflate) -> None:
        self._window = _WINDOW[inflate.compression]
        self.members = inflate.compression is Compression.GZIP
        """Whether a frame may consist of several members."""

    def finish(self, block: Block) -> Block:
        """Compresses the played texts."""
        if block.personal:
            raise UsageError("keys of a connection within compressed frames are not emulated")
        frames = [wire.frame(self.pack(text), self.opcode) for text in block.payloads()]
        starts = np.zeros(len(frames) + 1, np.int64)
        np.cumsum([len(frame) for frame in frames], out=starts[1:])
        return Block(b"".join(frames), block.channels, starts)

    def pack(self, text: bytes) -> bytes:
        """Compressed; always to the same bytes."""
        return bytes(isal_zlib.compress(text, _LEVEL, self._window))

    def unpack(self, payload: bytes) -> bytes:
        """Decompressed; what is damaged comes back as it is."""
        try:
            return zlib.decompress(payload, self._window)
        except zlib.error:
            return payload

    def say(self, said: Say) -> bytes:
        """A binary frame, or a text where the venue says so."""
        return wire.frame(said.payload) if said.plain else wire.frame(self.pack(said.payload), self.opcode)


class Encoded(Plain):
    """Data as protobuf messages, control as JSON text."""

    opcode = wire.Opcode.BINARY

    def __init__(self, spec: Protobuf) -> None:
        self._spec = spec
        self._messages: Mapping[str, Mapping[str, protobuf.Field]] = protobuf.fields(spec)

    def line(self, text: str) -> bytes:
        """Encoded; marks outside of texts become numbers that `protobuf` knows again."""
        return self.pack(protobuf.with_numbers(text).encode())

    def pack(self, text: bytes) -> bytes:
        """One message `root`; what is no JSON object (a fault's work) goes as it is."""
        try:
            content = msgspec.json.decode(text, type=dict[str, object])
        except msgspec.DecodeError:
            return text
        return protobuf.encode(self._messages, self._spec.root, content)

    def unpack(self, payload: bytes) -> bytes:
        """As the kernel reads it."""
        return msgspec.json.encode(protobuf.decode(self._spec, self._spec.root, payload))


def packing(decoder: Decoder | None) -> Packing:
    """The packing that a decoder undoes; what hooks decode is text of the venue's own."""
    if isinstance(decoder, Inflate):
        return Squeezed(decoder)
    return Encoded(decoder) if isinstance(decoder, Protobuf) else Plain()
