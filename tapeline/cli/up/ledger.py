"""What the emulator says it sent, and what of it a consumer has not had."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from tapeline import venues
from tapeline.cli.up.tally import DEFINITIONS
from tapeline.errors import TapelineError
from tapeline.schemas import Schema


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
    return {
        venue: {channel: int(row["payloads"]) for channel, row in channels.items()}
        for venue, channels in totals[-1]["venues"].items()
    }


def missing(venue: str, sent: Mapping[str, int], received: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Payloads by channel that were sent and not received, all instances together; channels without any are left out."""
    got: dict[str, int] = {}
    for stream in received:
        for channel, payloads in stream.items():
            got[channel] = got.get(channel, 0) + payloads
    lists = [channel for channel in sent if _is_list(venue, channel)]
    out = {channel: payloads - got.get(channel, 0) for channel, payloads in sent.items() if channel not in lists}
    # Definitions are published on a channel for each symbol; which list they came by is not told.
    out[DEFINITIONS] = sum(sent[channel] for channel in lists) - got.get(DEFINITIONS, 0)
    return {channel: payloads for channel, payloads in out.items() if payloads > 0}


def _is_list(venue: str, channel: str) -> bool:
    schemas = venues.load(venue).session.routing.schemas
    first = next((rule.schema for rule in schemas if fnmatchcase(channel, rule.glob)), None)
    return first is Schema.DEFINITION
