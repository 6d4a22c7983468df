"""The few fields of an encoded SubscribeResponse that the session manager itself must read."""

from __future__ import annotations

_BATCH, _CHANNEL, _PAYLOAD = 0x0A, 0x2A, 0x32
_NAME = 0x0A
_OF_CHANNEL, _OF_CONNECTION = 0x08, 0x18
_WIRE_FIXED64, _WIRE_BYTES = 1, 2


class ChannelReader:
    """Reads the channel table, which stands before the payloads; remembers the entries it has seen."""

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}

    def channels(self, response: bytes) -> list[str]:
        """The ids of the channels that have payloads in a batch; none of anything but a batch."""
        if not response or response[0] != _BATCH:
            return []
        _, place = _varint(response, 1)
        found: list[str] = []
        end = len(response)
        while place < end:
            tag = response[place]
            if tag == _PAYLOAD:
                break
            if tag & 7 == _WIRE_BYTES:
                length, start = _varint(response, place + 1)
                place = start + length
                if tag == _CHANNEL:
                    found.append(self._name(response[start:place]))
            elif tag & 7 == _WIRE_FIXED64:
                place += 9
            else:
                _, place = _varint(response, place + 1)
        return found

    def by_connection(self, response: bytes) -> dict[int, set[str]]:
        """The ids of the channels that have payloads in a batch, by connection: dearer, since every payload is looked at."""
        found: dict[int, set[str]] = {}
        if not response or response[0] != _BATCH:
            return found
        channels: list[str] = []
        _, place = _varint(response, 1)
        end = len(response)
        while place < end:
            tag = response[place]
            if tag & 7 == _WIRE_FIXED64:
                place += 9
            elif tag & 7 == _WIRE_BYTES:
                length, start = _varint(response, place + 1)
                place = start + length
                if tag == _CHANNEL:
                    channels.append(self._name(response[start:place]))
                elif tag == _PAYLOAD:
                    channel, connection = _carried(response, start, place)
                    found.setdefault(connection, set()).add(channels[channel])
            else:
                _, place = _varint(response, place + 1)
        return found

    def _name(self, entry: bytes) -> str:
        name = self._names.get(entry)
        if name is None:
            text = b""
            if entry and entry[0] == _NAME:
                length, start = _varint(entry, 1)
                text = entry[start : start + length]
            name = self._names[entry] = text.decode()
        return name


def _carried(data: bytes, place: int, end: int) -> tuple[int, int]:
    """A payload's channel (by index) and connection, which stand before its bytes."""
    channel = connection = 0
    while place < end:
        tag = data[place]
        if tag & 7 == _WIRE_FIXED64:
            place += 9
        elif tag & 7 == _WIRE_BYTES:
            break
        else:
            value, place = _varint(data, place + 1)
            if tag == _OF_CHANNEL:
                channel = value
            elif tag == _OF_CONNECTION:
                connection = value
    return channel, connection


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = data[place]
    if value < 0x80:
        return value, place + 1
    value &= 0x7F
    shift = 7
    while True:
        place += 1
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place + 1
        shift += 7
