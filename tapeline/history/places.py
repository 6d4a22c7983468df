"""Where a command finds the lake."""

from __future__ import annotations

from pathlib import Path

from tapeline.offline.lake import Lake
from tapeline.settings import Settings


def lake_of(url: str | None, data_dir: Path | None) -> Lake:
    """The lake that was given, else that of the given data directory, else as set; raises NoTablesError or what a store raises."""
    settings = Settings.from_environment()
    if url:
        return Lake.at(url)
    if data_dir is None and settings.lake:
        return Lake.at(settings.lake)
    return Lake.under(data_dir or settings.data_dir)
