"""A query's answer as exact values, the same whichever engine gave it, and as a table, JSON or CSV."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

Value = str | int | float | bool | None | list["Value"] | dict[str, "Value"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows of plain values: decimals as their exact text, times as ISO text down to the nanosecond, in UTC."""

    names: list[str]
    numeric: list[bool]
    """Whether a column's values are numbers; they stand to the right."""
    rows: list[list[Value]]


def of_arrow(table: pa.Table) -> Answer:
    """The answer in an Arrow table."""
    columns: list[list[Value]] = [_values(column.combine_chunks()) for column in table.columns]
    numeric = [
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        for kind in table.schema.types
    ]
    return Answer(list(table.column_names), numeric, [list(row) for row in zip(*columns, strict=True)])


def as_json(answer: Answer) -> Iterator[str]:
    """A JSON array of objects, a line each."""
    before = "["
    for row in answer.rows:
        yield before + json.dumps(dict(zip(answer.names, row, strict=True)), ensure_ascii=False)
        before = ","
    yield "]" if before == "," else "[]"


def as_csv(answer: Answer) -> Iterator[str]:
    """CSV lines with a header; NULL is empty."""
    header: list[Value] = [*answer.names]
    for row in (header, *answer.rows):
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow([_text(value) for value in row])
        yield line.getvalue()


def as_table(answer: Answer) -> Iterator[str]:
    """Aligned columns, numbers to the right, and the number of rows."""
    names = answer.names
    texts = [[_text(value) for value in row] for row in answer.rows]
    widths = [max([len(name), *(len(row[place]) for row in texts)]) for place, name in enumerate(names)]
    signs = [">" if right else "<" for right in answer.numeric]
    yield "  ".join(f"{name:{sign}{w}}" for name, w, sign in zip(names, widths, signs, strict=True)).rstrip()
    yield "  ".join("─" * width for width in widths)
    for row in texts:
        yield "  ".join(f"{text:{sign}{w}}" for text, w, sign in zip(row, widths, signs, strict=True)).rstrip()
    yield f"({len(texts)} row{'' if len(texts) == 1 else 's'})"


def of_bytes(data: bytes) -> str:
    """Bytes as the text they are, else as base64."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return base64.b64encode(data).decode()


def of_decimal(text: str) -> int | str:
    """A decimal's plain text without zeros at its end; of a type without decimal places, an integer."""
    return text.rstrip("0").rstrip(".") if "." in text else int(text)


def of_time(text: str) -> str:
    """`2026-03-29 01:02:03.400000` in UTC as `2026-03-29T01:02:03.4Z`."""
    moment = text.removesuffix("Z").removesuffix(" UTC")
    whole, point, fraction = moment.partition(".")
    fraction = fraction.rstrip("0")
    return whole.replace(" ", "T") + (point + fraction if fraction else "") + "Z"


def _values(column: pa.Array) -> list[Value]:
    if pa.types.is_timestamp(column.type):
        return [None if text is None else of_time(text) for text in pc.cast(column, pa.string()).to_pylist()]
    return [_plain(value) for value in column.to_pylist()]


def _plain(value: object) -> Value:
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Decimal):
        return of_decimal(f"{value:f}")
    if isinstance(value, bytes):
        return of_bytes(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)


def _text(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
