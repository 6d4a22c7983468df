"""Routes a capture's frames as the session manager would have: endpoints, keys told by acks, frames that are not JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from tapeline_kernel import Router

from tapeline.captures import Frame
from tapeline.ingest.v1.ingest_pb2 import SubscribeResponse
from tapeline.spec import subscribe
from tapeline.spec.encode import encode
from tapeline.spec.learning import Keys
from tapeline.spec.session import Session
from tapeline.spec.subscribe import Command, Operation
from tapeline.spec.template import decode


class _Line:
    def __init__(self, session: Session, number: int, endpoint: str) -> None:
        self.number = number
        self.endpoint = endpoint
        self.keys = Keys(session, endpoint)


class CaptureRouter:
    """A router that is shown all of a capture's lines, in their order; `channels` decide which symbol routes hold."""

    def __init__(
        self, session: Session, provider: str, instance: str, epoch: int, channels: Iterable[str] = ()
    ) -> None:
        self._session = session
        self.router = Router(encode(subscribe.routing(session, channels)), provider, instance, epoch)
        self._lines: dict[str, _Line] = {}
        self._connections = 0

    def connection(self, name: str) -> int:
        """The number of a capture's connection; one that begins anew has a new one."""
        return self._line(name).number

    def keys(self, name: str) -> Mapping[str, str]:
        """The channels of a capture's connection by the keys its acks have told so far."""
        return self._line(name).keys.channels

    def connect(self, frame: Frame) -> None:
        """A connection begins."""
        self._begin(frame.connection, endpoint_of(self._session, frame.url or ""))

    def send(self, frame: Frame) -> Command | None:
        """The client says something; what it asks for, None where it is no subscribe or unsubscribe."""
        line = self._line(frame.connection)
        command = line.keys.sent(frame.data)
        if command is not None and not line.endpoint and not line.keys.channels:
            # The capture does not say where to, or has another address: what is asked for does.
            found = (subscribe.channel(self._session, channel) for channel in command.channels)
            names = {known.family.endpoint for known in found if known is not None}
            if len(names) == 1:
                line.endpoint = names.pop()
                self.router.connected(line.number, line.endpoint)
        return command

    def receive(self, frame: Frame) -> bytes | None:
        """Routes a frame; None where a route takes it, else its text (itself where it cannot be decoded)."""
        line = self._line(frame.connection)
        left, _ = self.router.push(line.number, (frame.ts,), (frame.data,))
        if not left:
            return None
        try:
            text = self.router.decode(frame.data)
            learned = line.keys.heard(decode(text)) if self._session.subscription.ack.key else None
        except (ValueError, RecursionError):
            return frame.data
        if learned is not None and learned.channel:
            self.router.learn(line.number, learned.key, learned.channel)
        elif learned is not None:
            self.router.forget(line.number, learned.key)
        return text

    def _line(self, name: str) -> _Line:
        line = self._lines.get(name)
        if line is None:
            alone = [endpoint.name for endpoint in self._session.endpoints if endpoint.url]
            line = self._begin(name, alone[0] if len(alone) == 1 else "")
        return line

    def _begin(self, name: str, endpoint: str) -> _Line:
        if (before := self._lines.get(name)) is not None:
            self.router.forget(before.number)
        line = self._lines[name] = _Line(self._session, self._connections, endpoint)
        self._connections += 1
        self.router.connected(line.number, endpoint)
        return line


def subscribed(command: Command | None) -> Sequence[str]:
    """The channels a client message subscribes to."""
    return command.channels if command is not None and command.operation is Operation.SUBSCRIBE else ()


def endpoint_of(session: Session, url: str) -> str:
    """The name of the endpoint a URL leads to, by its fixed part, else by its path alone (hosts move); empty where that is open."""
    known = [
        (endpoint.name, address.split("?")[0].split("${")[0])
        for endpoint in session.endpoints
        for address in (endpoint.url, *endpoint.alternatives)
        if address
    ]
    return _longest(known, url) or _longest([(name, urlsplit(at).path) for name, at in known], urlsplit(url).path)


def channels_in(router: Router) -> list[str]:
    """The channel of each payload of the open batch, which is closed."""
    taken = router.take()
    if taken is None:
        return []
    batch = SubscribeResponse.FromString(taken[2]).batch
    return [batch.channels[entry.channel].name for entry in batch.payloads]


def _longest(known: Sequence[tuple[str, str]], text: str) -> str:
    fitting = [(len(start), name) for name, start in known if _begins(text, start)]
    longest = max((length for length, _ in fitting), default=-1)
    names = {name for length, name in fitting if length == longest}
    return names.pop() if len(names) == 1 else ""


def _begins(text: str, start: str) -> bool:
    """Whether a text begins so, up to where a piece of a path ends."""
    text = text.split("?", maxsplit=1)[0].rstrip("/")
    start = start.rstrip("/")
    return text == start or (text.startswith(start) and (start == "" or text[len(start)] == "/"))
