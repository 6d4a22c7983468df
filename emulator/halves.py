"""Which venues can be emulated, and their session halves (the meaning half may still be unwritten)."""

from __future__ import annotations

import importlib
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
        return venues.load(name).session
    except SpecIncompleteError:
        # A venue under work: talking to it needs no meaning.
        found = getattr(importlib.import_module(f"{venues.SESSIONS}.{name}"), "SESSION", None)
        if not isinstance(found, Session):
            raise
        return found


def hosts(half: Session) -> set[str]:
    """The hosts a venue is reached at."""
    urls = [url for place in half.endpoints for url in (place.url, *place.alternatives)]
    urls += [request.url for request in half.requests]
    return {urlsplit(url).hostname or "" for url in urls}
