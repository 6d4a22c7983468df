"""The house rules that no linter knows: size of files, and names that say nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = (
    "tapeline", "session_manager", "normalizer", "batch_processor", "postprocess", "emulator", "arbiter", "kernel/src", "kernel/fuzz",
    "kernel/tests", "tests", "benchmarks",
)  # fmt: skip
MOST_LINES = 600
SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base_utils"}


def sources() -> Iterator[Path]:
    """Every file written by hand."""
    for folder in FOLDERS:
        for path in sorted((REPOSITORY / folder).rglob("*")):
            generated = "_pb2" in path.name or "target" in path.parts
            if path.suffix in {".py", ".rs", ".pyi"} and not generated:
                yield path


def lines(path: Path) -> int:
    """A file's lines; a crate's unit tests stand in the file they test and do not count."""
    return len(path.read_text().split("#[cfg(test)]\nmod ")[0].splitlines())


def test_no_file_is_too_long() -> None:
    """A file past 600 lines holds more than one idea."""
    counted = {path: lines(path) for path in sources()}
    assert counted
    assert {str(path.relative_to(REPOSITORY)): n for path, n in counted.items() if n > MOST_LINES} == {}


def test_names_say_something() -> None:
    """No module is called utils, helpers, common or manager."""
    assert [str(path) for path in sources() if path.stem.lower() in SAY_NOTHING] == []


def test_each_module_says_what_it_is_for() -> None:
    """The first line of each Python file is its docstring, of each Rust file its doc comment."""
    silent = []
    for path in sources():
        text = path.read_text()
        wanted = ("//!", "#!") if path.suffix == ".rs" else ('"""', 'r"""')
        if text.strip() and not text.startswith(wanted):
            silent.append(str(path.relative_to(REPOSITORY)))
    assert silent == []
