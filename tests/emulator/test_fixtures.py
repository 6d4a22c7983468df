"""The committed captures are what their script makes, small, and whole."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from emulator.run import Options
from tapeline.captures import Kind, read_capture
from tests.emulator.client import HOSTS, running, subscribe
from tests.fixtures.make_captures import CHANNELS, record

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
VENUES = sorted(CHANNELS)
# Frames of the others are packed, or each connection's own; tests/emulator/test_transports.py replays such.
PLAIN = [venue for venue in VENUES if venue in HOSTS]
COMPRESSED_AT_MOST, AT_MOST = 90_000, 30_000


@pytest.mark.parametrize("venue", VENUES)
def test_committed_capture_is_what_the_script_makes(venue: str) -> None:
    """Run the script again after a change of the markets; nothing in a capture is written by hand."""
    path = FIXTURES / "captures" / f"{venue}.jsonl.zst"
    frames = list(read_capture(path))
    packed = any(frame.binary for frame in frames)
    assert path.stat().st_size <= (COMPRESSED_AT_MOST if packed else AT_MOST)
    made = [_data(line) for line in record(venue) if line["k"] != "connect"]
    assert made == [frame.data for frame in frames if frame.kind is not Kind.CONNECT]


def _data(line: dict[str, object]) -> bytes:
    return str(line["d"]).encode() if "d" in line else base64.b64decode(str(line["b"]))


@pytest.mark.parametrize("venue", PLAIN)
async def test_committed_capture_replays_whole(venue: str) -> None:
    """All of its data frames come over a socket again, its REST answers over HTTP."""
    path = FIXTURES / "captures" / f"{venue}.jsonl.zst"
    frames = list(read_capture(path))
    async with running(Options((venue,), capture=path, speed=0)) as emulator:
        served = emulator.emulator.channels()[venue]
        client = await emulator.connect(venue, *subscribe(venue, served))
        for answer in frames:
            if answer.kind is Kind.HTTP:
                assert answer.url is not None
                got = await emulator.get(f"{venue}/{answer.url.removeprefix('https://')}")
                assert got.content == answer.data
        await client.until(lambda: emulator.emulator.over)
        sent = sum(emulator.sent(venue).values())
        data = {frame.data for frame in frames if frame.kind is Kind.RECV}
        await client.until(lambda: sum(frame in data for frame in client.frames) >= sent)
        assert sent >= 600
