"""Replies are counted as bytes, however they are cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tapeline.publish.link import ReplyScanner

replies = st.one_of(
    st.integers(0, 999).map(lambda n: b":%d\r\n" % n),
    st.just(b"+OK\r\n"),
    st.text("-ab :", max_size=6).map(lambda text: b"-ERR " + text.encode() + b"\r\n"),
    st.text("-ab ", max_size=6).map(lambda text: b"+" + text.encode() + b"\r\n"),
)


@given(st.lists(replies), st.lists(st.integers(1, 9)))
def test_any_cut_of_the_same_replies_counts_the_same(lines: list[bytes], sizes: list[int]) -> None:
    """Every reply is counted and every error found, wherever the reads happened to end."""
    stream = b"".join(lines)
    scanner, count, errors = ReplyScanner(), 0, list[str]()
    for size in [*sizes, len(stream), 1]:
        found, texts = scanner.feed(stream[:size])
        stream = stream[size:]
        count += found
        errors += texts
    assert count == len(lines)
    assert errors == [line[1:-2].decode() for line in lines if line.startswith(b"-")]
