"""Where the faults are played: a loopback server, a clock that runs fast, a client to be tried."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

import pytest

from tests.faults.responses import CannedResponse, healthy
from tests.support.raw_server import RawServer, Talk

KEY: Final = "k3y/that+nobody=may/see/0123456789"
"""Has the characters that JSON and URLs write in more than one way."""
SPEED: Final = 500
"""How much faster than asked pauses go by; what they were asked for is recorded."""
MAX_PAUSE: Final = 0.01


@dataclass
class Scene:
    """One request that is answered badly.

    Attributes:
        talk: The connection.
        answer: What a healthy API would say.
        whole: What it would have said to the first such request, which resumed no stream.
        key: The key that came with the request; bad servers repeat it.
        elsewhere: URL of another host.
        place: Method and path of the request.
    """

    talk: "ScriptedTalk"
    answer: CannedResponse
    whole: CannedResponse
    key: str
    elsewhere: str
    place: str

    @property
    def content_type(self) -> str:
        """The content type of a healthy answer."""
        return "application/json" if self.answer.events is None else "text/event-stream"

    def wait_until_gone(self, most: float = 10.0) -> None:
        """Say nothing until the client gives up."""
        self.talk.await_end(most)


Payload = Callable[[Scene], None]


@dataclass
class Spoiled:
    """What is spoiled.

    Attributes:
        places: Says which requests, by method and path.
        play: How they are answered.
        times: How many of them; None means all.
        struck: How many were.
    """

    places: Callable[[str], bool]
    play: Payload
    times: int | None = None
    struck: int = 0


class ScriptedTalk(Talk):
    """A connection whose end can be waited for."""

    def await_end(self, most: float) -> None:
        """Wait for the client to close; what it still says is lost."""
        self._connection.settimeout(most)
        try:
            while self._connection.recv(65536):
                pass
        except OSError:
            pass


class ScriptedServer(RawServer):
    """The API in good health, until something of it is spoiled.

    Attributes:
        asked: Method and path of each request.
        open: How many connections are open.
    """

    def __init__(self, elsewhere: str = "") -> None:
        super().__init__(lambda _, __: None)  # `_serve` is this class's own
        self.received: list[str] = []
        self.spoiled: Spoiled | None = None
        self.open = 0
        self._elsewhere = elsewhere
        self._lock = threading.Lock()

    def begin(self, spoiled: Spoiled | None) -> None:
        """Forget what was asked, and spoil something else."""
        self.received = []
        self.requests = []
        self.spoiled = spoiled

    def settle(self, most: int) -> int:
        """How many connections are open, once no more than `most` are or none more closes."""
        for _ in range(2000):
            if self.open <= most:
                break
            threading.Event().wait(0.001)
        return self.open

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self.open += 1
        talk = ScriptedTalk(connection)
        try:
            while request := talk.request():
                self._respond(talk, request)
        except OSError:  # the client went away, or the test is over
            pass
        finally:
            with self._lock:
                self.open -= 1
            connection.close()

    def _respond(self, talk: ScriptedTalk, request: bytes) -> None:
        head, _, body = request.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ")
        path, _, query = target.partition("?")
        place = f"{method} {path}"
        headers = {
            name.lower(): value for name, _, value in (each.partition(": ") for each in lines)
        }
        answer = healthy(place, body, dict(parse_qsl(query)).get("last_event_id", ""))
        with self._lock:
            self.received.append(place)
            spoiled = self.spoiled
            strikes = (
                spoiled is not None
                and spoiled.places(place)
                and (spoiled.times is None or spoiled.struck < spoiled.times)
            )
            if spoiled is not None and strikes:
                spoiled.struck += 1
        if spoiled is not None and strikes:
            key = headers.get("x-api-key", "")
            spoiled.play(Scene(talk, answer, healthy(place, body), key, self._elsewhere, place))
        else:
            say(talk, answer)


def say(talk: Talk, answer: CannedResponse) -> None:
    """Answer in good health; a stream comes in chunks, the connection stays open."""
    if answer.events is None:
        talk.answer(answer.body, content_type="application/json" if answer.body else None)
    else:
        begin_stream(talk)
        for event in answer.events:
            send_chunk(talk, event)
        end_stream(talk)


def begin_stream(talk: Talk) -> None:
    """Send the head of a stream."""
    talk.send(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )


def send_chunk(talk: Talk, data: bytes) -> None:
    """Send a piece of a stream."""
    if data:
        talk.send(b"%x\r\n%b\r\n" % (len(data), data))


def end_stream(talk: Talk) -> None:
    """End a stream in order."""
    talk.send(b"0\r\n\r\n")


@dataclass
class Clock:
    """Pauses that were asked for, in seconds."""

    pauses: list[float] = field(default_factory=list)


@contextmanager
def fast_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """Pauses between attempts pass five hundred times as fast, and are written down.

    Only `time.sleep` and `asyncio.sleep` are changed: timeouts and deadlines are real.
    """
    clock = Clock()
    sleep, asleep = time.sleep, asyncio.sleep

    def fast(seconds: float) -> None:
        clock.pauses.append(seconds)
        sleep(min(seconds / SPEED, MAX_PAUSE))

    async def afast(seconds: float, result: object = None) -> object:
        if seconds > 0:
            clock.pauses.append(seconds)
        return await asleep(min(seconds / SPEED, MAX_PAUSE), result)

    with monkeypatch.context() as patch:
        patch.setattr(time, "sleep", fast)
        patch.setattr(asyncio, "sleep", afast)
        yield clock
