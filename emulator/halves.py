"""Which venues can be emulated, and their session halves (the meaning half may still be unwritten)."""

from __future__ import annotations

import importlib
from dataclasses import replace
from urllib.parse import urlsplit

from tapeline import venues
from tapeline.errors import SpecIncompleteError, UnknownVenueError
from tapeline.spec.session import Session


def session(name: str) -> Session:
    """A venue's session half; raises UnknownVenueError or SpecIncompleteError."""
    known = venues.names()
    if name not in known:
        raise UnknownVenueError(name, known)
    try:
        found = venues.load(name)
    except SpecIncompleteError:
        # A venue under work: talking to it needs no meaning.
        half = getattr(importlib.import_module(f"{venues.SESSIONS}.{name}"), "SESSION", None)
        if not isinstance(half, Session):
            raise
        return half
    # The session half may know only so much of the format as routes a frame; what is played is written whole.
    return replace(found.session, routing=replace(found.session.routing, decoder=found.meaning.decoder))


def hosts(half: Session) -> set[str]:
    """The hosts a venue is reached at."""
    urls = [url for place in half.endpoints for url in (place.url, *place.alternatives)]
    urls += [request.url for request in half.requests]
    return {urlsplit(url).hostname or "" for url in urls}


def is_of(half: Session, host: str) -> bool:
    """Whether a host is the venue's; where a handshake tells the host, any of its domain is."""
    domains = {
        ".".join((urlsplit(place.prepare.url).hostname or "").split(".")[-2:])
        for place in half.endpoints
        if place.prepare is not None and not urlsplit(place.url).hostname
    }
    return host in hosts(half) or any(host.endswith(f".{domain}") for domain in domains)
