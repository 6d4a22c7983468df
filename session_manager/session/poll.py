"""Channels a venue does not push: asked for again and again, as often as they are worth it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from session_manager.session.actions import SESSION_CHANNEL, Action, Emit, Report
from session_manager.session.desk import Desk
from tapeline.schemas import Schema
from tapeline.spec.session import Poll, Request
from tapeline.spec.subscribe import Channel, pieces
from tapeline.spec.template import ABSENT, at, decode, text_of
from tapeline.telemetry import Level

_NEVER = float("inf")
_JITTER = 0.1
_SLOWER = 1.5
_THIN = 0.5
"""A page less full than this is no reason to hurry."""


@dataclass(slots=True)
class _Asking:
    known: Channel
    poll: Poll
    due: float
    interval: float
    cursor: str
    last: float
    """When an answer came last."""
    asked: bool = False
    seen: int = 0


class Polls:
    """All polled channels of a venue; their answers ride on connection number `connection`, which is no real one."""

    def __init__(
        self,
        requests: dict[str, Request],
        desk: Desk,
        out: list[Action],
        chance: random.Random,
        connection: Callable[[], int],
    ) -> None:
        self._requests = requests
        self._desk = desk
        self._out = out
        self._chance = chance
        self._connection = connection
        self._channels: dict[str, _Asking] = {}
        self._up = False

    def __contains__(self, channel: str) -> bool:
        return channel in self._channels

    @property
    def channels(self) -> list[str]:
        """The channels polled."""
        return list(self._channels)

    @property
    def answered(self) -> int:
        """How many have had an answer."""
        return sum(1 for asking in self._channels.values() if asking.seen)

    def add(self, now: float, channels: Iterable[Channel]) -> None:
        """Begins to ask; the first requests are spread over an interval, as the budget bears them."""
        for known in channels:
            poll = known.family.poll
            if poll is not None and known.id not in self._channels:
                spread = self._chance.uniform(0.0, min(1.0, poll.every)) if self._channels else 0.0
                self._channels[known.id] = _Asking(known, poll, now + spread, poll.every, poll.first, now)

    def drop(self, channels: Iterable[str]) -> None:
        """Asks no more."""
        for channel in channels:
            if self._channels.pop(channel, None) is not None:
                self._desk.drop(channel)

    def stop(self) -> None:
        """The end."""
        if self._up:
            self._tell("down", "stopped")
            self._up = False
        self.drop(self.channels)

    def tick(self, now: float) -> None:
        """Asks for what is due, and tells of what has had no answer for longer than its cadence."""
        for channel, asking in self._channels.items():
            cadence = asking.known.family.cadence
            if cadence and asking.last + cadence <= now:
                asking.last = now
                self._tell("stale", "cadence", channel=channel)
                self._out.append(Report("channel_stale", Level.WARNING, {"channel": channel}))
            if not asking.asked and asking.due <= now:
                self._ask(now, asking)

    def deadline(self) -> float:
        """When `tick` is due next."""
        asks = (asking.due for asking in self._channels.values() if not asking.asked)
        stale = (a.last + a.known.family.cadence for a in self._channels.values() if a.known.family.cadence)
        return min(min(asks, default=_NEVER), min(stale, default=_NEVER))

    def _ask(self, now: float, asking: _Asking) -> None:
        request = self._requests[asking.poll.request]
        known = asking.known

        def taken(later: float, body: bytes) -> str:
            return self._taken(later, asking, request, body)

        own = {**pieces(known), "cursor": asking.cursor}
        asking.asked = self._desk.ask(now, request, known.id, own, self._connection, taken)

    def _taken(self, now: float, asking: _Asking, request: Request, body: bytes) -> str:
        poll = asking.poll
        cursor, full = asking.cursor, False
        if poll.cursor or poll.entries:
            try:
                value = decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return "no JSON"
            found = at(value, poll.cursor) if poll.cursor else ABSENT
            cursor = text_of(found) if found is not ABSENT and found is not None else asking.cursor
            full = self._paced(asking, at(value, poll.entries) if poll.entries else None)
        if not self._up:
            self._up = True
            self._tell("up", "")
        self._out.append(Emit(asking.known.id, request.schema.value, self._connection(), body))
        moved = cursor != asking.cursor
        asking.cursor, asking.last, asking.asked = cursor, now, False
        asking.seen += 1
        jitter = 1.0 + self._chance.uniform(-_JITTER, _JITTER)
        asking.due = now if full and moved else now + asking.interval * jitter
        return ""

    def _paced(self, asking: _Asking, entries: object) -> bool:
        """Makes the interval shorter or longer by how full a page is; whether it was cut off."""
        poll = asking.poll
        if not poll.full or not isinstance(entries, list | dict):
            return False
        full = len(entries) >= poll.full
        if full:
            asking.interval = poll.fastest or poll.every
        elif len(entries) < poll.full * _THIN:
            asking.interval = min(poll.every, asking.interval * _SLOWER)
        return full

    def _tell(self, event: str, reason: str, **more: str) -> None:
        payload = msgspec.json.encode({"event": event, "connection": self._connection(), "reason": reason, **more})
        self._out.append(Emit(SESSION_CHANNEL, Schema.STATUS.value, self._connection(), payload))
