"""Reads raw objects before they are asked for: over a network, waiting for each of them would be most of a unit's time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from tapeline.objectstore import ObjectStore

READERS = 12
"""Objects on their way at a time; fewer than the store's client has connections."""


class Ahead:
    """Objects of a store, begun in the order in which they are likely to be asked for; use `close`.

    `held_bytes` bounds what has been begun and not been asked for, but for one object.
    """

    def __init__(self, store: ObjectStore, held_bytes: int) -> None:
        self._store = store
        self._held_bytes = held_bytes
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="tapeline-ahead")
        self._expected: deque[tuple[str, int]] = deque()
        self._begun: dict[str, tuple[Future[bytes], int]] = {}
        self._asked: set[str] = set()
        self._held = 0

    def expect(self, objects: Iterable[tuple[str, int]]) -> None:
        """Keys and bytes of objects that will be asked for, once each, roughly in this order."""
        self._expected.extend(objects)
        self._begin()

    def get(self, key: str) -> bytes:
        """An object; raises what the store's `get` raises."""
        self._asked.add(key)
        begun = self._begun.pop(key, None)
        if begun is None:
            # Not expected so soon, or not at all.
            return self._store.get(key)
        future, size = begun
        try:
            return future.result()
        finally:
            self._held -= size
            self._begin()

    def close(self) -> None:
        """Waits for what is on its way, and lets go of it."""
        self._expected.clear()
        self._pool.shutdown(cancel_futures=True)
        self._begun.clear()

    def _begin(self) -> None:
        while self._expected and self._held < self._held_bytes:
            key, size = self._expected.popleft()
            if key not in self._asked:
                self._begun[key] = self._pool.submit(self._store.get, key), size
                self._held += size
