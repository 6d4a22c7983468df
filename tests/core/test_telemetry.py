"""Counters, events and the lines that processes print."""

from __future__ import annotations

import asyncio
import io
import json

import pytest

from tapeline import telemetry
from tapeline.telemetry import Level, StatsPrinter, Telemetry


def test_counters_are_kept_by_labels() -> None:
    """A counter has a value for each set of labels, and one over all."""
    own = Telemetry()
    own.count("rejected", reason="kind", venue="x")
    own.count("rejected", 2, venue="x", reason="kind")
    own.count("rejected", 4, reason="number", venue="x")
    assert own.value("rejected", reason="kind", venue="x") == 3
    assert own.value("rejected") == 7
    assert own.counters() == {"rejected{reason=kind,venue=x}": 3, "rejected{reason=number,venue=x}": 4}


def test_an_event_is_counted_even_where_it_is_not_written() -> None:
    """An event below the level leaves no line, but is in the count."""
    stream = io.StringIO()
    own = Telemetry(stream, Level.WARNING)
    own.event("quiet", Level.INFO)
    own.event("loud", Level.ERROR, symbol="BTC", left=3, what=OSError("gone"))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["event"], line["level"], line["symbol"], line["what"]) for line in lines] == [
        ("loud", "ERROR", "BTC", "gone")
    ]
    assert own.counters() == {"quiet": 1, "loud": 1}


async def test_stats_are_lines_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    """A process tells that it is ready, then how it does, then that it is done, a JSON object a line."""
    telemetry.ready(port=4242)
    reads = 0
    enough = asyncio.Event()

    def read() -> dict[str, object]:
        nonlocal reads
        reads += 1
        if reads == 2:
            enough.set()
        return {"payloads": reads}

    async with StatsPrinter(read, interval=0.01):
        await enough.wait()
    telemetry.done()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == {"event": "ready", "port": 4242}
    assert [line["payloads"] for line in lines[1:-1]] == list(range(1, reads + 1))
    assert all("cpu_seconds" in line for line in lines[1:-1])
    assert lines[-1] == {"event": "done"}
