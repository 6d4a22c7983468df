"""Keys of raw objects."""

from __future__ import annotations

from datetime import date
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.errors import PartitionError
from tapeline.objectstore import KEY_BYTES
from tapeline.partitions import ObjectKey, Partition, object_key, parse_key

VALUES = (
    st.text(alphabet="aZ0.-_/@=%*?! é\U0001f600", max_size=16)
    | st.just("__HIVE_DEFAULT_PARTITION__")
    | st.builds(lambda part, times, end: part * times + end, st.sampled_from(["é", "a/", "..", "%", "\U0001f600x"]), st.integers(1, 500), st.text(max_size=3))
    | st.just("a!" + "0" * 64)
)  # fmt: skip
DAYS = st.dates(min_value=date(1970, 1, 1))
NUMBERS = st.integers(min_value=0, max_value=2**64 - 1)
PARTITIONS = st.builds(
    lambda a, b, c, d, day: Partition(a, b, c, d, day.year, day.month, day.day), VALUES, VALUES, VALUES, VALUES, DAYS
)


@given(PARTITIONS, NUMBERS, NUMBERS, NUMBERS, st.sampled_from(["", "raw", "a/b/", "instance=x/y"]))
def test_a_key_comes_back_as_it_was(partition: Partition, epoch: int, first: int, last: int, prefix: str) -> None:
    """Parsing undoes building, whatever the venue's id holds, however long it is, and whatever the prefix is."""
    key = object_key(prefix, partition, epoch, first, last)
    assert parse_key(key, partition.cut_names()) == ObjectKey(partition, epoch, first, last)
    assert "//" not in key
    bare = object_key("", partition, epoch, first, last)
    assert bare.isascii()
    assert len(bare) <= KEY_BYTES
    assert max(map(len, bare.split("/"))) <= 255


@given(PARTITIONS, PARTITIONS)
def test_two_partitions_never_share_a_prefix(one: Partition, other: Partition) -> None:
    """Not even where both are cut, or one looks as if it were."""
    assert (one.prefix() == other.prefix()) == (one == other)


def test_a_long_name_is_cut_between_characters_and_goes_on_with_its_digest() -> None:
    """A thousand bytes of a hostile name: the key is short, a reader without the whole name has one for it all the same."""
    name = "a" + "../é=% \U0001f600" * 80
    partition = Partition("PRIMARY", "X", "MBO", name, 2026, 8, 2)
    digest = sha256(name.encode()).hexdigest()
    assert partition.cut_names() == {f"names/{digest}": name}
    key = object_key("", partition, 1, 2, 3)
    assert f"!{digest}/year=2026/" in key
    stand_in = parse_key(key).partition.channel
    beginning, _, end = stand_in.rpartition("!")
    assert name.startswith(beginning)
    assert len(beginning) > 30
    assert end == digest


def test_a_short_name_that_looks_cut_is_told_apart() -> None:
    """Its `!` is encoded, as no mark of a cut is."""
    partition = Partition("PRIMARY", "X", "MBO", "a!" + "0" * 64, 2026, 8, 2)
    assert partition.cut_names() == {}
    assert "channel=a%21" + "0" * 64 in partition.prefix()


def test_a_key_reads_like_this() -> None:
    """The form that DDL and other readers rely on."""
    partition = Partition("PRIMARY", "KRAKEN", "MBO", "book.BTC/USD", 2026, 8, 2)
    assert object_key("raw/", partition, 17, 1, 20) == (
        "raw/instance=PRIMARY/provider=KRAKEN/schema=MBO/channel=book.BTC%2FUSD/year=2026/month=08/day=02/17-1-20.tsv.gz"
    )


def test_an_empty_schema_is_what_hive_calls_it() -> None:
    """A channel without a schema lies where engines read NULL."""
    assert "/schema=__HIVE_DEFAULT_PARTITION__/" in Partition("PRIMARY", "X", "", "_unknown", 2026, 1, 1).prefix()


def test_the_day_is_the_payloads_own() -> None:
    """The last nanosecond of a day belongs to it, the next one to the next."""
    day = 86_400_000_000_000
    assert Partition.at("PRIMARY", "X", "MBO", "c", 20_000 * day - 1).date == date(2024, 10, 3)
    assert Partition.at("PRIMARY", "X", "MBO", "c", 20_000 * day).date == date(2024, 10, 4)


@pytest.mark.parametrize(
    "key",
    ["", "x.tsv.gz", "instance=a/provider=b/schema=c/channel=d/year=2026/month=08/day=02/1-2.tsv.gz",
     "instance=a/provider=b/schema=c/channel=d/year=2026/month=13/day=02/1-2-3.tsv.gz",
     "instance=a/provider=b/schema=c/channel=d/year=26/month=8/day=2/1-2-3.tsv.gz",
     "provider=b/instance=a/schema=c/channel=d/year=2026/month=08/day=02/1-2-3.tsv.gz",
     "instance=a/provider=b/schema=c/channel=d/year=2026/month=08/day=02/1-2-3.tsv.gz.part"],
)  # fmt: skip
def test_what_is_no_key_is_refused(key: str) -> None:
    """Foreign objects in the store are told apart from ours."""
    with pytest.raises(PartitionError):
        parse_key(key)
