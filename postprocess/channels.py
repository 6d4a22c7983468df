"""One channel of a provider: its raw objects of both instances, coalesced, as columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from isal.igzip_lib import IsalError
from tapeline_kernel import Coalescer

from postprocess.ahead import Ahead
from postprocess.batches import Batch, Integers, of_merged
from postprocess.raw import Broken
from tapeline.errors import RefusedError
from tapeline.identity import WINDOW_NS
from tapeline.objectstore import ObjectMissingError, ObjectStore
from tapeline.rawfile import decompressed

_PIECE = 256 << 10
_ROW = re.compile(rb"(?:\A|\n)\d+\t\d+\t\d+\t(\d+)\t(?:text|base64)\t")
"""A row's beginning, up to when it was received."""
_REFUSALS = 20
"""So many objects that the store refuses are the store's fault."""


class Objects:
    """Raw objects by key, decompressed a piece at a time; what is wrong with one is told to `broken`.

    `ahead_bytes`: how much may be read before it is asked for, 0 where nothing is gained by that. Use `close`.
    """

    def __init__(self, store: ObjectStore, broken: Broken, ahead_bytes: int = 0) -> None:
        self._store = store
        self._ahead = Ahead(store, ahead_bytes) if ahead_bytes else None
        self.broken = broken
        self.unread: set[str] = set()
        """What the store has and would not give: it may do so another time."""

    def expect(self, objects: Iterable[tuple[str, int]]) -> None:
        """Keys and bytes of what will be asked for, in about this order."""
        if self._ahead is not None:
            self._ahead.expect(objects)

    def close(self) -> None:
        """Lets go of what nobody will ask for."""
        if self._ahead is not None:
            self._ahead.close()

    def pieces(self, key: str) -> Iterator[bytes]:
        """As far as it can be read; raises StoreUnavailableError, and StoreRefusedError where it goes on and on."""
        try:
            data = self._ahead.get(key) if self._ahead is not None else self._store.get(key)
        except RefusedError as error:
            if not isinstance(error, ObjectMissingError):
                self.unread.add(key)
                if len(self.unread) > _REFUSALS:
                    raise
            self.broken(key, str(error))
            return
        try:
            yield from decompressed(data, _PIECE)
        except (EOFError, IsalError) as error:  # type: ignore[misc]  # its stub calls the class an instance
            self.broken(key, f"gzip is cut short or broken: {error}")


class ChannelStream:
    """A channel's payloads, once each; `sides` are the keys of each instance's objects, in order."""

    def __init__(
        self, number: int, sides: Sequence[Sequence[str]], specs: tuple[bytes, bytes], objects: Objects
    ) -> None:
        self.number = number
        """Its place among the provider's channels."""
        self._coalescer = Coalescer(*specs, WINDOW_NS, len(sides))
        self._objects = objects
        self._feeds = [self._fed(side, keys) for side, keys in enumerate(sides)]
        self.doubled: list[tuple[int, int]] = []
        """Rows that the store held a second time: how many, and when about (ns)."""

    def take(self, limit_bytes: int) -> Batch | None:
        """See `batches.Stream`."""
        while (merged := self._coalescer.take(limit_bytes)) is None:
            needs = self._coalescer.needs()
            if not needs:
                return None
            for side, feed in enumerate(self._feeds):
                if needs & (1 << side):
                    next(feed, None)
        return of_merged(merged, self.number)

    def _fed(self, side: int, keys: Sequence[str]) -> Iterator[None]:
        """Feeds a side, a piece at each step."""
        stamp = 0
        for key in keys:
            for piece in self._objects.pieces(key):
                before = self._coalescer.duplicates[side]
                self._coalescer.feed(side, piece)
                if (row := _ROW.search(piece)) is not None:
                    stamp = int(row[1])
                if (count := self._coalescer.duplicates[side] - before) > 0:
                    self.doubled.append((count, stamp))
                yield
            try:
                self._coalescer.boundary(side)
            except ValueError as error:
                self._objects.broken(key, str(error))
        self._coalescer.end(side)
        yield


class Sessions:
    """A channel of a single instance: its order is that of the stream, session by session."""

    def __init__(self, stream: ChannelStream, epochs: Integers) -> None:
        self._stream = stream
        self._epochs = epochs

    def take(self, limit_bytes: int) -> Batch | None:
        """See `batches.Stream`."""
        batch = self._stream.take(limit_bytes)
        if batch is not None:
            batch.order = place_in_stream(batch.epoch, batch.sequence, self._epochs)
        return batch


def place_in_stream(epoch: Integers, sequence: Integers, epochs: Integers) -> Integers:
    """A number that rises as a single instance's stream goes on; `epochs` are its sessions, sorted."""
    return np.searchsorted(epochs, epoch).astype(np.int64) << 48 | sequence
