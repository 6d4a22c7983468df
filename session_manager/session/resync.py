"""Fresh books on request: one at a time for each channel, calmer when asked for again and again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_CALM = 10.0
_FIRST = 0.25
_LONGEST = 30.0
_NEVER = float("inf")


@dataclass(slots=True)
class _Wish:
    due: float
    started: bool = False


@dataclass(slots=True)
class _Ended:
    at: float
    streak: int


class Resyncs:
    """What is wanted and under way. `begin` starts one; False where the next subscription brings a fresh book anyway."""

    def __init__(self, begin: Callable[[float, str], bool]) -> None:
        self._begin = begin
        self._wishes: dict[str, _Wish] = {}
        self._ended: dict[str, _Ended] = {}

    def __contains__(self, channel: str) -> bool:
        return channel in self._wishes

    def want(self, now: float, channel: str) -> float:
        """Notes a wish; how long it waits (s), so that a book that breaks again at once is not fetched in a circle."""
        ended = self._ended.get(channel)
        delay = 0.0
        if ended is not None and now - ended.at < _CALM:
            delay = min(_LONGEST, _FIRST * 2 ** min(ended.streak, 30))
        self._wishes[channel] = _Wish(now + delay)
        return delay

    def tick(self, now: float) -> None:
        """Starts what is due."""
        for channel, wish in list(self._wishes.items()):
            if wish.started or wish.due > now:
                continue
            # Noted before: what begins may end at once.
            wish.started = True
            if not self._begin(now, channel):
                self._wishes.pop(channel, None)

    def end(self, now: float, channel: str) -> None:
        """The fresh book has come, or will not."""
        if self._wishes.pop(channel, None) is None:
            return
        last = self._ended.get(channel)
        streak = last.streak + 1 if last is not None and now - last.at < _CALM else 0
        self._ended[channel] = _Ended(now, streak)

    def started(self) -> list[str]:
        """Those under way."""
        return [channel for channel, wish in self._wishes.items() if wish.started]

    def forget(self, channel: str) -> None:
        """The channel is no more."""
        self._wishes.pop(channel, None)
        self._ended.pop(channel, None)

    def deadline(self) -> float:
        """When `tick` is due next."""
        return min((wish.due for wish in self._wishes.values() if not wish.started), default=_NEVER)
