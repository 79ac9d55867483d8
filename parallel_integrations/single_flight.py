"""One request for all who ask the same at once, across threads, tasks and event loops."""

import asyncio
import os
import threading
from concurrent.futures import Future
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from typing import Final

import httpx

# What described the bytes on the wire does not describe those that were read from it.
WIRE_HEADERS: Final = frozenset({"content-encoding", "content-length", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Landing:
    """What came of a request, for everybody who waited: an answer, or the transport's failure.

    Attributes:
        status: HTTP status; 0 where no answer began.
        headers: The answer's headers.
        content: Its whole body, decompressed.
        failure: What broke, perhaps after the answer's head was there.
    """

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    content: bytes = b""
    failure: httpx.HTTPError | None = None

    @classmethod
    def of(cls, response: httpx.Response) -> "Landing":
        """A whole answer."""
        return cls(response.status_code, _headers(response), response.content)

    @classmethod
    def failed(cls, failure: httpx.HTTPError, head: httpx.Response | None) -> "Landing":
        """A failure, and the answer's head had it arrived: it decides on repeating."""
        if head is None:
            return cls(failure=copy(failure))
        return cls(head.status_code, _headers(head), failure=copy(failure))

    def response(self, request: httpx.Request) -> httpx.Response:
        """The answer, or its head, as if it had come for `request`."""
        return httpx.Response(
            self.status, headers=list(self.headers), content=self.content, request=request
        )


def _headers(response: httpx.Response) -> tuple[tuple[str, str], ...]:
    return tuple(pair for pair in response.headers.multi_items() if pair[0] not in WIRE_HEADERS)


class Flight:
    """One request on its way.

    Attributes:
        key: What it asks.
        landed: What came of it; None where whoever sent it gave up, and somebody else has to.
        next: The flight of those who were on this one and have to ask again.
    """

    __slots__ = ("_loop", "_thread", "key", "landed", "next")

    def __init__(self, key: str, loop: asyncio.AbstractEventLoop | None) -> None:
        self.key = key
        self.landed: Future[Landing | None] = Future()
        self.next: Flight | None = None
        self._loop = loop
        self._thread = threading.get_ident()

    def can_be_awaited_by(self, other: "Flight") -> bool:
        """Whether another's waiting lets this go on: a blocking call inside its loop would not."""
        return (
            self.landed.done()
            or self._thread != other._thread  # noqa: SLF001 - its own class
            or (other._loop is not None and other._loop is self._loop)  # noqa: SLF001
        )

    def wait(self, seconds: float) -> bool:
        """Block until it has landed; False where it did not in time."""
        try:
            self.landed.result(seconds)
        except TimeoutError:
            return False
        return True

    async def wait_awaiting(self, seconds: float) -> bool:
        """Await that it has landed; False where it did not in time."""
        loop = asyncio.get_running_loop()
        arrived = asyncio.Event()

        def wake(_: object) -> None:
            with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
                loop.call_soon_threadsafe(arrived.set)

        self.landed.add_done_callback(wake)
        try:
            await asyncio.wait_for(arrived.wait(), seconds)
        except TimeoutError:
            return False
        return True


class Flights:
    """The requests of one client that are on their way."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._lock = threading.RLock()  # a signal handler may ask, too
        self._by_key: dict[str, Flight] = {}
        self._process = os.getpid()

    def board(self, own: Flight, last: Flight | None) -> Flight:
        """The flight to be on: an earlier one that can be awaited, or the caller's own.

        Args:
            own: A new flight of the caller's; where it is returned, the caller has to send.
            last: The flight that the caller was on before. Those who failed together ask again
                together, though each comes back at its own time.
        """
        if self._process != os.getpid():  # what is on its way in the parent never lands here
            self._forget()
        with self._lock:
            if last is not None and last.key != own.key:
                last = None
            flight = last.next if last is not None else None
            if flight is None:
                flight = self._by_key.get(own.key)
                if flight is last:
                    flight = None
            if flight is None:
                flight = self._by_key[own.key] = own
            if last is not None and last.next is None:
                last.next = flight
        return flight if flight is own or flight.can_be_awaited_by(own) else own

    def end(self, flight: Flight) -> None:
        """Take a flight off; where it has not landed, another who waits for it has to send."""
        with self._lock:
            if self._by_key.get(flight.key) is flight:
                del self._by_key[flight.key]
        if not flight.landed.done():
            flight.landed.set_result(None)
