"""Channel names and patterns."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.channels import ChannelName, escape_glob, market_data, matches
from tapeline.errors import ChannelNameError
from tapeline.schemas import Schema

# What venues write, and what globs are made of.
IDS = st.text(alphabet="abzA09.-_/@:*?[]^\\ é\U0001f600", min_size=1, max_size=24)
PARTS = st.from_regex(r"[A-Z0-9][A-Z0-9_]{0,11}", fullmatch=True)
NAMES = st.builds(ChannelName, PARTS, PARTS, st.sampled_from(Schema), PARTS, IDS)


@given(NAMES)
def test_a_name_comes_back_as_it_was(name: ChannelName) -> None:
    """Parsing undoes formatting, whatever dots and glob characters the venue's id holds."""
    assert ChannelName.parse(name.format()) == name


@given(NAMES, NAMES)
def test_an_escaped_name_matches_itself_alone(name: ChannelName, other: ChannelName) -> None:
    """An escaped name is a pattern of exactly that name."""
    pattern = escape_glob(name.format())
    assert matches(pattern, name.format())
    assert matches(pattern, other.format()) == (name == other)


def test_the_first_four_dots_split() -> None:
    """A venue's own dots stay in the channel."""
    name = ChannelName.parse("MARKET_DATA.PRIMARY.MBO.DERIBIT.book.BTC-PERPETUAL.raw")
    assert (name.provider, name.schema, name.channel) == ("DERIBIT", Schema.MBO, "book.BTC-PERPETUAL.raw")


@pytest.mark.parametrize(
    "text",
    ["", "MARKET_DATA", "MARKET_DATA.PRIMARY.MBO.DERIBIT", "MARKET_DATA.PRIMARY.MBO.DERIBIT.", "a.PRIMARY.MBO.X.y",
     "MARKET_DATA.PRIMARY.mbo.X.y", "MARKET_DATA.PRIMARY.NOPE.X.y", "MARKET_DATA..MBO.X.y"],
)  # fmt: skip
def test_what_is_no_name_is_refused(text: str) -> None:
    """Text that lacks a part, or has a wrong one, is told apart from a name."""
    with pytest.raises(ChannelNameError):
        ChannelName.parse(text)


def test_market_data_builds_what_redis_sees() -> None:
    """The short way to a name gives the documented form."""
    assert market_data("REPLICA", Schema.MBP_1, "KRAKEN", "book.BTC/USD").format() == (
        "MARKET_DATA.REPLICA.MBP_1.KRAKEN.book.BTC/USD"
    )


PATTERNS = [
    "*", "a*", "*b", "a?c", "a??", "[abc]x", "[^abc]x", "[a-c]x", "[c-a]x", "[]x", "[^]x", "[abc", "[^abc", "[a-",
    r"a\*c", r"a\?c", r"a\[c", r"[\]x]c", "a\\", "**a**", "", "é", "?", "??", "[é]", r"[\a-c]x", "a[b-]c", "[", r"[\\",
]  # fmt: skip
TEXTS = [
    "",
    "a",
    "b",
    "ab",
    "abc",
    "a*c",
    "a?c",
    "a[c",
    "ax",
    "bx",
    "dx",
    "x",
    "]c",
    "xc",
    "a\\",
    "é",
    "e",
    "aac",
    "-",
    "[",
    "\\",
    "a-c",
]


def test_patterns_mean_what_they_mean_to_redis(redis_url: str) -> None:
    """Every pattern takes exactly what a real Redis takes by it."""
    place = urlsplit(redis_url)
    with socket.create_connection((place.hostname, place.port or 0)) as link, link.makefile("rb") as answers:

        def ask(*words: str) -> list[str]:
            parts = [word.encode() for word in words]
            link.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts))
            head = answers.readline()
            if head[:1] != b"*":
                return []
            found = []
            for _ in range(int(head[1:])):
                size = int(answers.readline()[1:])
                found.append(answers.read(size + 2)[:-2].decode())
            return found

        # KEYS runs the same matcher as PSUBSCRIBE; it takes no empty key's name differently.
        for text in TEXTS:
            ask("SET", text, "1")
        for pattern in PATTERNS:
            expected = sorted(ask("KEYS", pattern))
            assert sorted(text for text in TEXTS if matches(pattern, text)) == expected, pattern
