"""Child processes of `tapeline up`: started, read, and never left behind.

A child speaks JSON lines on stdout (`ready`, `stats`, `done`) and logs on stderr, which goes to a file.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tapeline.errors import TapelineError
from tapeline.process import end_with_parent

_POLL_SECONDS = 0.02


class ChildFailedError(TapelineError):
    """A process of the pipeline could not start, or ended before its time."""


@dataclass
class Child:
    """One process: what it has said so far, and how it ended."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    ready: dict[str, Any] | None = None
    stats: dict[str, Any] = field(default_factory=dict)
    stats_at: float = 0.0
    """When they were read, in seconds, monotonic."""
    done: dict[str, Any] | None = None
    cpu_seconds: float = 0.0
    stopping: bool = False
    reader: threading.Thread | None = None

    @property
    def ended(self) -> bool:
        """Whether the process has ended; its CPU time is known from then on."""
        if self.process.returncode is None:
            self._reap(os.WNOHANG)
        return self.process.returncode is not None

    def cpu_now(self) -> float:
        """CPU seconds so far: the system's word where it gives one, else what the process told last."""
        try:
            words = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return float(self.stats.get("cpu_seconds", 0.0))
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def _reap(self, flags: int) -> None:
        # wait4 rather than Popen.wait: only it tells the CPU time of just this child.
        try:
            pid, status, usage = os.wait4(self.process.pid, flags)
        except ChildProcessError:
            self.process.returncode = self.process.returncode or 0
            return
        if pid:
            self.process.returncode = os.waitstatus_to_exitcode(status)
            self.cpu_seconds = usage.ru_utime + usage.ru_stime

    def why(self) -> str:
        """Why it ended, in a line: its exit code and the last thing it logged."""
        code = self.process.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code and code < 0 else f"ended with exit code {code}"
        return f"{self.name} {how}: {_last_line(self.log)} (log: {self.log})"

    def ask_to_stop(self) -> None:
        """Asks it to stop, once."""
        if not self.stopping and not self.ended:
            self.process.send_signal(signal.SIGTERM)
            # One that stands still would not hear of it.
            self.process.send_signal(signal.SIGCONT)
        self.stopping = True

    def stop(self, seconds: float = 20.0) -> None:
        """Asks it to stop, waits, and kills it where that does not help; may be called twice."""
        self.ask_to_stop()
        end = time.monotonic() + seconds
        while not self.ended and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Ends it at once."""
        self.stopping = True
        if not self.ended:
            self.process.kill()
            self._reap(0)
        if self.reader is not None:
            # What it said last counts: the final stats come just before its end.
            self.reader.join(timeout=5)

    def await_ready(self, seconds: float) -> dict[str, Any]:
        """What it said when it was ready; raises ChildFailedError."""
        end = time.monotonic() + seconds
        while self.ready is None:
            if self.ended:
                raise ChildFailedError(self.why())
            if time.monotonic() > end:
                raise ChildFailedError(f"{self.name} is not ready after {seconds:.0f} s (log: {self.log})")
            time.sleep(_POLL_SECONDS)
        return self.ready


def spawn(name: str, module: str, arguments: Sequence[str], log_dir: Path, env: dict[str, str] | None = None) -> Child:
    """Starts `python -m module arguments…` in a session of its own, so that Ctrl-C reaches only us."""
    log_dir.mkdir(parents=True, exist_ok=True)
    log = log_dir / f"{name}.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            # Not even SIGKILL of `tapeline up` may leave a child behind.
            preexec_fn=end_with_parent,  # noqa: PLW1509 - one system call, no lock taken
            env=env,
        )
    child = Child(name, process, log)
    child.reader = threading.Thread(target=_read, args=(child,), name=f"read {name}", daemon=True)
    child.reader.start()
    return child


def adopt(name: str, process: subprocess.Popen[bytes], log: Path) -> Child:
    """A process started elsewhere that says nothing on stdout."""
    return Child(name, process, log, ready={})


def _read(child: Child) -> None:
    if child.process.stdout is None:
        return
    with child.process.stdout as lines:
        for line in lines:
            try:
                said = msgspec.json.decode(line)
            except msgspec.DecodeError:
                continue
            match said.get("event") if isinstance(said, dict) else None:
                case "ready":
                    child.ready = said
                case "stats":
                    child.stats, child.stats_at = said, time.monotonic()
                case "done":
                    child.done = said


def _last_line(log: Path) -> str:
    try:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    if not lines:
        return "it logged nothing"
    try:
        event = msgspec.json.decode(lines[-1])
        return (
            str(event.get("error") or event.get("reason") or event.get("event"))
            if isinstance(event, dict)
            else lines[-1]
        )
    except msgspec.DecodeError:
        return lines[-1]
