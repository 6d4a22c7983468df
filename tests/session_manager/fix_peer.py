"""The other side of a FIX session, by simplefix, for tests: what it is told and what it says."""

from __future__ import annotations

import simplefix

from session_manager.fix.acts import Act, Write
from session_manager.fix.conversation import Conversation
from session_manager.fix.framing import Frame, Framer
from session_manager.fix.numbers import Numbers
from tapeline.spec.session import FixSession

CLOCK = 1_700_000_000 * 1_000_000_000
SPEC = FixSession(sender="US", target="VENUE", heartbeat=30, logon=((553, "name"), (554, "word")))


def message(kind: str, number: int, *pairs: tuple[int, object], sender: str = "VENUE", target: str = "US") -> bytes:
    """A message as the venue writes it."""
    made = simplefix.FixMessage()
    made.append_pair(8, "FIX.4.4")
    for tag, value in ((35, kind), (34, number), (49, sender), (52, "20231114-22:13:20.000"), (56, target), *pairs):
        made.append_pair(tag, value)
    data: bytes = made.encode()
    return data


def frame(*arguments: object, **more: str) -> Frame:
    """The same, cut and proved."""
    (one,) = Framer().feed(message(*arguments, **more))  # type: ignore[arg-type]
    return one


def sent(acts: list[Act]) -> list[dict[int, str]]:
    """What goes out, read by simplefix."""
    parser = simplefix.FixParser()
    for act in acts:
        if isinstance(act, Write):
            parser.append_buffer(act.data)
    found = []
    while (told := parser.get_message()) is not None:
        found.append({int(tag): value.decode() for tag, value in told.pairs})
    return found


def kinds(acts: list[Act]) -> list[str]:
    """Types of what goes out."""
    return [told[35] for told in sent(acts)]


class Desk:
    """A conversation on a clock that tests move."""

    def __init__(self, spec: FixSession = SPEC, numbers: Numbers | None = None, **variables: str) -> None:
        self.now = 100.0
        self.numbers = numbers or Numbers()
        self.talk = Conversation(spec, self.numbers, variables)

    @property
    def clock(self) -> int:
        """The time of day in ns, moving with `now`."""
        return CLOCK + int((self.now - 100.0) * 1e9)

    def begin(self) -> list[Act]:
        """The connection stands."""
        return self.talk.begin(self.now, self.clock)

    def live(self) -> Desk:
        """Logged on."""
        self.begin()
        self.hear("A", 1, (98, 0), (108, 30))
        return self

    def hear(self, *arguments: object, **more: str) -> list[Act]:
        """A message of the venue."""
        return self.talk.frame(self.now, self.clock, frame(*arguments, **more))

    def plain(self, *arguments: object, **more: str) -> bool:
        """Whether the quick way takes a message."""
        return self.talk.plain(self.now, frame(*arguments, **more))

    def tick(self, seconds: float) -> list[Act]:
        """Time passes."""
        self.now += seconds
        return self.talk.tick(self.now, self.clock)
