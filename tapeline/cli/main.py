"""The `tapeline` command: finds its subcommands beside this file and runs one.

A command is a module or package of this folder with `HELP: str`, `configure(parser)` and `run(args) -> int`.
Exit codes: 0 done, 1 a finding or a failure, 2 wrong usage or settings.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Protocol, cast

from tapeline.errors import ChannelNameError, SettingError, TapelineError, UnknownVenueError, UsageError
from tapeline.settings import Settings

WRONG_USAGE = (SettingError, UsageError, UnknownVenueError, ChannelNameError)


class Command(Protocol):
    """What a command's module holds."""

    HELP: str

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Adds the command's arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Does the work; the exit code."""


def command_names() -> list[str]:
    """The commands there are, sorted."""
    here = [str(Path(__file__).parent)]
    return sorted(m.name for m in pkgutil.iter_modules(here) if m.name != "main" and not m.name.startswith("_"))


def load_command(name: str) -> Command:
    """The module of one command."""
    return cast(Command, importlib.import_module(f"tapeline.cli.{name}"))


def build_parser(names: Sequence[str]) -> argparse.ArgumentParser:
    """The parser for some of the commands; all of them only where help is wanted, since some import much."""
    parser = argparse.ArgumentParser(
        prog="tapeline",
        description="Market data from trading venues: exact, redundant, replayable.",
        epilog="Exit codes: 0 done, 1 a finding or a failure, 2 wrong usage or settings.",
    )
    parser.add_argument("--version", action="version", version=f"tapeline {version('tapeline')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in names:
        module = load_command(name)
        child = commands.add_parser(name, help=module.HELP, description=module.HELP)
        module.configure(child)
        child.set_defaults(run_command=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and turns what goes wrong into one line on stderr and an exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    names = command_names()
    chosen = [words[0]] if words and words[0] in names else names
    try:
        args = build_parser(chosen).parse_args(words)
        # Whatever the command needs of them: a misspelt setting is never ignored.
        Settings.from_environment()
        return int(args.run_command(args))
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:
        # The reader of our output has gone (`| head`); Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except TapelineError as error:
        if _debugging():
            raise
        return _fail(str(error), 2 if isinstance(error, WRONG_USAGE) else 1)
    except Exception as error:
        if _debugging():
            raise
        place = "TAPELINE_LOG_LEVEL=DEBUG shows where"
        return _fail(f"unexpected {type(error).__name__}: {error} ({place})", 1)


def _debugging() -> bool:
    return os.environ.get("TAPELINE_LOG_LEVEL", "").upper() == "DEBUG"


def _fail(text: str, code: int) -> int:
    line = " ".join(text.split())
    print(f"tapeline: {line}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
