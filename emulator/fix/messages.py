"""FIX messages as an acceptor reads and writes them; by simplefix, but for market data, of which there is too much."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

import simplefix

SOH = b"\x01"
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)-(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?")
_HEADER = re.compile(rb"(?<![^\x01])(?:8|9|34|49|52|56|10)=[^\x01]*\x01")


class Reader:
    """Messages of one client; `garbled` counts those whose BodyLength, CheckSum or field order is wrong."""

    def __init__(self) -> None:
        self.garbled = 0
        self._parser = simplefix.FixParser()

    def feed(self, data: bytes) -> list[tuple[dict[int, str], bytes]]:
        """Whole and proved messages: their fields (of repeated ones the first) and their bytes."""
        self._parser.append_buffer(data)
        messages = []
        while True:
            try:
                message = self._parser.get_message()
            except (simplefix.errors.ParsingError, ValueError):
                self.garbled += 1
                self._parser.reset()
                break
            if message is None:
                break
            raw = message.encode(raw=True)
            # Encoded anew it has the right length, checksum and beginning.
            if message.message_type is None or message.encode() != raw:
                self.garbled += 1
                continue
            fields: dict[int, str] = {}
            for tag, value in message.pairs:
                fields.setdefault(int(tag), value.decode("utf-8", "replace"))
            messages.append((fields, raw))
        return messages


def body(kind: str, *pairs: tuple[int, object]) -> bytes:
    """A message without its header: `35=…` and fields."""
    return b"".join(f"{tag}={value}\x01".encode() for tag, value in ((35, kind), *pairs))


def written(version: str, header: Iterable[tuple[int, object]], made: bytes) -> bytes:
    """A whole message of a body that begins with its type."""
    kind, _, rest = made.partition(SOH)
    inner = kind + SOH + b"".join(b"%d=%b\x01" % (tag, str(value).encode()) for tag, value in header) + rest
    whole = b"8=%b\x019=%d\x01%b" % (version.encode(), len(inner), inner)
    return b"%b10=%03d\x01" % (whole, sum(whole) & 0xFF)


def stripped(message: bytes) -> bytes:
    """The body of a whole message, as `written` takes it."""
    return _HEADER.sub(b"", message)


def timestamp(now_ns: int) -> str:
    """A UTCTimestamp with microseconds."""
    seconds, rest = divmod(now_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y%m%d-%H:%M:%S}.{rest // 1000:06d}"


def instant(text: str) -> int:
    """A UTCTimestamp as ns since the epoch; -1 where it is none."""
    found = _TIME.fullmatch(text)
    if found is None:
        return -1
    try:
        whole = datetime(*(int(part) for part in found.groups()[:6]), tzinfo=UTC)  # type: ignore[arg-type,misc]
    except ValueError:
        return -1
    return int(whole.timestamp()) * 1_000_000_000 + int((found[7] or "").ljust(9, "0"))
