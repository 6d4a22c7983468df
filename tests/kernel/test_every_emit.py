"""The spec that fuzzing runs on is the one the languages of today give."""

from __future__ import annotations

import pytest

from tests.kernel.every_emit import FILES, FOLDER


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_fuzzed_specs_are_current(name: str) -> None:
    """`python -m tests.kernel.every_emit` has been run since a spec language changed."""
    assert (FOLDER / name).read_bytes() == FILES[name] + b"\n"
