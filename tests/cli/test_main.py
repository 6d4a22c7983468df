"""The frame of the command line: which commands there are, and how what goes wrong is told."""

from __future__ import annotations

import argparse
import sys
from types import ModuleType, SimpleNamespace

import pytest

from tapeline.cli import main as frame
from tapeline.errors import CaptureError, SettingError, StreamUnavailableError, UnknownVenueError, UsageError

COMMANDS = [
    "backfill",
    "book",
    "cost",
    "emulate",
    "export",
    "ledger",
    "normalize",
    "postprocess",
    "query",
    "replay",
    "subscribe",
    "subscriptions",
    "tables",
    "tail",
    "unsubscribe",
    "up",
    "venues",
    "versions",
]


def command(outcome: BaseException | int) -> SimpleNamespace:
    """A command that ends as told."""

    def run(args: argparse.Namespace) -> int:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return SimpleNamespace(HELP="does as told", configure=lambda parser: None, run=run)


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A frame with one command, `do`."""
    monkeypatch.delenv("TAPELINE_LOG_LEVEL", raising=False)
    monkeypatch.setattr(frame, "command_names", lambda: ["do"])
    return monkeypatch


def test_commands_are_those_promised() -> None:
    """The folder holds exactly the commands of the manual."""
    assert frame.command_names() == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command explains itself and exits with 0."""
    with pytest.raises(SystemExit) as end:
        frame.main([name, "--help"])
    assert end.value.code == 0
    assert f"tapeline {name}" in capsys.readouterr().out
    module = frame.load_command(name)
    assert isinstance(module, ModuleType)
    assert module.HELP


def test_wrong_usage_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown command is refused, naming the known ones."""
    with pytest.raises(SystemExit) as end:
        frame.main(["nonsense"])
    assert end.value.code == 2
    assert "normalize" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("so not"), 2),
        (SettingError("TAPELINE_X", "1", "nothing"), 2),
        (UnknownVenueError("x", ["y"]), 2),
        (CaptureError("x.zst", 3, "is broken"), 1),
        (StreamUnavailableError("away"), 1),
        (RuntimeError("a bug\nin two lines"), 1),
        (0, 0),
        (1, 1),
    ],
)
def test_outcome_becomes_exit_code(
    only: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException | int, code: int
) -> None:
    """Whatever a command does ends in an exit code and at most one line, without a traceback."""
    only.setattr(frame, "load_command", lambda name: command(error))
    assert frame.main(["do"]) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == (1 if isinstance(error, BaseException) else 0)
    assert all(line.startswith("tapeline: ") for line in lines)


def test_debugging_shows_where(only: pytest.MonkeyPatch) -> None:
    """With TAPELINE_LOG_LEVEL=DEBUG the error itself comes out."""
    only.setenv("TAPELINE_LOG_LEVEL", "DEBUG")
    only.setattr(frame, "load_command", lambda name: command(UsageError("so not")))
    with pytest.raises(UsageError):
        frame.main(["do"])


def test_wrong_setting_is_refused_whatever_the_command(
    only: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt variable is not ignored in silence."""
    only.setattr(frame, "load_command", lambda name: command(0))
    only.setenv("TAPELINE_REDIS", "redis://127.0.0.1")
    assert frame.main(["do"]) == 2
    assert "TAPELINE_REDIS" in capsys.readouterr().err


def test_a_reader_that_leaves_is_no_failure(only: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """`tapeline … | head` ends quietly."""
    only.setattr(frame, "load_command", lambda name: command(BrokenPipeError()))
    with (tmp_path_factory.mktemp("out") / "out").open("w") as out:
        only.setattr(sys, "stdout", out)
        assert frame.main(["do"]) == 0
