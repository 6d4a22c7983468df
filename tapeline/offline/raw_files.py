"""Raw partitions on disk, in the order of their session: one file, or a directory of many channels' files."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tapeline.errors import CaptureError, PartitionError
from tapeline.partitions import ObjectKey, Partition, parse_key
from tapeline.rawfile import RawRow, read_file

SUFFIX = ".tsv.gz"


class RawPayload(NamedTuple):
    """A row with the channel its partition is of."""

    channel: str
    schema: str
    row: RawRow


@dataclass(frozen=True, slots=True)
class RawFiles:
    """Raw files of one provider and instance, by partition, each partition's in order."""

    instance: str
    provider: str
    files: tuple[tuple[Partition, tuple[Path, ...]], ...]

    def payloads(self, on_bad: Callable[[CaptureError], None]) -> Iterator[RawPayload]:
        """All payloads by epoch and sequence, each once; what a broken file holds beyond its whole rows is told to `on_bad`."""
        streams = [_rows(partition, files, on_bad) for partition, files in self.files]
        last = (-1, -1)
        for payload in heapq.merge(*streams, key=_place):
            # A file that was written again under another name repeats rows.
            if _place(payload) > last:
                last = _place(payload)
                yield payload


def find_raw_files(path: Path, provider: str) -> RawFiles:
    """The provider's raw files at a path (a file in its partition, or a directory above); raises CaptureError."""
    paths = sorted(path.rglob(f"*{SUFFIX}")) if path.is_dir() else [path]
    found: dict[Partition, list[tuple[ObjectKey, Path]]] = defaultdict(list)
    for file in paths:
        key = _key(file)
        if key.partition.provider == provider:
            found[key.partition].append((key, file))
    if not found:
        raise CaptureError(path, 0, f"no raw files of {provider} there")
    instances = {partition.instance for partition in found}
    if len(instances) > 1:
        raise CaptureError(
            path, 0, f"raw files of {' and '.join(sorted(instances))}; give the directory of one instance"
        )
    ordered = tuple(
        (
            partition,
            tuple(file for key, file in sorted(files, key=lambda item: (item[0].epoch, item[0].first, item[0].last))),
        )
        for partition, files in sorted(found.items(), key=lambda item: item[0].prefix())
    )
    return RawFiles(instances.pop(), provider, ordered)


def _key(file: Path) -> ObjectKey:
    try:
        return parse_key(file.absolute().as_posix())
    except PartitionError:
        reason = "a raw file must lie in its partition's folders (instance=…/provider=…/…), which name its channel"
        raise CaptureError(file, 0, reason) from None


def _rows(
    partition: Partition, files: tuple[Path, ...], on_bad: Callable[[CaptureError], None]
) -> Iterator[RawPayload]:
    for file in files:
        try:
            for row in read_file(file):
                yield RawPayload(partition.channel, partition.schema, row)
        except CaptureError as error:
            on_bad(error)


def _place(payload: RawPayload) -> tuple[int, int]:
    return payload.row.epoch, payload.row.sequence
