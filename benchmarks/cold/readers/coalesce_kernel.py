"""Both instances' raw objects made one stream by the kernel, channel by channel, as post-process does it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tapeline_kernel import Coalescer

from tapeline.identity import WINDOW_NS
from tapeline.partitions import parse_key
from tapeline.rawfile import decompressed
from tapeline.spec.encode import encode
from tapeline.venues import load

_PIECE = 256 << 10
_TAKEN = 4 << 20


def coalesce(place: str, provider: str) -> list[int]:
    """Messages, and bytes of their payloads."""
    venue = load(provider.lower())
    specs = encode(venue.session.routing), encode(venue.meaning)
    channels: dict[tuple[str, str], list[list[Path]]] = defaultdict(lambda: [[], []])
    for side, instance in enumerate(("PRIMARY", "REPLICA")):
        for path in (Path(place) / f"instance={instance}/provider={provider}").rglob("*.tsv.gz"):
            partition = parse_key(path.as_posix()).partition
            channels[partition.channel, partition.schema][side].append(path)
    messages = size = 0
    for sides in channels.values():
        coalescer = Coalescer(*specs, WINDOW_NS, 2)
        feeds = [_feed(coalescer, side, paths) for side, paths in enumerate(sides)]
        while True:
            merged = coalescer.take(_TAKEN)
            if merged is not None:
                messages += merged.count
                size += len(merged.data)
            elif needs := coalescer.needs():
                for side, feed in enumerate(feeds):
                    if needs & (1 << side):
                        next(feed, None)
            else:
                break
    return [messages, size]


def _feed(coalescer: Coalescer, side: int, paths: list[Path]) -> Iterator[None]:
    for path in sorted(paths, key=lambda path: parse_key(path.as_posix()).first):
        for piece in decompressed(path.read_bytes(), _PIECE):
            coalescer.feed(side, piece)
            yield
        coalescer.boundary(side)
    coalescer.end(side)
    yield
