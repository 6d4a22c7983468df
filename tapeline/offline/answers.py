"""Which channel an answer of a capture belongs to: a REST answer by its URL, one over the socket by what was asked there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from tapeline.spec import subscribe
from tapeline.spec.session import Family, Request, Session
from tapeline.spec.subscribe import Channel
from tapeline.spec.template import Json, at, decode, fill, fits, names, read, render, text_of

_VERSION = re.compile(r"v\d+\Z")


class Answer(NamedTuple):
    """What an answer is: a payload of `channel`, or a declared failure of its request."""

    channel: str
    schema: str
    failed: bool


def polled(session: Session, url: str) -> str | None:
    """The channel that a REST request polls, read from its URL; None where no polled family has such requests."""
    asked = _address(url)
    requests = {request.name: request for request in session.requests}
    for family in session.families:
        request = requests.get(family.poll.request) if family.poll else None
        if request is None:
            continue
        for pattern in family.patterns:
            pieces = _unfilled(_marked(request.url, family, names(pattern)), asked)
            if pieces is not None and names(pattern) <= set(pieces):
                return render(pattern, pieces)
    return None


class _Address(NamedTuple):
    """A URL without what changes over the years: host, API version, and parameters that do not say what is asked for."""

    path: tuple[str, ...]
    parameters: dict[str, str]


class Answers:
    """Finds the channel of answers among the channels of a capture."""

    def __init__(self, session: Session, channels: Iterable[str]) -> None:
        self._session = session
        self._requests = {request.name: request for request in session.requests}
        found = [known for identifier in channels if (known := subscribe.channel(session, identifier)) is not None]
        self._own = [
            (known, self._requests[name])
            for known in found
            for name in _requests_of(known.family)
            if name in self._requests
        ]
        self._served: set[str] = set()
        self._spoken = [
            (known, request, _filled(request.message, known)) for known, request in self._own if request.message
        ]
        self._listed = [request for request in session.requests if request.message and request.channel]
        """Instrument lists and the like, which are no family's."""
        self._asked: dict[tuple[str, str, str], str] = {}

    def find(self, url: str, body: bytes) -> Answer | None:
        """The answer's channel; None where the session half knows no such request or the capture no such channel."""
        asked = _address(url)
        for request in self._requests.values():
            if request.channel and any(
                not names(url) and _same(_address(url), asked, ()) for url in (request.url, *request.also)
            ):
                return Answer(request.channel, request.schema.value, _failed(request, body))
        fitting = [
            (known.id, request)
            for known, request in self._own
            if any(
                _same(_address(_filled(url, known)), asked, _asking(url)) for url in (request.url, *request.also) if url
            )
        ]
        if not fitting:
            return None
        # Where two channels share the symbol each asks for itself: the next answer is the next channel's.
        channel, request = next((item for item in fitting if item[0] not in self._served), fitting[0])
        self._served.add(channel)
        return Answer(channel, request.schema.value, _failed(request, body))

    def asked(self, connection: str, message: bytes) -> None:
        """Notes a client message that is a request of a channel over the socket, by its number."""
        text = message.decode("utf-8", "replace")
        for known, request, pattern in self._spoken:
            given = read(pattern, text)
            if given is not None and "id" in given:
                self._asked[connection, request.name, given["id"].strip('"')] = known.id

    def answered(self, connection: str, text: bytes) -> Answer | None:
        """What a frame that no route takes answers; None where it is no answer to a request over the socket."""
        if not self._spoken and not self._listed:
            return None
        try:
            value: Json = decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        known = [*self._listed, *(request for _, request, _ in self._spoken)]
        for request in {request.name: request for request in known}.values():
            if not fits(value, request.answer):
                continue
            channel = fill(request.answer_channel, value) if request.answer_channel else None
            if channel is None and request.id:
                channel = self._asked.get((connection, request.name, text_of(at(value, request.id))))
            if channel is not None:
                return Answer(request.channel or channel, request.schema.value, _failed(request, text))
        return None


def _requests_of(family: Family) -> tuple[str, ...]:
    return (family.snapshot, family.poll.request if family.poll else "", family.backfill)


_MARK = "\x00"
_MOVING = ("cursor", "until", "key", "nonce", "id")
"""Pieces that change from request to request of one channel."""


def _filled(template: str, known: Channel) -> str:
    """A template for a channel; what changes from request to request is left as it stands."""
    marked = render(template, {**subscribe.pieces(known), **{name: f"{_MARK}{name}{_MARK}" for name in _MOVING}})
    return "".join(f"${{{part}}}" if place % 2 else part for place, part in enumerate(marked.split(_MARK)))


def _marked(template: str, family: Family, unknown: set[str]) -> str:
    """A template with a family's fields filled in; the pieces of a channel, and those that move, are left as they stand."""
    marks = {name: f"{_MARK}{name}{_MARK}" for name in (*unknown, *_MOVING)}
    marked = render(template, {**dict(family.fields), "family": family.name, **marks})
    return "".join(f"${{{part}}}" if place % 2 else part for place, part in enumerate(marked.split(_MARK)))


def _unfilled(template: str, asked: _Address) -> dict[str, str] | None:
    """The pieces with which a URL was made of a template; None where it was not."""
    form = _address(template)
    if len(form.path) != len(asked.path):
        return None
    pairs = list(zip(form.path, asked.path, strict=True))
    pairs += [(value, asked.parameters.get(name, "")) for name, value in form.parameters.items() if names(value)]
    pieces: dict[str, str] = {}
    for form_text, text in pairs:
        if names(form_text) & set(_MOVING):
            continue
        found = read(form_text, text)
        if found is None or any(pieces.get(name, value) != value for name, value in found.items()):
            return None
        pieces.update(found)
    return pieces


def _address(url: str) -> _Address:
    parts = urlsplit(url)
    path = tuple(unquote(piece) for piece in parts.path.split("/") if piece and not _VERSION.match(piece))
    return _Address(path, dict(parse_qsl(parts.query, keep_blank_values=True)))


def _asking(url: str) -> tuple[str, ...]:
    """The parameters that say what is asked for: those with a piece in them that is the channel's own."""
    query = urlsplit(url).query
    pairs = parse_qsl(query, keep_blank_values=True)
    return tuple(name for name, value in pairs if names(value) and not names(value) & set(_MOVING))


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
