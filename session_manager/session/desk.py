"""Requests of one venue, over HTTP or a connection's socket: budget, retries, `Retry-After`, one at a time for each channel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from session_manager.session.actions import Action, Emit, Fetch, Report
from session_manager.session.budget import Allowance
from tapeline.spec.session import Request, Session
from tapeline.spec.template import decode, fits, render
from tapeline.telemetry import Level

_FIRST_RETRY = 1.0
_LONGEST_RETRY = 60.0
_LONGEST_ERROR = 65_536
"""An error is short; a book or an instrument list is not parsed here."""
_NEVER = float("inf")

Taken = Callable[[float, bytes], str]
"""Takes an answer's body; says why it is none, or nothing."""
Failed = Callable[[float, str, float], None]
"""Hears of a failure: why, and for how long (s) the venue wants no more. The request is not made again."""


class Carrier(Protocol):
    """A connection that takes requests."""

    @property
    def connection(self) -> int:
        """Its number."""

    def request(self, now: float, key: int, request: Request, channel: str, pieces: dict[str, str]) -> bool:
        """Sends a request; False where it cannot now."""

    def drop_request(self, key: int) -> None:
        """Waits for its answer no more."""


@dataclass(slots=True)
class Job:
    """A request that is to be made, or is being made (`key`)."""

    request: Request
    channel: str
    pieces: dict[str, str]
    connection: Callable[[], int]
    due: float
    taken: Taken | None = None
    failed: Failed | None = None
    failures: int = 0
    key: int | None = None
    carrier: Carrier | None = None
    deadline: float = _NEVER
    held: bool = False
    """Due, but its connection cannot take it yet."""
    queued: bool = False
    """Due, but the budget does not bear it yet; those behind it wait too."""


@dataclass(slots=True)
class Desk:
    """All requests under way and waiting; at most one for each request and channel. What is to be done goes to `out`."""

    session: Session
    out: list[Action]
    carrier: Callable[[str], Carrier | None]
    """The connection that carries a channel."""
    jobs: dict[tuple[str, str], Job] = field(default_factory=dict)
    _allowance: Allowance = field(init=False)
    _by_key: dict[int, tuple[str, str]] = field(default_factory=dict)
    _next_key: int = 1
    _again: dict[tuple[str, str], tuple[float, Job]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._allowance = Allowance((self.session.rest,) if self.session.rest else ())

    def ask(
        self,
        now: float,
        request: Request,
        channel: str,
        pieces: dict[str, str],
        connection: Callable[[], int],
        taken: Taken | None = None,
        failed: Failed | None = None,
    ) -> bool:
        """Queues a request; False where the same one is under way.

        Without `taken` its answer rides on `channel`; without `failed` it is made again until it has one.
        """
        place = (request.name, channel)
        if place in self.jobs:
            return False
        self._again.pop(place, None)
        self.jobs[place] = Job(request, channel, pieces, connection, now, taken, failed)
        return True

    def pending(self, names: tuple[str, ...]) -> bool:
        """Whether one of these requests has not had its first answer yet."""
        return any(
            name in names and job.failures == 0 and not job.request.message for (name, _), job in self.jobs.items()
        )

    def drop(self, channel: str, name: str = "") -> None:
        """Forgets what was asked for a channel (only the request `name`, if given); an answer that still comes is ignored."""
        for place in [place for place in self.jobs if place[1] == channel and name in ("", place[0])]:
            self._land(self.jobs.pop(place))
        for place in [place for place in self._again if place[1] == channel and name in ("", place[0])]:
            del self._again[place]

    def deadline(self) -> float:
        """When `tick` is due next."""
        waiting = [job.deadline if job.key is not None else job.due for job in self.jobs.values() if not job.held]
        return min([*waiting, *(due for due, _ in self._again.values())], default=_NEVER)

    def tick(self, now: float) -> None:
        """Sends what is due and within the budget; gives up what was not answered in time."""
        for place in [place for place, (due, _) in self._again.items() if due <= now]:
            _, job = self._again.pop(place)
            self.jobs.setdefault(
                place, Job(job.request, job.channel, job.pieces, job.connection, now, job.taken, job.failed)
            )
        # What a connection waits for goes first, the rest in its order: a dear one is not passed by many cheap ones.
        blocked = now
        for place, job in sorted(self.jobs.items(), key=lambda item: item[1].failed is None):
            if job.key is not None:
                if job.deadline <= now:
                    self._land(job)
                    self._fail(now, place, job, "timeout", 0.0)
            elif job.due <= now or job.queued:
                blocked = self._make(now, place, job, blocked)

    def answered(self, now: float, key: int, status: int, retry_after: float, body: bytes) -> None:
        """An HTTP answer: taken, or a failure."""
        place = self._by_key.get(key)
        if place is None:
            return
        job = self.jobs[place]
        self._land(job)
        if not 200 <= status < 300:
            self._fail(now, place, job, f"status {status}", retry_after)
        elif _says_failed(job.request, body):
            self._fail(now, place, job, "says it failed", retry_after)
        else:
            self._take(now, place, job, body)

    def told(self, now: float, key: int, failed: bool, payload: bytes, reason: str = "says it failed") -> None:
        """An answer over a connection, as it came."""
        place = self._by_key.get(key)
        if place is None:
            return
        job = self.jobs[place]
        self._land(job)
        if failed:
            self._fail(now, place, job, reason, 0.0)
        else:
            self._take(now, place, job, payload)

    def unanswered(self, now: float, key: int, reason: str) -> None:
        """No answer came."""
        place = self._by_key.get(key)
        if place is not None:
            job = self.jobs[place]
            self._land(job)
            self._fail(now, place, job, reason, 0.0)

    def returned(self, now: float, keys: list[int]) -> None:
        """Their connection ended before it answered: they are made again, over the next one."""
        for key in keys:
            place = self._by_key.get(key)
            if place is not None:
                job = self.jobs[place]
                self._land(job)
                job.due = now

    def _make(self, now: float, place: tuple[str, str], job: Job, blocked: float) -> float:
        """Makes a request if it may be; from when on the next may."""
        allowed = max(blocked, self._allowance.when(now, job.request.cost))
        if allowed > now:
            job.due, job.queued = allowed, True
            return allowed
        key = self._next_key
        if job.request.message:
            carrier = self.carrier(job.channel)
            job.held = carrier is None or not carrier.request(now, key, job.request, job.channel, job.pieces)
            if job.held:
                return now
            job.carrier, job.deadline = carrier, now + job.request.timeout
        else:
            self.out.append(_fetch(job, key))
        self._allowance.spend(now, job.request.cost)
        self._next_key += 1
        job.key, job.queued = key, False
        self._by_key[key] = place
        return now

    def _land(self, job: Job) -> None:
        """It is no longer under way."""
        if job.key is not None:
            self._by_key.pop(job.key, None)
            if job.carrier is not None:
                job.carrier.drop_request(job.key)
        job.key, job.carrier, job.deadline = None, None, _NEVER

    def _take(self, now: float, place: tuple[str, str], job: Job, body: bytes) -> None:
        del self.jobs[place]
        refused = job.taken(now, body) if job.taken is not None else ""
        if refused:
            self.jobs[place] = job
            self._fail(now, place, job, refused, 0.0)
            return
        if job.taken is None:
            self.out.append(Emit(job.channel, job.request.schema.value, job.connection(), body))
        if job.request.every and job.failed is None:
            self._again[place] = (now + job.request.every, job)

    def _fail(self, now: float, place: tuple[str, str], job: Job, reason: str, retry_after: float) -> None:
        if retry_after > 0:
            # The venue counts the address, not the request.
            self._allowance.hold(now + retry_after)
        delay = max(min(_LONGEST_RETRY, _FIRST_RETRY * 2 ** min(job.failures, 30)), retry_after)
        job.failures += 1
        job.due = now + delay
        fields: dict[str, object] = {"request": job.request.name, "channel": job.channel, "reason": reason}
        if job.failed is not None:
            del self.jobs[place]
            self.out.append(Report("request_failed", Level.WARNING, fields))
            job.failed(now, reason, retry_after)
        else:
            self.out.append(Report("request_failed", Level.WARNING, {**fields, "retry_in": delay}))


def _fetch(job: Job, key: int) -> Fetch:
    request = job.request
    headers = tuple((name, render(value, job.pieces)) for name, value in request.headers)
    url, body = _url(request.url, job.pieces), render(request.body, job.pieces)
    return Fetch(key, request.method, url, headers, body, request.timeout)


def _url(template: str, pieces: dict[str, str]) -> str:
    """A request's URL; the query's part for a cursor that is not known yet is left out."""
    path, mark, query = template.partition("?")
    if pieces.get("cursor") == "":
        query = "&".join(part for part in query.split("&") if not part.endswith("=${cursor}"))
    return render(path + mark + query if query else path, pieces)


def _says_failed(request: Request, body: bytes) -> bool:
    if not request.failed or len(body) > _LONGEST_ERROR:
        return False
    try:
        return any(fits(decode(body), (condition,)) for condition in request.failed)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True
