"""The client end of the raw stream."""

from tapeline.stream.client import Peek, Position, StreamClient, peek, request_resync, subscribe
from tapeline.stream.following import AUTO, follow_role

__all__ = ["AUTO", "Peek", "Position", "StreamClient", "follow_role", "peek", "request_resync", "subscribe"]
