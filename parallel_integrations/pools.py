"""The only file that opens a connection: pools per process, thread-safe, and per event loop."""

import asyncio
import os
import ssl
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from ipaddress import ip_address
from math import inf
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass
from weakref import WeakKeyDictionary, finalize

import httpx

from parallel_integrations.api.errors import ConnectionFailedError
from parallel_integrations.connection import AwaitingConnection, BlockingConnection, Body
from parallel_integrations.connection_pool import AwaitingConnectionPool, BlockingConnectionPool


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

    def anew(self) -> "Pools":
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

    async def awaiting(self) -> "AwaitingConnectionPool | _GivenAsyncClient":
        """What sends requests of the running event loop, awaiting."""
        if self._http_async_client is not None:
            return _GivenAsyncClient(self._http_async_client)
        loop = asyncio.get_running_loop()
        pool = self._by_loop.get(loop)
        if pool is None or self._process != os.getpid():
            self._notice_fork()
            with self._lock:
                for other in [other for other in self._by_loop if other.is_closed()]:
                    del self._by_loop[other]
                make = partial(_awaiting_connection, self._base_url)
                pool = _LoopPool(AwaitingConnectionPool(make, _max_connections()))
                self._by_loop[loop] = pool
            await pool.bind()
        return pool.connections

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
        response = self._client.send(request, stream=True, auth=None, follow_redirects=False)
        response.stream = Body(response)
        return response


class _GivenAsyncClient:
    """As `_GivenClient`, awaiting."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def open(self, request: httpx.Request, deadline: float) -> httpx.Response:
        """Send, awaiting the headers."""
        response = await self._client.send(request, stream=True, auth=None, follow_redirects=False)
        response.stream = Body(response)
        return response


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
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself: `localhost`, 127.0.0.0/8 or `::1`."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _max_connections() -> float:
    """Half of the files that the process may open: past them, connecting fails."""
    try:
        import resource
    except ImportError:  # Windows sets no such limit
        return inf
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return inf if most == resource.RLIM_INFINITY else max(1, most // 2)


@contextmanager
def _set_up_errors() -> Iterator[None]:
    try:
        yield
    except (ImportError, OSError, ValueError) as error:
        # What httpx says of a proxy may hold its password.
        raise ConnectionFailedError(
            f"No connection can be set up ({type(error).__name__}): check the proxy variables "
            "(HTTPS_PROXY, ALL_PROXY, NO_PROXY) and the CA variables (SSL_CERT_FILE, SSL_CERT_DIR)."
        ) from None


def _tls_context(base_url: str) -> ssl.SSLContext:
    return _shared_context(encrypted=base_url.startswith("https://"))


@lru_cache(maxsize=2)
def _shared_context(*, encrypted: bool) -> ssl.SSLContext:
    # Loading the CA bundle takes tens of milliseconds, which plain HTTP on loopback does not need.
    return httpx.create_ssl_context() if encrypted else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
