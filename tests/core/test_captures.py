"""Reading captures."""

from __future__ import annotations

from pathlib import Path

import pytest
import zstandard

from tapeline.captures import Frame, Kind, read_capture
from tapeline.errors import CaptureError

LINES = [
    b'{"t":1,"k":"connect","c":"0","u":"wss://x/y"}',
    b'{"t":2,"k":"send","c":"0","d":"{\\"op\\":\\"sub\\"}"}',
    b'{"t":3,"k":"recv","c":"0","d":"caf\\u00e9 \\t"}',
    b'{"t":4,"k":"recv","c":"0","b":"AP8="}',
    b'{"t":5,"k":"http","c":"0","u":"https://x/z","d":"[]"}',
]
FRAMES = [
    Frame(1, Kind.CONNECT, "0", b"", False, "wss://x/y"),
    Frame(2, Kind.SEND, "0", b'{"op":"sub"}', False, None),
    Frame(3, Kind.RECV, "0", "café \t".encode(), False, None),
    Frame(4, Kind.RECV, "0", b"\x00\xff", True, None),
    Frame(5, Kind.HTTP, "0", b"[]", False, "https://x/z"),
]


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(zstandard.compress(data) if path.suffix == ".zst" else data)
    return path


@pytest.mark.parametrize("name", ["a.jsonl.zst", "a.jsonl"])
@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n"])
def test_every_kind_of_line_is_read(tmp_path: Path, name: str, end: bytes) -> None:
    """All kinds of lines come as frames, compressed or not, with or without a last line break."""
    assert list(read_capture(write(tmp_path / name, b"\n".join(LINES) + end))) == FRAMES


def test_zstd_frames_one_after_another_are_one_capture(tmp_path: Path) -> None:
    """A capture that was appended to is read to its end, and a line may go over the seam."""
    path = tmp_path / "a.jsonl.zst"
    text = b"\n".join(LINES)
    path.write_bytes(zstandard.compress(text[:70]) + zstandard.compress(text[70:]))
    assert list(read_capture(path)) == FRAMES


@pytest.mark.parametrize(
    "bad",
    [b"{", b"[]", b'{"t":"x","k":"recv","c":"0"}', b'{"t":1,"k":"hum","c":"0"}', b'{"t":1,"k":"recv"}',
     b'{"t":1,"k":"recv","c":"0","b":"%"}', b'{"t":1,"k":"recv","c":"0","d":"\xff"}'],
)  # fmt: skip
def test_a_bad_line_is_named_or_passed_over(tmp_path: Path, bad: bytes) -> None:
    """A line that cannot be read raises with file and line; a caller that counts them gets all the others."""
    path = write(tmp_path / "a.jsonl.zst", b"\n".join([*LINES[:2], bad, *LINES[2:]]))
    with pytest.raises(CaptureError) as caught:
        list(read_capture(path))
    assert (caught.value.path, caught.value.line) == (path, 3)
    problems: list[CaptureError] = []
    assert list(read_capture(path, problems.append)) == FRAMES
    assert [problem.line for problem in problems] == [3]


def test_a_capture_cut_short_gives_its_frames_then_an_error(tmp_path: Path) -> None:
    """A file that ends early is never taken for a whole one."""
    path = tmp_path / "a.jsonl.zst"
    whole = b"".join(b'{"t":%d,"k":"recv","c":"0","d":"%d"}\n' % (number, number * 7919) for number in range(200_000))
    data = zstandard.compress(whole)
    path.write_bytes(data[: len(data) // 2])
    had: list[int] = []

    def read() -> None:
        had.extend(frame.ts for frame in read_capture(path))

    with pytest.raises(CaptureError, match="cut short"):
        read()
    assert had == list(range(len(had)))
    assert had


def test_what_is_no_capture_gives_one_clear_error(tmp_path: Path) -> None:
    """Missing, empty and foreign files, and folders, are each refused by name."""
    for name, data in (("empty.jsonl.zst", b""), ("foreign.jsonl.zst", b"hello")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(CaptureError, match=name):
            list(read_capture(tmp_path / name))
    for path in (tmp_path / "none.jsonl.zst", tmp_path):
        with pytest.raises(CaptureError):
            list(read_capture(path))


def test_every_recording_is_read_to_its_end(recordings: Path) -> None:
    """All captures we have come out whole, in as many frames as their README says payloads, and more."""
    frames = {path.parent.name: sum(1 for _ in read_capture(path)) for path in recordings.rglob("*usdm/btcusdt*.zst")}
    assert frames["binance_usdm"] >= 93_954
