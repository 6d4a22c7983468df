"""One lake for all tests of history."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.history.lakes import Truth, make_lake, truth


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two days of several venues are."""
    return make_lake(tmp_path_factory.mktemp("history"))


@pytest.fixture(scope="session")
def canonical(lake: Path) -> Truth:
    """What is in it."""
    return truth(lake)
