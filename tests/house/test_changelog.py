"""The changelog tells of the version that is built."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_newest_entry_is_the_version() -> None:
    """The first version named in CHANGELOG.md is the one in pyproject.toml."""
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    assert versions
    assert versions[0] == project["project"]["version"]


def test_kernel_has_the_same_version() -> None:
    """Root, Python kernel package and crate are released together."""
    files = ("pyproject.toml", "kernel/pyproject.toml")
    versions = {tomllib.loads((REPOSITORY / name).read_text())["project"]["version"] for name in files}
    versions.add(tomllib.loads((REPOSITORY / "kernel/Cargo.toml").read_text())["package"]["version"])
    assert len(versions) == 1
