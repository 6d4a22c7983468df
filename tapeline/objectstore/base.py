"""The seam to whatever keeps objects: keys are `/`-joined names, values are bytes written once and whole."""

from __future__ import annotations

from typing import Protocol

from tapeline.errors import RefusedError


class ObjectMissingError(RefusedError):
    """The store answers and has no object of that key."""


class StoreRefusedError(RefusedError):
    """The store answers and says no: wrong bucket, wrong credentials, no permission, a key it cannot hold."""


class ObjectStore(Protocol):
    """Whole objects by key; every call blocks, may be made from any thread, and is durable when it returns.

    Every call raises StoreUnavailableError (retry later) or StoreRefusedError (an operator has to act).
    """

    def put(self, key: str, data: bytes, if_absent: bool = True) -> bool:
        """Writes an object; False where `if_absent` was asked and the key is taken, and then nothing has changed."""

    def get(self, key: str) -> bytes:
        """The object's bytes; raises ObjectMissingError."""

    def list(self, prefix: str) -> list[str]:
        """The keys that begin with this text, sorted; objects half written are never among them."""

    def sizes(self, prefix: str) -> dict[str, int]:
        """As `list`, with the bytes of each object; in the order of the keys."""

    def delete(self, key: str) -> None:
        """Removes an object; one that is not there is no error."""
