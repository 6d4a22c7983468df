"""FIX over TLS, and what the transport tells its owner when a connection cannot be made or ends."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast
from unittest.mock import patch

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from session_manager.fix.framing import Framer
from session_manager.fix.socket import FixSocket
from session_manager.intake import Intake
from session_manager.session.actions import Connect
from tapeline.errors import HandshakeError
from tests.session_manager.fake_venue import until
from tests.session_manager.fix_peer import SPEC, message

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Owner:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []
        self.frames: list[bytes] = []
        self.intake = Intake(lambda _, __, frames: self.frames.extend(frames), lambda: None, asyncio.get_running_loop())

    def on_connected(self, connection: int) -> None:
        self.told.append(("connected", connection))

    def on_closed(self, connection: int, code: int, reason: str) -> None:
        self.told.append(("closed", connection, code, reason))

    def on_heartbeat(self, connection: int, pong: bool) -> None:
        self.told.append(("heartbeat", connection, pong))

    def on_hole(self, connection: int, reason: str) -> None:
        self.told.append(("hole", connection, reason))


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, made for the test."""
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "venue")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=1))
    place = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = builder.add_extension(place, critical=False).sign(key, None)
    assert isinstance(signed.signature_hash_algorithm, hashes.HashAlgorithm | None)
    cert, private = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(signed.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return cert, private


@asynccontextmanager
async def served(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on a port of its own; at the end all it has begun is over."""
    begun: list[asyncio.Task[None]] = []

    async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.append(cast("asyncio.Task[None]", asyncio.current_task()))
        try:
            await serve(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(whole, "127.0.0.1", 0, ssl=context)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        async with asyncio.timeout(5):
            await asyncio.gather(*begun, return_exceptions=True)


async def answer_logon(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes a logon, sends one message, and hangs up without a word."""
    assert (await reader.read(4096)).startswith(b"8=FIX.4.4")
    writer.write(message("A", 1, (98, 0), (108, 30)) + message("X", 2, (262, "a"), (268, 0)))
    await writer.drain()


def action(url: str, timeout: float = 5.0) -> Connect:
    """What the session logic asks for."""
    return Connect(3, "market data", url, (), timeout)


async def connected(owner: Owner, url: str, patience: float = 5.0) -> FixSocket:
    """A socket that has tried."""
    socket = FixSocket(SPEC, 3, owner.intake, owner)
    await socket.connect(url, action(url, patience))
    return socket


async def test_a_session_over_tls_proves_the_venues_name(tmp_path: Path) -> None:
    """A trusted certificate is taken; frames and the end are told in their order."""
    cert, key = certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    trusting = ssl.create_default_context(cafile=str(cert))
    owner = Owner()
    with patch("session_manager.fix.socket._trust", lambda: trusting):
        async with served(answer_logon, context) as port:
            await connected(owner, f"tls://127.0.0.1:{port}")
            await until(lambda: len(owner.told) == 2)
    assert owner.told[0] == ("connected", 3)
    assert owner.told[1][:3] == ("closed", 3, 1006)
    assert [frame.number for frame in Framer().feed(b"".join(owner.frames))] == [2]


async def test_a_certificate_nobody_vouches_for_is_no_venue(tmp_path: Path) -> None:
    """The connection is not made, and no logon sent."""
    cert, key = certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    owner = Owner()
    async with served(answer_logon, context) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            await connected(owner, f"tls://127.0.0.1:{port}")
    assert owner.told == []


async def test_a_logon_that_is_not_answered_ends_the_attempt() -> None:
    """In the time that an attempt may take."""

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    owner = Owner()
    async with served(mute) as port:
        with pytest.raises(TimeoutError):
            await connected(owner, f"tcp://127.0.0.1:{port}", 0.3)
    assert owner.told == []


async def test_a_refused_logon_says_why() -> None:
    """The venue's text is the error's."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(message("5", 1, (58, "not today")))
        await writer.drain()

    owner = Owner()
    async with served(refuse) as port:
        with pytest.raises(HandshakeError, match="logon refused: not today"):
            await connected(owner, f"tcp://127.0.0.1:{port}")
    assert owner.told == []


async def test_a_venue_that_hangs_up_before_the_logon_is_no_session() -> None:
    """Told as an attempt that failed, not as a connection that ended."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    owner = Owner()
    async with served(hang_up) as port:
        with pytest.raises(HandshakeError):
            await connected(owner, f"tcp://127.0.0.1:{port}")
    assert owner.told == []
