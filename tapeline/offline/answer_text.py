"""A query's answer as exact values, and as a table, JSON or CSV."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterator
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

Value = str | int | float | bool | None | list["Value"] | dict[str, "Value"]

_NUMBERS = (int, float)


def rows(answer: pa.Table) -> Iterator[list[Value]]:
    """Rows of an answer: decimals as their exact text, times as ISO text down to the nanosecond."""
    columns = [_values(column.combine_chunks()) for column in answer.columns]
    for row in zip(*columns, strict=True):
        yield list(row)


def as_json(answer: pa.Table) -> Iterator[str]:
    """A JSON array of objects, a line each."""
    names = answer.column_names
    before = "["
    for row in rows(answer):
        yield before + json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False)
        before = ","
    yield "]" if before == "," else "[]"


def as_csv(answer: pa.Table) -> Iterator[str]:
    """CSV lines with a header; NULL is empty."""
    for row in (answer.column_names, *rows(answer)):
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow([_text(value) for value in row])
        yield line.getvalue()


def as_table(answer: pa.Table) -> Iterator[str]:
    """Aligned columns, numbers to the right, and the number of rows."""
    names = answer.column_names
    body = list(rows(answer))
    texts = [[_text(value) for value in row] for row in body]
    widths = [max([len(name), *(len(row[place]) for row in texts)]) for place, name in enumerate(names)]
    right = [
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        for kind in answer.schema.types
    ]
    yield "  ".join(f"{name:{'>' if r else '<'}{w}}" for name, w, r in zip(names, widths, right, strict=True)).rstrip()
    yield "  ".join("─" * width for width in widths)
    for row in texts:
        yield "  ".join(
            f"{text:{'>' if r else '<'}{w}}" for text, w, r in zip(row, widths, right, strict=True)
        ).rstrip()
    yield f"({len(body)} row{'' if len(body) == 1 else 's'})"


def _values(column: pa.Array) -> list[Value]:
    if pa.types.is_timestamp(column.type):
        return [None if text is None else _iso(text) for text in pc.cast(column, pa.string()).to_pylist()]
    return [_plain(value) for value in column.to_pylist()]


def _iso(text: str) -> str:
    moment, zone = (text[:-1], "Z") if text.endswith("Z") else (text, "")
    whole, point, fraction = moment.partition(".")
    fraction = fraction.rstrip("0")
    return whole.replace(" ", "T") + (point + fraction if fraction else "") + zone


def _plain(value: object) -> Value:
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)


def _decimal(value: Decimal) -> Value:
    exponent = value.as_tuple().exponent
    if exponent == 0:
        return int(value)
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _text(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
