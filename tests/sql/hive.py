"""The other end of `hive_shell`: asks it, and reads its answers back into Python's values."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import pytest

_READ: dict[str, Callable[[str], object]] = {
    "decimal": Decimal,
    "bytes": base64.b64decode,
    "date": date.fromisoformat,
}
REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Hive:
    """A running shell."""

    process: subprocess.Popen[str]
    asks: IO[str]
    told: IO[str]

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a statement; an error of Hive's or Spark's fails the test."""
        self.asks.write(json.dumps(sql) + "\n")
        self.asks.flush()
        answer = json.loads(self.told.readline())
        assert "error" not in answer, f"{sql}\n{answer['error']}"
        return [tuple(_value(value) for value in row) for row in answer["rows"]]


@contextmanager
def hive_shell(folder: Path) -> Iterator[Hive]:
    """A shell with an empty metastore; skips where there is no Java."""
    if shutil.which("java") is None:
        pytest.skip("no Java on PATH: Hive's parser and SerDes cannot be asked")
    command = [sys.executable, "-m", "tests.sql.hive_shell", str(folder)]
    with (folder / "hive.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
    assert process.stdin
    assert process.stdout
    try:
        first = process.stdout.readline()
        assert first, (folder / "hive.log").read_text()[-2000:]
        assert "ready" in json.loads(first)
        yield Hive(process, process.stdin, process.stdout)
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _value(value: object) -> object:
    if isinstance(value, dict):
        ((kind, text),) = value.items()
        return _READ[kind](text)
    return value
