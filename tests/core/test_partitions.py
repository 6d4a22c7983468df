"""Keys of raw objects."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.errors import PartitionError
from tapeline.partitions import ObjectKey, Partition, object_key, parse_key

VALUES = st.text(alphabet="aZ0.-_/@=%*? é\U0001f600", max_size=16) | st.just("__HIVE_DEFAULT_PARTITION__")
DAYS = st.dates(min_value=date(1970, 1, 1))
NUMBERS = st.integers(min_value=0, max_value=2**64 - 1)
PARTITIONS = st.builds(
    lambda a, b, c, d, day: Partition(a, b, c, d, day.year, day.month, day.day), VALUES, VALUES, VALUES, VALUES, DAYS
)


@given(PARTITIONS, NUMBERS, NUMBERS, NUMBERS, st.sampled_from(["", "raw", "a/b/", "instance=x/y"]))
def test_a_key_comes_back_as_it_was(partition: Partition, epoch: int, first: int, last: int, prefix: str) -> None:
    """Parsing undoes building, whatever the venue's id holds and whatever the prefix is."""
    key = object_key(prefix, partition, epoch, first, last)
    assert parse_key(key) == ObjectKey(partition, epoch, first, last)
    assert "//" not in key


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
