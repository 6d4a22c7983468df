"""Pins every version a fresh clone resolves to, in pyproject.toml, by name and version alone.

uv's own lock file names the registry it was made with; a list of constraints holds anywhere.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
BUILD = "hatchling\neditables\nmaturin>=1.9,<2\n"
BEGIN, END = "# make lock: begin\n", "# make lock: end\n"


def _run(*command: str, stdin: str = "") -> list[str]:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, cwd=PROJECT.parent)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()}")
    return [line.strip() for line in done.stdout.splitlines() if re.match(r"[A-Za-z0-9]", line)]


def _table(name: str, lines: list[str]) -> str:
    rows = "".join(f'    "{line}",\n' for line in sorted(lines))
    return f"{name} = [\n{rows}]\n"


def main() -> None:
    """Resolves anew, without the old pins, and writes the new ones."""
    text = PROJECT.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    PROJECT.write_text(before + BEGIN + END + after)
    try:
        _run("uv", "lock", "--upgrade")
        flags = ["--all-packages", "--all-groups", "--no-hashes", "--no-annotate", "--no-header", "--no-emit-workspace"]
        project = _run("uv", "export", *flags)
        with tempfile.NamedTemporaryFile("w", suffix=".in") as source:
            source.write(BUILD)
            source.flush()
            flags = ["--no-annotate", "--no-header", "--universal", "--python-version", "3.11", "--quiet"]
            build = _run("uv", "pip", "compile", *flags, source.name)
    except BaseException:
        PROJECT.write_text(text)
        raise
    pins = _table("constraint-dependencies", project) + _table("build-constraint-dependencies", build)
    PROJECT.write_text(before + BEGIN + pins + END + after)


if __name__ == "__main__":
    main()
