"""One soak from beginning to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from tapeline.telemetry import Level, event
from tests.soak.account import Account
from tests.soak.acts import Actor
from tests.soak.options import Options
from tests.soak.outcome import Outcome, judge
from tests.soak.rig import Rig, SoakError, wait
from tests.soak.schedule import FRAME_KINDS, Kind, schedule

_HELD_BACK_NS = 3_000_000_000
"""How long before its end a killed session manager may have had what nobody had read."""
_TAIL_SECONDS = 5.0


def soak(options: Options) -> Outcome:
    """Runs it all, and accounts for every payload."""
    load = os.getloadavg()[0]
    with Rig(options) as rig:
        rig.start()
        try:
            wait(lambda: not _unsettled(rig), 60.0, "all venues are up")
        except SoakError as error:
            raise SoakError(f"{error}: {'; '.join(_unsettled(rig))}") from None
        begun = time.monotonic()
        actor = Actor(rig, options.seed)
        cpu = rig.cpu()
        failure = ""
        try:
            _steps(rig, actor, options, rig.began + options.seconds)
            rig.drain()
        except (SoakError, AssertionError, OSError, httpx.HTTPError, BotoCoreError, ClientError) as error:
            failure = f"{type(error).__name__}: {error}"
        used = {name: seconds - cpu.get(name, 0.0) for name, seconds in rig.cpu().items()}
        spent = time.monotonic() - begun
        stats = {name: child.stats for name, child in rig.rooms.items()}
        bad_ends = rig.stop()
        (rig.folder / "stats.json").write_bytes(msgspec.json.encode(stats))
        _note_kills(rig, actor)
        event("account", Level.INFO, folder=rig.folder)
        started = time.monotonic()
        accounts = _accounts(rig, options)
        outcome = judge(options, actor.done, accounts, stats, rig.memory, used, spent, load)
        outcome.account_seconds = round(time.monotonic() - started, 1)
        outcome.problems = [*([failure] if failure else []), *bad_ends, *outcome.problems]
    return outcome


def _unsettled(rig: Rig) -> list[str]:
    """Who is not up yet: every venue wants as many connections and channels at one instance as at the other, and some."""
    rig.check()
    up = rig.up()
    uneven = [
        f"{venue}: {up['PRIMARY', venue]} and {up['REPLICA', venue]} connections and channels"
        for venue in rig.options.venues
        if up["PRIMARY", venue] != up["REPLICA", venue] or not all(up["PRIMARY", venue])
    ]
    return uneven or rig.well(up)


def _steps(rig: Rig, actor: Actor, options: Options, end: float) -> None:
    time.sleep(options.settle_seconds)
    for step in schedule(options.seed, options.steps, options.venues, options.kinds, options.outage_seconds):
        longest = (
            step.seconds + options.settle_seconds + _TAIL_SECONDS + (10.0 if step.kind is Kind.REDIS_FAILOVER else 5.0)
        )
        if time.monotonic() + longest > end:
            continue
        actor.take(step)
        time.sleep(options.settle_seconds)
    while time.monotonic() < end:
        rig.check()
        time.sleep(0.2)


def _note_kills(rig: Rig, actor: Actor) -> None:
    windows: dict[str, list[tuple[int, int]]] = {}
    for done in actor.done:
        if done.step.kind is Kind.KILL_SESSION_MANAGER:
            windows.setdefault(done.step.party, []).append((done.from_ns - _HELD_BACK_NS, done.to_ns or time.time_ns()))
    (rig.folder / "killed.json").write_text(json.dumps(windows))
    harmed: dict[str, int] = {}
    for done in actor.done:
        if done.step.kind in FRAME_KINDS:
            for venue in done.step.venues:
                harmed[venue] = harmed.get(venue, 0) + done.step.count
    (rig.folder / "harmed.json").write_text(json.dumps(harmed))


def _accounts(rig: Rig, options: Options) -> list[Account]:
    """Each venue by a process of its own."""

    def one(venue: str) -> Account:
        words = [sys.executable, "-m", "tests.soak.account", str(rig.folder), rig.store_url, venue]
        done = subprocess.run(words, env=rig.environment, stdout=subprocess.PIPE, check=False)
        if done.returncode:
            return Account(venue, problems=[f"no account: exit code {done.returncode}"])
        Path(rig.folder / f"account-{venue}.json").write_bytes(done.stdout)
        return msgspec.json.decode(done.stdout, type=Account)

    with ThreadPoolExecutor(options.workers) as pool:
        return list(pool.map(one, options.venues))
