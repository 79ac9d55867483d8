"""Connections for any number of calls at once, each a transport with a single connection.

A call takes the connection that was used last, or opens one, and gives it back when its response is
closed. httpx's own pool looks through all its connections and requests whenever a call starts or
ends: with a thousand in flight, that costs ten times what the call itself does. The transports are
httpx's own, so that what test and tracing tools do to them works here too.

Only a connection whose response was read to its end and closed without interruption is used again.
Any other is closed at once: what a cancelled call leaves behind would be the next call's to wait
for. Nothing here takes a lock, because a signal handler may call, too.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from math import inf
from typing import Final, Generic, TypeVar

import httpx

from parallel_integrations.connection import (
    KEEP_ALIVE_SECONDS,
    AwaitingConnection,
    BlockingConnection,
    Body,
)

CONNECTING_AT_ONCE: Final = 100
"""A loop that opens a thousand connections at once lets their time to connect run out."""

Connection = TypeVar("Connection", BlockingConnection, AwaitingConnection)


class _IdleConnections(Generic[Connection]):
    """Open connections that nobody uses: the last used on top, the longest idle at the bottom.

    Every method is a few operations of a deque, each of which is atomic.
    """

    def __init__(self) -> None:
        self._connections: deque[tuple[float, Connection]] = deque()

    def __bool__(self) -> bool:
        return bool(self._connections)

    def take(self) -> Connection | None:
        """The connection that was used last."""
        try:
            return self._connections.pop()[1]
        except IndexError:
            return None

    def add(self, connection: Connection) -> None:
        """Keep a connection for the next call."""
        self._connections.append((time.monotonic(), connection))

    def take_expired(self) -> Iterator[Connection]:
        """Connections that have been idle for too long, for closing."""
        with suppress(IndexError):
            while self._connections[0][0] < time.monotonic() - KEEP_ALIVE_SECONDS:
                yield self._connections.popleft()[1]

    def take_all(self) -> Iterator[Connection]:
        """Every connection, for closing."""
        while (connection := self.take()) is not None:
            yield connection


class BlockingConnectionPool:
    """The connections of a process, shared by its threads: as many as calls were at once.

    Args:
        make: Makes a connection, not open yet.
    """

    def __init__(self, make: Callable[[], BlockingConnection]) -> None:
        self._make = make
        self._idle: _IdleConnections[BlockingConnection] = _IdleConnections()
        self._is_closed = False

    def open(self, request: httpx.Request, deadline: float = inf) -> httpx.Response:
        """Send, and return once the headers are there; closing the response frees its connection.

        Args:
            request: What to send.
            deadline: Moment of `time.monotonic` by which the response must be whole.
        """
        connection = self._idle.take() or self._make()
        while True:
            connection.link.begin(deadline)
            try:
                response = connection.handle_request(request)
            except BaseException:
                connection.link.close()
                if not connection.link.is_stale:
                    raise
                connection = self._make()  # nothing was sent yet
                continue
            response.request = request
            response.stream = Body(response, connection.link, partial(self._give_back, connection))
            return response

    def close(self) -> None:
        """Close idle connections now, those in use once their responses are closed."""
        self._is_closed = True
        for connection in self._idle.take_all():
            connection.link.close()

    def _give_back(self, connection: BlockingConnection, *, is_clean: bool) -> None:
        if is_clean and connection.is_reusable:
            connection.link.is_used = True
            self._idle.add(connection)
        else:
            connection.link.close()
        if self._is_closed:  # asked after adding: `close` may have run in between
            self.close()
        for expired in self._idle.take_expired():
            expired.link.close()


class AwaitingConnectionPool:
    """The connections of one event loop.

    Only so many connect at the same time; a call that has to wait takes whatever is free first.

    Args:
        make: Makes a connection, not open yet.
        max_connections: Most at once; more calls wait as long as their request's pool timeout
            allows.
    """

    def __init__(
        self, make: Callable[[], AwaitingConnection], max_connections: float = inf
    ) -> None:
        self._make = make
        self._max_connections = max_connections
        self._num_open = 0
        self._idle: _IdleConnections[AwaitingConnection] = _IdleConnections()
        self._connecting: set[AwaitingConnection] = set()
        self._waiting: deque[asyncio.Future[AwaitingConnection]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    async def open(self, request: httpx.Request, deadline: float = inf) -> httpx.Response:
        """Send, awaiting the headers; everything else as in `BlockingConnectionPool.open`."""
        connection = self._idle.take() or self._new() or await self._wait_for_one(request)
        while True:
            connection.link.begin(deadline)
            try:
                response = await connection.handle_async_request(request)
            except BaseException:
                self._close(connection)
                if not connection.link.is_stale:
                    raise
                connection = self._new() or await self._wait_for_one(request)
                continue
            response.request = request
            response.stream = Body(response, connection.link, partial(self._give_back, connection))
            return response

    async def aclose(self) -> None:
        """Close idle connections now, those in use once their responses are closed."""
        if self._timer is not None:
            self._timer.cancel()
        self._is_closed = True
        for connection in self._idle.take_all():
            self._close(connection)
        await asyncio.sleep(0)  # the loop's next turn closes the sockets

    def _new(self) -> AwaitingConnection | None:
        if len(self._connecting) >= CONNECTING_AT_ONCE or self._num_open >= self._max_connections:
            return None
        connection = self._make()
        self._num_open += 1
        self._connecting.add(connection)
        connection.link.on_connected = partial(self._connected, connection)
        return connection

    def _connected(self, connection: AwaitingConnection) -> None:
        self._connecting.discard(connection)
        self._serve_next()

    async def _wait_for_one(self, request: httpx.Request) -> AwaitingConnection:
        turn: asyncio.Future[AwaitingConnection] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(request.extensions["timeout"]["pool"]):
                return await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._pass_on(turn.result())
            turn.cancel()
            if isinstance(error, TimeoutError):
                raise httpx.PoolTimeout("all connections were in use") from None
            raise

    def _serve_next(self, connection: AwaitingConnection | None = None) -> bool:
        """Give this connection, or a new one, to the call that waits longest; False if none is."""
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft()  # it was cancelled
        if not self._waiting or (connection := connection or self._new()) is None:
            return False
        self._waiting.popleft().set_result(connection)
        return True

    def _give_back(self, connection: AwaitingConnection, *, is_clean: bool) -> None:
        if is_clean and connection.is_reusable:
            connection.link.is_used = True
            self._pass_on(connection)
        else:
            self._close(connection)

    def _pass_on(self, connection: AwaitingConnection) -> None:
        if self._serve_next(connection):
            return
        # A connection that is not open was made for a call that was cancelled before it connected.
        if self._is_closed or not connection.is_reusable:
            self._close(connection)
            return
        self._idle.add(connection)
        if self._timer is None:
            self._set_timer()

    def _close(self, connection: AwaitingConnection) -> None:
        self._num_open -= 1
        self._connecting.discard(connection)
        connection.link.close()
        self._serve_next()

    def _set_timer(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(KEEP_ALIVE_SECONDS + 0.1, self._close_expired)

    def _close_expired(self) -> None:
        self._timer = None
        for connection in self._idle.take_expired():
            self._close(connection)
        if self._idle:
            self._set_timer()
