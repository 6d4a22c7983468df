"""Who has a role: the state machine by itself, told what Redis says by a Redis in miniature that a test can take away."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from session_manager.roles.lease import Away, Begin, Contender, End, Found, Lease, Role, Take

TTL = 3.0


@dataclass
class Store:
    """Leases as Redis keeps them: by its own clock, with epochs from it."""

    leases: dict[Role, tuple[Lease, float]] = field(default_factory=dict)
    away: bool = False
    now: float = 1000.0

    def ask(self, holder: str, command: object) -> Found | Away:
        """What the scripts do."""
        if self.away:
            return Away("no route")
        assert hasattr(command, "role")
        role: Role = command.role
        lease, until = self.leases.get(role, (None, 0.0))
        if lease is not None and until <= self.now:
            del self.leases[role]
            lease = None
        if isinstance(command, Take):
            if lease is not None and lease.holder != holder:
                return Found(lease, until - self.now)
            if lease is None:
                if command.look:
                    return Found(None, 0.0)
                lease = Lease(holder, max(int(self.now * 1e6), command.above + 1), "")
        else:
            assert hasattr(command, "epoch")
            if lease is not None and lease.holder != holder and lease.epoch >= command.epoch:
                return Found(lease, until - self.now)
            lease = Lease(holder, command.epoch, "")
        self.leases[role] = (lease, self.now + TTL)
        return Found(lease, TTL)


@dataclass
class Process:
    """A contender with a clock of its own: `skew` apart from Redis's. Stopped, it does nothing."""

    store: Store
    name: str
    skew: float = 0.0
    stopped: bool = False
    said: list[Begin | End] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.contender = Contender(self.name, TTL)

    @property
    def now(self) -> float:
        """Its own clock."""
        return self.store.now + self.skew

    @property
    def role(self) -> Role | None:
        """Its role."""
        return self.contender.role

    def turn(self) -> None:
        """Asks all that is due."""
        for _ in range(10):
            command = None if self.stopped else self.contender.command(self.now)
            if command is None:
                return
            change = self.contender.answered(self.now, self.now, command, self.store.ask(self.name, command))
            if change is not None:
                self.said.append(change)


def run(store: Store, seconds: float, *processes: Process, apart: bool = False) -> None:
    """Lets time go on, 10 ms at a time; no role has two holders that trust it, unless they are kept apart."""
    for _ in range(round(seconds * 100)):
        for process in processes:
            process.turn()
        holders = [one.role for one in processes if one.role is not None and not one.contender.in_doubt(one.now)]
        assert apart or len(holders) == len(set(holders))
        store.now += 0.01


def test_the_first_is_primary_the_second_replica_the_third_stands_by() -> None:
    """Roles are taken in order, once each, and stay where they are."""
    store = Store()
    one, two, three = (Process(store, name) for name in "abc")
    run(store, 20, one, two, three)
    assert (one.role, two.role, three.role) == (Role.PRIMARY, Role.REPLICA, None)
    assert [len(process.said) for process in (one, two, three)] == [1, 1, 0]


@pytest.mark.parametrize("dead", [0, 1])
def test_a_standby_takes_over_when_a_lease_lapses(dead: int) -> None:
    """As soon as the dead one's lease has lapsed, with a higher epoch; it says how long nobody was there."""
    store = Store()
    processes = [Process(store, name) for name in "abc"]
    # It looks at other times than they renew.
    run(store, 0.37, *processes[:2])
    run(store, 5.5, *processes)
    role = processes[dead].role
    processes[dead].stopped = True
    stopped_at = store.now
    while processes[2].role is None:
        run(store, 0.01, *processes[:dead], *processes[dead + 1 :])
        assert store.now < stopped_at + TTL + 0.05
    begin = processes[2].said[0]
    assert isinstance(begin, Begin)
    assert begin.role is role
    assert begin.after is not None
    assert begin.after.holder == processes[dead].name
    assert begin.epoch > begin.after.epoch
    assert TTL <= begin.waited < TTL + 0.05


def test_without_redis_nothing_changes() -> None:
    """For an hour Redis does not answer: roles stay, nobody is in doubt, and the standby stays what it is."""
    store = Store()
    processes = [Process(store, name) for name in "abc"]
    run(store, 2, *processes)
    store.away = True
    for _ in range(3600):
        run(store, 0.5, *processes)
        store.now += 0.5
        for process in processes[:2]:
            process.turn()
            assert not process.contender.in_doubt(process.now)
    assert processes[0].contender.away
    store.away = False
    run(store, 10, *processes)
    assert [process.role for process in processes] == [Role.PRIMARY, Role.REPLICA, None]
    assert [len(process.said) for process in processes] == [1, 1, 0]


def test_a_redis_that_has_forgotten_is_told_again() -> None:
    """It comes back empty: whoever stands by lets the holders come first, who keep role and epoch."""
    store = Store()
    processes = [Process(store, name) for name in "abc"]
    run(store, 5, *processes)
    before = {role: lease.epoch for role, (lease, _) in store.leases.items()}
    store.away = True
    run(store, 4, *processes)
    store.leases.clear()
    store.away = False
    # The standby is the first to ask.
    run(store, 10, processes[2], *processes[:2])
    assert [process.role for process in processes] == [Role.PRIMARY, Role.REPLICA, None]
    assert {role: lease.epoch for role, (lease, _) in store.leases.items()} == before


def test_a_holder_that_was_stopped_is_in_doubt_and_then_steps_down() -> None:
    """It wakes after another has taken over: it trusts its role no more, asks, and ends it; it does not take it back."""
    store = Store()
    one, two, three = (Process(store, name) for name in "abc")
    run(store, 2, one, two, three)
    one.stopped = True
    run(store, 2 * TTL, two, three)
    assert three.role is Role.PRIMARY
    one.stopped = False
    assert one.role is Role.PRIMARY
    assert one.contender.in_doubt(one.now)
    run(store, 2 * TTL, one, two, three)
    assert isinstance(one.said[-1], End)
    assert one.said[-1].by is not None
    assert one.said[-1].by.holder == "c"
    assert [process.role for process in (one, two, three)] == [None, Role.REPLICA, Role.PRIMARY]


def test_a_holder_that_was_stopped_for_long_keeps_what_nobody_took() -> None:
    """Without a standby the lease has lapsed, but the role is still its own."""
    store = Store()
    one = Process(store, "a")
    run(store, 1, one)
    store.now += 10 * TTL
    assert one.contender.in_doubt(one.now)
    run(store, 1, one)
    assert one.role is Role.PRIMARY
    assert not one.contender.in_doubt(one.now)
    assert len(one.said) == 1


def test_a_dead_connection_is_no_reason_to_trust() -> None:
    """A stopped holder wakes with a connection that died: the first failure leaves it in doubt, the new connection tells."""
    store = Store()
    one, two, three = (Process(store, name) for name in "abc")
    run(store, 2, one, two, three)
    one.stopped = True
    run(store, 2 * TTL, two, three)
    one.stopped = False
    command = one.contender.command(one.now)
    assert command is not None
    assert one.contender.answered(one.now, one.now, command, Away("reset by peer")) is None
    assert one.contender.in_doubt(one.now)
    one.turn()
    assert one.role is None


def test_split_brain_ends_with_the_higher_epoch() -> None:
    """One was cut off from Redis while another took its role: as soon as it is heard again it steps down."""
    store = Store()
    one, two, three = (Process(store, name) for name in "abc")
    run(store, 2, one, two, three)
    cut = Store(away=True, now=store.now)
    one.store = cut
    for _ in range(1000):
        run(store, 0.01, one, two, three, apart=True)
        cut.now = store.now
    # It cannot know, so it goes on; both streams are whole.
    assert one.role is three.role is Role.PRIMARY
    one.store = store
    run(store, 0.51, one, two, three, apart=True)
    run(store, 5, one, two, three)
    assert [process.role for process in (one, two, three)] == [None, Role.REPLICA, Role.PRIMARY]


def test_of_two_that_both_hold_the_lower_epoch_steps_down() -> None:
    """However it came to that: a renewal takes the lease back from a lower epoch, whose holder then learns it."""
    store = Store()
    one, two = Process(store, "a"), Process(store, "b")
    run(store, 1, one)
    store.leases[Role.PRIMARY] = (Lease("b", 5, ""), store.now + TTL)
    two.contender.role, two.contender.epoch = Role.PRIMARY, 5
    run(store, 2, one, two, apart=True)
    assert one.role is Role.PRIMARY
    assert two.role is not Role.PRIMARY
    assert isinstance(two.said[0], End)


@pytest.mark.parametrize("skews", [(0.0, 1e6, -1e6), (-86_400.0, 3.0, 7.5)])
def test_clocks_need_not_agree(skews: tuple[float, ...]) -> None:
    """Days apart, the three behave as with one clock, also at a takeover."""
    store = Store()
    one, two, three = (Process(store, name, skew) for name, skew in zip("abc", skews, strict=True))
    run(store, 5, one, two, three)
    assert (one.role, two.role, three.role) == (Role.PRIMARY, Role.REPLICA, None)
    one.stopped = True
    run(store, TTL + 0.05, two, three)
    assert three.role is Role.PRIMARY


def test_an_epoch_rises_though_redis_goes_back_in_time() -> None:
    """After a failover to a server whose clock is behind, the next holder still has the higher epoch."""
    store = Store()
    one, two, three = (Process(store, name) for name in "abc")
    run(store, 2, one, two, three)
    store.leases.clear()
    store.now -= 500
    for process in (two, three):
        process.skew = 500
    run(store, 5, two, three)
    assert three.role is Role.PRIMARY
    assert three.contender.epoch > one.contender.epoch


def test_an_answer_that_was_lost_costs_nothing() -> None:
    """The lease was taken but the answer never came: the next look finds it our own."""
    store = Store()
    one = Process(store, "a")
    command = one.contender.command(one.now)
    assert command is not None
    store.ask("a", command)
    one.contender.answered(one.now, one.now, command, Away("timeout"))
    run(store, 0.1, one)
    assert one.role is Role.PRIMARY
