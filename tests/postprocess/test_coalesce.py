"""Two instances' streams of a channel become one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from postprocess.coalesce import coalesce
from tapeline.identity import WINDOW_NS, of_payloads
from tapeline.rawfile import RawRow
from tapeline.venues import load

SECOND = 1_000_000_000


def stream(messages: list[str], missing: set[int] = frozenset(), late: int = 0) -> list[RawRow]:  # type: ignore[assignment]
    """Messages a second apart, of which some never came."""
    return [
        RawRow(1, place + 1, 0, place * SECOND + late, text.encode())
        for place, text in enumerate(messages)
        if place not in missing
    ]


def merged(first: list[RawRow], second: list[RawRow]) -> list[str]:
    return [item.row.payload.decode() for item in coalesce(first, second)]


def test_what_both_have_comes_once_and_from_the_first() -> None:
    """Two whole streams give one, whose rows are the first stream's."""
    found = list(coalesce(stream(list("abc")), stream(list("abc"), late=5)))
    assert [(item.row.payload, item.first, item.both) for item in found] == [
        (b"a", True, True),
        (b"b", True, True),
        (b"c", True, True),
    ]


@given(st.integers(1, 40), st.data())
def test_each_fills_the_holes_of_the_other(size: int, data: st.DataObject) -> None:
    """Losing different messages loses none, and the order is the venue's."""
    messages = [f"{place}" for place in range(size)]
    places = st.sets(st.integers(0, size - 1))
    one = data.draw(places)
    two = data.draw(places) - one
    late = data.draw(st.integers(-SECOND // 3, SECOND // 3))
    assert merged(stream(messages, one), stream(messages, two, late)) == messages


@given(st.integers(1, 40), st.data())
def test_what_neither_has_is_all_that_is_missing(size: int, data: st.DataObject) -> None:
    """Nothing is made up, nothing doubled, whatever is lost where."""
    messages = [f"{place}" for place in range(size)]
    places = st.sets(st.integers(0, size - 1))
    one, two = data.draw(places), data.draw(places)
    assert sorted(merged(stream(messages, one), stream(messages, two, 7))) == sorted(
        text for place, text in enumerate(messages) if place not in one & two
    )


def test_a_quote_that_returns_is_not_taken_for_a_repeat() -> None:
    """The same content later on is a message of its own, also where one stream lost the first of them."""
    assert merged(stream(list("xyx"), {0}), stream(list("xyx"), late=3)) == list("xyx")
    assert merged(stream(list("xyx")), stream(list("xyx"), {2}, late=3)) == list("xyx")


def test_the_same_content_far_apart_is_two_messages() -> None:
    """Beyond the window a match by content proves nothing."""
    first = [RawRow(1, 1, 0, 0, b"x")]
    second = [RawRow(1, 1, 0, WINDOW_NS * 3, b"x")]
    assert len(merged(first, second)) == 2


def test_one_stream_alone_stays_as_it_is() -> None:
    """Without a second stream nothing changes, in either place."""
    rows = stream(list("aabbca"))
    assert [item.row for item in coalesce(rows, [])] == rows
    assert [item.row for item in coalesce([], rows)] == rows


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_order_never_falls(messages: list[str]) -> None:
    """The figure that puts channels beside one another is monotone within a channel."""
    orders = [item.order for item in coalesce(stream(messages), stream(messages[::-1], late=11))]
    assert orders == sorted(orders)


def test_what_is_a_connections_own_does_not_tell_messages_apart() -> None:
    """Bitfinex: each connection has numbers of its own for its channels, and counts its own messages."""
    venue = load("bitfinex")
    identity = of_payloads(venue.session.routing, venue.meaning)
    one = stream(['[17,"te",[401597395,1574694478808,0.005,7245.3],5]', "[17,[1,2,3],6]", "[17,[1,2,3],7]"])
    two = stream(['[23,"te",[401597395,1574694478808,0.005,7245.3],41]', "[23,[1,2,3],42]", "[23,[1,2,4],43]"], late=5)
    assert [item.both for item in coalesce(one, two, identity)] == [True, True, False, False]
    assert not any(item.both for item in coalesce(one, two))


def test_the_header_of_a_fix_session_does_not_tell_messages_apart() -> None:
    """Numbers, names, times and the checksum are the session's; the type and the body are the message."""
    venue = load("binance_fix")
    identity = of_payloads(venue.session.routing, venue.meaning)

    def message(number: int, name: str, price: str) -> str:
        head = f"8=FIX.4.4|9=99|35=X|34={number}|49=SPOT|52=20260101-00:00:00.{number:06d}|56={name}"
        return f"{head}|262=A-trade|268=1|279=0|270={price}|10={number % 256:03d}|".replace("|", "\x01")

    one = stream([message(5, "Taaa", "1.5"), message(6, "Taaa", "1.6")])
    two = stream([message(9, "Tbbb", "1.5"), message(10, "Tbbb", "1.7")], late=5)
    assert [item.both for item in coalesce(one, two, identity)] == [True, False, False]
    assert identity(message(5, "Taaa", "1.5").encode()) == b"35=X\x01262=A-trade\x01268=1\x01279=0\x01270=1.5\x01"
