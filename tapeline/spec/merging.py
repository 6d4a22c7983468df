"""What a venue's meaning is where two connections' messages are one stream."""

from __future__ import annotations

from dataclasses import replace

from tapeline.spec.meaning import Meaning


def uncounted(meaning: Meaning) -> Meaning:
    """Without counters over a connection: of two connections that complete each other, neither's is whole."""
    return replace(meaning, mappings=tuple(replace(mapping, counters=()) for mapping in meaning.mappings))
