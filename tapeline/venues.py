"""Finds venues by the files in the two venue folders; no room is imported before it is asked for."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from tapeline.errors import SpecIncompleteError, UnknownVenueError
from tapeline.spec.meaning import Meaning

if TYPE_CHECKING:
    from tapeline.spec.session import Session

SESSIONS = "session_manager.venues"
MEANINGS = "normalizer.venues"


@dataclass(frozen=True, slots=True)
class Venue:
    """Both halves of a venue; `provider` is its name in channel names."""

    name: str
    provider: str
    session: Session
    meaning: Meaning


def provider(name: str) -> str:
    """A venue's name as it stands in channel names."""
    return name.upper()


def names() -> list[str]:
    """All venues that have at least one half, sorted."""
    return sorted(_modules(SESSIONS) | _modules(MEANINGS))


def load(name: str) -> Venue:
    """Both halves of a venue; raises UnknownVenueError, or SpecIncompleteError where a half is missing."""
    known = names()
    if name not in known:
        raise UnknownVenueError(name, known)
    from tapeline.spec.session import Session

    session = getattr(_half(SESSIONS, name), "SESSION", None)
    meaning = getattr(_half(MEANINGS, name), "MEANING", None)
    if not isinstance(session, Session):
        raise SpecIncompleteError(f"{SESSIONS}.{name} holds no SESSION")
    if not isinstance(meaning, Meaning):
        raise SpecIncompleteError(f"{MEANINGS}.{name} holds no MEANING")
    return Venue(name, provider(name), session, meaning)


def _modules(package: str) -> set[str]:
    paths = importlib.import_module(package).__path__
    return {module.name for module in pkgutil.iter_modules(paths) if not module.name.startswith("_")}


def _half(package: str, name: str) -> ModuleType:
    if name not in _modules(package):
        raise SpecIncompleteError(f"venue {name} lacks its half {package}.{name}")
    return importlib.import_module(f"{package}.{name}")
