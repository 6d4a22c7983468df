"""Payloads that are late, out of order, binary or huge, and channels with hostile names: where they go, and that they come back."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_processor.archive import Archive
from batch_processor.split import split
from batch_processor.window import Cutter
from tapeline.objectstore import ObjectMissingError, ObjectStore, open_store
from tapeline.partitions import parse_key
from tapeline.raw_days import day_sizes, whole_names
from tapeline.rawfile import read_rows
from tests.batch_processor.test_collecting import collecting, until, workers
from tests.support.stream_server import StreamServer, batch

__all__ = ["workers"]

SECOND = 1_000_000_000
DAY_NS = 86_400 * SECOND
MIDNIGHT = 19_700 * DAY_NS
EPOCH = MIDNIGHT - 3600 * SECOND
SPAN = 60 * SECOND


class MemoryStore:
    """What an archive needs of a store, in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put(self, key: str, data: bytes, if_absent: bool = True) -> bool:
        """See ObjectStore."""
        if if_absent and key in self.objects:
            return False
        self.objects[key] = data
        return True

    def get(self, key: str) -> bytes:
        """See ObjectStore."""
        if key not in self.objects:
            raise ObjectMissingError(key)
        return self.objects[key]

    def list(self, prefix: str) -> list[str]:
        """See ObjectStore."""
        return sorted(key for key in self.objects if key.startswith(prefix))

    def raw(self) -> dict[str, bytes]:
        """The raw objects."""
        return {key: data for key, data in self.objects.items() if key.startswith("instance=")}


def archived(times: list[int], sizes: list[int], pool: ThreadPoolExecutor) -> MemoryStore:
    """A store after a stream of payloads with these times, on two channels, in batches of these sizes."""
    store = MemoryStore()
    archive = Archive(store, "PRIMARY", "TEST", pool)  # type: ignore[arg-type]
    cutter = Cutter(1 << 30, archive.progress())
    payloads = [("ab"[n % 2], "MBO", ts_recv, b"%d" % n) for n, ts_recv in enumerate(times)]
    first = 0
    for size in [*sizes, len(payloads)]:
        some = payloads[first : first + size]
        if some:
            for cut in cutter.take(split(batch(EPOCH, first + 1, some), cutter.position, SPAN)):
                archive.write(cut)
        first += len(some)
    for cut in cutter.cut():
        archive.write(cut)
    return store


TIMES = st.lists(st.integers(-150, 150).map(lambda second: MIDNIGHT + second * SECOND), min_size=1, max_size=30)
SIZES = st.lists(st.integers(1, 9), max_size=10)


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads for puts."""
    with ThreadPoolExecutor(2) as running:
        yield running


@given(times=TIMES, sizes=SIZES, others=SIZES)
def test_late_payloads_go_to_their_own_day_and_always_to_the_same_object(
    times: list[int], sizes: list[int], others: list[int], pool: ThreadPoolExecutor
) -> None:
    """Times that fall back over a threshold or over midnight: an object holds one span of one day, however the stream came."""
    store = archived(times, sizes, pool)
    assert archived(times, others, pool).raw() == store.raw()
    sequences = []
    for key, data in store.raw().items():
        rows = list(read_rows(data, key))
        assert len({row.ts_recv // SPAN for row in rows}) == 1
        assert {datetime.fromtimestamp(row.ts_recv // SECOND, UTC).date() for row in rows} == {
            parse_key(key).partition.date
        }
        sequences += [row.sequence for row in rows]
    assert sorted(sequences) == list(range(1, len(times) + 1))


def test_one_late_payload_ends_a_span_and_the_next_opens_it_again(pool: ThreadPoolExecutor) -> None:
    """Three objects: up to the late one, the late one alone in the day before, and what follows in a new one."""
    store = archived([MIDNIGHT + second * SECOND for second in (1, 1, 2, 2, -1, 3, 3)], [], pool)
    names = [parse_key(key) for key in store.raw()]
    assert sorted((name.partition.channel, name.partition.day, name.first, name.last) for name in names) == [
        ("a", 8, 5, 5), ("a", 9, 1, 3), ("a", 9, 7, 7), ("b", 9, 2, 4), ("b", 9, 6, 6),
    ]  # fmt: skip


def test_two_hosts_whose_clocks_differ_store_a_message_in_each_ones_day(pool: ThreadPoolExecutor) -> None:
    """Just across midnight the instances' copies lie in different days, each at its own end: so a reader finds the pair."""
    store = MemoryStore()
    for instance, skew in (("PRIMARY", -5), ("REPLICA", 5)):
        archive = Archive(store, instance, "TEST", pool)  # type: ignore[arg-type]
        cutter = Cutter(1 << 30, archive.progress())
        rows = [("a", "MBO", MIDNIGHT + (second + skew) * SECOND, b"%d" % second) for second in range(-70, 71)]
        for cut in [*cutter.take(split(batch(EPOCH, 1, rows), None, SPAN)), *cutter.cut()]:
            archive.write(cut)
    content = {key: [int(row.payload) for row in read_rows(data, key)] for key, data in store.raw().items()}
    day = {(parse_key(key).partition.instance, number): parse_key(key).partition.day for key, numbers in content.items() for number in numbers}  # fmt: skip
    assert [number for number in range(-70, 71) if day["PRIMARY", number] != day["REPLICA", number]] == list(
        range(-5, 5)
    )
    # The last object of the one day and the first of the next hold all that may have its twin across midnight.
    last = max((key for key in content if "PRIMARY" in key and "day=08" in key), key=lambda key: parse_key(key).first)
    first = min((key for key in content if "REPLICA" in key and "day=09" in key), key=lambda key: parse_key(key).first)
    assert set(range(-5, 5)) <= set(content[last])
    assert set(range(-5, 5)) <= set(content[first])


HOSTILE = {
    "slashes": "a/b//c/", "up": "..", "dots": "../../etc/passwd", "percent": "a%2Fb%", "equals": "day=01/x=y", "spaces": " a b ",
    "unicode": "本/é\U0001f600", "controls": "a\nb\tc\rd\0e", "empty for Hive": "__HIVE_DEFAULT_PARTITION__", "empty": "",
    "mark": "a!" + "0" * 64, "long": "x" * 1000, "long and unicode": "é/" * 334, "longer": "../" * 1500, "backslash": "C:\\x",
}  # fmt: skip
PAYLOADS = (
    b"\x1f\x8b\x08\0gzip", b"\x08\x96\x01\x12\x07protobuf", b"a\tb", b"a\r\nb\n", b"\0", rb"\N", b"", b"8=FIX.4.4\x019=5\x01",
    bytes(range(256)) * 20_000, "é漢".encode(),
)  # fmt: skip


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["local", "s3"])
async def test_any_payload_of_any_channel_comes_back(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, workers: ThreadPoolExecutor
) -> None:
    """Gzip, protobuf, tabs, line breaks, NUL, what a SerDe takes for NULL, 5 MB, on channels whose names want to break out."""
    store: ObjectStore = open_store(request.getfixturevalue("s3_store") if kind == "s3" else str(tmp_path / "store"))
    rows = [
        (name, "MBO", EPOCH + n * SECOND // 100, data) for name in HOSTILE.values() for n, data in enumerate(PAYLOADS)
    ]
    async with (
        StreamServer([batch(EPOCH, 1, rows)]) as server,
        collecting(server, store, workers, 1 << 28) as collector,
    ):
        await until(lambda: collector.stats()["payloads"] == len(rows))
    assert collector.stats()["gaps"] == 0
    names = whole_names(store)
    assert set(names.values()) == {name for name in HOSTILE.values() if len(name) > 300}
    found = {}
    for key in store.list("instance="):
        channel = parse_key(key, names).partition.channel
        for row in read_rows(store.get(key), key):
            found[row.sequence] = (channel, "MBO", row.ts_recv, row.payload)
    assert [found[number] for number in sorted(found)] == rows
    day = datetime.fromtimestamp(EPOCH // SECOND, UTC).date()
    assert sorted(day_sizes(store, day)) == store.list("instance=")
