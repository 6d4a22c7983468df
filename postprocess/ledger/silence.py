"""When neither instance was connected: what the venue said then is in no stream, and no sequence is missing for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec


class Link(msgspec.Struct, frozen=True):
    """An instance's word that a connection to the venue has begun or ended; by the first side's clock, ns."""

    side: int
    place: int
    up: bool


class _Told(msgspec.Struct):
    event: str


def link(side: int, place: int, payload: bytes) -> Link | None:
    """What a payload of `_session` says of a connection; None where it says nothing of one."""
    try:
        event = msgspec.json.decode(payload, type=_Told).event
    except msgspec.DecodeError:
        return None
    return Link(side, place, event == "up") if event in ("up", "down") else None


def both_down(links: Sequence[Link], end: int) -> Iterator[tuple[int, int]]:
    """From when to when each side had lost a connection and had not yet begun another."""
    first, second = (_down([link for link in links if link.side == side], end) for side in (0, 1))
    for begin, until in first:
        for other_begin, other_until in second:
            opened, closed = max(begin, other_begin), min(until, other_until)
            if opened < closed:
                yield opened, closed


def _down(links: list[Link], end: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    since: int | None = None
    for told in sorted(links, key=lambda link: (link.place, link.up)):
        if told.up and since is not None:
            found.append((since, told.place))
        since = None if told.up else told.place if since is None else since
    return found if since is None else [*found, (since, end)]
