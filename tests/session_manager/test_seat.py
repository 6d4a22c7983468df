"""What a seat passes on while it is in doubt, when the role is lost, and of the session after."""

from __future__ import annotations

import asyncio
from typing import cast

from session_manager.provider import Provider
from session_manager.ring import Batch, Ring
from session_manager.roles.seat import Seat


class Session:
    """A provider that is only a ring."""

    def __init__(self) -> None:
        self.ring = Ring(1, 1 << 20)

    def start(self) -> None:
        self.ring.append(Batch(1, 5, b"x"))

    async def stop(self) -> None:
        self.ring.append(Batch(self.ring.last_sequence + 1, self.ring.last_sequence + 2, b"farewell"))
        self.ring.close()

    def stats(self) -> dict[str, object]:
        return {"last_sequence": self.ring.last_sequence}


class Doubt:
    """Whether the role may be another's."""

    said = False

    def __call__(self, _now: float) -> bool:
        return self.said


def seated() -> tuple[Seat, Ring, Doubt]:
    doubt = Doubt()
    seat = Seat("V", lambda _: cast(Provider, Session()), doubt)
    seat.begin("PRIMARY")
    assert seat.ring is not None
    return seat, seat.ring, doubt


async def test_in_doubt_only_what_was_confirmed_is_passed_on() -> None:
    """The rest waits for the answer; with it, it goes."""
    seat, ring, doubt = seated()
    seat.confirm(3)
    doubt.said = True
    assert await seat.trusted(ring, 3)
    waiting = asyncio.create_task(seat.trusted(ring, 5))
    await asyncio.sleep(0.01)
    seat.tell()
    await asyncio.sleep(0.01)
    assert not waiting.done()
    seat.confirm(5)
    assert await waiting


async def test_what_was_confirmed_before_the_role_was_lost_is_passed_on_still() -> None:
    """To a reader that was behind; nothing of later, however late it asks, and whatever runs by then."""
    seat, ring, doubt = seated()
    seat.confirm(3)
    doubt.said = True
    waiting = asyncio.create_task(seat.trusted(ring, 5))
    await asyncio.sleep(0.01)
    await seat.end(lost=True)
    assert not await waiting
    doubt.said = False
    assert (seat.instance, seat.ring, seat.stats()) == ("", None, {"instance": "", "last_sequence": 7})
    seat.begin("REPLICA")
    assert seat.ring is not ring
    assert await seat.trusted(ring, 3)
    assert not await seat.trusted(ring, 4)
    assert seat.ring is not None
    assert await seat.trusted(seat.ring, 5)


async def test_what_a_clean_end_leaves_is_passed_on() -> None:
    """All of it, the farewell too; and the end waits for those who read."""
    seat, ring, _ = seated()
    cursor, _ = ring.open("late", None)
    ending = asyncio.create_task(seat.end(lost=False))
    await asyncio.sleep(0.05)
    assert not ending.done()
    assert await seat.trusted(ring, 7)
    ring.release(cursor)
    await asyncio.wait_for(ending, 2)
    assert seat.instance == ""


async def test_every_change_is_told() -> None:
    """The beginning, the end, and each confirmation."""
    doubt = Doubt()
    seat = Seat("V", lambda _: cast(Provider, Session()), doubt)
    for change in ("begin", "confirm", "end"):
        news = seat.news
        match change:
            case "begin":
                seat.begin("PRIMARY")
            case "confirm":
                seat.confirm(1)
            case "end":
                await seat.end(lost=False)
        assert news.is_set()
        assert not seat.news.is_set()
