"""Reads captures with nothing but json and zstd."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import zstandard


@dataclass
class Line:
    """One line of a capture."""

    ts: int
    kind: str
    connection: str
    text: str
    url: str


def lines(path: Path, limit: int | None = None) -> Iterator[Line]:
    """Lines of a capture; with `limit` no more than so many payloads."""
    payloads = 0
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as plain:
        for text in io.TextIOWrapper(plain, encoding="utf-8"):
            line = json.loads(text)
            if line["k"] in ("recv", "http"):
                payloads += 1
                if limit is not None and payloads > limit:
                    return
            yield Line(line["t"], line["k"], line["c"], line.get("d", ""), line.get("u", ""))


def exact(text: str) -> Any:
    """JSON with every number that has a point or an exponent as a Decimal."""
    return json.loads(text, parse_float=Decimal)


def write(path: Path, wanted: list[Line]) -> Path:
    """Writes a capture."""
    rows = []
    for line in wanted:
        row: dict[str, object] = {"t": line.ts, "k": line.kind, "c": line.connection}
        if line.kind != "connect":
            row["d"] = line.text
        if line.url:
            row["u"] = line.url
        rows.append(json.dumps(row, ensure_ascii=False))
    path.write_bytes(zstandard.ZstdCompressor().compress("\n".join([*rows, ""]).encode()))
    return path
