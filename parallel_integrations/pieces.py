"""The end of a streamed body, waited for only so long."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import cast

import httpx

from parallel_integrations.connection import Body


def last_piece(response: httpx.Response, body: Iterator[bytes], seconds: float) -> bytes:
    """What may still come within a time, after which there is nothing; a connection is cut then."""
    if cast(Body, response.stream).end_within(seconds):
        try:
            return next(body, b"")
        except httpx.TimeoutException:
            return b""
    network = response.extensions.get("network_stream")
    connection = network.get_extra_info("socket") if network is not None else None
    if connection is None:
        return b""  # with nothing to cut, the wait could be as long as the stream's patience
    # A second handle on the same connection: the first is another library's, perhaps under TLS.
    handle = socket.fromfd(connection.fileno(), connection.family, connection.type)
    watch = threading.Timer(seconds, _cut, (handle,))
    watch.daemon = True
    try:
        watch.start()
        return next(body, b"")
    except RuntimeError:  # no thread can be started
        return b""
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
