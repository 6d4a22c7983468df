"""A provider as the server of the raw stream sees it: a ring under a name, in doubt when a test says so."""

from __future__ import annotations

import asyncio

from session_manager.ring import Ring


class Place:
    """PRIMARY, with a ring of its own."""

    def __init__(self, ring: Ring) -> None:
        self.instance = "PRIMARY"
        self.ring: Ring = ring
        self.news = asyncio.Event()
        self.doubtful = self.lost = False
        self.wishes: list[tuple[str, str]] = []

    async def trusted(self, ring: Ring, sequence: int) -> bool:
        """As the test has it."""
        assert sequence <= ring.last_sequence
        while self.doubtful:
            await self.news.wait()
        return not self.lost

    def tell(self) -> None:
        """Something has changed."""
        self.news.set()
        self.news = asyncio.Event()

    def request_resync(self, channel: str, reason: str) -> bool:
        """Only of the book."""
        self.wishes.append((channel, reason))
        return channel == "book"
