"""The client end of the raw stream, against a real gRPC server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from tapeline.errors import Action, ConnectionLostError, StreamUnavailableError, UsageError
from tapeline.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from tapeline.stream import Peek, Position, StreamClient, follow_role, peek, request_resync, subscribe


class Service(ingest_pb2_grpc.IngestServiceServicer):
    """Answers as a session manager would, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[ingest_pb2.SubscribeRequest] = []
        self.roles: asyncio.Queue[str | None] = asyncio.Queue()

    async def Subscribe(  # noqa: N802 - gRPC's name
        self,
        request: ingest_pb2.SubscribeRequest,
        context: grpc.aio.ServicerContext[ingest_pb2.SubscribeRequest, ingest_pb2.SubscribeResponse],
    ) -> AsyncIterator[ingest_pb2.SubscribeResponse]:
        self.asked.append(request)
        if request.provider != "X":
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no provider {request.provider}")
        yield ingest_pb2.SubscribeResponse(gap=ingest_pb2.Gap(epoch=9, from_sequence=4, to_sequence=6))
        payloads = [ingest_pb2.Payload(data=b"x" * (6 << 20)), ingest_pb2.Payload(data=b"y")]
        yield ingest_pb2.SubscribeResponse(batch=ingest_pb2.RawBatch(epoch=9, first_sequence=7, payloads=payloads))
        if request.subscriber == "cut":
            await context.abort(grpc.StatusCode.INTERNAL, "broken")

    async def WatchRole(  # noqa: N802 - gRPC's name
        self, request: ingest_pb2.WatchRoleRequest, context: object
    ) -> AsyncIterator[ingest_pb2.WatchRoleResponse]:
        while (instance := await self.roles.get()) is not None:
            yield ingest_pb2.WatchRoleResponse(instance=instance)

    async def RequestResync(  # noqa: N802 - gRPC's name
        self, request: ingest_pb2.RequestResyncRequest, context: object
    ) -> ingest_pb2.RequestResyncResponse:
        return ingest_pb2.RequestResyncResponse(accepted=request.channel == "book")


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[str]:
    server = grpc.aio.server(options=[("grpc.max_send_message_length", -1)])
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def test_responses_come_as_the_bytes_they_are() -> None:
    """A subscription gives encoded responses, large ones too, and a peek says what each covers."""
    service = Service()
    async with serving(service) as address:
        taken = [response async for response in subscribe(address, "X", "me", Position(9, 3))]
    assert [peek(response) for response in taken] == [Peek(9, 4, 6, True), Peek(9, 7, 8, False)]
    assert (service.asked[0].resume.epoch, service.asked[0].resume.sequence) == (9, 3)


async def test_no_position_is_not_position_zero() -> None:
    """Without a position the request has none, so that the server gives all it holds."""
    service = Service()
    async with serving(service) as address, StreamClient(address) as client:
        assert len([response async for response in client.subscribe("X", "me")]) == 2
    assert not service.asked[0].HasField("resume")


async def test_a_refusal_a_cut_and_an_absence_are_told_apart() -> None:
    """The error says whether to refuse, to reconnect or to try again."""
    async with serving(Service()) as address:
        with pytest.raises(UsageError, match="no provider Y"):
            _ = [response async for response in subscribe(address, "Y", "me")]
        with pytest.raises(ConnectionLostError, match="broken"):
            _ = [response async for response in subscribe(address, "X", "cut")]
    with pytest.raises(StreamUnavailableError) as caught:
        _ = [response async for response in subscribe(address, "X", "me")]
    assert caught.value.action is Action.RETRY


async def test_a_resync_is_accepted_or_not() -> None:
    """The answer says whether a snapshot will come."""
    async with serving(Service()) as address:
        assert await request_resync(address, "X", "book", "link")
        assert not await request_resync(address, "X", "none", "link")


def test_a_position_comes_back_as_it_was() -> None:
    """A position is kept in Redis as text."""
    assert Position.parse(str(Position(1_700_000_000_000_000_000, 42))) == Position(1_700_000_000_000_000_000, 42)


class Worker:
    """Works as an instance, and takes a while to end."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.fails = False

    async def __call__(self, instance: str, over: asyncio.Event) -> None:
        self.said.append(f"{instance} begins")
        if self.fails:
            raise UsageError("no such thing")
        await over.wait()
        await asyncio.sleep(0.01)
        self.said.append(f"{instance} ends")

    async def said_so(self, *words: str) -> None:
        async with asyncio.timeout(5):
            while self.said != list(words):  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.005)


async def test_work_follows_the_role() -> None:
    """One instance after the other, none while standing by, none when the session manager's word is lost, and none at the end."""
    service, worker, stop = Service(), Worker(), asyncio.Event()
    async with serving(service) as address, StreamClient(address) as client:
        following = asyncio.create_task(follow_role(client, "X", stop, worker))
        for role in ("", "PRIMARY", "REPLICA", ""):
            service.roles.put_nowait(role)
        story = ["PRIMARY begins", "PRIMARY ends", "REPLICA begins", "REPLICA ends"]
        await worker.said_so(*story)
        service.roles.put_nowait("PRIMARY")
        story.append("PRIMARY begins")
        await worker.said_so(*story)
        # The stream of roles ends, and is there again.
        service.roles.put_nowait(None)
        story.append("PRIMARY ends")
        await worker.said_so(*story)
        service.roles.put_nowait("PRIMARY")
        story.append("PRIMARY begins")
        await worker.said_so(*story)
        stop.set()
        await following
        assert worker.said == [*story, "PRIMARY ends"]


async def test_what_the_work_cannot_do_is_told() -> None:
    """Its error is the follower's."""
    service, worker = Service(), Worker()
    worker.fails = True
    service.roles.put_nowait("PRIMARY")
    async with serving(service) as address, StreamClient(address) as client:
        with pytest.raises(UsageError, match="no such thing"):
            await follow_role(client, "X", asyncio.Event(), worker)
