"""The dialect of raw files."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.errors import CaptureError
from tapeline.rawfile import RawRow, compress, encode_row, encode_rows, read_file, read_rows

HARD = {
    "quotes": b'{"a":"b \\"c\\" d","e":"\'"}',
    "backslashes": rb'{"path":"C:\\new\\table\\0"}',
    "unicode": '{"name":"é 漢字 🚀 \u2028"}'.encode(),
    "empty": b"",
    "tab": b"a\tb",
    "line break": b"a\nb",
    "carriage return": b"a\r\nb\r",
    "nul": b"a\0b",
    "what a SerDe takes for NULL": rb"\N",
    "binary": bytes(range(256)),
    "half a character": "é".encode()[:1],
    "big": b'{"bids":[' + b'["1.0","2.0"],' * 380_000 + b"]}",
    "looks like base64": b"aGVsbG8=",
    "spaces": b"  a  ",
}


@pytest.mark.parametrize("name", HARD)
def test_a_hard_payload_comes_back_as_it_was(name: str) -> None:
    """Not a byte of a payload changes on its way through a raw file."""
    row = RawRow(1_700_000_000_000_000_000, 7, 2, 1_700_000_000_000_000_001, HARD[name])
    assert list(read_rows(compress(encode_row(row)))) == [row]


@given(st.lists(st.builds(RawRow, *[st.integers(0, 2**64 - 1)] * 4, st.binary(max_size=40)), max_size=20))
def test_any_rows_come_back_in_order(rows: list[RawRow]) -> None:
    """Rows come back as they were, in their order, from one gzip member or from one for each."""
    assert list(read_rows(compress(encode_rows(rows)))) == rows
    assert not rows or list(read_rows(b"".join(compress(encode_row(row)) for row in rows))) == rows


def test_text_stands_as_it_is() -> None:
    """A text payload is in the file as received, last in its row, for SQL engines to read."""
    assert encode_row(RawRow(1, 2, 3, 4, b'{"a":"\\"b"}')) == b'1\t2\t3\t4\ttext\t{"a":"\\"b"}\n'
    assert encode_row(RawRow(1, 2, 3, 4, b"\t")) == b"1\t2\t3\t4\tbase64\tCQ==\n"


def test_the_same_rows_give_the_same_object() -> None:
    """A retry writes the same bytes; and they are gzip to everyone."""
    rows = encode_rows([RawRow(1, number, 0, 5, b"x") for number in range(100)])
    assert compress(rows) == compress(rows)
    assert gzip.decompress(compress(rows)) == rows


@pytest.mark.parametrize("cut", [1, 8, 9, 100, 700])
def test_a_file_cut_short_gives_its_whole_rows_then_an_error(cut: int) -> None:
    """What can be read is read; that something is missing is said, never guessed."""
    rows = [RawRow(1, number, 0, 5, b"payload %d" % (number * 7919)) for number in range(1000)]
    data = compress(encode_rows(rows))[:-cut]
    had: list[RawRow] = []
    with pytest.raises(CaptureError, match="cut short"):
        had.extend(read_rows(data, "name.tsv.gz"))
    assert had == rows[: len(had)]
    assert len(had) > 700


@pytest.mark.parametrize(
    ("line", "word"),
    [(b"1\t2\t3\t4\ttext", "columns"), (b"1\t2\tx\t4\ttext\ta", "number"), (b"1\t2\t3\t4\thex\ta", "encoding"),
     (b"1\t2\t3\t4\tbase64\t!", "base64|data|padding"), (b"-1\t2\t3\t4\ttext\ta", "number")],
)  # fmt: skip
def test_a_broken_row_is_named_by_its_line(line: bytes, word: str) -> None:
    """The error names the file, the line and what is wrong."""
    good = encode_row(RawRow(1, 2, 3, 4, b"x"))
    with pytest.raises(CaptureError, match=f"(?i)a.tsv.gz:2: .*({word})"):
        list(read_rows(compress(good + line + b"\n"), "a.tsv.gz"))


ROWS = compress(encode_rows([RawRow(1, number, 0, 5, b"payload %d" % (number * 7919)) for number in range(1000)]))


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "cannot read k/1-2-3.tsv.gz: it is empty"), (b"PAR1 and more", "cannot read k/1-2-3.tsv.gz: it is no gzip file"),
     (ROWS[:10], "k/1-2-3.tsv.gz:1: gzip is cut short"), (ROWS[: len(ROWS) // 2], "gzip is cut short"),
     (ROWS[:500] + b"\0" * 40 + ROWS[540:], "gzip is broken"), (ROWS[:-8] + b"\0" * 4 + ROWS[-4:], "gzip is broken"),
     (ROWS + b"<html>" * 5, "gzip is broken"), (compress(b"1\t2\t3\t4\ttext\tx"), "row is cut short"),
     (compress(b"<html>\n"), r"k/1-2-3.tsv.gz:1: row has 1 of 6 columns")],
    ids=["empty", "foreign", "header only", "half", "holes", "checksum", "more behind", "half a row", "no rows"],
)  # fmt: skip
def test_an_object_that_is_not_whole_is_one_error_that_names_it(data: bytes, words: str) -> None:
    """Whatever has become of it: by its key, with what is wrong, as one line."""
    with pytest.raises(CaptureError) as raised:
        list(read_rows(data, "k/1-2-3.tsv.gz"))
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_is_no_gzip_is_refused(tmp_path: Path) -> None:
    """A foreign file and a missing one each give one clear error."""
    path = tmp_path / "a.tsv.gz"
    path.write_bytes(b"hello")
    with pytest.raises(CaptureError, match="gzip"):
        list(read_file(path))
    with pytest.raises(CaptureError, match="No such file"):
        list(read_file(tmp_path / "none"))
