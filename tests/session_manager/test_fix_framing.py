"""FIX messages cut from a stream and proved, and the codec that writes them: on recordings, in pieces, and damaged."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import simplefix

from session_manager.fix.codec import FixError, encoded, fields, instant, written
from session_manager.fix.framing import Frame, Framer, checksum
from session_manager.fix.numbers import Numbers, Place
from session_manager.fix.schedule import next_reset
from tapeline.captures import read_capture
from tests.session_manager.fix_peer import message


def session(recordings: Path) -> list[tuple[str, bytes]]:
    """The recorded session: who sent, and what."""
    path = recordings / "fix" / "session_first_half.jsonl.zst"
    return [(frame.connection, frame.data) for frame in read_capture(path)]


def pieces(data: bytes, chance: random.Random) -> list[Frame]:
    """Everything a framer finds in a stream that comes in random pieces."""
    framer, found, place = Framer(), [], 0
    while place < len(data):
        size = chance.choice((1, 3, 7, 50, 400, 5000))
        found += framer.feed(data[place : place + size])
        place += size
    return found


def test_all_recorded_messages_prove_themselves(recordings: Path) -> None:
    """BodyLength and CheckSum of 1,243 messages, found again in one stream cut anywhere; simplefix has the same type and number."""
    recorded = [raw for _, raw in session(recordings)]
    found = pieces(b"".join(recorded), random.Random(1))
    assert [frame.raw for frame in found] == recorded
    assert len(found) == 1243
    for frame in found:
        told = fields(frame.raw)
        assert (frame.kind.decode(), frame.number) == (told[35], int(told[34]))
        assert frame.again == (told.get(43) == "Y")


def test_recorded_numbers_have_one_hole_that_a_gap_fill_closes(recordings: Path) -> None:
    """Each side's MsgSeqNum, by the rules: one resend request, one gap fill, nothing lost after it."""
    sides: dict[str, Numbers] = {}
    holes = []
    for sender, raw in session(recordings):
        told = fields(raw)
        # The recording begins in the middle of one side's count.
        numbers = sides.setdefault(sender, Numbers(expected=1))
        number = int(told[34])
        if told[35] == "4" and told.get(123) == "Y":
            numbers.fill(number, int(told[36]) - 1)
            continue
        if (place := numbers.place(number)) is Place.AHEAD:
            holes.append((sender, numbers.receive(number)))
        else:
            assert place is Place.NEXT
            numbers.receive(number)
    assert holes == [("BON", (1, 88))]
    assert all(not numbers.holes for numbers in sides.values())


@pytest.mark.parametrize("change", ["checksum", "length up", "length down", "type", "begin"])
def test_damage_is_left_out_counted_and_the_next_message_found(change: str) -> None:
    """One message of three is damaged; the others are cut as if it were not there."""
    one, bad, three = (bytearray(message("X", number, (268, 0))) for number in (2, 3, 4))
    match change:
        case "checksum":
            bad[-2] = ord("0") + (bad[-2] - ord("0") + 1) % 10
        case "length up":
            bad = bytearray(bytes(bad).replace(b"\x019=", b"\x019=1", 1))
        case "length down":
            bad = bytearray(bytes(bad).replace(b"\x019=", b"\x019=0", 1).replace(b"9=0", b"9=", 1))
            bad[bad.index(b"\x019=") + 3] ^= 1
        case "type":
            bad[bad.index(b"\x0135=") + 4] ^= 2
        case "begin":
            bad[0] = ord("9")
    framer = Framer()
    found = framer.feed(bytes(one + bad + three))
    assert [frame.number for frame in found] == [2, 4]
    assert framer.garbled == 1


def test_a_length_that_lies_is_not_waited_for_for_ever() -> None:
    """The next message behind it proves that it is no length."""
    lying = message("X", 2, (268, 0)).replace(b"\x019=", b"\x019=9999", 1)
    framer = Framer()
    assert framer.feed(lying) == []
    found = framer.feed(message("X", 3, (268, 0)))
    assert [frame.number for frame in found] == [3]
    assert framer.garbled == 1


def test_noise_is_passed_over() -> None:
    """Bytes that are no FIX at all, before and between."""
    framer = Framer()
    found = framer.feed(b"HTTP/1.1 400\r\n\x018=FIXX" + b"\x01" + message("0", 2))
    found += framer.feed(b"\x00" * 300 + b"\x01" + message("0", 3))
    assert [frame.number for frame in found] == [2, 3]


def test_the_checksum_is_the_sum_of_bytes() -> None:
    """Of any length, whatever the bytes."""
    chance = random.Random(2)
    for size in (0, 1, 255, 256, 257, 70_000):
        data = bytes(chance.randrange(256) for _ in range(size))
        assert checksum(data) == sum(data) % 256
    assert checksum(b"\xff" * 100_000) == 255 * 100_000 % 256


def test_any_change_of_a_byte_is_seen_or_harmless() -> None:
    """A message with one byte changed is never taken for what it was."""
    chance = random.Random(3)
    good = message("X", 7, (262, "abc"), (268, 1), (279, 0), (269, 0), (270, "1.5"), (271, 3))
    for _ in range(2000):
        bad = bytearray(good)
        place = chance.randrange(len(bad))
        bad[place] = (bad[place] + chance.randrange(1, 256)) % 256
        assert all(
            frame.raw != bytes(bad) for frame in Framer().feed(bytes(bad) + message("0", 8)) if frame.number != 8
        )


def test_what_is_written_is_read_by_simplefix() -> None:
    """Header, body, BodyLength and CheckSum."""
    raw = encoded("FIX.4.4", [(35, "A"), (34, "1")], [(98, "0"), (108, "30")])
    parser = simplefix.FixParser()
    parser.append_buffer(raw)
    told = parser.get_message()
    assert told is not None
    assert told.encode() == raw
    assert fields(raw)[108] == "30"


def test_messages_of_the_session_language_are_lines_of_fields() -> None:
    """A line each, the type first; anything else is refused."""
    assert written("35=V|262=a|263=1\n35=1|112=7") == [[(35, "V"), (262, "a"), (263, "1")], [(35, "1"), (112, "7")]]
    assert written("") == []
    for wrong in ("262=a", "35=V|x", "35=V|262="):
        with pytest.raises(FixError):
            written(wrong)


def test_times_are_utc_with_milliseconds() -> None:
    """As FIX 4.4 writes them."""
    assert instant(1_704_067_199_987_654_321) == "20231231-23:59:59.987"


def test_the_day_ends_at_the_next_such_time() -> None:
    """Today, or tomorrow where it has passed; nonsense is refused."""
    midnight = 1_704_067_200 * 10**9
    hour = 3600 * 10**9
    assert next_reset("01:00", midnight) == midnight + hour
    assert next_reset("01:00", midnight + hour) == midnight + 25 * hour
    for wrong in ("", "24:00", "1", "aa:bb"):
        with pytest.raises(ValueError, match="HH:MM"):
            next_reset(wrong, midnight)
