"""Protobuf from JSON and back by a session half's own field list, with marks that can be written over in place."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from tapeline.spec.decoding import Protobuf, ProtoField, ProtoKind

Field = ProtoField
Json = object

NUMBER_WIDTH = 6
"""Bytes of a 42-bit number with all of them written: ids of 12 digits, and the present in ms."""
ID_NUMBER = 0x2AA_AAAA_AAAA | 1 << 41
TIME_NUMBER = 0x155_5555_5555 | 1 << 40
_VARINT, _BYTES = 0, 2
_NO_TEXT = re.compile(r'("(?:[^"\\]|\\.)*")|(#{12})|(~{13})')


def varint(value: int) -> bytes:
    """A number as protobuf writes it; negative ones as 64-bit two's complement."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


ID_BYTES = varint(ID_NUMBER)
TIME_BYTES = varint(TIME_NUMBER)


def numbers(values: npt.NDArray[np.int64]) -> npt.NDArray[np.bytes_]:
    """Numbers below 2^42 in the width of the marks (zeros above them are legal)."""
    text = np.empty((len(values), NUMBER_WIDTH), np.uint8)
    for place in range(NUMBER_WIDTH):
        more = 0x80 if place < NUMBER_WIDTH - 1 else 0
        text[:, place] = (values >> (7 * place)) & 0x7F | more
    return text.view(f"S{NUMBER_WIDTH}")[:, 0]


def with_numbers(text: str) -> str:
    """A line's text whose marks outside of JSON texts are numbers."""

    def number(found: re.Match[str]) -> str:
        if found[1]:
            return found[1]
        return str(ID_NUMBER if found[2] else TIME_NUMBER)

    return _NO_TEXT.sub(number, text)


def fields(spec: Protobuf) -> dict[str, dict[str, ProtoField]]:
    """Fields by message and name."""
    return {message.name: {field.name: field for field in message.fields} for message in spec.messages}


def encode(messages: Mapping[str, Mapping[str, ProtoField]], name: str, content: Mapping[str, Json]) -> bytes:
    """A message, its fields in the order in which they stand; those the list does not know are left out."""
    known = messages[name]
    out = bytearray()
    for key, value in content.items():
        field = known.get(key)
        if field is None or value is None:
            continue
        for entry in value if isinstance(value, list) else [value]:
            out += _field(messages, field, entry)
    return bytes(out)


def _field(messages: Mapping[str, Mapping[str, ProtoField]], field: ProtoField, value: Json) -> bytes:
    if field.kind in (ProtoKind.INTEGER, ProtoKind.ZIGZAG):
        number = int(str(value)) if not isinstance(value, bool) else int(value)
        if field.kind is ProtoKind.ZIGZAG:
            number = number << 1 ^ number >> 63
        return varint(field.number << 3 | _VARINT) + varint(number)
    if field.kind is ProtoKind.MESSAGE:
        inner = encode(messages, field.message, value) if isinstance(value, dict) else b""
    else:
        inner = str(value).encode()
    return varint(field.number << 3 | _BYTES) + varint(len(inner)) + inner


def decode(spec: Protobuf, name: str, payload: bytes) -> dict[str, Json]:
    """The JSON of a message, for faults that change its content; raises ValueError where it is broken."""
    known = {field.number: field for field in next(m for m in spec.messages if m.name == name).fields}
    found: dict[str, Json] = {field.name: [] for field in known.values() if field.repeated}
    place = 0
    while place < len(payload):
        tag, place = _take(payload, place)
        kind, field = tag & 7, known.get(tag >> 3)
        value: Json
        if kind == _VARINT:
            value, place = _take(payload, place)
        elif kind == _BYTES:
            length, place = _take(payload, place)
            value, place = payload[place : place + length], place + length
        else:
            value, place = b"", place + (8 if kind == 1 else 4)
        if field is not None:
            _note(spec, field, value, found)
    return found


def _note(spec: Protobuf, field: ProtoField, value: Json, found: dict[str, Json]) -> None:
    if isinstance(value, bytes):
        value = decode(spec, field.message, value) if field.kind is ProtoKind.MESSAGE else value.decode()
    elif isinstance(value, int) and field.kind is ProtoKind.ZIGZAG:
        value = value >> 1 ^ -(value & 1)
    held = found.get(field.name)
    if isinstance(held, list):
        held.append(value)
    else:
        found[field.name] = value


def _take(payload: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(payload):
        byte = payload[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
    raise ValueError("protobuf ends within a number")
