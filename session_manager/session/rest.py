"""REST requests of one venue: budget, retries, `Retry-After`; answers become raw payloads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from session_manager.session.actions import Action, Emit, Fetch, Report
from session_manager.session.budget import Allowance
from tapeline.spec.session import Request, Session
from tapeline.spec.template import decode, fits, render
from tapeline.telemetry import Level

_FIRST_RETRY = 1.0
_LONGEST_RETRY = 60.0
_LIMITED = (418, 429, 503)


@dataclass(slots=True)
class _Job:
    request: Request
    channel: str
    pieces: dict[str, str]
    connection: Callable[[], int]
    due: float
    failures: int = 0
    key: int | None = None


@dataclass(slots=True)
class RestDesk:
    """All requests under way and waiting; at most one for each request and channel."""

    session: Session
    jobs: dict[tuple[str, str], _Job] = field(default_factory=dict)
    _allowance: Allowance = field(init=False)
    _by_key: dict[int, tuple[str, str]] = field(default_factory=dict)
    _next_key: int = 1
    _again: dict[tuple[str, str], tuple[float, _Job]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._allowance = Allowance((self.session.rest,) if self.session.rest else ())

    def ask(
        self, now: float, request: Request, channel: str, pieces: dict[str, str], connection: Callable[[], int]
    ) -> bool:
        """Queues a request whose answer rides on `channel`; False where the same one is under way."""
        place = (request.name, channel)
        if place in self.jobs:
            return False
        self._again.pop(place, None)
        self.jobs[place] = _Job(request, channel, pieces, connection, now)
        return True

    def pending(self, names: tuple[str, ...]) -> bool:
        """Whether one of these requests has not had its first answer yet."""
        return any(name in names and job.failures == 0 for (name, _), job in self.jobs.items())

    def drop(self, channel: str) -> None:
        """Forgets what was asked for a channel (its connection is gone); an answer that still comes is ignored."""
        for place in [place for place, job in self.jobs.items() if job.channel == channel]:
            job = self.jobs.pop(place)
            if job.key is not None:
                self._by_key.pop(job.key, None)

    def deadline(self) -> float:
        """When `tick` is due next."""
        waiting = [job.due for job in self.jobs.values() if job.key is None]
        return min([*waiting, *(due for due, _ in self._again.values())], default=float("inf"))

    def tick(self, now: float) -> list[Action]:
        """Sends what is due and within the budget."""
        for place in [place for place, (due, _) in self._again.items() if due <= now]:
            _, job = self._again.pop(place)
            self.jobs.setdefault(place, _Job(job.request, job.channel, job.pieces, job.connection, now))
        actions: list[Action] = []
        for place, job in self.jobs.items():
            if job.key is not None or job.due > now:
                continue
            allowed = self._allowance.when(now, job.request.cost)
            if allowed > now:
                job.due = allowed
                continue
            self._allowance.spend(now, job.request.cost)
            job.key = self._next_key
            self._next_key += 1
            self._by_key[job.key] = place
            actions.append(_fetch(job))
        return actions

    def answered(self, now: float, key: int, status: int, retry_after: float, body: bytes) -> list[Action]:
        """An HTTP answer: a payload, or a failure that is tried again."""
        place = self._by_key.pop(key, None)
        if place is None:
            return []
        job = self.jobs[place]
        job.key = None
        if 200 <= status < 300 and not _says_failed(job.request, body):
            del self.jobs[place]
            if job.request.every:
                self._again[place] = (now + job.request.every, job)
            return [Emit(job.channel, job.request.schema.value, job.connection(), body)]
        return [self._retry(now, job, f"status {status}", retry_after if status in _LIMITED else 0.0)]

    def unanswered(self, now: float, key: int, reason: str) -> list[Action]:
        """No HTTP answer came."""
        place = self._by_key.pop(key, None)
        if place is None:
            return []
        job = self.jobs[place]
        job.key = None
        return [self._retry(now, job, reason, 0.0)]

    def _retry(self, now: float, job: _Job, reason: str, retry_after: float) -> Report:
        delay = min(_LONGEST_RETRY, _FIRST_RETRY * 2**job.failures)
        job.failures += 1
        if retry_after > 0:
            delay = max(delay, retry_after)
            # The venue counts the address, not the request.
            self._allowance.hold(now + retry_after)
        job.due = now + delay
        fields: dict[str, object] = {"request": job.request.name, "channel": job.channel, "reason": reason}
        return Report("request_failed", Level.WARNING, {**fields, "retry_in": delay})


def _fetch(job: _Job) -> Fetch:
    request = job.request
    headers = tuple((name, render(value, job.pieces)) for name, value in request.headers)
    url, body = render(request.url, job.pieces), render(request.body, job.pieces)
    return Fetch(job.key or 0, request.method, url, headers, body, request.timeout)


def _says_failed(request: Request, body: bytes) -> bool:
    if not request.failed or len(body) > 65_536:
        # An error is short; a book or an instrument list is not parsed here.
        return False
    try:
        return any(fits(decode(body), (condition,)) for condition in request.failed)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True
