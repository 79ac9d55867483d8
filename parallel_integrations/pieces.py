"""A streamed body, piece by piece, and its end within bounds."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import cast

import httpx


def pieces(response: httpx.Response) -> Iterator[bytes]:
    """A body as it comes; where nothing is to be decoded, without httpx's detour."""
    if "content-encoding" in response.headers:
        return response.iter_bytes()
    return iter(cast(httpx.SyncByteStream, response.stream))


def apieces(response: httpx.Response) -> AsyncIterator[bytes]:
    """A body as it comes, awaiting."""
    if "content-encoding" in response.headers:
        return response.aiter_bytes()
    return aiter(cast(httpx.AsyncByteStream, response.stream))


def last_piece(response: httpx.Response, body: Iterator[bytes], seconds: float) -> bytes:
    """What may still come within a time; after it, the connection is cut and there is nothing."""
    network = response.extensions.get("network_stream")
    connection = network.get_extra_info("socket") if network is not None else None
    if connection is None:
        return b""  # with nothing to cut, the wait could be as long as the stream's patience
    # A second handle on the same connection: the first is another library's, perhaps under TLS.
    handle = socket.fromfd(connection.fileno(), connection.family, connection.type)
    watch = threading.Timer(seconds, _cut, (handle,))
    watch.daemon = True
    watch.start()
    try:
        return next(body, b"")
    finally:
        watch.cancel()
        handle.close()


async def alast_piece(body: AsyncIterator[bytes], seconds: float) -> bytes:
    """What may still come within a time, awaiting."""
    try:
        async with asyncio.timeout(seconds):
            return await anext(body, b"")
    except TimeoutError:
        return b""


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):  # it has come to its end meanwhile
        connection.shutdown(socket.SHUT_RDWR)
