"""One connection to a venue, over all of its lives: connect, gate, openings, subscriptions, heartbeats, and again."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from session_manager.session.actions import SESSION_CHANNEL, Close, Emit, Ping, Report, Send
from session_manager.session.asked import SocketRequests
from session_manager.session.attempt import Attempt
from session_manager.session.entrance import Entrance
from session_manager.session.outbox import Letter, Outbox
from session_manager.session.plan import Shard
from session_manager.session.pulse import Pulse
from session_manager.session.rules import heed
from session_manager.session.shared import Numbers, Shared, Stage
from session_manager.session.subscriptions import Subscriptions
from tapeline.schemas import Schema
from tapeline.spec.session import Batch, Carrier, CloseAction, ErrorRule, Request
from tapeline.spec.subscribe import Channel
from tapeline.spec.template import Json, at, decode, fits, names, number_of, render
from tapeline.telemetry import Level

_NEVER = float("inf")
_STALE_CHECK = 1.0
_FAREWELL = 1.0
_FEW_FAILURES = 2
_WARNED_AGAIN = 30.0
"""A venue that repeats its notice on each new connection is obeyed no more often than that."""
_PREPARING = 60.0
"""What comes before a connection may take so long, with what its own requests wait for the budget."""


class Line:
    """One shard's connection; every event may append to the shared actions."""

    def __init__(self, shared: Shared, shard: Shard) -> None:
        self.shard = shard
        self.stage = Stage.WAITING
        self.connection = -1
        self.opened = 0.0
        self.retiring = False
        """The venue or its age asks for a successor."""
        self.succeeded = False
        """It has a successor: once lost it is not made anew."""
        self.heir = False
        """It was made to succeed another."""
        self.paused = False
        """The venue is in maintenance: silence is normal."""
        self.fatal = False
        self.reconnects = 0
        self._shared = shared
        self._session = shared.session
        self._out = shared.out
        self._backoff = shared.backoff()
        self._outbox = Outbox(shared.session.pacing)
        self._numbers = Numbers()
        self._pulse = Pulse(shared.session, self._numbers.next)
        self._attempt = Attempt(
            shared.session, shard.endpoint, shared.desk, shared.out, shared.chance, self._dialled, self._unprepared
        )
        self.subscriptions = Subscriptions(
            shared.session, shard.channels.values(), self._outbox, self._numbers.next, shared.listener, self._out
        )
        self._requests = SocketRequests(shared.session, self._numbers.next)
        self._deadline = 0.0
        self._farewell, self._lingers = "", False
        self._entrance = Entrance(shard.endpoint, lambda message: self._outbox.put(Letter(self._spelled(message))))
        self._next_stale = self._warned = _NEVER

    @property
    def up(self) -> bool:
        """Whether there is a connection."""
        return self.stage in (Stage.GATE, Stage.OPENING, Stage.LIVE, Stage.LEAVING)

    def signed(self, now: float, variables: dict[str, str]) -> None:
        """The signer has given its variables."""
        if self.stage is Stage.PREPARING:
            self._attempt.signed(now, variables)

    def unsigned(self, now: float, reason: str) -> None:
        """The signer could not."""
        self._unprepared(now, f"not signed: {reason}", 0.0)

    def connected(self, now: float) -> None:
        """The connection stands."""
        self.stage = Stage.GATE
        self.opened = now
        self._deadline = _NEVER
        self._entrance.connected(now)
        self._backoff.connected(now)
        self._pulse.connected(now, self._attempt.variables)
        self.subscriptions.connection = self.connection
        self._tell("up", "")
        self._advance(now)

    def heard(self, now: float) -> None:
        """Something came over the connection."""
        self._pulse.heard(now)

    def protocol_pong(self) -> None:
        """A protocol pong came."""
        self._pulse.protocol_pong()

    def frame(self, now: float, payload: bytes, raw: bytes) -> bool:
        """A frame that is no data, decoded and as it came; whether it is known."""
        try:
            value: Json = decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            # Bare words among JSON, or damage.
            value = payload.decode("utf-8", "replace")
        for rule in self._session.rules:
            if fits(value, rule.when):
                report = heed(self, now, rule, value)
                self._out += [report] if report is not None else []
                return True
        if (answer := self._pulse.reply(value)) is not None:
            self._outbox.put(Letter(answer), urgent=True)
            self._pump(now)
            return True
        if self._pulse.pong(value):
            return True
        if (asked := self._requests.answered(value, self.subscriptions.keys)) is not None:
            failed = any(fits(value, (condition,)) for condition in asked.request.failed)
            self._shared.desk.told(now, asked.key, failed, raw)
            return True
        return self._progress(now, value)

    def closed(self, now: float, code: int, reason: str, retry_after: float = 0.0) -> None:
        """The connection has ended, or could not be made (`code` 0); `retry_after` (s) is what the venue asked for."""
        rule = next((rule for rule in self._session.closes if code in rule.codes), None)
        action = rule.action if rule else CloseAction.BACK_OFF
        wait = {CloseAction.NOW: 0.0, CloseAction.WAIT: rule.wait if rule else 0.0}.get(action)
        self._hold(now, retry_after)
        self._lost(now, f"closed {code} {reason}".strip(), wait)
        if action is CloseAction.FATAL:
            self.stage, self.fatal = Stage.STOPPED, True

    def drop(self, now: float, reason: str, wait: float | None = None) -> None:
        """Ends the connection from our side; it is made anew `wait` (None: by back-off) later."""
        if self.stage not in (Stage.WAITING, Stage.STOPPED):
            self._out.append(Close(self.connection, reason))
            self._lost(now, reason, wait)

    def seen(self, now: float, channel: str) -> None:
        """Data of a channel came over this connection."""
        self.subscriptions.seen(now, channel)
        if len(self._outbox):
            self._pump(now)

    def renew(self, now: float, channel: str) -> bool:
        """Subscribes a channel anew; False where that is not possible now."""
        done = self.stage is Stage.LIVE and self.subscriptions.renew(channel)
        self._pump(now)
        return done

    def change(self, now: float, added: Iterable[Channel], dropped: Iterable[str]) -> None:
        """Takes channels on and gives others up, without touching the rest."""
        if self._session.subscription.batch is Batch.URL and self.stage is not Stage.WAITING:
            # The set stands in the address: a successor is made for the new one.
            self.retiring = True
            return
        self.subscriptions.drop(dropped)
        self.subscriptions.add(now, added, self.stage is Stage.LIVE)
        self._pump(now)

    def request(self, now: float, key: int, request: Request, channel: str, pieces: dict[str, str]) -> bool:
        """Sends a request over the socket; False where it cannot now."""
        if self.stage is not Stage.LIVE or not self._requests.room:
            return False
        learned = self.subscriptions.states[channel].key if channel in self.subscriptions.states else ""
        self._outbox.put(Letter(self._requests.message(key, request, channel, {**pieces, "key": learned})))
        self._pump(now)
        return True

    def drop_request(self, key: int) -> None:
        """Waits for a request's answer no more."""
        self._requests.drop(key)

    def refused(self, now: float, rule: ErrorRule, value: Json, reason: str) -> bool:
        """An error that concerns what was asked for; whether anything was."""
        heard = self.subscriptions.error(now, rule, value)
        if not heard and (asked := self._requests.refused(rule, value, self.subscriptions.keys)) is not None:
            self._shared.desk.told(now, asked.key, True, b"", reason)
            heard = True
        self._pump(now)
        return heard

    def warn(self, now: float) -> None:
        """The venue says that the connection will end soon: a successor is due, though not of a successor at once."""
        self._warned = now if not self.heir else max(now, self.opened + _WARNED_AGAIN)
        self.retiring = self.retiring or self._warned <= now

    def resume(self, now: float) -> None:
        """Maintenance is over: everything is subscribed again."""
        self.paused = False
        self._pulse.heard(now)
        if self._session.subscription.batch is Batch.URL:
            self.drop(now, "resumed", 0.0)
        elif self.stage is Stage.LIVE:
            for channel in list(self.subscriptions.states):
                self.subscriptions.renew(channel)
            self.subscriptions.ask(now)
            self._pump(now)

    def stop(self, now: float, reason: str = "stopped", patience: float = _FAREWELL) -> None:
        """Unsubscribes, waits for the answers, behind which nothing more comes, and closes; with an heir nobody hears of a loss."""
        if self.stage is Stage.LIVE and self.subscriptions.leave():
            self._leave(now + patience, reason)
            self._pump(now)
        elif self.stage is Stage.LIVE and self.succeeded:
            # There is nothing to wait for but what is on its way.
            self._leave(now + min(_FAREWELL, patience), reason)
            self._lingers = True
        elif self.stage not in (Stage.LEAVING, Stage.STOPPED):
            self.end(now, reason, told=not self.succeeded)

    def end(self, now: float, reason: str, told: bool = True) -> None:
        """Closes for good; with `told` the stream hears that the connection is down."""
        if self.stage is Stage.PREPARING:
            self._attempt.cancel()
        elif self.stage not in (Stage.WAITING, Stage.STOPPED):
            self._out.append(Close(self.connection, reason))
            if self.up and told:
                self._tell("down", reason)
        self._clear(now)
        self.stage = Stage.STOPPED

    def tick(self, now: float) -> None:
        """Whatever time alone brings."""
        match self.stage:
            case Stage.STOPPED:
                return
            case Stage.WAITING:
                self._try(now)
                return
            case Stage.PREPARING if self._deadline <= now:
                self._attempt.cancel()
                self._unprepared(now, "prepare timeout", 0.0)
                return
            case Stage.CONNECTING if self._deadline <= now:
                self.drop(now, "connect timeout")
                return
            case Stage.LEAVING if self._deadline <= now or self._left():
                self._depart(now)
                return
        if self.up:
            self._watch(now)

    def deadline(self, now: float) -> float:
        """When `tick` is due next."""
        if self.stage is Stage.STOPPED:
            return _NEVER
        if self.stage is Stage.WAITING:
            return max(self._deadline, self._may_try(now))
        if not self.up:
            return self._deadline
        age = self._retire_at() if not self.retiring else _NEVER
        return min(
            self._deadline,
            self._entrance.deadline(),
            _NEVER if self.paused else self._next_stale,
            age,
            self._pulse.deadline(self.paused),
            self._outbox.deadline(now),
            self.subscriptions.deadline(),
        )

    def _try(self, now: float) -> None:
        if self._deadline > now or self._may_try(now) > now:
            return
        self._shared.attempts.spend(now)
        self.stage, self._deadline = Stage.PREPARING, now + _PREPARING
        self.connection = next(self._shared.connections)
        endpoint = self.shard.endpoint
        urls = (endpoint.url, *endpoint.alternatives)
        url = urls[self._backoff.failures % len(urls)]
        self._attempt.begin(now, self.connection, url, [state.known for state in self.subscriptions.states.values()])

    def _may_try(self, now: float) -> float:
        # The last of the budget is kept from connections that fail again and again.
        return self._shared.attempts.when(now, reserved=self._backoff.failures <= _FEW_FAILURES)

    def _dialled(self, now: float) -> None:
        self.stage = Stage.CONNECTING
        self._deadline = now + self._session.pacing.attempt_timeout + 1.0

    def _unprepared(self, now: float, reason: str, retry_after: float) -> None:
        if self.stage is Stage.PREPARING:
            self._hold(now, retry_after)
            self._lost(now, reason, None)

    def _hold(self, now: float, retry_after: float) -> None:
        if retry_after > 0:
            self._shared.attempts.hold(now + retry_after)

    def _watch(self, now: float) -> None:
        dead = "" if self.paused else self._pulse.dead(now)
        overdue = self.subscriptions.overdue(now)
        if self.stage in (Stage.GATE, Stage.OPENING) and self._entrance.overdue(now):
            dead = f"{self.stage.value} timeout"
        if overdue and self.stage is Stage.LIVE:
            self._out.append(Report("ack_timeout", Level.WARNING, {"channels": overdue, "connection": self.connection}))
            dead = dead or "ack timeout"
        if dead:
            self.drop(now, dead)
            return
        self._advance(now)
        for ping in self._pulse.due(now):
            if ping.carrier is Carrier.PROTOCOL:
                self._out.append(Ping(self.connection))
            else:
                self._outbox.put(Letter(self._spelled(ping.message)), urgent=True)
        if self.stage is Stage.LIVE:
            self.subscriptions.tick(now)
            self._check_stale(now)
        if self._retire_at() <= now:
            self.retiring = True
        self._pump(now)

    def _advance(self, now: float) -> None:
        before, self.stage = self.stage, self._entrance.advance(now, self.stage)
        if self.stage is Stage.LIVE and before is not Stage.LIVE:
            self._next_stale = now + _STALE_CHECK
            self.subscriptions.ask(now)
        self._pump(now)

    def _progress(self, now: float, value: Json) -> bool:
        if self._entrance.hear(value, self.stage):
            self._advance(now)
            return True
        known = self.subscriptions.answer(now, value) or self._is_plain(value)
        self._pump(now)
        if self.stage is Stage.LEAVING and self._left():
            self._depart(now)
        return known

    def _is_plain(self, value: Json) -> bool:
        # The answer to a ping's answer or to an opening without a condition.
        path = self._session.subscription.ack.id
        return bool(path) and number_of(at(value, path)) in self._numbers

    def _check_stale(self, now: float) -> None:
        if self._next_stale > now or self.paused:
            return
        self._next_stale = now + _STALE_CHECK
        channels, all_of_them = self.subscriptions.stale(now)
        for channel in channels:
            self._tell("stale", "cadence", channel=channel)
            self._out.append(
                Report("channel_stale", Level.WARNING, {"channel": channel, "connection": self.connection})
            )
        if all_of_them:
            self.drop(now, "stale")
            return
        for channel in channels:
            self.subscriptions.renew(channel)

    def _pump(self, now: float) -> None:
        if not self.up:
            return
        for letter in self._outbox.take(now):
            self._out.append(Send(self.connection, letter.text))
            self.subscriptions.sent(now, letter)

    def _lost(self, now: float, reason: str, wait: float | None) -> None:
        was_up = self.up
        self.stage = Stage.STOPPED if self.succeeded else Stage.WAITING
        self._deadline = now + (self._backoff.next(now) if wait is None else wait)
        self.reconnects += 1
        self._clear(now)
        if was_up:
            self._tell("down", reason)
        retry_in = round(self._deadline - now, 3)
        said = {"connection": self.connection, "reason": reason, "retry_in": retry_in, "was_up": was_up}
        self._out.append(Report("connection_lost", Level.WARNING, said))

    def _clear(self, now: float) -> None:
        """Forgets what belonged to the connection."""
        self._next_stale = self._warned = _NEVER
        self.retiring = self.paused = False
        self._outbox.clear()
        self._numbers.forget()
        self._lingers = False
        self.subscriptions.reset(now, self.shard.channels)
        self._shared.desk.returned(now, self._requests.reset())

    def _left(self) -> bool:
        return not self._lingers and not len(self._outbox) and self.subscriptions.answered

    def _leave(self, until: float, reason: str) -> None:
        self.stage, self._deadline, self._farewell = Stage.LEAVING, until, reason
        self._next_stale = _NEVER

    def _depart(self, now: float) -> None:
        self.end(now, self._farewell, told=not self.succeeded)

    def _retire_at(self) -> float:
        return min(self._warned, self._attempt.retires(self.opened))

    def _spelled(self, message: str) -> str:
        own = {"id": str(self._numbers.next())} if "id" in names(message) else {}
        return render(message, {**self._attempt.variables, **own})

    def _tell(self, event: str, reason: str, **more: str) -> None:
        payload = msgspec.json.encode({"event": event, "connection": self.connection, "reason": reason, **more})
        self._out.append(Emit(SESSION_CHANNEL, Schema.STATUS.value, self.connection, payload))
