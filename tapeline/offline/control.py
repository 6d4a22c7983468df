"""What a frame that no route takes is, by the session half's own shapes: an answer, a heartbeat, an error, or unknown."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tapeline.spec.routing import Match
from tapeline.spec.session import Session
from tapeline.spec.template import decode, fits

ACK = "ack"
HEARTBEAT = "heartbeat"
OPENING = "opening"


class ControlShapes:
    """The declared control frames of a venue, in the order in which the session logic tries them."""

    def __init__(self, session: Session) -> None:
        self._shapes = tuple(_shapes(session))

    def name(self, frame: bytes) -> str | None:
        """The declared name of a control frame; None where the venue's session half knows no such frame."""
        try:
            value = decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # A bare word among JSON, or damage.
            value = frame.decode("utf-8", "replace")
        return next((name for name, conditions in self._shapes if fits(value, conditions)), None)


def _shapes(session: Session) -> Iterator[tuple[str, tuple[Match, ...]]]:
    for rule in session.rules:
        yield rule.name, rule.when
    ack = session.subscription.ack
    pongs = [ping.pong for ping in session.client_pings]
    pings = [ping.when for ping in session.server_pings]
    openings = [opening.expect for endpoint in session.endpoints for opening in endpoint.openings]
    gates = [endpoint.gate.wait for endpoint in session.endpoints]
    named = (
        (HEARTBEAT, (*pongs, *pings)),
        (ACK, (ack.when, ack.when_unsubscribed)),
        (OPENING, (*openings, *gates)),
    )
    for name, all_conditions in named:
        for conditions in all_conditions:
            if conditions:
                yield name, conditions
