"""A home for Spark in a test's own folder: what it writes beside itself lands there."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest


def environment(place: Path, master: str, *conf: str) -> dict[str, str]:
    """In which a process finds a Spark of several executors; skipped where there is no Java, but fails in CI."""
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        words = "no Java: Spark needs one, 8 to 17"
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail(f"{words}; CI must have it")
        pytest.skip(words)
    spec = find_spec("pyspark")
    assert spec is not None
    assert spec.origin is not None
    home = place / "spark"
    home.mkdir(parents=True)
    for entry in Path(spec.origin).parent.iterdir():
        if entry.name != "work":
            (home / entry.name).symlink_to(entry)
    submit = [word for text in conf for word in ("--conf", text)]
    return {
        **os.environ,
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_DIRS": str(place / "local"),
        "PYSPARK_SUBMIT_ARGS": " ".join([*submit, "pyspark-shell"]),
        "TAPELINE_SPARK_MASTER": master,
    }
