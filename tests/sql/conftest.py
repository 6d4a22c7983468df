"""The small day, here and in Athena's emulator, once for all tests of SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tapeline.cli.main import main
from tapeline.objectstore import open_store
from tapeline.offline.answer_text import Answer
from tapeline.offline.lake import Lake
from tapeline.settings import Settings
from tapeline.sql.athena import Athena
from tapeline.sql.dialect import checked
from tapeline.sql.local import ask
from tests.sql.day import make_day
from tests.support.athena_server import BUCKET, RunningAthena, start_athena

Ask = Callable[[str], Answer]
"""Answers one statement."""


@pytest.fixture(scope="session")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `store` and `lake` of a small day."""
    root = tmp_path_factory.mktemp("sql_day")
    make_day(root)
    return root


@pytest.fixture(scope="session")
def athena_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAthena]:
    """Athena, Glue and S3, with one empty bucket."""
    running = start_athena(tmp_path_factory.mktemp("athena"))
    try:
        yield running
    finally:
        running.close()


@pytest.fixture(scope="session")
def athena(athena_server: RunningAthena, day: Path) -> Iterator[Athena]:
    """Athena over the day's objects in its S3, defined by our own command."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in athena_server.environment().items():
            patch.setenv(name, value)
        for folder in ("lake", "store"):
            source, target = open_store(str(day / folder)), open_store(f"s3://{BUCKET}/{folder}")
            for key in source.list(""):
                target.put(key, source.get(key))
        words = ["tables", "--create", "--location", f"s3://{BUCKET}/lake", "--raw", f"s3://{BUCKET}/store"]
        assert main(words) == 0
        yield Athena(Settings.from_environment())


@pytest.fixture(params=["duckdb", "athena"])
def engine(request: pytest.FixtureRequest, day: Path) -> Ask:
    """Each engine in turn, over the same day."""
    if request.param == "duckdb":
        lake = Lake.at(day / "lake")
        return lambda sql: ask(lake, str(day / "store"), checked(sql))
    athena: Athena = request.getfixturevalue("athena")
    return lambda sql: athena.ask(checked(sql))
