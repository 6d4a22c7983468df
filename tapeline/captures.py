"""Captures: what went over a venue's wire, one JSON object a line, zstd.

`t` ns since the epoch · `k` one of `connect`, `send` (client to venue), `recv`, `http` (a REST answer) · `c` connection ·
`d` text, or `b` base64 of a binary frame · `u` URL (connect, http).
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import NamedTuple

import msgspec
import zstandard

from tapeline.errors import CaptureError


class Kind(Enum):
    """What a line of a capture is."""

    CONNECT = "connect"
    SEND = "send"
    RECV = "recv"
    HTTP = "http"


class Frame(NamedTuple):
    """One line of a capture; `ts` in ns since the epoch."""

    ts: int
    kind: Kind
    connection: str
    data: bytes
    binary: bool
    url: str | None


class _Line(msgspec.Struct):
    t: int
    k: Kind
    c: str
    d: str | None = None
    b: str | None = None
    u: str | None = None


_CHUNK = 1 << 20
_decode = msgspec.json.Decoder(_Line).decode


def read_capture(path: Path, on_bad: Callable[[CaptureError], None] | None = None) -> Iterator[Frame]:
    """Frames of a `.jsonl.zst` or `.jsonl` file, in its order.

    A line that cannot be read raises CaptureError, or is given to `on_bad` and passed over. A file that cannot be
    opened, is no zstd or is cut short always raises, after the frames before that place.
    """
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            frame = _frame(line)
        except (msgspec.DecodeError, ValueError) as error:
            problem = CaptureError(path, number, str(error))
            if on_bad is None:
                raise problem from None
            on_bad(problem)
        else:
            yield frame


def _frame(line: bytes) -> Frame:
    read = _decode(line)
    if read.b is not None:
        return Frame(read.t, read.k, read.c, binascii.a2b_base64(read.b, strict_mode=True), True, read.u)
    return Frame(read.t, read.k, read.c, (read.d or "").encode(), False, read.u)


def _lines(path: Path) -> Iterator[bytes]:
    number = 0
    rest = b""
    try:
        for chunk in _chunks(path):
            head, *lines = chunk.split(b"\n")
            rest += head
            for line in lines:
                number += 1
                yield rest
                rest = line
    except OSError as error:
        raise CaptureError(path, 0, error.strerror or str(error)) from None
    except (zstandard.ZstdError, EOFError) as error:
        raise CaptureError(path, number + 1, f"zstd: {error}") from None
    if rest:
        yield rest


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        if path.suffix != ".zst":
            while chunk := file.read(_CHUNK):
                yield chunk
            return
        # One object per zstd frame: a reader over the whole file takes a cut end for a good one.
        data = file.read(_CHUNK)
        if not data:
            raise EOFError("file is empty")
        while data:
            frame = zstandard.ZstdDecompressor().decompressobj()
            while True:
                yield frame.decompress(data)
                if frame.eof:
                    break
                data = file.read(_CHUNK)
                if not data:
                    raise EOFError("file is cut short")
            data = frame.unused_data or file.read(_CHUNK)
