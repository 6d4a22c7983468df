"""Both object stores keep the same promises."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tapeline.errors import StoreUnavailableError, UsageError
from tapeline.objectstore import ObjectMissingError, ObjectStore, StoreRefusedError, open_store
from tests.support.s3_server import BUCKET, RunningS3

# An S3 server takes seconds to start.
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    """Each store in turn, empty."""
    if request.param == "local":
        yield open_store(str(tmp_path / "store"))
    else:
        yield open_store(request.getfixturevalue("s3_store"))


def test_an_object_comes_back_as_it_was_put(store: ObjectStore) -> None:
    """Bytes of any kind and the percent signs of our keys survive."""
    data = os.urandom(300_000)
    assert store.put("instance=PRIMARY/channel=a%2Fb%25/1-2-3.tsv.gz", data)
    assert store.get("instance=PRIMARY/channel=a%2Fb%25/1-2-3.tsv.gz") == data


def test_a_taken_key_is_left_alone(store: ObjectStore) -> None:
    """A conditional put of a taken key says so and changes nothing; an unconditional one replaces."""
    assert store.put("a/b", b"first")
    assert not store.put("a/b", b"second")
    assert store.get("a/b") == b"first"
    assert store.put("a/b", b"third", if_absent=False)
    assert store.get("a/b") == b"third"


def test_one_of_many_writers_wins(store: ObjectStore) -> None:
    """Sixteen conditional puts at once: exactly one is told that it wrote."""
    gate = threading.Barrier(16)

    def write(number: int) -> bool:
        gate.wait()
        return store.put("race", b"%d" % number)

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(write, range(16)))
    assert won.count(True) == 1
    assert store.get("race") == b"%d" % won.index(True)


def test_list_gives_keys_by_their_beginning(store: ObjectStore) -> None:
    """A prefix is text, not a folder, and the answer is sorted."""
    for key in ("p/day=01/1-1-2", "p/day=01/1-3-4", "p/day=01/10-1-1", "p/day=02/1-5-6", "q/x"):
        store.put(key, b"")
    assert store.list("p/day=01/1-") == ["p/day=01/1-1-2", "p/day=01/1-3-4"]
    assert store.list("p/day=0") == ["p/day=01/1-1-2", "p/day=01/1-3-4", "p/day=01/10-1-1", "p/day=02/1-5-6"]
    assert store.list("") == ["p/day=01/1-1-2", "p/day=01/1-3-4", "p/day=01/10-1-1", "p/day=02/1-5-6", "q/x"]
    assert store.list("none/of/this") == []


def test_sizes_are_those_of_the_objects(store: ObjectStore) -> None:
    """The same keys as a listing gives, in the same order, with their bytes."""
    for key, size in (("p/b", 3), ("p/a/x", 0), ("p/a/y", 70_000), ("q", 5)):
        store.put(key, b"x" * size)
    assert list(store.sizes("p/").items()) == [("p/a/x", 0), ("p/a/y", 70_000), ("p/b", 3)]
    assert list(store.sizes("")) == store.list("") == ["p/a/x", "p/a/y", "p/b", "q"]
    assert store.sizes("none/") == {}


def test_a_deleted_object_is_gone(store: ObjectStore) -> None:
    """Deleting twice is no error; reading what is gone is one of its own kind."""
    store.put("a/b", b"x")
    store.delete("a/b")
    store.delete("a/b")
    with pytest.raises(ObjectMissingError, match="a/b"):
        store.get("a/b")
    assert store.list("") == []


@pytest.mark.parametrize("key", ["../x", "/x", "a//b", "a/./b", "", ".incoming/x", "a\0b"])
def test_a_local_store_refuses_keys_that_leave_it(key: str, tmp_path: Path) -> None:
    """A key is a name below the root, nothing else."""
    with pytest.raises(StoreRefusedError, match="object key"):
        open_store(str(tmp_path)).put(key, b"x")


def test_a_local_store_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    """The error names the place and the reason."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreRefusedError, match=r"file/below cannot be used: Not a directory"):
        open_store(f"file://{tmp_path}/file/below")


def test_a_process_killed_in_a_put_leaves_nothing_to_see(tmp_path: Path) -> None:
    """What lies half written in the incoming folder is in no listing."""
    store = open_store(str(tmp_path))
    store.put("a", b"1")
    (tmp_path / ".incoming" / "123-abc").write_bytes(b"half")
    assert store.list("") == ["a"]


@pytest.mark.parametrize("url", ["", "gs://bucket/x", "s3://", "s3:///prefix", "s3://b/p?x=1", "file://host/x"])
def test_a_url_of_no_store_is_wrong_usage(url: str) -> None:
    """The error shows what was given."""
    with pytest.raises(UsageError, match="object store"):
        open_store(url)


def test_a_wrong_bucket_is_refused_by_name(s3_server: RunningS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """No retry helps a bucket that is not there."""
    s3_server.use(monkeypatch)
    with pytest.raises(StoreRefusedError, match="s3://no-such-bucket/p/: there is no such bucket"):
        open_store("s3://no-such-bucket/p").get("x")


def test_wrong_credentials_are_refused(s3_server: RunningS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong secret and an unknown key each say which."""
    s3_server.use(monkeypatch, secret_key="wrong")
    with pytest.raises(StoreRefusedError, match="secret key does not fit"):
        open_store(f"s3://{BUCKET}/p").put("x", b"")
    s3_server.use(monkeypatch, access_key="nobody")
    with pytest.raises(StoreRefusedError, match="access key is unknown"):
        open_store(f"s3://{BUCKET}/p").put("x", b"")


def test_a_reader_may_not_write(s3_server: RunningS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """No permission is said as such."""
    s3_server.use(monkeypatch, "reader", "reader-secret")
    with pytest.raises(StoreRefusedError, match="no permission"):
        open_store(f"s3://{BUCKET}/p").put("x", b"")


def test_an_unreachable_store_is_away(s3_server: RunningS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection means try again later."""
    s3_server.use(monkeypatch)
    with pytest.raises(StoreUnavailableError, match="s3://b/p/x"):
        open_store("s3://b/p", endpoint="http://127.0.0.1:9").get("x")
