"""Does what the schedule says, and waits after each step until everybody has recovered."""

from __future__ import annotations

import random
import signal
import time
from dataclasses import dataclass, field

from tapeline.redis_keys import cursor
from tapeline.telemetry import Level, event
from tapeline.venues import provider
from tests.soak.rig import Rig, SoakError, wait
from tests.soak.schedule import PARTIES, Kind, Step

_RECOVERY_SECONDS = 120.0
_WELL_FOR = 1.5


@dataclass(slots=True)
class Done:
    """A step that was taken; times in ns since the epoch, `recovery` in seconds."""

    step: Step
    from_ns: int
    to_ns: int = 0
    recovery: float = 0.0
    told: dict[str, object] = field(default_factory=dict)


class Actor:
    """Hurts a rig, step by step."""

    def __init__(self, rig: Rig, seed: int) -> None:
        self.rig = rig
        self.done: list[Done] = []
        self.wanted = rig.up()
        self._chance = random.Random(seed)

    def take(self, step: Step) -> Done:
        """One step, and the recovery from it; raises SoakError where there is none."""
        act = Done(step, time.time_ns())
        self.done.append(act)
        event("step", Level.INFO, step=str(step), seconds=step.seconds, count=step.count)
        before = {venue: self._reconnects(step, venue) for venue in step.venues}
        if step.kind.at_venue:
            self._at_venues(act)
        elif step.kind is Kind.REDIS_FAILOVER:
            self._failover(act)
        elif step.kind is Kind.STORE_OUTAGE:
            self._outage(act)
        elif step.kind.value.startswith("kill"):
            self._kill(act)
        else:
            self._pause(act)
        act.recovery = self._recovered(step, before)
        act.to_ns = time.time_ns()
        event("recovered", Level.INFO, step=str(step), seconds=round(act.recovery, 1))
        return act

    def _recovered(self, step: Step, before: dict[str, int]) -> float:
        start = time.monotonic()
        if step.kind in (Kind.CLOSE, Kind.CLOSE_CODE, Kind.SILENCE):
            wait(
                lambda: all(self._reconnects(step, venue) > before[venue] for venue in step.venues),
                _RECOVERY_SECONDS,
                str(step),
            )
        since = time.monotonic()
        time.sleep(1.2)  # what rooms tell is up to half a second old
        while True:
            self.rig.check()
            ill = self.rig.well(self.wanted)
            now = time.monotonic()
            if ill:
                since = now
            elif now - since > _WELL_FOR:
                return since - start
            if now - start > _RECOVERY_SECONDS:
                raise SoakError(f"no recovery from {step}: {'; '.join(ill)}")
            time.sleep(0.2)

    def _reconnects(self, step: Step, venue: str) -> int:
        return int(self.rig.told(f"session_manager-{step.party}", venue).get("reconnects", 0))

    def _at_venues(self, act: Done) -> None:
        step = act.step
        for venue in step.venues:
            command: dict[str, object] = {"fault": step.kind.value, "party": step.party, "count": step.count}
            if step.kind in (Kind.GAP, Kind.DUPLICATE, Kind.REORDER, Kind.CORRUPT, Kind.TRUNCATE):
                command["after"] = self._chance.randint(0, 200)
            if step.seconds:
                command["seconds"] = step.seconds
            act.told[venue] = self.rig.fault(venue, **command)

    def _room(self, step: Step) -> str:
        return f"{step.kind.room}-{step.party}" if step.party in PARTIES else step.kind.room

    def _kill(self, act: Done) -> None:
        name = self._room(act.step)
        child = self.rig.rooms[name]
        child.process.send_signal(signal.SIGKILL)
        wait(lambda: child.ended, 10.0, f"{name} is dead")
        time.sleep(act.step.seconds)
        self.rig.restart(name)

    def _pause(self, act: Done) -> None:
        process = self.rig.rooms[self._room(act.step)].process
        process.send_signal(signal.SIGSTOP)
        time.sleep(act.step.seconds)
        process.send_signal(signal.SIGCONT)

    def _failover(self, act: Done) -> None:
        """The node with the most venues' keys dies, is replaced, and comes back."""
        cluster = self.rig.cluster
        feeds = [(provider(venue), party) for venue in self.rig.options.venues for party in (*PARTIES, "MERGED")]
        owners = [cluster.owner(cursor(*feed)).port for feed in feeds]
        port = max(sorted(set(owners)), key=owners.count)
        node = next(node for node in cluster.nodes if node.port == port)
        cluster.kill(node)
        act.told["feeds"] = owners.count(port)
        start = time.monotonic()
        cluster.wait_until_whole()
        act.told["replaced_seconds"] = round(time.monotonic() - start, 1)
        cluster.revive(node)

    def _outage(self, act: Done) -> None:
        self.rig.store.stop()
        time.sleep(act.step.seconds)
        self.rig.store = self.rig.store.again()
