"""The client end of the raw stream."""

from tapeline.stream.client import Peek, Position, StreamClient, peek, request_resync, subscribe

__all__ = ["Peek", "Position", "StreamClient", "peek", "request_resync", "subscribe"]
