"""What stands at the end of a day (instruments, books, links): kept with a version, so that the next day begins with it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import zstandard
from tapeline_kernel import Normalizer

from tapeline.offline.lake import LakeError

STATE = "state"
_LEVEL = 3


class _Standing(msgspec.Struct, frozen=True):
    instance: str
    fields: list[tuple[bytes, bytes]]


def encode(kernel: Normalizer, instance: str) -> bytes:
    """What stands in a kernel; the same of the same."""
    fields = sorted(kernel.checkpoint().items())
    return zstandard.ZstdCompressor(level=_LEVEL).compress(msgspec.msgpack.encode(_Standing(instance, fields)))


def restore(kernel: Normalizer, instance: str, states: Iterable[bytes]) -> tuple[int, int] | None:
    """Puts what stood in the units of the day before into a kernel of the same instance: epoch and sequence of its last payload.

    None where nothing fits. Raises LakeError.
    """
    found = []
    for state in states:
        try:
            plain = zstandard.ZstdDecompressor().decompress(state)
            standing = msgspec.msgpack.decode(plain, type=_Standing)
            epoch, _, last = dict(standing.fields)[b"position"].partition(b":")
            found.append(((int(epoch), int(last)), standing))
        except (zstandard.ZstdError, msgspec.DecodeError, KeyError, ValueError) as error:
            raise LakeError(f"what stood at the end of the day before cannot be read: {error}") from None
    found = [(position, standing) for position, standing in found if standing.instance == instance]
    if not found:
        return None
    # The kernel goes on from the position that it is told last.
    for _, standing in sorted(found, key=lambda item: item[0]):
        kernel.restore(dict(standing.fields))
    return max(position for position, _ in found)
