"""What a made-up market has traded, told in pages, for venues that are polled."""

from __future__ import annotations

from typing import NamedTuple

from emulator.synth.market import Trade
from emulator.synth.script import View
from emulator.venue import Ask


class Told(NamedTuple):
    """A trade that has happened: its id, and ns since the epoch."""

    trade: Trade
    id: int
    ts: int


def trades(view: View, ask: Ask, period: int, after_id: int = 0, after_ns: int = 0, limit: int = 1000) -> list[Told]:
    """The trades up to the view's place that come after an id or a time, oldest first; without either the last ones.

    `limit` bounds them: with a cursor the oldest are told, so that a client that asks again loses nothing.
    """
    own = [event for event in view.symbol.events if isinstance(event, Trade)]
    found: list[Told] = []
    for turn in range(view.turn, -1, -1):
        for trade in reversed(own):
            if turn == view.turn and trade.place >= view.place:
                continue
            number = trade.id.at(turn)
            ts = ask.when(turn * period + trade.place) if ask.when else view.now_ns
            if number <= after_id or ts <= after_ns or (not after_id and not after_ns and len(found) >= limit):
                return found[::-1][:limit]
            found.append(Told(trade, number, ts))
    return found[::-1][:limit]
