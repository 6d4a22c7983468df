"""A venue whose mapping has changed: a copy of the venue folder for processes, and a patch for this one."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import normalizer
from normalizer.venues import kraken

UPDATES = "book update"


def patch(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on Kraken's book updates are left out."""
    meaning = kraken.MEANING
    (mapping,) = meaning.mappings
    messages = tuple(
        replace(message, emits=(), excluded="left out") if message.name == UPDATES else message
        for message in mapping.messages
    )
    changed = replace(meaning, mappings=(replace(mapping, messages=messages),))
    monkeypatch.setattr(kraken, "MEANING", changed)


def folder(place: Path) -> Path:
    """What to put first on a process's PYTHONPATH, so that Kraken's book updates are left out in it."""
    shutil.copytree(
        Path(normalizer.__file__).parent, place / "normalizer", ignore=shutil.ignore_patterns("__pycache__")
    )
    file = place / "normalizer" / "venues" / "kraken.py"
    added = f"""
from dataclasses import replace

_MESSAGES = tuple(
    replace(message, emits=(), excluded="left out") if message.name == {UPDATES!r} else message
    for message in MEANING.mappings[0].messages
)
MEANING = replace(MEANING, mappings=(replace(MEANING.mappings[0], messages=_MESSAGES),))
"""
    file.write_text(file.read_text() + added)
    return place
