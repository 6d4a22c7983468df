"""Finds this room's half of a venue."""

from __future__ import annotations

import importlib
import pkgutil

from session_manager import venues
from session_manager.session.validate import validate
from tapeline.errors import SpecIncompleteError, UnknownVenueError
from tapeline.spec.session import Session


def names() -> list[str]:
    """The venues that have a session half."""
    return sorted(module.name for module in pkgutil.iter_modules(venues.__path__) if not module.name.startswith("_"))


def load(name: str) -> Session:
    """A venue's session half, validated; raises UnknownVenueError or SpecIncompleteError."""
    if name not in names():
        raise UnknownVenueError(name, names())
    session = getattr(importlib.import_module(f"{venues.__name__}.{name}"), "SESSION", None)
    if not isinstance(session, Session):
        raise SpecIncompleteError(f"{venues.__name__}.{name} holds no SESSION")
    validate(name, session)
    return session
