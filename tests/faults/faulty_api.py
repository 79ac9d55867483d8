"""A healthy API on the scripted server, with faults injected; a clock that runs fast."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

# It takes `asyncio.sleep` to itself, when a loop first needs it: that must not be the fast one.
import anyio._backends._asyncio  # noqa: F401
import pytest

from tests.faults.responses import CannedResponse, healthy
from tests.support.raw_server import RawServer, Talk

KEY: Final = "k3y/that+nobody=may/see/0123456789"
"""Has the characters that JSON and URLs write in several forms."""
SPEED: Final = 500
"""How much faster pauses pass than requested; what was requested is recorded."""
MAX_PAUSE: Final = 0.01


@dataclass
class FaultyRequest:
    """One request that gets a bad response.

    Attributes:
        talk: The connection.
        response: What a healthy API would send.
        whole: What it would have sent to the first such request, which resumed no stream.
        key: The key that came with the request; bad servers repeat it.
        elsewhere: URL of another host.
        place: Method and path of the request.
    """

    talk: Talk
    response: CannedResponse
    whole: CannedResponse
    key: str
    elsewhere: str
    place: str

    @property
    def content_type(self) -> str:
        """The content type of a healthy response."""
        return "application/json" if self.response.events is None else "text/event-stream"


Payload = Callable[[FaultyRequest], None]


@dataclass
class Injection:
    """A fault that is in force.

    Attributes:
        places: Says which requests it strikes, by method and path.
        payload: Sends their response.
        times: How many of them it strikes; None means all.
        struck: How many it has struck.
    """

    places: Callable[[str], bool]
    payload: Payload
    times: int | None = None
    struck: int = 0


class FaultyApi(RawServer):
    """The API in good health, until a fault is injected.

    Attributes:
        received: Method and path of each request.
        injection: The fault in force.
    """

    def __init__(self, elsewhere: str = "") -> None:
        super().__init__(self._respond_to)
        self.received: list[str] = []
        self.injection: Injection | None = None
        self._elsewhere = elsewhere
        self._lock = threading.Lock()

    def begin(self, injection: Injection | None) -> None:
        """Forget what was received, and inject another fault."""
        self.received = []
        self.requests = []
        self.injection = injection

    def _respond_to(self, talk: Talk, request: bytes) -> None:
        head, _, body = request.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ")
        path, _, query = target.partition("?")
        place = f"{method} {path}"
        headers = {
            name.lower(): value for name, _, value in (each.partition(": ") for each in lines)
        }
        response = healthy(place, body, dict(parse_qsl(query)).get("last_event_id", ""))
        with self._lock:
            self.received.append(place)
            injection = self.injection
            strikes = (
                injection is not None
                and injection.places(place)
                and (injection.times is None or injection.struck < injection.times)
            )
            if injection is not None and strikes:
                injection.struck += 1
        if injection is not None and strikes:
            key = headers.get("x-api-key", "")
            whole = healthy(place, body)
            injection.payload(FaultyRequest(talk, response, whole, key, self._elsewhere, place))
        else:
            send(talk, response)


def send(talk: Talk, response: CannedResponse) -> None:
    """Send a healthy response; a stream comes in chunks, the connection stays open."""
    if response.events is None:
        talk.respond(response.body, content_type="application/json" if response.body else None)
    else:
        talk.begin_stream()
        for event in response.events:
            talk.send_chunk(event)
        talk.end_stream()


@dataclass
class Clock:
    """Pauses that were requested, in seconds."""

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
