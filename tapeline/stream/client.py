"""Takes raw batches off a session manager as the bytes they are; when to come back is the caller's business."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Self

import grpc

from tapeline.errors import ConnectionLostError, StreamUnavailableError, TapelineError, UsageError
from tapeline.ingest.v1 import ingest_pb2

SERVICE = "tapeline.ingest.v1.IngestService"

_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A restarted server is at the same address; a shared sub-channel would still be backing off from the old one.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)
_REFUSED = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.FAILED_PRECONDITION,
)


@dataclass(frozen=True, slots=True)
class Position:
    """The last payload taken: epoch (ns) and sequence."""

    epoch: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.sequence}"

    @staticmethod
    def parse(text: str) -> Position:
        """Reads `epoch:sequence`; raises ValueError."""
        epoch, _, sequence = text.partition(":")
        return Position(int(epoch), int(sequence))


@dataclass(frozen=True, slots=True)
class Peek:
    """What a response covers; of a gap in an ended epoch `last` may be 0, which is not known."""

    epoch: int
    first: int
    last: int
    gap: bool


def peek(response: bytes) -> Peek:
    """What an encoded SubscribeResponse covers."""
    read = ingest_pb2.SubscribeResponse.FromString(response)
    if read.HasField("gap"):
        return Peek(read.gap.epoch, read.gap.from_sequence, read.gap.to_sequence, True)
    batch = read.batch
    return Peek(batch.epoch, batch.first_sequence, batch.first_sequence + len(batch.payloads) - 1, False)


class StreamClient:
    """One connection to a session manager at `host:port`."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        self._subscribe = self._channel.unary_stream(
            f"/{SERVICE}/Subscribe",
            request_serializer=ingest_pb2.SubscribeRequest.SerializeToString,
            response_deserializer=None,
        )
        self._resync = self._channel.unary_unary(
            f"/{SERVICE}/RequestResync",
            request_serializer=ingest_pb2.RequestResyncRequest.SerializeToString,
            response_deserializer=ingest_pb2.RequestResyncResponse.FromString,
        )
        self._watch_role = self._channel.unary_stream(
            f"/{SERVICE}/WatchRole",
            request_serializer=ingest_pb2.WatchRoleRequest.SerializeToString,
            response_deserializer=ingest_pb2.WatchRoleResponse.FromString,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection and every subscription on it."""
        await self._channel.close(None)

    async def subscribe(
        self, provider: str, subscriber: str, resume: Position | None = None, hold_ms: int = 0, instance: str = ""
    ) -> AsyncIterator[bytes]:
        """Encoded SubscribeResponses from after `resume` on (None: all the ring holds), until the server ends.

        Only of `instance`, where it is given. Batches may be held back for `hold_ms` to be sent together. Raises StreamUnavailableError (retry), ConnectionLostError (reconnect) or UsageError (refused).
        """
        request = ingest_pb2.SubscribeRequest(
            provider=provider, subscriber=subscriber, hold_ms=hold_ms, instance=instance
        )
        if resume is not None:
            request.resume.epoch = resume.epoch
            request.resume.sequence = resume.sequence
        call = self._subscribe(request)
        try:
            async for response in call:
                yield response
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from None
        finally:
            call.cancel()

    async def request_resync(self, provider: str, channel: str, reason: str, timeout: float = 5.0) -> bool:  # noqa: ASYNC109 - it is gRPC's own
        """Asks for a fresh snapshot of a channel; whether it will come. Raises as `subscribe` does."""
        request = ingest_pb2.RequestResyncRequest(provider=provider, channel=channel, reason=reason)
        try:
            answer = await self._resync(request, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from None
        return bool(answer.accepted)

    async def roles(self, provider: str) -> AsyncIterator[str]:
        """The session manager's instance of a provider, now and at each change; empty while it stands by.

        Raises as `subscribe` does.
        """
        call = self._watch_role(ingest_pb2.WatchRoleRequest(provider=provider))
        try:
            async for response in call:
                yield response.instance
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from None
        finally:
            call.cancel()

    def _error(self, error: grpc.aio.AioRpcError) -> TapelineError:
        text = f"raw stream at {self._address}: {error.details() or error.code().name}"
        if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            return StreamUnavailableError(text)
        return UsageError(text) if error.code() in _REFUSED else ConnectionLostError(text)


async def subscribe(
    address: str, provider: str, subscriber: str, resume: Position | None = None
) -> AsyncIterator[bytes]:
    """`StreamClient.subscribe` over a connection of its own."""
    async with StreamClient(address) as client:
        async for response in client.subscribe(provider, subscriber, resume):
            yield response


async def request_resync(address: str, provider: str, channel: str, reason: str) -> bool:
    """`StreamClient.request_resync` over a connection of its own."""
    async with StreamClient(address) as client:
        return await client.request_resync(provider, channel, reason)
