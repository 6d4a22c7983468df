"""Cuts a byte stream into FIX messages, each proved by its BodyLength and CheckSum; what proves nothing is left out and counted."""

from __future__ import annotations

import re
import zlib
from typing import NamedTuple

_SOH = 1
_MARK = b"8=FIX"
_HEAD = re.compile(rb"8=FIX[^\x01]{0,8}\x019=(\d{1,8})\x0135=([^\x01]{1,8})\x01")
_LONGEST_HEAD = 64
_NUMBER = re.compile(rb"\x0134=(\d{1,10})\x01")
_AGAIN = re.compile(rb"\x0143=Y\x01")
_HEADER = 200
"""Header fields stand in the first so many bytes after the type."""
_TRAILER = re.compile(rb"10=(\d{3})\x01")
_TRAILER_BYTES = 7
_NEXT = re.compile(rb"\x0110=\d{3}\x01(?=8=FIX)")
_LONGEST = 64 << 20
_CHUNK = 256


class Frame(NamedTuple):
    """A proved message: its type (35), number (34; -1 without one), whether it is sent again (43), and all of its bytes."""

    kind: bytes
    number: int
    again: bool
    raw: bytes


def checksum(data: bytes) -> int:
    """The sum of all bytes, modulo 256."""
    total = 0
    for start in range(0, len(data), _CHUNK):
        # Adler's first half is one more than the sum, and so few bytes do not overflow it.
        total += (zlib.adler32(data[start : start + _CHUNK]) & 0xFFFF) - 1
    return total & 0xFF


class Framer:
    """One stream's; `garbled` counts what was left out."""

    def __init__(self) -> None:
        self.garbled = 0
        self._astray = False
        self._buffer = b""
        self._searched = 0

    def feed(self, data: bytes) -> list[Frame]:
        """The messages that are complete now."""
        buffer = self._buffer + data if self._buffer else data
        frames: list[Frame] = []
        start = 0
        while start < len(buffer):
            head = _HEAD.match(buffer, start)
            if head is None:
                if len(buffer) - start < _LONGEST_HEAD and _may_begin(buffer[start:]):
                    break
                start = self._skip(buffer, start)
                continue
            end = head.end(1) + 1 + int(head[1]) + _TRAILER_BYTES
            if end - start > _LONGEST:
                start = self._skip(buffer, start)
            elif end > len(buffer):
                # A length that lies would be waited for in vain: another message behind this one tells.
                if _NEXT.search(buffer, max(start, self._searched)) is None:
                    self._searched = max(start, len(buffer) - _TRAILER_BYTES - len(_MARK) - 1)
                    break
                start = self._skip(buffer, start)
            elif (frame := _proved(buffer, start, head, end)) is None:
                start = self._skip(buffer, start)
            else:
                frames.append(frame)
                start = end
                self._astray = False
        self._buffer = buffer[start:]
        self._searched = max(self._searched - start, 0)
        return frames

    def _skip(self, buffer: bytes, start: int) -> int:
        """Where the next message may begin; a stretch of damage counts once, however it arrives."""
        self.garbled += not self._astray
        self._astray = True
        following = buffer.find(b"\x01" + _MARK, start)
        if following >= 0:
            return following + 1
        # The next mark may be cut in two by the end of what has come.
        cut = next((n for n in range(len(_MARK) - 1, 0, -1) if buffer.endswith(_MARK[:n])), 0)
        return max(len(buffer) - cut, start + 1)


def _may_begin(rest: bytes) -> bool:
    """Whether more bytes could make a message's head of it."""
    return rest.startswith(_MARK) or _MARK.startswith(rest)


def _proved(buffer: bytes, start: int, head: re.Match[bytes], end: int) -> Frame | None:
    trailer = _TRAILER.match(buffer, end - _TRAILER_BYTES)
    raw = buffer[start:end]
    if trailer is None or raw[-_TRAILER_BYTES - 1] != _SOH or int(trailer[1]) != checksum(raw[:-_TRAILER_BYTES]):
        return None
    number = _NUMBER.search(buffer, head.end() - 1, min(end, head.end() + _HEADER))
    if number is None:
        return Frame(head[2], -1, again=False, raw=raw)
    again = _AGAIN.search(buffer, head.end() - 1, min(end, head.end() + _HEADER)) is not None
    return Frame(head[2], int(number[1]), again, raw)
