"""DBN files on disk: written as a stream with true metadata, read back with the stock decoder."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import zstandard
from databento_dbn import DBNDecoder, DBNError, DBNRecord, Metadata, SType
from databento_dbn import Schema as DbnSchema
from databento_dbn.metadata import MappingInterval

from tapeline.errors import CaptureError
from tapeline.schemas import Schema

DBN_VERSION = 3
MAX_DATASET = 15
"""Bytes of a dataset's name that DBN's metadata holds (16 with the closing NUL)."""

_LEVEL = 1
_ZSTD = b"\x28\xb5\x2f\xfd"
_CHUNK = 1 << 20


@dataclass(slots=True)
class _Interval:
    start_date: date
    end_date: date
    symbol: str


@dataclass(slots=True)
class _Mapping:
    raw_symbol: str
    intervals: Sequence[MappingInterval]


def metadata(dataset: str, schema: Schema | None, start: int, end: int, symbols: Mapping[int, str]) -> bytes:
    """Encoded DBN v3 metadata; `schema` None means mixed, times in ns, `symbols` maps instrument ids to raw symbols."""
    span = (_day(start), _day(max(start, end)) + timedelta(days=1))
    mappings = [
        _Mapping(symbol, [_Interval(*span, str(instrument))])
        for instrument, symbol in sorted(symbols.items(), key=lambda item: item[1])
    ]
    return bytes(
        Metadata(
            dataset=dataset[:MAX_DATASET],
            start=start,
            end=end,
            stype_in=SType.from_str("raw_symbol"),
            stype_out=SType.from_str("instrument_id"),
            schema=None if schema is None else DbnSchema.from_str(schema.dbn),
            symbols=[mapping.raw_symbol for mapping in mappings],
            mappings=mappings,
            version=DBN_VERSION,
        )
    )


def _day(ns: int) -> date:
    return datetime.fromtimestamp(ns // 1_000_000_000, UTC).date()


class DbnFile:
    """A `.dbn.zst` being written; it gets its name only when it is complete.

    The metadata names what the records hold, which is known last, so the records are compressed into a file beside and
    the metadata goes before them as a zstd frame of its own.
    """

    def __init__(self, path: Path, dataset: str, schema: Schema | None = None) -> None:
        self._path = path
        self._dataset = dataset
        self._schema = schema
        self._body = path.with_name(f".{path.name}.records")
        self._whole = path.with_name(f".{path.name}.whole")
        self._file: BinaryIO = self._body.open("wb")
        self._records = zstandard.ZstdCompressor(level=_LEVEL).stream_writer(self._file, closefd=False)

    def write(self, data: bytes) -> None:
        """Whole DBN records, back to back."""
        self._records.write(data)

    def finish(self, start: int, end: int, symbols: Mapping[int, str]) -> None:
        """Puts the metadata before the records and gives the file its name; times in ns."""
        self._close_records()
        self._file.close()
        head = metadata(self._dataset, self._schema, start, end, symbols)
        with self._whole.open("wb") as whole, self._body.open("rb") as body:
            whole.write(zstandard.ZstdCompressor(level=_LEVEL).compress(head))
            shutil.copyfileobj(body, whole, _CHUNK)
        self._whole.replace(self._path)
        self._body.unlink()

    def abandon(self) -> None:
        """Removes what has been written so far, if it is not finished."""
        with contextlib.suppress(ValueError, zstandard.ZstdError):
            self._close_records()
        self._file.close()
        self._body.unlink(missing_ok=True)
        self._whole.unlink(missing_ok=True)

    def _close_records(self) -> None:
        self._records.close()  # type: ignore[no-untyped-call]  # zstandard's stub lacks its types

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abandon()


def read_records(path: Path) -> Iterator[DBNRecord | Metadata]:
    """Metadata, then every record of a `.dbn` or `.dbn.zst`; raises CaptureError for what is no whole DBN file."""
    decoder = DBNDecoder()
    try:
        with path.open("rb") as file:
            for chunk in _plain(file, path):
                decoder.write(chunk)
                yield from decoder.decode()
        if decoder.buffer():
            raise CaptureError(path, 0, "file is cut short")
    except OSError as error:
        raise CaptureError(path, 0, error.strerror or str(error)) from None
    except (DBNError, zstandard.ZstdError, ValueError) as error:
        raise CaptureError(path, 0, f"not a DBN file: {error}") from None


def _plain(file: BinaryIO, path: Path) -> Iterator[bytes]:
    magic = file.read(4)
    file.seek(0)
    if magic[:3] == b"DBN":
        while chunk := file.read(_CHUNK):
            yield chunk
        return
    if magic != _ZSTD:
        raise CaptureError(path, 0, "not a DBN file")
    data = file.read(_CHUNK)
    while data:
        frame = zstandard.ZstdDecompressor().decompressobj()
        while not frame.eof:
            if not data:
                raise CaptureError(path, 0, "file is cut short")
            yield frame.decompress(data)
            data = frame.unused_data or file.read(_CHUNK)
