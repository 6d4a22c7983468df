"""The listener by itself: parts of messages, heartbeats between them, close codes, stamps."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import picows
import pytest
from picows import picows as inner

from session_manager.intake import Intake
from session_manager.socket import Socket

TEXT, BINARY, CONTINUATION = picows.WSMsgType.TEXT, picows.WSMsgType.BINARY, picows.WSMsgType.CONTINUATION


class Transport:
    """Notes what is asked of it."""

    def __init__(self) -> None:
        self.done: list[tuple[object, ...]] = []

    def send_pong(self, payload: bytes) -> None:
        self.done.append(("pong", payload))

    def send_close(self, code: picows.WSCloseCode) -> None:
        self.done.append(("close", int(code.value)))

    def disconnect(self) -> None:
        self.done.append(("disconnect",))


class Bench:
    """A socket with its owner and intake."""

    def __init__(self) -> None:
        self.pushed: list[tuple[int, list[int], list[bytes]]] = []
        self.told: list[tuple[object, ...]] = []
        self.transport = Transport()
        self.intake = Intake(self._push, lambda: None, asyncio.get_running_loop())
        self.socket = Socket(7, self.intake, self)

    def _push(self, connection: int, stamps: Sequence[int], frames: Sequence[bytes]) -> None:
        self.pushed.append((connection, list(stamps), list(frames)))

    def on_connected(self, connection: int) -> None:
        self.told.append(("connected", connection))

    def on_closed(self, connection: int, code: int, reason: str) -> None:
        self.told.append(("closed", connection, code, reason))

    def on_heartbeat(self, connection: int, pong: bool) -> None:
        self.told.append(("heartbeat", connection, pong))

    def on_hole(self, connection: int, reason: str) -> None:
        self.told.append(("hole", connection, reason))

    @property
    def frames(self) -> list[bytes]:
        """All that was handed over."""
        return [frame for _, _, some in self.pushed for frame in some]

    def frame(self, kind: picows.WSMsgType, payload: bytes, fin: bool = True) -> None:
        made = inner._make_test_ws_frame(kind, payload, fin, False)
        self.socket.on_ws_frame(self.transport, made)  # type: ignore[arg-type]  # a stand-in


@pytest.fixture
async def bench() -> Bench:
    """A fresh one."""
    return Bench()


async def test_short_long_and_binary_frames_are_all_data(bench: Bench) -> None:
    """Whatever their length and kind, in order."""
    frames = [(TEXT, b"{}"), (TEXT, b"x" * 125), (TEXT, b"x" * 126), (BINARY, b"b" * 500), (BINARY, b"b"), (TEXT, b"")]
    for kind, payload in frames:
        bench.frame(kind, payload)
    bench.socket.flush()
    assert bench.frames == [payload for _, payload in frames]


async def test_parts_become_one_message(bench: Bench) -> None:
    """Also long parts, and with a ping between them."""
    bench.frame(TEXT, b"a" * 300, fin=False)
    bench.frame(picows.WSMsgType.PING, b"now")
    bench.frame(CONTINUATION, b"b" * 300, fin=False)
    bench.frame(CONTINUATION, b"c" * 300)
    bench.frame(TEXT, b"{}" * 100)
    bench.socket.flush()
    assert bench.frames == [b"a" * 300 + b"b" * 300 + b"c" * 300, b"{}" * 100]
    assert bench.transport.done == [("pong", b"now")]
    assert bench.told == [("heartbeat", 7, False)]


async def test_many_frames_of_one_read_go_in_runs(bench: Bench) -> None:
    """A read of megabytes does not become one push; stamps rise over all."""
    for n in range(2000):
        bench.frame(TEXT, b'{"n":%d}' % n)
    bench.socket.flush()
    assert len(bench.pushed) > 2
    assert bench.frames == [b'{"n":%d}' % n for n in range(2000)]
    stamps = [stamp for _, some, _ in bench.pushed for stamp in some]
    assert stamps == sorted(set(stamps))


async def test_stamps_rise_when_the_clock_does_not(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock set back is not followed."""
    bench.frame(TEXT, b"1")
    bench.socket.flush()
    monkeypatch.setattr("session_manager.socket.time_ns", lambda: 5)
    monkeypatch.setattr("session_manager.intake.time_ns", lambda: 5)
    bench.frame(TEXT, b"2")
    bench.socket.flush()
    injected = bench.intake.stamp()
    first, second = (stamps[0] for _, stamps, _ in bench.pushed)
    assert first < second < injected


@pytest.mark.parametrize(
    ("payload", "code", "reason"),
    [(b"\x0f\xa4why", 4004, "why"), (b"", 1005, ""), (b"\x03\xe8\xff\xfe", 1000, "\ufffd\ufffd")],
)
async def test_a_close_says_its_code(bench: Bench, payload: bytes, code: int, reason: str) -> None:
    """What came before it is handed over first."""
    bench.frame(TEXT, b"last")
    bench.frame(picows.WSMsgType.CLOSE, payload)
    bench.socket.on_ws_disconnected(bench.transport)  # type: ignore[arg-type]  # a stand-in
    assert bench.frames == [b"last"]
    assert bench.told == [("closed", 7, code, reason)]


async def test_after_our_close_the_owner_hears_nothing(bench: Bench) -> None:
    """Neither of a connection that comes too late nor of its end."""
    bench.socket.close()
    bench.socket.on_ws_connected(bench.transport)  # type: ignore[arg-type]  # a stand-in
    bench.socket.on_ws_disconnected(bench.transport)  # type: ignore[arg-type]  # a stand-in
    assert bench.told == []
    assert bench.transport.done == [("disconnect",)]
