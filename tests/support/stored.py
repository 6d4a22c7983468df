"""Reads an object store as an auditor would, and makes of it what the hot path should have published."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tapeline_kernel import Normalizer

from tapeline import venues
from tapeline.objectstore import open_store
from tapeline.partitions import parse_key
from tapeline.rawfile import read_rows
from tapeline.spec.encode import encode
from tests.support.stream_server import batch

_BATCH = 500


class Stored(NamedTuple):
    """One raw payload in the store; sorts by place in the stream."""

    epoch: int
    sequence: int
    channel: str
    schema: str
    ts_recv: int
    payload: bytes
    connection: int


def stored_payloads(store: Path | str, provider: str) -> list[Stored]:
    """Every payload of a provider, in order; fails where an object's name does not say what it holds."""
    found: list[Stored] = []
    objects = open_store(str(store))
    for key in objects.list(f"instance=PRIMARY/provider={provider}/"):
        name = parse_key(key)
        rows = list(read_rows(objects.get(key), key))
        assert (rows[0].sequence, rows[-1].sequence) == (name.first, name.last), key
        assert {row.epoch for row in rows} == {name.epoch}, key
        place = name.partition
        found += [
            Stored(row.epoch, row.sequence, place.channel, place.schema, row.ts_recv, row.payload, row.connection)
            for row in rows
        ]
    return sorted(found)


def assert_complete(payloads: list[Stored], last: int = 0) -> None:
    """No sequence is missing and none is there twice, from the first of the one epoch on (up to `last`, where given)."""
    assert len({payload.epoch for payload in payloads}) == 1
    sequences = [payload.sequence for payload in payloads]
    doubled = len(sequences) - len(set(sequences))
    assert sequences == list(range(1, len(sequences) + 1)), f"{doubled} doubled, last {sequences[-1]}, {len(sequences)}"
    assert not last or len(sequences) == last


def published_from(payloads: list[Stored], venue: str) -> dict[str, bytes]:
    """What an undisturbed normalizer publishes of these payloads: all records by channel, back to back."""
    half = venues.load(venue)
    kernel = Normalizer(encode(half.meaning), half.provider, "PRIMARY")
    records: dict[str, list[bytes]] = defaultdict(list)
    for start in range(0, len(payloads), _BATCH):
        some = payloads[start : start + _BATCH]
        rows = [(one.channel, one.schema, one.ts_recv, one.payload, one.connection) for one in some]
        data = kernel.normalize(batch(some[0].epoch, some[0].sequence, rows, half.provider)).data
        for words in commands(data):
            if words[0] == b"PUBLISH":
                records[words[1].decode()].append(words[2])
    return {channel: b"".join(parts) for channel, parts in records.items()}


def commands(data: bytes) -> Iterator[list[bytes]]:
    """Redis commands, word by word."""
    place = 0
    while place < len(data):
        count, place = _header(data, place)
        words = []
        for _ in range(count):
            size, place = _header(data, place)
            words.append(data[place : place + size])
            place += size + 2
        yield words


def _header(data: bytes, place: int) -> tuple[int, int]:
    end = data.index(b"\r\n", place)
    return int(data[place + 1 : end]), end + 2
