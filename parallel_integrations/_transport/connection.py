"""One HTTP connection: its streams end with the call that uses it, and it can be cut at once.

httpx bounds the time without a byte, not the call: a server that sends a byte now and then is
waited for as long as it likes. And httpx's own closing takes locks and waits, which a cancelled
task or an interrupted thread cannot rely on. So the network streams below httpx are wrapped: each
read and write is given what is left of the call's time, and the socket is closed here.
"""

import socket
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from typing import Any, Final, TypeAlias, cast

import httpcore
import httpx

from parallel_integrations._transport.asyncio_stream import (
    AsyncioStream,
    TlsStream,
    by_turns,
    open_stream,
)

KEEP_ALIVE_SECONDS: Final = 5.0
DECOMPRESSED_PIECE_BYTES: Final = 65536
EITHER_HEADER: Final = zlib.MAX_WBITS | 32
"""Makes zlib find out whether it is gzip's or its own."""
MIN_SECONDS: Final = 0.001
WRITTEN_PIECE_BYTES: Final = 65536
Stream: TypeAlias = httpcore.NetworkStream | AsyncioStream | TlsStream


class Link:
    """What the network streams of one connection have in common.

    Attributes:
        deadline: Moment of `time.monotonic` at which reading and writing end.
        has_received: Whether a byte has come since the last write.
        is_used: Whether the open stream has carried a whole exchange before.
        on_connected: Called once the stream is open and about to carry its first request.
    """

    __slots__ = (
        "_headers",
        "_is_begun",
        "_is_stale",
        "_stream",
        "deadline",
        "has_received",
        "is_used",
        "on_connected",
    )

    def __init__(self) -> None:
        self.deadline = inf
        self.has_received = False
        self.is_used = False
        self.on_connected: Callable[[], None] | None = None
        self._is_begun = False
        self._is_stale = False
        self._headers = b""
        self._stream: Stream | None = None

    def begin(self, deadline: float) -> None:
        """Prepare for the next request, whose response has to be whole by `deadline`."""
        self.deadline = deadline
        self._is_begun = False
        self._is_stale = False
        self._headers = b""

    def opened(self, stream: Stream) -> None:
        """Note the stream that is open now."""
        self._stream = stream
        self.is_used = False

    def next_to_write(self, data: bytes) -> bytes:
        """What to write, now that httpcore writes this: a request's headers with what follows them.

        As one packet, and under TLS one record, they cost both sides a turn less. httpcore writes
        them one after the other, and ends each request with a write, be it of nothing. What else it
        writes first, to a SOCKS proxy, is `held` until it reads.

        Raises:
            httpcore.ConnectError: The connection is closed; nothing was sent.
        """
        self.has_received = False
        if not self._is_begun:
            self._check_open()
            self._headers = data
            return b""
        return self.held() + data

    def held(self) -> bytes:
        """What `next_to_write` held back, to be written now."""
        headers, self._headers = self._headers, b""
        return headers

    def was_stale(self, failure: BaseException) -> bool:
        """Whether a request failed because the server had closed the stream before it was sent."""
        # An interruption may come at that moment, and must not be lost.
        return self._is_stale and isinstance(failure, httpx.ConnectError)

    def _check_open(self) -> None:
        # The last moment to find out that the server has closed it meanwhile: once a byte is
        # written, nobody knows whether it was read, and a request that creates something must not
        # be sent twice.
        self._is_begun = True
        if self.is_used and self._stream and self._stream.get_extra_info("is_readable"):
            self._is_stale = True
            raise httpcore.ConnectError("the server had closed the connection")
        if self.on_connected is not None:
            self.on_connected()
            self.on_connected = None

    def seconds(self, timeout: float | None, late: type[Exception]) -> float | None:
        """The time for one read or write: its own, or what is left until the deadline.

        Raises:
            late: Nothing is left.
        """
        if self.deadline == inf:  # the body of a stream: each of its reads is bounded for itself
            return timeout
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise late("the time for the call is over")
        return left if timeout is None else min(timeout, left)

    def close(self) -> None:
        """Close the socket now, whatever state the connection is in; waits for nothing."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(RuntimeError):  # its event loop is closed
                stream.close()


class _BlockingStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, link: Link) -> None:
        self._stream = stream
        self._link = link
        link.opened(stream)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if held := self._link.held():
            self._write(held, timeout)
        data = self._stream.read(max_bytes, self._link.seconds(timeout, httpcore.ReadTimeout))
        self._link.has_received |= bool(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._write(self._link.next_to_write(buffer), timeout)

    def _write(self, data: bytes, timeout: float | None) -> None:
        # httpcore gives each turn of a write all the time: a server that reads a little of a large
        # body now and then would keep it for longer.
        for start in range(0, len(data), WRITTEN_PIECE_BYTES):
            piece = data[start : start + WRITTEN_PIECE_BYTES]
            self._stream.write(piece, self._link.seconds(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        seconds = self._link.seconds(timeout, httpcore.ConnectTimeout)
        encrypted = self._stream.start_tls(ssl_context, server_hostname, seconds)
        return _BlockingStream(encrypted, self._link)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _AwaitingStream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: AsyncioStream | TlsStream, link: Link) -> None:
        self._stream = stream
        self._link = link
        link.opened(stream)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if held := self._link.held():
            await self._write(held, timeout)
        seconds = self._link.seconds(timeout, httpcore.ReadTimeout)
        data = await self._stream.read(max_bytes, seconds)
        self._link.has_received |= bool(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._write(self._link.next_to_write(buffer), timeout)

    async def _write(self, data: bytes, timeout: float | None) -> None:
        if data:
            await self._stream.write(data, self._link.seconds(timeout, httpcore.WriteTimeout))

    async def aclose(self) -> None:
        self._stream.close()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        seconds = self._link.seconds(timeout, httpcore.ConnectTimeout)
        encrypted = await self._stream.start_tls(ssl_context, server_hostname, seconds)
        return _AwaitingStream(encrypted, self._link)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _BlockingBackend(httpcore.SyncBackend):
    def __init__(self, link: Link) -> None:
        self._link = link

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *args: Any, **kwargs: Any
    ) -> httpcore.NetworkStream:
        seconds = self._link.seconds(timeout, httpcore.ConnectTimeout)
        end = inf if seconds is None else time.monotonic() + seconds
        try:
            addresses = by_turns(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error
        # httpcore gives each address all the time, however many lead nowhere.
        for left in range(len(addresses), 0, -1):
            share = max(end - time.monotonic(), MIN_SECONDS) / left if end < inf else None
            try:
                stream = super().connect_tcp(addresses[-left], port, share, *args, **kwargs)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if left == 1:
                    raise
            else:
                return _BlockingStream(stream, self._link)
        raise httpcore.ConnectError("the host has no address")


class _AwaitingBackend(httpcore.AsyncNetworkBackend):
    def __init__(self, link: Link) -> None:
        self._link = link

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *args: Any, **kwargs: Any
    ) -> httpcore.AsyncNetworkStream:
        seconds = self._link.seconds(timeout, httpcore.ConnectTimeout)
        return _AwaitingStream(await open_stream(host, port, seconds, *args, **kwargs), self._link)


class _SingleConnection:
    """Stands where a transport of httpx has its pool, and passes requests to one connection.

    httpcore's pool looks for a free connection before each request and after each response, which
    takes a tenth of a call; here there is no choice. It still makes the connection: it knows how to
    go through each kind of proxy.
    """

    def __init__(self, pool: Any) -> None:
        self._make = pool.create_connection
        self._connection: Any = None

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        try:
            response = self._opened_for(request).handle_request(request)
        except Exception as error:
            _raise_of_proxy(error)
            raise
        return cast(httpcore.Response, response)

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        try:
            response = await self._opened_for(request).handle_async_request(request)
        except Exception as error:
            _raise_of_proxy(error)
            raise
        return cast(httpcore.Response, response)

    def is_idle(self) -> bool:
        """Whether it is open, with no exchange under way and nothing received past the last one."""
        connection = self._connection
        if connection is None or not connection.is_idle():
            return False
        while (inner := getattr(connection, "_connection", None)) is not None:  # behind a proxy
            connection = inner
        # httpcore would take it for the response to the next request.
        return not connection._h11_state.trailing_data[0]  # noqa: SLF001 - httpcore does not say

    def _opened_for(self, request: httpcore.Request) -> Any:
        if self._connection is None:
            self._connection = self._make(request.url.origin)
        return self._connection


def _raise_of_proxy(error: Exception) -> None:
    # httpcore lets the errors pass of the library that reads what a SOCKS proxy says.
    if type(error).__module__.startswith("socksio."):
        raise httpcore.ProxyError(f"no SOCKS5 proxy responds: {error}") from error


class _OneConnection:
    """What a blocking and an awaiting transport with one connection have in common."""

    _pool: Any
    link: Link

    @property
    def is_reusable(self) -> bool:
        """Whether the next request may go over it."""
        return cast(bool, self._pool.is_idle())

    def _use_one(self, backend: Any) -> None:
        self._pool._network_backend = backend  # noqa: SLF001 - httpx does not pass it on
        self._pool = _SingleConnection(self._pool)


class BlockingConnection(_OneConnection, httpx.HTTPTransport):
    """A transport of httpx with one connection, for one call at a time.

    Args:
        context: For TLS.
        proxy: Address of the proxy to go through; None for none.
    """

    def __init__(self, context: ssl.SSLContext, proxy: str | None = None) -> None:
        super().__init__(verify=context, proxy=proxy)
        self.link = Link()
        self._use_one(_BlockingBackend(self.link))

    def close(self) -> None:
        """Close the socket."""
        self.link.close()


class AwaitingConnection(_OneConnection, httpx.AsyncHTTPTransport):
    """As `BlockingConnection`, for one event loop."""

    def __init__(self, context: ssl.SSLContext, proxy: str | None = None) -> None:
        super().__init__(verify=context, proxy=proxy)
        self.link = Link()
        self._use_one(_AwaitingBackend(self.link))

    async def aclose(self) -> None:
        """Close the socket."""
        self.link.close()


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The body of a response: decompressed, within bounds; closing it gives its connection back.

    Args:
        response: The response whose stream this is to replace.
        link: Of the connection; None where the response came over a client from outside.
        give_back: Takes the connection back; `is_clean=` says whether the exchange came to its end.
    """

    def __init__(
        self,
        response: httpx.Response,
        link: Link | None = None,
        give_back: Callable[..., None] | None = None,
    ) -> None:
        self._stream: Any = response.stream
        self._link = link
        self._give_back = give_back
        self._is_whole = False
        self._deadline = inf
        self._left: float = inf
        self._max_bytes: float = inf
        self._is_cut_short = False
        self._is_per_event = False
        self._decompressor: Any = None
        self._without_header: Any = None
        self._has_member = False
        self._unreadable: str | None = None
        coding = response.headers.get("content-encoding", "identity").strip().lower()
        if coding in ("gzip", "x-gzip", "deflate"):
            self._decompressor = zlib.decompressobj(EITHER_HEADER)
            if coding == "deflate":  # some servers take the word for the bare format of that name
                self._without_header = zlib.decompressobj(-zlib.MAX_WBITS)
        elif coding != "identity":
            self._unreadable = f"its content-encoding {coding[:100]!r} was not requested"
        if coding != "identity":
            del response.headers["content-encoding"]  # httpx would decompress without any bound

    def bound(
        self,
        *,
        deadline: float,
        max_bytes: float,
        cut_short: bool = False,
        per_event: bool = False,
    ) -> None:
        """Set the bounds of what is to come.

        Args:
            deadline: Moment of `time.monotonic` at which reading ends.
            max_bytes: Most bytes, after decompression.
            cut_short: True ends the body there, or where it cannot be decompressed; else both are
                errors.
            per_event: True counts from each event of a stream to the next.
        """
        self._deadline = deadline
        self._left = self._max_bytes = max_bytes
        self._is_cut_short = cut_short
        self._is_per_event = per_event
        if self._link is not None:
            self._link.deadline = deadline

    def end_within(self, seconds: float) -> bool:
        """Whether reading ends within a time from now; over a client from outside it may not."""
        if self._link is None:
            return False
        self._link.deadline = time.monotonic() + seconds
        return True

    def __iter__(self) -> Iterator[bytes]:
        for data in self._stream:
            yield from self._admitted(data)
            if self._is_cut_short and self._left < 0:
                return
        self._is_whole = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._stream:
            for piece in self._admitted(data):
                yield piece
            if self._is_cut_short and self._left < 0:
                return
        self._is_whole = True

    def _admitted(self, data: bytes) -> Iterable[bytes]:
        if self._link is None and time.monotonic() > self._deadline:
            raise httpx.ReadTimeout("the response kept coming for longer than the timeout")
        if self._unreadable is not None:
            return self._unreadable_end(self._unreadable)
        if self._decompressor is not None:
            return self._decompressed(data)
        self._count(data)
        return (data,)

    def _count(self, data: bytes) -> None:
        pending = self._left < 0  # what came before an event that is too large is passed on first
        if self._is_per_event and (b"\n\n" in data or b"\n\r\n" in data):
            self._left = self._max_bytes
        self._left -= len(data)
        if self._left < 0 and not self._is_cut_short and (pending or not self._is_per_event):
            raise httpx.DecodingError(
                f"it is larger than the {self._max_bytes:,} bytes that max_response_bytes= admits"
            )

    def _decompressed(self, data: bytes) -> Iterator[bytes]:
        while data and not (self._is_cut_short and self._left < 0):
            try:
                piece = self._decompressor.decompress(data, DECOMPRESSED_PIECE_BYTES)
            except zlib.error:
                if self._has_member:
                    return  # what follows it, such as padding, is none
                if self._without_header is None:
                    yield from self._unreadable_end("it is not compressed as its headers say")
                    return
                self._decompressor, self._without_header = self._without_header, None
                continue
            self._without_header = None
            data = self._decompressor.unconsumed_tail
            if self._decompressor.eof:  # gzip may have several members, each compressed by itself
                data, self._has_member = self._decompressor.unused_data, True
                self._decompressor = zlib.decompressobj(EITHER_HEADER)
            self._count(piece)
            yield piece

    def _unreadable_end(self, reason: str) -> Iterable[bytes]:
        if not self._is_cut_short:
            raise httpx.DecodingError(reason)
        self._left = -1
        return ()

    def close(self) -> None:
        """Give the connection back, if the body was read to its end; else close it."""
        if self._link is None:
            self._stream.close()
            return
        with self._giving_back() as is_whole:
            if is_whole:
                self._stream.close()

    async def aclose(self) -> None:
        """As `close`, awaiting."""
        if self._link is None:
            await self._stream.aclose()
            return
        with self._giving_back() as is_whole:
            if is_whole:
                await self._stream.aclose()

    @contextmanager
    def _giving_back(self) -> Iterator[bool]:
        give_back, self._give_back = self._give_back, None
        if give_back is None:
            yield False
            return
        is_clean = False
        try:
            with suppress(Exception):  # the body is whole: its connection is closed instead
                yield self._is_whole
                is_clean = self._is_whole
        finally:
            give_back(is_clean=is_clean)
