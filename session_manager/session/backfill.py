"""What was missed while a channel was away: asked for by its cursor after each new subscription."""

from __future__ import annotations

from collections.abc import Callable

from session_manager.session.desk import Desk
from tapeline.spec.session import Request
from tapeline.spec.subscribe import Channel, pieces

_FIRST_RETRY = 0.25
_LONGEST_RETRY = 30.0


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
        if known.family.backfill_span:
            self._ask_part(now, known, request, int(cursor, 16), known.family.backfill_span, 0)
            return
        own = {**pieces(known), "cursor": cursor}

        def paid() -> int:
            self._owed.pop(known.id, None)
            return self._connection(known.id)

        self._desk.ask(now, request, known.id, own, paid)

    def _ask_part(self, now: float, known: Channel, request: Request, start: int, span: int, failures: int) -> None:
        """Asks for a part of what is owed; what came by itself meanwhile tells how far there is anything to ask for."""
        newest = int(self._cursor(known.id) or "0x0", 16)
        whole = start + span > newest
        until = "latest" if whole else hex(start + span - 1)
        own = {**pieces(known), "cursor": hex(start), "until": until}

        def paid() -> int:
            if whole:
                self._owed.pop(known.id, None)
            elif known.id in self._owed:
                self._owed[known.id] = hex(start + span)
                self._ask_part(now, known, request, start + span, known.family.backfill_span, 0)
            return self._connection(known.id)

        def failed(later: float, reason: str, retry_after: float) -> None:
            if known.id in self._owed:
                delay = max(retry_after, min(_FIRST_RETRY * 2.0**failures, _LONGEST_RETRY))
                smaller = max(min(span, newest - start) // 2, 1)
                self._ask_part(later + delay, known, request, start, smaller, min(failures + 1, 10))

        self._desk.ask(now, request, known.id, own, paid, failed=failed)

    def forget(self, channel: str) -> None:
        """The channel is given up."""
        self._owed.pop(channel, None)
