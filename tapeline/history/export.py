"""`tapeline export` without its command line: one symbol's records of a span into a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tapeline.errors import UsageError
from tapeline.history.lake_files import LakeFiles
from tapeline.history.span import Span
from tapeline.history.symbol import SymbolRows
from tapeline.history.writers import writer_for
from tapeline.offline.lake import Lake
from tapeline.schemas import Schema


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    provider: str
    rows: int
    bytes: int
    groups_read: int
    """Row groups of the table that had to be read, of all in the days of the span."""
    groups: int


def export(lake: Lake, schema: Schema, symbol: str, provider: str | None, span: Span, path: Path) -> Exported:
    """Writes the file, in place of one that is there; raises NothingThereError, and then there is none."""
    make = writer_for(path)
    rows = SymbolRows(lake, LakeFiles(lake), schema, symbol, span)
    found = rows.provider(provider)
    hidden = path.with_name(f".{path.name}.part")
    try:
        with hidden.open("wb") as file:
            writer = make(file, rows.table, schema, found, symbol, span)
            for batch in rows.batches(found):
                writer.write(batch)
            writer.end()
        size = hidden.stat().st_size
        hidden.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        hidden.unlink(missing_ok=True)
    return Exported(found, writer.rows, size, rows.groups["read"], rows.groups["all"])
