"""A message of an OKX book is lost: its checksum, or since 2026 its sequence, tells at which message, and a snapshot heals it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.oracle.capture import Line, exact, lines, write
from tests.oracle.okx import Okx, checksum
from tests.oracle.test_gaps import Run, run


def _said(recordings: Path) -> tuple[list[Line], str, list[int]]:
    """The recording, the channel of its busiest book, and where that one's updates stand."""
    said = list(lines(recordings / "okx" / "v5_20220227.jsonl.zst"))
    updates: dict[str, list[int]] = {}
    for number, line in enumerate(said):
        if line.kind == "recv" and '"action":"update"' in line.text:
            updates.setdefault(exact(line.text)["arg"]["instId"], []).append(number)
    symbol, places = max(updates.items(), key=lambda item: len(item[1]))
    return said, symbol, places


def _told(said: list[Line]) -> Okx:
    """The oracle, having heard lines."""
    told = Okx()
    for line in said:
        if line.kind == "recv":
            told.feed(line)
    return told


def _snapshot(told: Okx, symbol: str, last: Line) -> Line:
    """The book as the venue would send it now."""
    book = told.books[f"books-l2-tbt.{symbol}"]
    sides = {
        name: [book.written[s, price] for price, _ in book.book.best(s)] for s, name in (("A", "asks"), ("B", "bids"))
    }
    message = exact(last.text)
    data: dict[str, Any] = {**sides, "ts": message["data"][0]["ts"], "checksum": checksum(book.book, book.written)}
    text = json.dumps({"arg": message["arg"], "action": "snapshot", "data": [data]})
    return Line(last.ts, "recv", last.connection, text, "")


def _healed(recordings: Path, folder: Path, place: int, numbered: bool) -> tuple[Run, Run, str, int]:
    """The recording without one update but with a snapshot later; whole; the symbol; where the loss shows at the earliest."""
    said, symbol, updates = _said(recordings)
    if numbered:
        said = [_with_numbers(line, symbol, number) for number, line in enumerate(said)]
    lost, after, known = updates[place], updates[place + 1], updates[place + 400]
    fresh = _snapshot(_told(said[: known + 1]), symbol, said[known])
    if numbered:
        fresh = _with_numbers(fresh, symbol, known)
    harmed = [*said[:lost], *said[lost + 1 : known], fresh, *said[known + 1 :]]
    healed = run("okx", write(folder / "healed.jsonl.zst", harmed))
    whole = run("okx", write(folder / "whole.jsonl.zst", said))
    routed = sum(line.kind == "recv" and '"data"' in line.text for line in said[:after])
    return healed, whole, symbol, routed


_FROM = 1_795_000_000_000_000_000
"""Late in 2026, when there are no checksums."""
_last: dict[str, int] = {}


def _with_numbers(line: Line, symbol: str, number: int) -> Line:
    """A line as it would be today: later, its book counted."""
    later = Line(line.ts - 1_646_003_666_640_868_200 + _FROM, line.kind, line.connection, line.text, line.url)
    if line.kind != "recv" or '"action"' not in line.text:
        return later
    message = json.loads(line.text)
    name, data = message["arg"]["instId"], message["data"][0]
    first = message["action"] == "snapshot"
    data |= {"checksum": 0, "prevSeqId": -1 if first else _last[name], "seqId": 10 + 3 * number}
    _last[name] = data["seqId"]
    return Line(later.ts, line.kind, line.connection, json.dumps(message), "")


@pytest.mark.parametrize("place", [40, 150, 700])
def test_a_loss_is_found_by_the_checksum(recordings: Path, tmp_path: Path, place: int) -> None:
    """The first checksum that the book does not meet ends the trust in it; the snapshot brings it back."""
    healed, whole, symbol, routed = _healed(recordings, tmp_path, place, numbered=False)
    found = healed.of("checksum")
    assert len(found) == 1
    assert (found[0].symbol, found[0].sequence >= routed) == (symbol, True)
    _same(healed, whole)


@pytest.mark.parametrize("place", [3, 150, 700])
def test_a_loss_is_found_by_the_sequence(recordings: Path, tmp_path: Path, place: int) -> None:
    """The very next update names one that never came."""
    healed, whole, symbol, routed = _healed(recordings, tmp_path, place, numbered=True)
    (gap,) = healed.of("gap")
    assert (gap.symbol, gap.sequence) == (symbol, routed)
    assert whole.of("gap") == []
    _same(healed, whole)


def _same(healed: Run, whole: Run) -> None:
    """All books end alike, and nothing was rejected."""
    assert [event.kind for event in healed.events if event.kind == "recovered"] == ["recovered"]
    assert healed.kernel.counters()["rejected"] == {}
    for symbol in whole.kernel.symbols().values():
        for bids in (True, False):
            assert healed.book(symbol).side(bids) == whole.book(symbol).side(bids)
