"""The language of a venue's session half: how to talk to it.

Texts with `${name}` are templates. A channel id gives its pieces by its family's pattern (`${symbol}@depth`); further
names are `${channel}` (the id), `${family}`, the family's `fields`, `${id}` (the request's number), `${args}` (the joined
arguments of the channels in one message), `${key}` (what the ack gave for the channel, `Ack.key`), `${cursor}` (of a poll or
back-fill) and, wherever an endpoint or its prepare step, openings and pings are spelled out, `${nonce}` (new for every attempt) and the
variables that a `Prepare` or a signer has given. In a URL's query such variables are percent-encoded. `${symbol:upper}` and `:lower`
change case. Texts with `{path}` are read from a frame, as in `routing.Route`; where a channel's id is read from one, `{@path}` alone is
the channel whose key stands at the path. Times are seconds; zero or empty is "none".

What is wrong in itself, `session_manager.session.validate` refuses at start.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tapeline.schemas import Schema
from tapeline.spec.routing import Match, Route, Routing


class Method(Enum):
    """HTTP method of a request."""

    GET = "GET"
    POST = "POST"


@dataclass(frozen=True, slots=True)
class Request:
    """A REST request. Its answer is a raw payload of `channel` (template; empty: of the channel it is made for).

    `cost` counts against `Session.rest`. `failed` are conditions on a body that is an error in spite of status 200. With
    `message` it is asked over the channel's own connection instead (`url` is empty then): its answer is a frame that fits
    `answer`, and has the request's number at `id` or the channel's id by `answer_channel` (template over paths). No route may take that
    frame: it reaches the channel by way of the session logic, which asks again where it does not come within `timeout`.
    """

    name: str
    url: str
    schema: Schema
    channel: str = ""
    method: Method = Method.GET
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    cost: int = 1
    failed: tuple[Match, ...] = ()
    timeout: float = 30.0
    every: float = 0.0
    """Asked again so long after its answer: an instrument list, or the snapshot of a book that nothing proves (`meaning.Book`)."""
    also: tuple[str, ...] = ()
    """URLs by which others ask for the same (with credentials, in older versions), for captures."""
    message: str = ""
    answer: tuple[Match, ...] = ()
    id: str = ""
    answer_channel: str = ""


@dataclass(frozen=True, slots=True)
class Budget:
    """So many units in a window of so many seconds."""

    units: int
    window: float


@dataclass(frozen=True, slots=True)
class Prepare:
    """An HTTP call before every connect, and the variables taken from its answer: pairs of a name and a path."""

    url: str
    extract: tuple[tuple[str, str], ...]
    method: Method = Method.POST
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    failed: tuple[Match, ...] = ()
    cost: int = 1
    timeout: float = 10.0
    lifetime: str = ""
    """The variable that holds the token's lifetime in seconds, where the venue tells it: it bounds `Lifetime.max_age`."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What must have happened before the first message is sent: a frame that fits `wait`, and `delay` since connecting."""

    wait: tuple[Match, ...] = ()
    delay: float = 0.0
    timeout: float = 10.0
    """Without the frame after so long the connection is given up."""


@dataclass(frozen=True, slots=True)
class Opening:
    """A message sent once after the gate, before any subscription. With `expect` subscribing waits for that answer."""

    message: str
    expect: tuple[Match, ...] = ()
    timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class FixSession:
    """A FIX session in place of a WebSocket. `logon` are further tags of the Logon message (values may use variables).

    `schedule` is the UTC time of day of the daily reset (`HH:MM`, empty: none).
    """

    sender: str
    target: str
    version: str = "FIX.4.4"
    heartbeat: int = 30
    reset: bool = True
    logon: tuple[tuple[int, str], ...] = ()
    schedule: str = ""
    resend: bool = True
    """The venue answers resend requests; where it does not, a hole in its message numbers ends the session."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A place to connect to. `families` name it; `alternatives` are tried in turn after failures.

    With `fix` it is `tcp://host:port` or `tls://host:port`; an empty `url` is no place at all: its families are polled. `max_channels`
    bounds what one connection carries; more channels are sharded over more connections, of which there may be `max_connections`.
    `signer` names a hook for authentication, a module of `session_manager/signers`: its variables are there for `prepare` too.
    """

    name: str
    url: str
    alternatives: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    max_channels: int = 0
    max_connections: int = 0
    prepare: Prepare | None = None
    gate: Gate = Gate()
    openings: tuple[Opening, ...] = ()
    signer: str = ""
    fix: FixSession | None = None


class Resync(Enum):
    """How a fresh book is got."""

    NONE = "none"
    """The family has no book."""
    REQUEST = "request"
    """By the request named `snapshot`; also made once after every subscription."""
    RESUBSCRIBE = "resubscribe"
    """Unsubscribe, wait for the answer, subscribe: the stream begins with a snapshot."""
    SUBSCRIBE = "subscribe"
    """Subscribe again without unsubscribing."""
    RECONNECT = "reconnect"
    """A new connection."""


@dataclass(frozen=True, slots=True)
class Poll:
    """Asking for a channel again and again, where a venue does not push.

    Every answer is a raw payload of the channel. `cursor` is a path in an answer whose value is `${cursor}` of the next request
    (`first` of the first; where that is empty, a part of the query that is `${cursor}` alone is left out). An answer with at least
    `full` entries at `entries` was cut off: the next is asked for at once where the cursor has moved on, and from then on every
    `fastest`, slower again up to `every` as pages grow thin.
    """

    request: str
    every: float
    fastest: float = 0.0
    cursor: str = ""
    first: str = ""
    entries: str = ""
    full: int = 0


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of channel: what its ids look like (`patterns`), and what stands for one in a subscribe message (`argument`).

    `fields` are further pieces for templates. `cadence` is the longest silence that is still normal for one channel.
    `contains` names families whose messages this one carries too, for the same symbol; such channels are not
    subscribed beside it.
    """

    name: str
    patterns: tuple[str, ...]
    endpoint: str
    argument: str = '"${channel}"'
    fields: tuple[tuple[str, str], ...] = ()
    cadence: float = 0.0
    resync: Resync = Resync.NONE
    snapshot: str = ""
    contains: tuple[str, ...] = ()
    max_channels: int = 0
    """Bounds the family's channels on one connection, beside the endpoint's own bound."""
    poll: Poll | None = None
    """Polled, not subscribed."""
    backfill: str = ""
    """The request that brings what was missed: made after every new subscription of a channel whose cursor is known."""
    backfill_span: int = 0
    """Cursors are hexadecimal numbers, and a request asks for so many of them, `${cursor}` to `${until}` (at last `latest`); after an
    answer for the next ones, after a refusal for half as many, a while later."""


class Batch(Enum):
    """How many channels a subscribe message holds."""

    MANY = "many"
    ONE = "one"
    REPLACE = "replace"
    """Every message holds the connection's whole set and replaces what was before."""
    URL = "url"
    """None: the set stands in the endpoint's URL, as `${args}`."""


class AckBy(Enum):
    """How an answer finds its request."""

    ID = "id"
    """By the request's number at `id`. With `accepted` the channels it lists are accepted and the others refused."""
    CHANNEL = "channel"
    """Every channel is answered by itself; `channels` read its id from the answer."""
    STATE = "state"
    """The answer lists all that the connection is subscribed to, and answers the oldest open request."""
    ORDER = "order"
    """Answers come in the order of the requests."""
    NONE = "none"
    """There are none: what is sent counts as accepted."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Where an answer lists channels. `channel` is a template over an entry (`{.}` is the entry itself).

    With `inner` each entry holds a list there, and `{*}` is one of it. `words` replaces whole values. With `separator` what stands
    at `path` is a text of several entries.
    """

    path: str
    channel: str = "{.}"
    inner: str = ""
    words: tuple[tuple[str, str], ...] = ()
    separator: str = ""


@dataclass(frozen=True, slots=True)
class Ack:
    """What answers a subscribe (`when`) or unsubscribe (`when_unsubscribed`) looks like.

    Conditions tell an answer that grants; one that refuses is an `ErrorRule`. Data of a channel counts as its ack too.
    """

    by: AckBy
    when: tuple[Match, ...] = ()
    when_unsubscribed: tuple[Match, ...] = ()
    id: str = ""
    channels: tuple[str, ...] = ()
    accepted: Accepted | None = None
    key: str = ""
    """The path of the key by which the connection's data name the channel from now on (`Route.channel` `{@path}`)."""
    timeout: float = 10.0
    """A request unanswered for so long is counted and sent again on a new connection."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """The form of subscribing.

    Channels whose `group` (template) is equal may share one message, whose template may use the pieces named in it.
    """

    subscribe: str
    unsubscribe: str
    ack: Ack
    batch: Batch = Batch.MANY
    group: str = ""
    separator: str = ","
    max_args: int = 0
    max_bytes: int = 0


class Severity(Enum):
    """What an error or notice means."""

    IGNORE = "ignore"
    """Known and harmless."""
    ACCEPT = "accept"
    """Says no, means yes (already subscribed)."""
    REFUSE = "refuse"
    """What was asked for is refused for good; it is reported and not asked again on this connection."""
    RETRY = "retry"
    """Ask again, `wait` later."""
    RECONNECT = "reconnect"
    """The connection is of no more use; a new one `wait` later."""
    ROTATE = "rotate"
    """The connection will end soon: open the next one, then close this."""
    PAUSE = "pause"
    """Maintenance: silence is normal until `RESUME`."""
    RESUME = "resume"
    """Maintenance is over: subscribe everything again."""
    FATAL = "fatal"
    """Give the venue up; a person must act."""


class Scope(Enum):
    """What an error concerns."""

    REQUEST = "request"
    """The request whose number stands at `id`; with `argument` only the channels of it that have that argument."""
    CHANNEL = "channel"
    """The channel whose id `channels` reads."""
    OLDEST = "oldest"
    """The oldest open request: the venue does not say."""
    CONNECTION = "connection"


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """An error or notice of the venue, tried in order before anything else is made of a control frame."""

    name: str
    when: tuple[Match, ...]
    severity: Severity
    scope: Scope = Scope.CONNECTION
    id: str = ""
    channels: tuple[str, ...] = ()
    argument: str = ""
    """A template over paths that gives a channel's argument, compared without quotes."""
    mentions: str = ""
    """The path of a text: of the request's channels those whose argument, or symbol, it mentions; all of them where it mentions none."""
    reason: str = ""
    """The path of the text that says why."""
    wait: float = 0.0


class Carrier(Enum):
    """How a heartbeat travels."""

    PROTOCOL = "protocol"
    """WebSocket ping and pong frames."""
    JSON = "json"
    TEXT = "text"
    """A bare word among JSON."""


class Trigger(Enum):
    """When the client pings."""

    INTERVAL = "interval"
    SILENCE = "silence"
    """When nothing was received for `every`."""


@dataclass(frozen=True, slots=True)
class ClientPing:
    """A ping the client sends; without an answer that fits `pong` (any frame, if empty) within `timeout` it reconnects.

    `variable` names a variable of `Prepare` that replaces `every`, and `timeout_variable` one for `timeout`, both counted in
    units of `unit` seconds.
    """

    message: str
    every: float
    timeout: float
    trigger: Trigger = Trigger.INTERVAL
    carrier: Carrier = Carrier.JSON
    pong: tuple[Match, ...] = ()
    variable: str = ""
    timeout_variable: str = ""
    unit: float = 0.001


@dataclass(frozen=True, slots=True)
class ServerPing:
    """A ping the venue sends. A frame that fits `when` is answered by `reply`.

    The reply is a template over `${id}` and, for what is to be echoed, `${=path}` of the ping.

    Protocol pings are echoed at once by the connection itself. `every` is their interval: with no frame of any kind for
    twice as long the connection counts as dead, unless `Lifetime.silence` says otherwise.
    """

    carrier: Carrier
    when: tuple[Match, ...] = ()
    reply: str = ""
    every: float = 0.0


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long a connection lives at most; a new one is opened `overlap` before, and `silence` is how long it may be mute."""

    max_age: float = 0.0
    overlap: float = 60.0
    silence: float = 0.0


class CloseAction(Enum):
    """What to do after the venue has closed."""

    NOW = "now"
    """Connect again at once."""
    BACK_OFF = "back off"
    WAIT = "wait"
    """Banned: wait as long as `CloseRule.wait` says."""
    FATAL = "fatal"


@dataclass(frozen=True, slots=True)
class CloseRule:
    """What some close codes mean; codes that no rule names back off."""

    codes: tuple[int, ...]
    action: CloseAction
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Back-off with full jitter, from `first` doubling to `longest`, within the venue's `budget` of connection attempts.

    A connection that lived for `stable` starts the back-off anew.
    """

    first: float = 0.25
    longest: float = 30.0
    stable: float = 30.0
    budget: Budget | None = None


@dataclass(frozen=True, slots=True)
class Pacing:
    """Budgets of client messages on one connection, all to be kept; `attempt_timeout` bounds a connection attempt.

    Heartbeats count too, go before all else, and are held back only by windows so short that they come in time nonetheless.
    `requests` bounds how many requests over the socket may be unanswered on one connection.
    """

    messages: tuple[Budget, ...] = ()
    attempt_timeout: float = 10.0
    requests: int = 0


@dataclass(frozen=True, slots=True)
class SymbolRoute:
    """A route that holds only for symbols (at `path`) whose channel of `family` is subscribed.

    For messages that look alike in two channels; tried before the plain routes.
    """

    route: Route
    path: str
    family: str


@dataclass(frozen=True, slots=True)
class Session:
    """How to talk to a venue.

    `channels` are templates over `${symbol}`: what is subscribed for a symbol that is asked for; `symbols` those taken
    when none are, in the venue's own channel-id writing. `instruments` names the requests made at start.
    """

    routing: Routing
    endpoints: tuple[Endpoint, ...]
    families: tuple[Family, ...]
    subscription: Subscription
    channels: tuple[str, ...]
    symbols: tuple[str, ...]
    common: tuple[str, ...] = ()
    """Channels subscribed whatever the symbols are (an instrument channel)."""
    symbol_routes: tuple[SymbolRoute, ...] = ()
    requests: tuple[Request, ...] = ()
    instruments: tuple[str, ...] = ()
    rest: Budget | None = None
    rules: tuple[ErrorRule, ...] = ()
    client_pings: tuple[ClientPing, ...] = ()
    server_pings: tuple[ServerPing, ...] = ()
    lifetime: Lifetime = Lifetime()
    closes: tuple[CloseRule, ...] = ()
    reconnect: Reconnect = Reconnect()
    pacing: Pacing = Pacing()
