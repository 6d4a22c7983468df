"""Snapshots are asked for once, and again until they come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from normalizer.resync import Resyncs
from tapeline.errors import StreamUnavailableError


class Asked:
    """Notes what it is asked for."""

    def __init__(self, away: int = 0) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.away = away

    async def request_resync(self, provider: str, channel: str, reason: str) -> bool:
        """Accepts, once it is there."""
        self.asked.append((provider, channel, reason))
        if len(self.asked) <= self.away:
            raise StreamUnavailableError("away")
        return True


async def until(condition: Callable[[], object]) -> None:
    """Waits for a condition."""
    while not condition():  # noqa: ASYNC110 - another task makes it true
        await asyncio.sleep(0.002)


async def test_one_request_for_all_books_of_a_channel() -> None:
    """Two symbols of one channel want the same snapshot."""
    asked = Asked()
    resyncs = Resyncs(asked, "TEST")
    for symbol in ("A", "B", "A"):
        resyncs.want("book", symbol, "link")
    await until(lambda: asked.asked)
    await asyncio.sleep(0.02)
    assert asked.asked == [("TEST", "book", "link")]
    resyncs.answered("book", "A")
    assert resyncs.waiting == 1
    resyncs.answered("book", "B")
    assert resyncs.waiting == 0
    await resyncs.close()


async def test_a_request_is_made_again_until_it_is_answered() -> None:
    """Neither a server that is away nor one that forgets leaves a book waiting for ever."""
    asked = Asked(away=2)
    resyncs = Resyncs(asked, "TEST", first_retry=0.01, longest_retry=0.02)
    resyncs.want("book", "A", "link")
    await until(lambda: len(asked.asked) >= 5)
    resyncs.answered("book", "A")
    told = len(asked.asked)
    await asyncio.sleep(0.06)
    assert len(asked.asked) == told
    resyncs.want("book", "A", "checksum")
    await until(lambda: asked.asked[-1] == ("TEST", "book", "checksum"))
    await resyncs.close()


async def test_a_snapshot_that_was_on_its_way_is_not_asked_for() -> None:
    """Where there is reason to wait, an answer in time saves the request."""
    asked = Asked()
    resyncs = Resyncs(asked, "TEST")
    resyncs.want("book", "A", "no snapshot", patience=0.05)
    await asyncio.sleep(0.01)
    resyncs.answered("book", "A")
    await asyncio.sleep(0.1)
    assert asked.asked == []
    resyncs.want("book", "A", "no snapshot", patience=0.01)
    await until(lambda: asked.asked)
    await resyncs.close()


async def test_an_answer_nobody_waits_for_is_nothing() -> None:
    """The session takes snapshots by itself, too."""
    resyncs = Resyncs(Asked(), "TEST")
    resyncs.answered("book", "A")
    assert resyncs.waiting == 0
