"""Network streams on asyncio's own transports, for httpcore.

httpcore's go through anyio, which enters a cancel scope and yields to the event loop for every read
and write, data at hand or not: a fifth of an awaited call's CPU, and with TLS a quarter.
"""

import asyncio
import selectors
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from itertools import zip_longest
from time import monotonic
from typing import Any, Final, TypeAlias, TypeVar, cast

import httpcore

MAX_UNREAD_BYTES: Final = 262_144
"""With more than these at hand, no more is taken from the socket."""
TLS_READ_BYTES: Final = 65536
HAPPY_EYEBALLS_SECONDS: Final = 0.25
"""After which the next address of a host is tried beside the one before (RFC 8305)."""
NAMES_OF_INFO: Final = {"client_addr": "sockname", "server_addr": "peername"}
"""What httpcore calls a socket's addresses, and asyncio."""

Result = TypeVar("Result")

# `select` takes no file beyond the thousandth, and Windows has no `poll`.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


async def open_stream(
    host: str,
    port: int,
    timeout: float | None = None,
    local_address: str | None = None,
    socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
) -> "AsyncioStream":
    """Connect to a host; arguments and errors are those of httpcore's `connect_tcp`."""
    async with _connecting(timeout):
        stream = await _first_reached(await _addresses(host, port), port, local_address)
        for option in socket_options or ():
            stream.get_extra_info("socket").setsockopt(*option)
    return stream


class _Stream(httpcore.AsyncNetworkStream):
    """What both kinds have in common."""

    def close(self) -> None:
        """Give the socket up; waits for nothing."""
        raise NotImplementedError

    async def aclose(self) -> None:
        self.close()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> "TlsStream":
        return await _tls_over(self, ssl_context, server_hostname, timeout)


class AsyncioStream(asyncio.Protocol, _Stream):
    """A connection of an event loop, used by one task at a time."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._unread = b""
        self._is_over = False
        self._is_full = False
        self._failure: Exception | None = None
        self._reader: asyncio.Future[bool] | None = None
        self._writer: asyncio.Future[bool] | None = None

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._unread += data  # copies nothing where there was nothing unread
        if len(self._unread) > MAX_UNREAD_BYTES:
            self._transport.pause_reading()
        _wake(self._reader)

    def eof_received(self) -> None:
        self._is_over = True
        _wake(self._reader)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._is_over:
            self._failure = exc or ConnectionAbortedError("the connection was closed")
        self._is_over = True
        self._is_full = False
        _wake(self._reader)
        _wake(self._writer)

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        _wake(self._writer)

    # What httpcore calls.

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if not self._unread and not self._is_over:
            self._reader = asyncio.get_running_loop().create_future()
            if not await _woken(self._reader, timeout):
                raise httpcore.ReadTimeout("nothing came within the time")
        if not self._unread and self._failure is not None:
            raise httpcore.ReadError(str(self._failure)) from self._failure
        data = self._unread
        self._unread = data[max_bytes:]
        if len(data) > MAX_UNREAD_BYTES >= len(self._unread) and not self._is_over:
            self._transport.resume_reading()
        return data[:max_bytes]

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not self._is_over:
            self._transport.write(buffer)
        if self._is_full:
            self._writer = asyncio.get_running_loop().create_future()
            if not await _woken(self._writer, timeout):
                raise httpcore.WriteTimeout("not all could be sent within the time")
        if self._is_over:
            raise httpcore.WriteError("the connection is closed") from self._failure

    def close(self) -> None:
        """Give the socket up, which the loop closes in its next turn; waits for nothing."""
        try:
            self._transport.abort()  # its `close` would wait until all is sent
        except RuntimeError:  # the loop is closed; what it would do in its next turn
            with suppress(AttributeError):  # uvloop's has closed its sockets already
                self._transport._call_connection_lost(None)  # type: ignore[attr-defined] # noqa: SLF001

    def get_extra_info(self, info: str) -> Any:
        if info != "is_readable":
            return self._transport.get_extra_info(NAMES_OF_INFO.get(info, info))
        if self._unread or self._is_over or self._transport.is_closing():
            return True
        with _Selector() as selector:  # the loop has not looked since its last turn
            selector.register(self._transport.get_extra_info("socket"), selectors.EVENT_READ)
            return bool(selector.select(0))


class TlsStream(_Stream):
    """TLS over another stream, which may be one of these.

    asyncio's own TLS keeps a quarter of a megabyte for each connection.
    """

    def __init__(
        self,
        stream: _Stream,
        context: ssl.SSLContext,
        server_hostname: str | None,
    ) -> None:
        self._stream = stream
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=server_hostname
        )
        self._is_over = False

    async def shake_hands(self) -> None:
        """Agree with the server on how to encrypt, and check who it is."""
        await self._carry_out(None, self._tls.do_handshake)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            data = await self._carry_out(_end(timeout), self._tls.read, max_bytes)
            # All that is at hand: records are small, and each read costs httpcore more.
            with suppress(ssl.SSLWantReadError):
                while data and len(data) < max_bytes and not self._is_over:
                    piece = self._tls.read(max_bytes - len(data))
                    data += piece
                    self._is_over = not piece
        except ssl.SSLEOFError:  # few servers say that they end TLS; HTTP knows whether all came
            return b""
        except ssl.SSLError as error:
            raise httpcore.ReadError(str(error)) from error
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        unsent, end = memoryview(buffer), _end(timeout)
        try:
            while unsent:
                unsent = unsent[await self._carry_out(end, self._tls.write, unsent) :]
        except ssl.SSLError as error:
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        """Give the socket up, without a close_notify."""
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._tls
        at_hand = self._is_over or self._incoming.pending or self._tls.pending()
        if info == "is_readable" and at_hand:
            return True
        return self._stream.get_extra_info(info)

    async def _carry_out(
        self, end: float | None, work: Callable[..., Result], *arguments: Any
    ) -> Result:
        """Let TLS do something, with as much from the server as it needs for it."""
        while True:
            needs_more = False
            try:
                result = work(*arguments)
            except ssl.SSLWantReadError:
                needs_more = True
            if self._outgoing.pending:
                await self._stream.write(self._outgoing.read(), _left(end))
            if not needs_more:
                return result
            if data := await self._stream.read(TLS_READ_BYTES, _left(end)):
                self._incoming.write(data)
            else:
                self._incoming.write_eof()


Attempt: TypeAlias = asyncio.Task[tuple[asyncio.Transport, AsyncioStream]]


async def _addresses(host: str, port: int) -> list[str]:
    with suppress(ValueError):  # a name
        return [str(ip_address(host))]
    loop = asyncio.get_running_loop()
    return by_turns(await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))


def by_turns(found: Iterable[tuple[Any, ...]]) -> list[str]:
    """The addresses that `getaddrinfo` found, those of IPv6 and of IPv4 by turns."""
    by_family: dict[int, list[str]] = {}
    for family, *_, address in found:
        by_family.setdefault(family, []).append(str(address[0]))
    return [each for turn in zip_longest(*by_family.values()) for each in turn if each]


async def _first_reached(
    addresses: Sequence[str], port: int, local_address: str | None
) -> AsyncioStream:
    """Connect to the first address that can be reached (RFC 8305, "happy eyeballs").

    asyncio can do so, too, but when it is cancelled at the moment of success it leaves the socket
    open; and uvloop cannot.
    """
    loop = asyncio.get_running_loop()
    local = (local_address, 0) if local_address else None
    attempts: list[Attempt] = []
    try:
        for number, address in enumerate(addresses, 1):
            connecting = loop.create_connection(AsyncioStream, address, port, local_addr=local)
            attempts.append(loop.create_task(connecting))
            seconds = HAPPY_EYEBALLS_SECONDS if number < len(addresses) else None
            pending = {attempt for attempt in attempts if not attempt.done()}
            while pending:
                ended, pending = await asyncio.wait(
                    pending, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
                )
                for attempt in ended:
                    if attempt.exception() is None:
                        attempts.remove(attempt)
                        return attempt.result()[1]
                if not ended:
                    break
        raise (attempts and attempts[0].exception()) or OSError("the host has no address")
    finally:
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(_abandon)


def _abandon(attempt: Attempt) -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result()[0].abort()


async def _tls_over(
    stream: _Stream,
    context: ssl.SSLContext,
    server_hostname: str | None,
    timeout: float | None,
) -> TlsStream:
    async with _connecting(timeout):
        encrypted = TlsStream(stream, context, server_hostname)
        await encrypted.shake_hands()
    return encrypted


@asynccontextmanager
async def _connecting(seconds: float | None) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise httpcore.ConnectTimeout(str(error)) from error
    except (OSError, UnicodeError, httpcore.ReadError, httpcore.WriteError) as error:
        raise httpcore.ConnectError(str(error)) from error


def _end(timeout: float | None) -> float | None:
    return None if timeout is None else monotonic() + timeout


def _left(end: float | None) -> float | None:
    return None if end is None else max(0.0, end - monotonic())


async def _woken(waiter: asyncio.Future[bool], seconds: float | None) -> bool:
    """Whether it was woken within the time."""
    # Not by asyncio.timeout, which would take as long as all else that a read does.
    timer = None if seconds is None else waiter.get_loop().call_later(seconds, _give_up, waiter)
    try:
        return await waiter
    finally:
        if timer is not None:
            timer.cancel()


def _wake(waiter: asyncio.Future[bool] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(True)


def _give_up(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(False)
