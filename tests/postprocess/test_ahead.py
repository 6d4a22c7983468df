"""Raw objects that are read before they are asked for."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

from postprocess.ahead import Ahead
from tapeline.objectstore import LocalStore, ObjectMissingError

SIZE = 100
_SECONDS = 20.0


class Watched(LocalStore):
    """Notes what is read, and how much was read that has not been asked for."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.read: list[str] = []
        self.asked: set[str] = set()
        self.most = 0
        self.together = threading.Barrier(1)
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes:
        with self._lock:
            self.read.append(key)
            self.most = max(self.most, len(set(self.read) - self.asked))
        self.together.wait(_SECONDS)
        return super().get(key)


@pytest.fixture
def store(tmp_path: Path) -> Watched:
    """Two hundred objects of one size."""
    made = Watched(tmp_path)
    for number in range(200):
        made.put(f"{number:03}", b"%03d" % number * SIZE)
    return made


@pytest.mark.parametrize("shuffled", [0, 5, 200])
def test_each_object_is_read_once_whatever_the_order(store: Watched, shuffled: int) -> None:
    """Asked for as expected, somewhat otherwise, or in any order; and no more is held than was allowed."""
    keys = [f"{number:03}" for number in range(200)]
    chance = random.Random(shuffled)
    asked = sorted(keys, key=lambda key: int(key) + chance.uniform(0, shuffled))
    ahead = Ahead(store, 10 * SIZE)
    ahead.expect((key, SIZE) for key in keys)
    for key in asked:
        store.asked.add(key)
        assert ahead.get(key) == key.encode() * SIZE
    ahead.close()
    assert sorted(store.read) == keys
    assert store.most <= 10


def test_several_are_on_their_way_at_a_time(store: Watched) -> None:
    """Each read ends only when eight have begun."""
    store.together = threading.Barrier(8)
    ahead = Ahead(store, 8 * SIZE)
    ahead.expect((f"{number:03}", SIZE) for number in range(8))
    assert [ahead.get(f"{number:03}")[:3] for number in range(8)] == [b"%03d" % number for number in range(8)]
    ahead.close()


def test_what_cannot_be_read_is_told_to_who_asks_for_it(store: Watched) -> None:
    """The others are read as ever; what nobody asks for is let go."""
    ahead = Ahead(store, 1 << 20)
    ahead.expect([("none", SIZE), ("001", SIZE), ("002", SIZE)])
    assert ahead.get("001")[:3] == b"001"
    with pytest.raises(ObjectMissingError):
        ahead.get("none")
    ahead.close()
