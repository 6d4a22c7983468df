"""What comes before a connection: a signer's variables, the venue's own by HTTP, and the address made of both."""

from __future__ import annotations

import random
from collections.abc import Callable
from urllib.parse import quote

import msgspec

from session_manager.session.actions import Action, Connect, Sign
from session_manager.session.desk import Desk
from session_manager.session.pulse import number
from tapeline.schemas import Schema
from tapeline.spec.session import Endpoint, Prepare, Request, Session
from tapeline.spec.subscribe import Channel, joined
from tapeline.spec.template import ABSENT, at, decode, names, render, text_of

_IN_QUERY = "/:,@-_.~!*"
"""What a query may hold as it is."""


class Attempt:
    """The attempts of one line. `dialled` hears of the Connect, `failed` why there is none and for how long (s) the venue wants no more."""

    def __init__(
        self,
        session: Session,
        endpoint: Endpoint,
        desk: Desk,
        out: list[Action],
        chance: random.Random,
        dialled: Callable[[float], None],
        failed: Callable[[float, str, float], None],
    ) -> None:
        self._session = session
        self._endpoint = endpoint
        self._desk = desk
        self._out = out
        self._chance = chance
        self._dialled = dialled
        self._failed = failed
        self._connection = -1
        self._url = ""
        self._channels: list[Channel] = []
        self.variables: dict[str, str] = {}
        self.prepared = 0.0
        """When the venue gave its variables."""

    def begin(self, now: float, connection: int, url: str, channels: list[Channel]) -> None:
        """Asks for what is needed first; then there is a Connect."""
        self._connection, self._url, self._channels = connection, url, channels
        self.prepared = now
        self.variables = {"nonce": f"{self._chance.getrandbits(96):024x}"}
        if self._endpoint.signer:
            self._out.append(Sign(connection, self._endpoint.signer, self._endpoint.name, self.variables["nonce"]))
        else:
            self._prepare(now)

    def signed(self, now: float, variables: dict[str, str]) -> None:
        """The signer has given its variables."""
        self.variables.update(variables)
        self._prepare(now)

    def cancel(self) -> None:
        """Nothing is to come of it any more."""
        self._desk.drop(self._place)

    def retires(self, opened: float) -> float:
        """When a successor is due: in time before the age of the connection opened then, or of its token, ends."""
        life, prepare = self._session.lifetime, self._endpoint.prepare
        told = number(self.variables.get(prepare.lifetime, "")) if prepare is not None else 0.0
        ends = [(opened, life.max_age), (self.prepared, told)]
        return min((since + max(age - life.overlap, age / 2) for since, age in ends if age), default=float("inf"))

    @property
    def _place(self) -> str:
        return f"{self._endpoint.name} {self._connection}"

    def _prepare(self, now: float) -> None:
        prepare = self._endpoint.prepare
        if prepare is None:
            self._connect(now)
            return
        request = _request(self._endpoint.name, prepare)

        def taken(later: float, body: bytes) -> str:
            found = _extracted(prepare, body)
            if isinstance(found, str):
                return found
            self.variables.update(found)
            self.prepared = later
            self._connect(later)
            return ""

        self._desk.ask(now, request, self._place, self.variables, lambda: 0, taken, self._failed)

    def _connect(self, now: float) -> None:
        address, query, options = self._url.partition("?")
        quoted = {name: quote(value, safe=_IN_QUERY) for name, value in self.variables.items()}
        asked = {"args": joined(self._session, self._channels)} if "args" in names(self._url) else {}
        url = render(address, {**self.variables, **asked}) + query + render(options, {**quoted, **asked})
        headers = tuple((name, render(value, self.variables)) for name, value in self._endpoint.headers)
        timeout = self._session.pacing.attempt_timeout
        variables = tuple(self.variables.items())
        self._out.append(Connect(self._connection, self._endpoint.name, url, headers, timeout, variables))
        self._dialled(now)


def _request(endpoint: str, prepare: Prepare) -> Request:
    return Request(
        name=f"prepare {endpoint}",
        url=prepare.url,
        schema=Schema.STATUS,
        method=prepare.method,
        body=prepare.body,
        headers=prepare.headers,
        cost=prepare.cost,
        failed=prepare.failed,
        timeout=prepare.timeout,
    )


def _extracted(prepare: Prepare, body: bytes) -> dict[str, str] | str:
    """The variables of an answer, or why it has none."""
    try:
        value = decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "no JSON"
    found = {name: at(value, path) for name, path in prepare.extract}
    missing = [name for name, what in found.items() if what is ABSENT or what is None or "${" in text_of(what)]
    return f"lacks {', '.join(missing)}" if missing else {name: text_of(what) for name, what in found.items()}
