"""Loads a signer by name and has it make the variables of one connection attempt."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from session_manager import signers
from tapeline.errors import SpecIncompleteError, VenueError
from tapeline.spec.session import FixSession

_PREFIX = "VENUE_SECRET_"


@dataclass(frozen=True, slots=True)
class Signing:
    """What a signer may use: which attempt it is for (`nonce` is its own), the time in ns since the epoch, and the environment."""

    venue: str
    endpoint: str
    nonce: str
    time_ns: int
    fix: FixSession | None = None
    """The endpoint's, where it is one."""
    emulated: bool = False
    """An emulator stands in for the venue: no secret is needed, and none is told."""
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    def secret(self, name: str) -> str:
        """The variable `VENUE_SECRET_<VENUE>_<NAME>`; raises VenueError where it is not set."""
        variable = f"{_PREFIX}{self.venue}_{name}".upper()
        value = self.environment.get(variable, "")
        if not value:
            raise VenueError(f"{variable} is not set")
        return value


Signer = Callable[[Signing], dict[str, str]]


def load(name: str) -> Signer:
    """The signer of that name; raises SpecIncompleteError."""
    full = f"{signers.__name__}.{name}"
    if not name.isidentifier() or importlib.util.find_spec(full) is None:
        raise SpecIncompleteError(f"no signer {name!r}")
    signer: Signer | None = getattr(importlib.import_module(full), "sign", None)
    if signer is None:
        raise SpecIncompleteError(f"{full} has no sign")
    return signer


def sign(name: str, signing: Signing) -> dict[str, str]:
    """The variables a signer gives; raises TapelineError."""
    return load(name)(signing)
