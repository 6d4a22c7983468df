"""What the emulator says it sent, and what of it a consumer has not had."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from tapeline import venues
from tapeline.cli.up.tally import DEFINITIONS, ChannelCounts
from tapeline.errors import TapelineError
from tapeline.schemas import Schema
from tapeline.spec.meaning import BookLevels, BookOrder, Meaning, SnapshotFrom


class LedgerError(TapelineError):
    """The emulator left no ledger that can be read."""


def read_sent(path: Path) -> dict[str, dict[str, int]]:
    """Payloads sent, by venue and channel; raises LedgerError."""
    try:
        lines = [msgspec.json.decode(line) for line in path.read_bytes().splitlines() if line.strip()]
    except (OSError, msgspec.DecodeError) as error:
        raise LedgerError(f"cannot read the emulator's ledger {path}: {error}") from None
    totals = [line for line in lines if line.get("event") == "totals"]
    if not totals:
        raise LedgerError(f"the emulator's ledger {path} has no totals")
    return {venue: dict(told["channels"]) for venue, told in totals[-1]["venues"].items()}


def missing(venue: str, sent: Mapping[str, int], received: Iterable[Mapping[str, ChannelCounts]]) -> dict[str, int]:
    """Payloads by channel that were sent and not received, all instances together; channels without any are left out."""
    meaning = venues.load(venue)
    got: Counter[str] = Counter()
    for stream in received:
        for channel, counts in stream.items():
            # A snapshot by request was not sent over the socket, so it must not stand in for a message that was.
            requested = _snapshot_by_request(meaning.meaning, channel)
            got[channel] += counts["payloads"] - (counts["snapshots"] if requested else 0)
    lists = [channel for channel in sent if _is_list(meaning, channel)]
    out = {channel: payloads - got[channel] for channel, payloads in sent.items() if channel not in lists}
    # Definitions are published on a channel for each symbol; which list they came by is not told.
    out[DEFINITIONS] = sum(sent[channel] for channel in lists) - got[DEFINITIONS]
    return {channel: payloads for channel, payloads in out.items() if payloads > 0}


def _is_list(venue: venues.Venue, channel: str) -> bool:
    schemas = venue.session.routing.schemas
    first = next((rule.schema for rule in schemas if fnmatchcase(channel, rule.glob)), None)
    return first is Schema.DEFINITION


def _snapshot_by_request(meaning: Meaning, channel: str) -> bool:
    for mapping in meaning.mappings:
        requested = {book.name for book in mapping.books if book.snapshot is SnapshotFrom.REQUEST}
        for message in mapping.messages:
            if fnmatchcase(channel, message.channel) and any(
                isinstance(emit, BookLevels | BookOrder) and emit.book in requested for emit in message.emits
            ):
                return True
    return False
