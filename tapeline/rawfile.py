"""The dialect of raw files: gzip of tab-separated, unquoted rows, payload last, exactly as received.

Columns: `epoch, sequence, connection, ts_recv, encoding, payload`; no header. `encoding` is `text` where the payload is
UTF-8 without tab, line break or NUL, else `base64`. (Quoted CSV is read wrongly by Athena's SerDes.)
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from isal import igzip, isal_zlib
from isal.igzip_lib import IsalError

from tapeline.errors import CaptureError

COLUMNS = ("epoch", "sequence", "connection", "ts_recv", "encoding", "payload")

# isal's own default, 3, gives five per cent more for four times the CPU.
_LEVEL = 2

_GZIP = b"\x1f\x8b"

# What a SerDe would take for NULL.
_NULL = rb"\N"


class RawRow(NamedTuple):
    """One payload; times in ns since the epoch."""

    epoch: int
    sequence: int
    connection: int
    ts_recv: int
    payload: bytes


def encode_row(row: RawRow) -> bytes:
    """One row with its line break."""
    return encode_fields(row.epoch, row.sequence, row.connection, row.ts_recv, row.payload)


def encode_fields(epoch: int, sequence: int, connection: int, ts_recv: int, payload: bytes) -> bytes:
    """One row with its line break, from its fields."""
    if is_text(payload):
        return b"%d\t%d\t%d\t%d\ttext\t%b\n" % (epoch, sequence, connection, ts_recv, payload)
    coded = binascii.b2a_base64(payload, newline=False)
    return b"%d\t%d\t%d\t%d\tbase64\t%b\n" % (epoch, sequence, connection, ts_recv, coded)


def encode_rows(rows: Iterable[RawRow]) -> bytes:
    """Rows back to back, not compressed."""
    return b"".join([encode_row(row) for row in rows])


def is_text(payload: bytes) -> bool:
    """Whether a payload can stand in a row as it is."""
    if b"\n" in payload or b"\t" in payload or b"\r" in payload or b"\0" in payload or payload == _NULL:
        return False
    if payload.isascii():
        return True
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def compress(rows: bytes) -> bytes:
    """Gzip of encoded rows; the same rows always give the same bytes."""
    return bytes(igzip.compress(rows, _LEVEL, mtime=0))


def read_rows(data: bytes, name: Path | str = "raw file") -> Iterator[RawRow]:
    """Rows of a gzip object, in order.

    Every whole row is given before CaptureError is raised for one that is broken, or for an object that is cut short.
    """
    for number, line in enumerate(read_lines(data, name), 1):
        try:
            yield decode_row(line)
        except ValueError as error:
            raise CaptureError(name, number, str(error)) from None


def read_lines(data: bytes, name: Path | str = "raw file") -> Iterator[bytes]:
    """Rows of a gzip object as they stand there, without their line breaks; raises CaptureError as `read_rows` does."""
    if not data:
        raise CaptureError(name, 0, "it is empty")
    if data[:2] != _GZIP[: len(data)]:
        raise CaptureError(name, 0, "it is no gzip file")
    number = 0
    rest = b""
    try:
        for piece in decompressed(data):
            *lines, rest = (rest + piece).split(b"\n")
            number += len(lines)
            yield from lines
    except EOFError:
        raise CaptureError(name, number + 1, "gzip is cut short") from None
    except IsalError as error:  # type: ignore[misc]  # its stub calls the class an instance
        raise CaptureError(name, number + 1, f"gzip is broken: {error}") from None
    if rest:
        raise CaptureError(name, number + 1, "row is cut short")


def read_file(path: Path) -> Iterator[RawRow]:
    """Rows of a raw file on disk; raises CaptureError as `read_rows` does."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CaptureError(path, 0, error.strerror or str(error)) from None
    return read_rows(data, path)


def decode_row(line: bytes) -> RawRow:
    """One row, without its line break; raises ValueError."""
    fields = line.split(b"\t", 5)
    if len(fields) != len(COLUMNS):
        raise ValueError(f"row has {len(fields)} of {len(COLUMNS)} columns")
    epoch, sequence, connection, ts_recv, encoding, payload = fields
    if encoding == b"base64":
        payload = binascii.a2b_base64(payload, strict_mode=True)
    elif encoding != b"text":
        raise ValueError(f"encoding {encoding!r} is not text or base64")
    return RawRow(_integer(epoch), _integer(sequence), _integer(connection), _integer(ts_recv), payload)


def _integer(text: bytes) -> int:
    if not text.isdigit():
        raise ValueError(f"{text[:40]!r} is no number")
    return int(text)


def decompressed(data: bytes, piece: int = 1 << 20) -> Iterator[bytes]:
    """A gzip object's content, up to `piece` bytes at a time; raises EOFError or IsalError behind what is whole in it."""
    rest = data
    if not rest:
        raise EOFError("nothing is in it")
    while rest:
        member = isal_zlib.decompressobj(wbits=31)
        while True:
            chunk = member.decompress(rest, piece)
            if chunk:
                yield chunk
            if member.eof:
                break
            if not chunk and not member.unconsumed_tail:
                raise EOFError("no end of stream")
            rest = member.unconsumed_tail
        rest = member.unused_data.lstrip(b"\0")
