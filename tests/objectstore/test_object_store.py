"""Both object stores keep the same promises."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest

from tapeline.errors import CaptureError, StoreUnavailableError, UsageError
from tapeline.objectstore import KEY_BYTES, ObjectMissingError, ObjectStore, StoreRefusedError, open_store
from tapeline.partitions import Partition, object_key, parse_key
from tapeline.raw_days import day_sizes, whole_names
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


def test_a_swap_holds_only_for_what_was_read(store: ObjectStore) -> None:
    """What holds something else, or is or is not there against what was said, stays as it is."""
    assert not store.swap("a/b", b"first", b"second")
    assert store.list("") == []
    assert store.swap("a/b", None, b"first")
    assert not store.swap("a/b", None, b"second")
    assert not store.swap("a/b", b"other", b"second")
    assert store.get("a/b") == b"first"
    assert store.swap("a/b", b"first", b"second")
    assert store.get("a/b") == b"second"


def test_no_swap_of_many_at_once_is_lost(store: ObjectStore) -> None:
    """Eight writers that each add a line to what they have read: every line is there, once."""

    def add(number: int) -> None:
        old = store.get("lines")
        while not store.swap("lines", old, old + b"%d\n" % number):
            old = store.get("lines")

    store.put("lines", b"")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(8)))
    assert sorted(store.get("lines").split()) == [b"%d" % number for number in range(8)]


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


def test_folders_are_the_next_part_of_the_keys(store: ObjectStore) -> None:
    """Each once, with its slash; what is an object there is none."""
    for key in ("a/b/1", "a/b/2", "a/c%2Fd/1", "a/x", "b/y/z", "top"):
        store.put(key, b"")
    assert store.folders("") == ["a/", "b/"]
    assert store.folders("a/") == ["a/b/", "a/c%2Fd/"]
    assert store.folders("a/b/") == store.folders("none/") == []


def test_a_day_is_found_among_others(store: ObjectStore) -> None:
    """Of both instances or of one; what lies beside raw objects is not in it."""
    keys = {}
    for instance in ("PRIMARY", "REPLICA"):
        for day in (1, 2):
            for channel in ("a/b", "c"):
                keys[instance, day, channel] = object_key("", Partition(instance, "X", "MBO", channel, 2026, 8, day), 1, 2, 3)  # fmt: skip
    for key in [*keys.values(), "progress/instance=PRIMARY/provider=X.json", "names/0"]:
        store.put(key, b"12345")
    expected = sorted(key for (_, day, _), key in keys.items() if day == 2)
    assert list(day_sizes(store, date(2026, 8, 2)).items()) == [(key, 5) for key in expected]
    only = day_sizes(store, date(2026, 8, 2), instance="REPLICA", provider="X")
    assert list(only) == [key for key in expected if key.startswith("instance=REPLICA/")]
    assert day_sizes(store, date(2026, 8, 3)) == day_sizes(store, date(2026, 8, 2), provider="Y") == {}


def test_a_name_that_was_cut_is_read_back_whole(store: ObjectStore) -> None:
    """And one that is not what it is called after is refused."""
    partition = Partition("PRIMARY", "X", "MBO", "../" * 300, 2026, 8, 2)
    key = object_key("", partition, 1, 2, 3)
    store.put(key, b"x")
    for name, value in partition.cut_names().items():
        store.put(name, value.encode())
    assert store.list("instance=") == [key]
    assert parse_key(key, whole_names(store)).partition == partition
    store.put("names/" + "0" * 64, b"foreign")
    with pytest.raises(CaptureError, match=r"names/0+: it does not hold"):
        whole_names(store)


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


def test_a_prefix_that_leaves_no_room_for_keys_is_refused(s3_server: RunningS3, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """At once, not at the first long key; the longest that is allowed takes the longest key there is."""
    s3_server.use(monkeypatch)
    with pytest.raises(StoreRefusedError, match="prefix is too long; allowed: 383 bytes"):
        open_store(f"s3://{BUCKET}/{'p' * 384}")
    longest = "/".join(["k" * 127] * 5)
    assert len(longest) == KEY_BYTES - 1
    store = open_store(f"s3://{BUCKET}/{'p' * 200}/{'q' * 182}")
    store.put(longest, b"x")
    assert store.get(longest) == b"x"


def test_a_reader_makes_no_store(tmp_path: Path) -> None:
    """A path that is misspelt is said to be, and nothing is made there."""
    with pytest.raises(StoreRefusedError, match=r"object store directory .*/none is not there"):
        open_store(str(tmp_path / "none"), must_exist=True)
    assert not (tmp_path / "none").exists()


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
    with pytest.raises(StoreRefusedError, match=f"s3://{BUCKET}/p/x: no permission"):
        open_store(f"s3://{BUCKET}/p").put("x", b"")


def test_an_unreachable_store_is_away(s3_server: RunningS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection means try again later."""
    s3_server.use(monkeypatch)
    with pytest.raises(StoreUnavailableError, match="s3://b/p/x"):
        open_store("s3://b/p", endpoint="http://127.0.0.1:9").get("x")
