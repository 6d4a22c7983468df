"""What a venue says, through the offline path: records, and what became of the rest."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tapeline.offline.dbn_file import read_records
from tapeline.offline.normalizing import Account, normalize_file
from tapeline.venues import load
from tests.oracle.capture import Line, write

Kind = TypeVar("Kind")

START = 1_780_000_000_000_000_000


@dataclass(frozen=True)
class Told:
    """The account of a capture and its records."""

    account: Account
    records: list[object]

    def of(self, kind: type[Kind]) -> list[Kind]:
        """The records of one class."""
        return [record for record in self.records if isinstance(record, kind)]


def told(venue: str, url: str, said: Iterable[object], folder: Path, at: int = START) -> Told:
    """Normalises one connection's messages, a millisecond apart: text, (url, body) for a REST answer, else JSON."""
    lines = [Line(at, "connect", "0", "", url)]
    for place, item in enumerate(said, 1):
        stamp = at + place * 1_000_000
        if isinstance(item, tuple):
            where, body = item
            lines.append(Line(stamp, "http", "0", body if isinstance(body, str) else json.dumps(body), where))
        else:
            lines.append(Line(stamp, "recv", "0", item if isinstance(item, str) else json.dumps(item), ""))
    target = folder / "told.dbn.zst"
    account = normalize_file(load(venue), write(folder / "told.jsonl.zst", lines), target)
    assert account.problem == ""
    return Told(account, list(read_records(target)) if account.records else [])
