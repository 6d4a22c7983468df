"""Keys by which a connection's data name their channels, read from what went over it: `Ack.key`, without any session logic."""

from __future__ import annotations

from dataclasses import dataclass

from tapeline.spec import subscribe
from tapeline.spec.session import AckBy, Session
from tapeline.spec.subscribe import Command, Operation
from tapeline.spec.template import ABSENT, Json, at, fill, fits, text_of


@dataclass(frozen=True, slots=True)
class Learned:
    """From now on `key` names `channel`; nothing any more, where that is empty."""

    key: str
    channel: str


class Keys:
    """The keys of one connection; told of every client message and of every frame that no route takes, in their order."""

    def __init__(self, session: Session, endpoint: str = "") -> None:
        self._session, self._endpoint = session, endpoint
        self._ack = session.subscription.ack
        self.channels: dict[str, str] = {}
        """Channels by key."""
        self._numbered: dict[str, Command] = {}
        self._unanswered: list[Command] = []

    def sent(self, text: bytes | str) -> Command | None:
        """Notes a client message; what it asks for, None where it is no subscribe or unsubscribe."""
        command = subscribe.command(self._session, text, self._endpoint)
        if command is not None and self._ack.key:
            if self._ack.by is AckBy.ID:
                self._numbered[command.number] = command
            elif self._ack.by in (AckBy.STATE, AckBy.ORDER):
                self._unanswered.append(command)
        return command

    def heard(self, value: Json) -> Learned | None:
        """What a frame tells of a key; None where it tells of none."""
        if not self._ack.key:
            return None
        granted = fits(value, self._ack.when)
        ended = bool(self._ack.when_unsubscribed) and fits(value, self._ack.when_unsubscribed)
        if not granted and not ended:
            return None
        command = self._answered(value)
        if command is not None:
            granted, ended = command.operation is Operation.SUBSCRIBE, command.operation is Operation.UNSUBSCRIBE
        found = at(value, self._ack.key)
        key = "" if found is ABSENT or found is None else text_of(found)
        if ended and not (granted and key not in self.channels):
            return self._forget(key, command)
        channel = self._channel(value, command)
        if not key or not channel:
            return None
        self.channels[key] = channel
        return Learned(key, channel)

    def _answered(self, value: Json) -> Command | None:
        if self._ack.by is AckBy.ID:
            return self._numbered.pop(text_of(at(value, self._ack.id)), None)
        if self._ack.by in (AckBy.STATE, AckBy.ORDER) and self._unanswered:
            return self._unanswered.pop(0)
        return None

    def _channel(self, value: Json, command: Command | None) -> str:
        if self._ack.by is AckBy.CHANNEL:
            named = (fill(template, value, keys=self.channels) for template in self._ack.channels)
            return next((channel for channel in named if channel is not None), "")
        # One key is one channel's.
        return command.channels[0] if command is not None and len(command.channels) == 1 else ""

    def _forget(self, key: str, command: Command | None) -> Learned | None:
        if key not in self.channels and command is not None:
            of_channel = (known for known, channel in self.channels.items() if channel in command.channels)
            key = command.key or next(of_channel, "")
        return Learned(key, "") if self.channels.pop(key, None) is not None else None
