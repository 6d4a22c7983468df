"""Session messages as fields and as bytes, by simplefix; market data is not read here but by the kernel."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import simplefix

Pairs = Iterable[tuple[int, str]]


class FixError(ValueError):
    """A message that proves itself but cannot be read."""


def fields(raw: bytes) -> dict[int, str]:
    """The fields of one whole message, of repeated ones the first; raises FixError."""
    parser = simplefix.FixParser()
    parser.append_buffer(raw)
    try:
        message = parser.get_message()
    except (simplefix.errors.ParsingError, ValueError) as error:
        raise FixError(str(error)) from None
    if message is None or parser.get_buffer():
        raise FixError("no whole message")
    found: dict[int, str] = {}
    for tag, value in message.pairs:
        found.setdefault(int(tag), value.decode("utf-8", "replace"))
    return found


def encoded(version: str, header: Pairs, body: Pairs) -> bytes:
    """A message with its BodyLength and CheckSum."""
    message = simplefix.FixMessage()
    message.append_pair(8, version)
    for tag, value in (*header, *body):
        message.append_pair(tag, value)
    data: bytes = message.encode()
    return data


def instant(clock_ns: int) -> str:
    """A UTCTimestamp with milliseconds, from ns since the epoch."""
    seconds, rest = divmod(clock_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y%m%d-%H:%M:%S}.{rest // 1_000_000:03d}"


def written(text: str) -> list[list[tuple[int, str]]]:
    """Messages as the session language writes them: a line each, fields joined by `|`, `35` first; raises FixError."""
    made = []
    for line in text.splitlines():
        pairs = []
        for field in filter(None, line.split("|")):
            tag, equals, value = field.partition("=")
            if not equals or not tag.isdigit() or not value:
                raise FixError(f"{field!r} is no field")
            pairs.append((int(tag), value))
        if pairs and pairs[0][0] != 35:
            raise FixError(f"{line!r} does not begin with its type")
        if pairs:
            made.append(pairs)
    return made
