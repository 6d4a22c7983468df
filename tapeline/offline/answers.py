"""Which channel a REST answer of a capture belongs to, by its URL."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from tapeline.spec import subscribe
from tapeline.spec.session import Request, Session
from tapeline.spec.template import decode, fits, names, render

_VERSION = re.compile(r"v\d+\Z")


class Answer(NamedTuple):
    """What a REST answer is: a payload of `channel`, or a declared failure of its request."""

    channel: str
    schema: str
    failed: bool


class _Address(NamedTuple):
    """A URL without what changes over the years: host, API version, and parameters that do not say what is asked for."""

    path: tuple[str, ...]
    parameters: dict[str, str]


class RestChannels:
    """Finds the channel of REST answers among the channels of a capture."""

    def __init__(self, session: Session, channels: Iterable[str]) -> None:
        self._session = session
        self._requests = {request.name: request for request in session.requests}
        self._books = [
            (known, self._requests[known.family.snapshot])
            for known in (subscribe.channel(session, identifier) for identifier in channels)
            if known is not None and known.family.snapshot in self._requests
        ]
        self._served: set[str] = set()

    def find(self, url: str, body: bytes) -> Answer | None:
        """The answer's channel; None where the session half knows no such request or the capture no such channel."""
        asked = _address(url)
        for request in self._requests.values():
            if request.channel and not names(request.url) and _same(_address(request.url), asked, ()):
                return Answer(request.channel, request.schema.value, _failed(request, body))
        fitting = [
            (known.id, request)
            for known, request in self._books
            if _same(_address(render(request.url, subscribe.pieces(known))), asked, _asking(request))
        ]
        if not fitting:
            return None
        # Where two channels share the symbol each asks for itself: the next answer is the next channel's.
        channel, request = next((item for item in fitting if item[0] not in self._served), fitting[0])
        self._served.add(channel)
        return Answer(channel, request.schema.value, _failed(request, body))


def _address(url: str) -> _Address:
    parts = urlsplit(url)
    path = tuple(unquote(piece) for piece in parts.path.split("/") if piece and not _VERSION.match(piece))
    return _Address(path, dict(parse_qsl(parts.query, keep_blank_values=True)))


def _asking(request: Request) -> tuple[str, ...]:
    """The parameters that say what is asked for: those with a piece in them."""
    query = urlsplit(request.url).query
    return tuple(name for name, value in parse_qsl(query, keep_blank_values=True) if names(value))


def _same(ours: _Address, theirs: _Address, parameters: tuple[str, ...]) -> bool:
    return ours.path == theirs.path and all(
        ours.parameters.get(name) == theirs.parameters.get(name) for name in parameters
    )


def _failed(request: Request, body: bytes) -> bool:
    if not request.failed:
        return False
    try:
        value = decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return isinstance(value, dict) and any(fits(value, (condition,)) for condition in request.failed)
