"""Connections for any number of calls at once: lanes, each a transport with one connection.

A call takes the lane that was used last, or opens one, and gives it back when its answer is
closed. httpx's own pool looks through all its connections and requests whenever a call starts or
ends: with a thousand in flight, that costs ten times what the call itself does. A lane's pool has
one connection to look at. The transports are httpx's own, so that what test and tracing tools do to
them works here too.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from math import inf
from typing import Any, Final, Generic, TypeAlias, TypeVar

import httpx

KEEP_ALIVE_SECONDS: Final = 5.0
CONNECTING_AT_ONCE: Final = 100
"""A loop that opens a thousand connections at once lets their time to connect run out."""
ONE_CONNECTION: Final = httpx.Limits(
    max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEP_ALIVE_SECONDS
)

# A client reads the proxy variables, a bare transport is a third cheaper per call; none is needed
# for redirects, cookies or authentication, which a client would also look after.
BlockingLane: TypeAlias = httpx.Client | httpx.BaseTransport
AwaitingLane: TypeAlias = httpx.AsyncClient | httpx.AsyncBaseTransport
Lane = TypeVar("Lane", BlockingLane, AwaitingLane)


def send(lane: BlockingLane, request: httpx.Request) -> httpx.Response:
    """Send over a client or a bare transport, and return once the answer's head is there."""
    if isinstance(lane, httpx.Client):
        return lane.send(request, stream=True, auth=None, follow_redirects=False)
    response = lane.handle_request(request)
    response.request = request
    return response


async def asend(lane: AwaitingLane, request: httpx.Request) -> httpx.Response:
    """Send over a client or a bare transport, awaiting the answer's head."""
    if isinstance(lane, httpx.AsyncClient):
        return await lane.send(request, stream=True, auth=None, follow_redirects=False)
    response = await lane.handle_async_request(request)
    response.request = request
    return response


class _Idle(Generic[Lane]):
    """Lanes at rest: the last used on top, those that rest too long at the bottom."""

    def __init__(self) -> None:
        self._resting: deque[tuple[float, Lane]] = deque()
        self._lock = threading.Lock()
        self._closed = False

    def __bool__(self) -> bool:
        return bool(self._resting)

    def take(self) -> Lane | None:
        """The lane that was used last."""
        with self._lock:
            return self._resting.pop()[1] if self._resting else None

    def give(self, lane: Lane) -> bool:
        """Lay a lane to rest; False if it is to be closed instead."""
        with self._lock:
            if not self._closed:
                self._resting.append((time.monotonic(), lane))
            return not self._closed

    def expired(self) -> Lane | None:
        """A lane that has rested too long, for closing."""
        with self._lock:
            if self._resting and self._resting[0][0] < time.monotonic() - KEEP_ALIVE_SECONDS:
                return self._resting.popleft()[1]
            return None

    def close(self) -> list[Lane]:
        """All lanes, for closing; from now on none rests here."""
        with self._lock:
            self._closed = True
            lanes = [lane for _, lane in self._resting]
            self._resting.clear()
        return lanes


class BlockingLanes:
    """The lanes of a process, shared by its threads: as many as calls were at once.

    Args:
        make: Makes a lane, not connected yet.
    """

    def __init__(self, make: Callable[[], BlockingLane]) -> None:
        self._make = make
        self._idle: _Idle[BlockingLane] = _Idle()

    def open(self, request: httpx.Request) -> httpx.Response:
        """Send, and return once the answer's head is there; closing the answer frees the lane."""
        lane = self._idle.take() or self._make()
        try:
            response = send(lane, request)
        except BaseException:
            lane.close()
            raise
        response.stream = _Borrowing(response.stream, self._give, lane)
        return response

    def close(self) -> None:
        """Close the lanes at rest now, those in use once their answers are closed."""
        for lane in self._idle.close():
            lane.close()

    def _give(self, lane: BlockingLane) -> None:
        if not self._idle.give(lane):
            lane.close()
        while (old := self._idle.expired()) is not None:
            old.close()


class AwaitingLanes:
    """The lanes of one event loop.

    Only so many connect at the same time; a call that has to wait takes whatever is free first.

    Args:
        make: Makes a lane, not connected yet.
        most: Most lanes at once; more calls wait as long as their request's pool timeout allows.
    """

    def __init__(self, make: Callable[[], AwaitingLane], most: float = inf) -> None:
        self._make = make
        self._most = most
        self._open = 0
        self._idle: _Idle[AwaitingLane] = _Idle()
        self._connecting: set[AwaitingLane] = set()
        self._waiting: deque[asyncio.Future[AwaitingLane]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._sweeping: asyncio.Task[None] | None = None

    async def open(self, request: httpx.Request) -> httpx.Response:
        """Send, awaiting the answer's head; closing the answer frees the lane."""
        lane = self._idle.take() or self._new() or await self._turn(request)
        if lane in self._connecting:
            request.extensions["trace"] = self._tracer(lane)
        try:
            response = await asend(lane, request)
        except BaseException:
            self._connecting.discard(lane)
            await self._close(lane)
            raise
        response.stream = _Borrowing(response.stream, self._give, lane)
        return response

    async def aclose(self) -> None:
        """Close the lanes at rest now, those in use once their answers are closed."""
        if self._timer is not None:
            self._timer.cancel()
        for lane in self._idle.close():
            await self._close(lane)

    def _new(self) -> AwaitingLane | None:
        if len(self._connecting) >= CONNECTING_AT_ONCE or self._open >= self._most:
            return None
        lane = self._make()
        self._open += 1
        self._connecting.add(lane)
        return lane

    def _tracer(self, lane: AwaitingLane) -> Callable[[str, dict[str, Any]], Awaitable[None]]:
        async def told(event: str, _: dict[str, Any]) -> None:
            # The protocol's first word: the connection is there.
            if event.startswith("http") and lane in self._connecting:
                self._connecting.remove(lane)
                self._let_in()

        return told

    async def _turn(self, request: httpx.Request) -> AwaitingLane:
        turn: asyncio.Future[AwaitingLane] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(request.extensions["timeout"]["pool"]):
                return await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                await self._give(turn.result())
            turn.cancel()
            if isinstance(error, TimeoutError):
                raise httpx.PoolTimeout("all connections were in use") from None
            raise

    def _let_in(self, lane: AwaitingLane | None = None) -> bool:
        """Give this lane, or a new one if there may be one, to the call that waits longest."""
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft()  # it was cancelled
        if not self._waiting or (lane := lane or self._new()) is None:
            return False
        self._waiting.popleft().set_result(lane)
        return True

    async def _give(self, lane: AwaitingLane) -> None:
        if self._let_in(lane):
            return
        if not self._idle.give(lane):
            await self._close(lane)
        elif self._timer is None:
            self._set_timer()

    async def _close(self, lane: AwaitingLane) -> None:
        self._open -= 1
        self._let_in()
        await lane.aclose()

    def _set_timer(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(KEEP_ALIVE_SECONDS + 0.1, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._sweeping = asyncio.get_running_loop().create_task(self._sweep())

    async def _sweep(self) -> None:
        while (old := self._idle.expired()) is not None:
            await self._close(old)
        if self._idle and self._timer is None:
            self._set_timer()


class _Borrowing(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body whose closing gives its lane back."""

    def __init__(self, stream: Any, give: Callable[[Any], Any], lane: Any) -> None:
        self._stream = stream
        self._give = give
        self._lane = lane

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._stream)

    def close(self) -> None:
        lane, self._lane = self._lane, None
        try:
            self._stream.close()
        finally:
            if lane is not None:
                self._give(lane)

    async def aclose(self) -> None:
        lane, self._lane = self._lane, None
        try:
            await self._stream.aclose()
        finally:
            if lane is not None:
                await self._give(lane)
