"""What was missed while a channel was away: asked for by its cursor after each new subscription."""

from __future__ import annotations

from collections.abc import Callable

from session_manager.session.desk import Desk
from tapeline.spec.session import Request
from tapeline.spec.subscribe import Channel, pieces


class Backfills:
    """The cursors of channels that owe something. `cursor` tells how far a channel has come, `connection` what it rides on."""

    def __init__(
        self,
        requests: dict[str, Request],
        desk: Desk,
        cursor: Callable[[str], str],
        connection: Callable[[str], int],
    ) -> None:
        self._requests = requests
        self._desk = desk
        self._cursor = cursor
        self._connection = connection
        self._owed: dict[str, str] = {}

    def asking(self, known: Channel) -> None:
        """A subscription is about to be asked for: what comes from now on may move the cursor past what is missing."""
        if known.family.backfill and known.id not in self._owed and (cursor := self._cursor(known.id)):
            self._owed[known.id] = cursor

    def granted(self, now: float, known: Channel) -> None:
        """The subscription stands: what came between is asked for. Until it is there the place is kept."""
        cursor = self._owed.get(known.id)
        if not known.family.backfill or cursor is None:
            return
        request = self._requests[known.family.backfill]
        own = {**pieces(known), "cursor": cursor}

        def paid() -> int:
            self._owed.pop(known.id, None)
            return self._connection(known.id)

        self._desk.ask(now, request, known.id, own, paid)

    def forget(self, channel: str) -> None:
        """The channel is given up."""
        self._owed.pop(channel, None)
