"""The seam to whatever keeps objects: keys are `/`-joined names, values are bytes written once and whole."""

from __future__ import annotations

import builtins
from typing import Protocol

from tapeline.errors import RefusedError

KEY_BYTES = 640
"""How long a key may be: every store holds keys up to this, with parts up to 255 bytes."""


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

    def swap(self, key: str, old: bytes | None, new: bytes) -> bool:
        """Writes an object in the place of one that holds `old` (None: of none), in one step against other swaps of it.

        False where it holds something else, and then nothing has changed.
        """

    def get(self, key: str) -> bytes:
        """The object's bytes; raises ObjectMissingError."""

    def list(self, prefix: str) -> list[str]:
        """The keys that begin with this text, sorted; objects half written are never among them."""

    def sizes(self, prefix: str) -> dict[str, int]:
        """As `list`, with the bytes of each object; in the order of the keys."""

    def folders(self, prefix: str) -> builtins.list[str]:
        """What keys go on with after this text, up to the next slash and with it, each once and whole, sorted.

        The text ends with a slash, or is empty. A folder may have been emptied.
        """

    def delete(self, key: str) -> None:
        """Removes an object; one that is not there is no error."""
