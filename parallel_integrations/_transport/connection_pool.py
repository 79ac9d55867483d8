"""Connection pools: one per process for blocking calls, one per running event loop.

A call takes the connection that was used last, or opens one, and gives it back when its response is
closed. httpx's own pool looks through all its connections and requests whenever a call starts or
ends: with a thousand in flight, that costs ten times what the call itself does. Here each
connection is a transport of its own, without a pool below it. The transports are httpx's own, so
that what test and tracing tools do to them works here too.

Only a connection whose response was read to its end and closed without interruption is used again.
Any other is closed at once: what a cancelled call leaves behind would be the next call's to wait
for. Idle connections are kept without a lock, because a signal handler may call, too.
"""

import asyncio
import os
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from math import inf
from typing import Final, Generic, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass
from weakref import WeakKeyDictionary, finalize

import httpx

from parallel_integrations._protocol.retry import conditions_of
from parallel_integrations._protocol.settings import is_loopback
from parallel_integrations._transport.connection import (
    KEEP_ALIVE_SECONDS,
    AwaitingConnection,
    BlockingConnection,
    Body,
)
from parallel_integrations.errors import ConnectionFailedError

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
        self.close_expired()
        connection = self._idle.take() or self._make()
        while True:
            connection.link.begin(deadline)
            try:
                response = connection.handle_request(request)
            except BaseException as failure:
                connection.link.close()
                if not connection.link.was_stale(failure):
                    conditions_of(request).is_begun = connection.link.has_received
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

    def close_expired(self) -> None:
        """Close connections that have been idle for too long."""
        for expired in self._idle.take_expired():
            expired.link.close()

    def _give_back(self, connection: BlockingConnection, *, is_clean: bool) -> None:
        if is_clean and connection.is_reusable:
            connection.link.is_used = True
            self._idle.add(connection)
        else:
            connection.link.close()
        if self._is_closed:  # checked after adding: `close` may have run in between
            self.close()


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
        self._close_expired()
        connection = self._idle.take() or self._new() or await self._wait_for_one(request)
        while True:
            connection.link.begin(deadline)
            try:
                response = await connection.handle_async_request(request)
            except BaseException as failure:
                self._close(connection)
                if not connection.link.was_stale(failure):
                    conditions_of(request).is_begun = connection.link.has_received
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
        self._close_idle()
        await asyncio.sleep(0)  # the loop's next turn closes the sockets

    def close_after(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close idle connections if their loop is closed; one that is open does so itself."""
        if loop.is_closed():
            self._waiting.clear()
            self._close_idle()

    def _close_idle(self) -> None:
        self._is_closed = True
        for connection in self._idle.take_all():
            self._close(connection)

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
        self._timer = loop.call_later(KEEP_ALIVE_SECONDS + 0.1, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._close_expired()
        if self._idle:
            self._set_timer()

    def _close_expired(self) -> None:
        for connection in self._idle.take_expired():
            self._close(connection)


class Pools:
    """One blocking pool and one per running event loop, opened at first use and after a fork.

    Args:
        base_url: Decides whether TLS is needed.
        http_client: A blocking client to use instead.
        http_async_client: An awaiting client to use instead.
    """

    def __init__(
        self,
        base_url: str,
        http_client: httpx.Client | None = None,
        http_async_client: httpx.AsyncClient | None = None,
    ) -> None:
        self._base_url = base_url
        self._http_client = http_client
        self._http_async_client = http_async_client
        self._forget()

    def _forget(self) -> None:
        # New, since a forked child may find the old one taken for ever; a signal handler that calls
        # while it is taken may take it again.
        self._lock = threading.RLock()
        self._blocking: BlockingConnectionPool | None = None
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopPool] = WeakKeyDictionary()
        self._process = os.getpid()

    @property
    def given(self) -> bool:
        """Whether an HTTP client came from outside."""
        return self._http_client is not None or self._http_async_client is not None

    def renewed(self) -> "Pools":
        """Pools set up alike, with no connection yet."""
        return Pools(self._base_url, self._http_client, self._http_async_client)

    def blocking(self) -> "BlockingConnectionPool | _GivenClient":
        """What sends blocking requests: `open(request, deadline)`."""
        if self._http_client is not None:
            return _GivenClient(self._http_client)
        pool = self._blocking
        if pool is None or self._process != os.getpid():
            self._notice_fork()
            with self._lock:
                if self._blocking is None:
                    make = partial(_blocking_connection, self._base_url)
                    self._blocking = BlockingConnectionPool(make)
                    # Nobody need close a client: its sockets go when it goes.
                    finalize(self, self._blocking.close)
                pool = self._blocking
        return pool

    async def awaiting(self) -> "AwaitingConnectionPool | _GivenAsyncClient | _ForBlockingOnly":
        """What sends requests of the running event loop, awaiting."""
        if self._http_async_client is not None:
            return _GivenAsyncClient(self._http_async_client)
        loop = asyncio.get_running_loop()
        pool = self._by_loop.get(loop)
        if pool is None or self._process != os.getpid():
            self._notice_fork()
            with self._lock:
                for other in [other for other in self._by_loop if other.is_closed()]:
                    self._by_loop.pop(other).connections.close_after(other)
                make = partial(_awaiting_connection, self._base_url)
                pool = _LoopPool(AwaitingConnectionPool(make, _max_connections()))
                self._by_loop[loop] = pool
                # Not every loop winds up its generators: LlamaIndex closes those that it makes.
                finalize(pool, pool.connections.close_after, loop)
            await pool.bind()
        if self._http_client is not None:
            return _ForBlockingOnly(pool.connections)
        return pool.connections

    def close_expired(self) -> None:
        """Close blocking connections that have been idle for too long; a loop closes its own."""
        if self._blocking is not None and self._process == os.getpid():
            self._blocking.close_expired()

    def close(self) -> None:
        """Close the blocking pool; the next call opens another."""
        with self._lock:
            pool, self._blocking = self._blocking, None
        if pool is not None and self._process == os.getpid():
            pool.close()

    async def aclose(self) -> None:
        """Close the running loop's pool and the blocking one."""
        with self._lock:
            pool = self._by_loop.pop(asyncio.get_running_loop(), None)
        if pool is not None and self._process == os.getpid():
            await pool.aclose()
        self.close()

    def _notice_fork(self) -> None:
        if self._process != os.getpid():
            self._forget()


class _GivenClient:
    """A client from outside; it keeps to a deadline between two reads of a body."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def open(self, request: httpx.Request, deadline: float) -> httpx.Response:
        """Send, and return once the headers are there; `call_state` bounds the body."""
        _refuse_closed(self._client, "http_client")
        response = self._client.send(request, stream=True, auth=None, follow_redirects=False)
        response.stream = Body(response)
        return response


class _GivenAsyncClient:
    """As `_GivenClient`, awaiting."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def open(self, request: httpx.Request, deadline: float) -> httpx.Response:
        """Send, awaiting the headers."""
        _refuse_closed(self._client, "http_async_client")
        response = await self._client.send(request, stream=True, auth=None, follow_redirects=False)
        response.stream = Body(response)
        return response


class _ForBlockingOnly:
    """Own connections beside a client that was given for blocking calls only."""

    def __init__(self, pool: AwaitingConnectionPool) -> None:
        self._pool = pool

    async def open(self, request: httpx.Request, deadline: float) -> httpx.Response:
        """Send, awaiting the headers; what fails may need what the given client was set up with."""
        try:
            return await self._pool.open(request, deadline)
        except httpx.ConnectError as failure:
            text = f"{failure}; http_client= is for blocking calls: give http_async_client= as well"
            raise httpx.ConnectError(text, request=request) from failure


def _refuse_closed(client: httpx.Client | httpx.AsyncClient, name: str) -> None:
    if client.is_closed:  # httpx would raise a RuntimeError
        raise httpx.ConnectError(f"the client given as {name}= has been closed")


class _LoopPool:
    """One event loop's connections.

    A suspended async generator is closed when `asyncio.run` winds its loop up, and with it the
    connections: no socket outlives its loop, and nobody has to remember `aclose`.
    """

    def __init__(self, connections: AwaitingConnectionPool) -> None:
        self.connections = connections
        self._guard = self._close_with_loop()

    async def bind(self) -> None:
        # Without the loop's hooks (nest_asyncio runs loops so) the collector would close the guard
        # inside whatever task is running, and break that task.
        if sys.get_asyncgen_hooks().finalizer is not None:
            await anext(self._guard)

    async def aclose(self) -> None:
        await self._guard.aclose()
        await self.connections.aclose()

    async def _close_with_loop(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self.connections.aclose()


def _blocking_connection(base_url: str) -> BlockingConnection:
    with _set_up_errors():
        return BlockingConnection(_tls_context(base_url), _proxy(base_url))


def _awaiting_connection(base_url: str) -> AwaitingConnection:
    with _set_up_errors():
        return AwaitingConnection(_tls_context(base_url), _proxy(base_url))


def _proxy(base_url: str) -> str | None:
    """The proxy that the environment names for an address; never one for loopback.

    On loopback nothing is encrypted, so a proxy would be shown the key; and it could not reach this
    machine's loopback anyway.
    """
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    proxies = getproxies()
    port = parts.port or (443 if parts.scheme.lower() == "https" else 80)
    if not proxies or is_loopback(host) or proxy_bypass(f"{host}:{port}"):
        return None
    proxy = proxies.get(parts.scheme.lower()) or proxies.get("all")
    if not proxy:
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    _ = urlsplit(proxy).port  # past 65535 it is an error here, where one is expected
    return proxy


def _max_connections() -> float:
    """Half of the files that the process may open: past them, connecting fails."""
    try:
        import resource
    except ImportError:  # Windows sets no such limit
        return inf
    max_connections = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return inf if max_connections == resource.RLIM_INFINITY else max(1, max_connections // 2)


@contextmanager
def _set_up_errors() -> Iterator[None]:
    try:
        yield
    except (ImportError, OSError, ValueError) as error:
        # What httpx says of a proxy may hold its password.
        raise ConnectionFailedError(
            f"No connection can be set up ({type(error).__name__}): check the proxy variables "
            "(HTTPS_PROXY, ALL_PROXY, NO_PROXY) and the CA variables (SSL_CERT_FILE, "
            "SSL_CERT_DIR). A socks5:// proxy needs pip install 'httpx[socks]'."
        ) from None


def _tls_context(base_url: str) -> ssl.SSLContext:
    return _shared_context(encrypted=base_url.startswith("https://"))


@lru_cache(maxsize=2)
def _shared_context(*, encrypted: bool) -> ssl.SSLContext:
    # Loading the CA bundle takes tens of milliseconds, which plain HTTP on loopback does not need.
    return httpx.create_ssl_context() if encrypted else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
