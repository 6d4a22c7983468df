"""S3 that fails now and then: asked again with back-off, and never believed by half."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tapeline.errors import StoreUnavailableError
from tapeline.objectstore import ObjectStore, open_store
from tests.support.s3_front import Fault, S3Front
from tests.support.s3_server import RunningS3

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def front(s3_server: RunningS3, s3_store: str) -> Iterator[S3Front]:
    """A way to the real S3 on which things go wrong."""
    with S3Front(s3_server.endpoint) as running:
        yield running


@pytest.fixture
def store(front: S3Front, s3_store: str) -> ObjectStore:
    """A store behind it."""
    return open_store(s3_store, front.endpoint)


def test_a_busy_store_is_asked_again(front: S3Front, store: ObjectStore) -> None:
    """Two 503s, then it works, for each kind of call."""
    front.faults = [(method, Fault.BUSY) for method in ("PUT", "PUT", "GET", "GET", "DELETE")]
    assert store.put("a", b"x" * 1000)
    assert store.get("a") == b"x" * 1000
    store.delete("a")
    assert front.requests == ["PUT"] * 3 + ["GET"] * 3 + ["DELETE"] * 2
    assert store.list("") == []


def test_a_store_that_stays_busy_is_away(front: S3Front, store: ObjectStore) -> None:
    """After five tries the caller decides how to wait on; the error says what the store says."""
    front.faults = [("PUT", Fault.BUSY)] * 8
    with pytest.raises(StoreUnavailableError, match=r"s3://.*/a: .*SlowDown"):
        store.put("a", b"x")
    assert front.requests == ["PUT"] * 5


def test_a_put_whose_answer_is_lost_is_there_once(front: S3Front, store: ObjectStore) -> None:
    """It is tried again, finds its own object, and leaves it as it is."""
    front.faults = [("PUT", Fault.UNHEARD)]
    assert not store.put("a", b"first")
    assert front.requests == ["PUT", "PUT"]
    assert store.get("a") == b"first"
    assert not store.put("a", b"second")
    assert store.get("a") == b"first"


def test_an_answer_that_breaks_off_is_read_again(front: S3Front, store: ObjectStore) -> None:
    """Half of an object is never taken for it; where it breaks off for ever, the store is away."""
    data = os.urandom(200_000)
    store.put("a", data)
    front.faults = [("GET", Fault.BROKEN_OFF)] * 2
    assert store.get("a") == data
    front.faults = [("GET", Fault.BROKEN_OFF)] * 8
    with pytest.raises(StoreUnavailableError, match=r"s3://.*/a: "):
        store.get("a")
