"""Streams on asyncio's transports, beside httpcore's own that they stand for."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpcore
import pytest

from parallel_integrations._transport.asyncio_stream import open_stream

MEGABYTE = bytes(1_000_000)
TURNS = 300
"""Of the event loop: more than it takes to fill what is filled."""
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

BOTH = pytest.mark.parametrize(
    "connect", [httpcore.AnyIOBackend().connect_tcp, open_stream], ids=["httpcore", "ours"]
)
ENCRYPTED = pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])


@pytest.fixture
def client_context(tls: ssl.SSLContext, certificate_path: Any) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=f"{certificate_path}.crt")


@asynccontextmanager
async def serving(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port of a server that talks so; what it still does at the end is cancelled."""
    tasks = set()

    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        hold_little(writer.get_extra_info("socket"))
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await talk(reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(begin, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


def hold_little(connection: socket.socket) -> None:
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        connection.setsockopt(socket.SOL_SOCKET, option, 65536)


async def connected(port: int, context: ssl.SSLContext | None = None) -> Any:
    stream = await open_stream("localhost", port, timeout=10)
    hold_little(stream.get_extra_info("socket"))
    return await stream.start_tls(context, "localhost", timeout=10) if context else stream


async def turns(number: int = TURNS) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


@BOTH
async def test_addresses_and_options(connect: Any) -> None:
    option = (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    async with serving(say_nothing) as port:
        stream = await connect(
            "127.0.0.1", port, local_address="127.0.0.1", socket_options=[option]
        )
        assert stream.get_extra_info("socket").getsockopt(*option[:2]) == 1
        assert stream.get_extra_info("server_addr") == ("127.0.0.1", port)
        own = stream.get_extra_info("client_addr")
        assert own == stream.get_extra_info("socket").getsockname()
        assert stream.get_extra_info("ssl_object") is None
        assert stream.get_extra_info("something else") is None
        assert not stream.get_extra_info("is_readable")
        await stream.aclose()
        assert stream.get_extra_info("is_readable")


@BOTH
async def test_failures_to_connect_have_httpcore_s_names(connect: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(httpcore.ConnectError):
        await connect("127.0.0.1", port)
    with pytest.raises(httpcore.ConnectError):
        await connect("localhost", port, timeout=10)


async def test_another_address_is_tried_beside_one_that_leads_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect

    async def sock_connect(sock: socket.socket, address: Any) -> None:
        if address[0] == "127.0.0.2":
            await asyncio.Event().wait()
        await connect(sock, address)

    monkeypatch.setattr(loop, "sock_connect", sock_connect)
    monkeypatch.setattr(loop, "getaddrinfo", addresses("127.0.0.2", "127.0.0.3", "127.0.0.1"))
    async with serving(say_nothing) as port:
        stream = await connected(port)
        assert stream.get_extra_info("server_addr") == ("127.0.0.1", port)
        await stream.aclose()


async def test_an_error_of_the_first_address_is_raised_where_none_can_be_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "getaddrinfo", addresses("127.0.0.2", "127.0.0.1"))
    with pytest.raises(httpcore.ConnectError, match=r"127\.0\.0\.2"):
        await connected(port)
    monkeypatch.setattr(loop, "getaddrinfo", addresses())
    with pytest.raises(httpcore.ConnectError, match="no address"):
        await connected(port)


async def test_a_connection_that_is_made_as_its_call_is_cancelled_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def until_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal num_open
        num_open += 1
        await reader.read()
        num_open -= 1

    num_open = num_cancelled = 0
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "getaddrinfo", addresses("127.0.0.1", "127.0.0.1"))
    async with serving(until_closed) as port:
        for turn in range(30):
            connecting = asyncio.create_task(connected(port))
            await turns(turn)
            connecting.cancel()
            with suppress(asyncio.CancelledError):
                await (await connecting).aclose()
            num_cancelled += connecting.cancelled()
        for _ in range(1000):
            if not num_open:
                break
            await asyncio.sleep(0.001)
        assert num_open == 0
        assert 5 < num_cancelled < 30


def addresses(*hosts: str) -> Callable[..., Awaitable[Any]]:
    """An event loop's `getaddrinfo` that finds these."""

    async def getaddrinfo(host: str, port: int, **kwargs: Any) -> Any:
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kind, (each, port)) for each in hosts]

    return getaddrinfo


@ENCRYPTED
async def test_what_nobody_reads_is_not_taken_from_the_server(
    encrypted: bool, tls: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal num_sent
        for _ in range(20):
            writer.write(MEGABYTE)
            await writer.drain()
            num_sent += 1

    num_sent = num_read = 0
    async with serving(send, tls if encrypted else None) as port:
        stream = await connected(port, client_context if encrypted else None)
        await turns()
        assert num_sent < 10
        while data := await stream.read(65536, timeout=30):
            num_read += len(data)
            assert len(data) <= 65536
            if num_read == 20 * len(MEGABYTE):
                break
        await stream.aclose()


@ENCRYPTED
async def test_what_a_server_does_not_read_is_not_written(
    encrypted: bool, tls: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """Nor is a writer woken by what comes meanwhile."""

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()
        while True:
            writer.write(b"early")
            await asyncio.sleep(0)

    async def write() -> None:
        nonlocal num_written
        while True:
            await stream.write(MEGABYTE)
            num_written += 1

    num_written = 0
    async with serving(send, tls if encrypted else None) as port:
        stream = await connected(port, client_context if encrypted else None)
        writing = asyncio.create_task(write())
        await turns()
        assert num_written < 10
        before = num_written
        await turns()
        assert num_written == before
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        with pytest.raises(httpcore.WriteTimeout):
            await stream.write(MEGABYTE, timeout=0.01)
        await stream.aclose()


@ENCRYPTED
async def test_a_cancelled_or_late_read_loses_nothing(
    encrypted: bool, tls: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    go_on = asyncio.Event()

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        writer.write(b"first")
        await say_nothing(reader, writer)

    async with serving(send, tls if encrypted else None) as port:
        stream = await connected(port, client_context if encrypted else None)
        reading = asyncio.create_task(stream.read(100))
        await turns(3)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        with pytest.raises(httpcore.ReadTimeout):
            await stream.read(100, timeout=0.01)
        go_on.set()
        assert await stream.read(3, timeout=10) == b"fir"
        assert await stream.read(100, timeout=10) == b"st"
        await stream.aclose()


@ENCRYPTED
async def test_a_read_ends_with_an_error_when_its_stream_is_closed(
    encrypted: bool, tls: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """An end without one would pass for the end of a body."""
    async with serving(say_nothing, tls if encrypted else None) as port:
        stream = await connected(port, client_context if encrypted else None)
        reading = asyncio.create_task(stream.read(100))
        await turns(3)
        await stream.aclose()
        with pytest.raises(httpcore.ReadError):
            await reading
        with pytest.raises(httpcore.WriteError):
            await stream.write(b"more")


async def test_what_came_before_a_reset_is_read_first() -> None:
    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"first")
        await asyncio.sleep(0)
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )

    async with serving(send) as port:
        stream = await connected(port)
        await turns()
        assert await stream.read(100, timeout=10) == b"first"
        with pytest.raises(httpcore.ReadError):
            await stream.read(100, timeout=10)
        with pytest.raises(httpcore.WriteError):
            await stream.write(b"more")
        await stream.aclose()


@ENCRYPTED
async def test_data_nobody_waits_for_and_an_end_make_a_stream_readable(
    encrypted: bool, tls: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await reader.readexactly(1)
            writer.write(b"a")

    async with serving(send, tls if encrypted else None) as port:
        stream = await connected(port, client_context if encrypted else None)
        await stream.write(b"a")
        assert await stream.read(1, timeout=10) == b"a"
        assert not stream.get_extra_info("is_readable")
        await stream.write(b"a")
        await turns()
        assert stream.get_extra_info("is_readable")
        assert await stream.read(1, timeout=10) == b"a"
        assert await stream.read(1, timeout=10) == b""
        assert stream.get_extra_info("is_readable")
        await stream.aclose()


@ENCRYPTED
async def test_what_is_left_of_what_was_read_makes_a_stream_readable(
    encrypted: bool, tls: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"ab")
        await reader.read(1)

    async with serving(send, tls if encrypted else None) as port:
        stream = await connected(port, client_context if encrypted else None)
        assert await stream.read(1, timeout=10) == b"a"
        assert stream.get_extra_info("is_readable")
        assert await stream.read(1, timeout=10) == b"b"
        assert not stream.get_extra_info("is_readable")
        await stream.aclose()


async def test_a_tls_record_that_comes_byte_by_byte_is_late_as_a_whole(
    tls: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = tls.wrap_bio(incoming, outgoing, server_side=True)
        while True:
            try:
                server.do_handshake()
                break
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                incoming.write(await reader.read(65536))
        writer.write(outgoing.read())
        server.write(bytes(1000))
        for byte in outgoing.read():
            writer.write(bytes((byte,)))
            await asyncio.sleep(0.005)

    async with serving(drip) as port:
        stream = await connected(port, client_context)
        with pytest.raises(httpcore.ReadTimeout):
            await stream.read(1000, timeout=0.1)
        await stream.aclose()


async def test_tls_cannot_begin_on_a_closed_connection(client_context: ssl.SSLContext) -> None:
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pass

    async with serving(leave) as port:
        stream = await connected(port)
        assert await stream.read(1) == b""
        with pytest.raises(httpcore.ConnectError):
            await stream.start_tls(client_context, "localhost", timeout=10)
        await stream.aclose()


async def test_a_server_that_is_someone_else_is_refused(
    tls: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    async with serving(say_nothing, tls) as port:
        stream = await connected(port)
        with pytest.raises(httpcore.ConnectError, match="certificate is not valid for 'other'"):
            await stream.start_tls(client_context, "other", timeout=10)
        await stream.aclose()


@ENCRYPTED
def test_streams_on_another_event_loop(
    encrypted: bool, tls: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    uvloop = pytest.importorskip("uvloop", reason="there is none for Windows")

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

    async def main() -> None:
        async with serving(echo, tls if encrypted else None) as port:
            stream = await connected(port, client_context if encrypted else None)
            assert not stream.get_extra_info("is_readable")
            writing = asyncio.create_task(stream.write(MEGABYTE, timeout=30))
            num_read = 0
            while num_read < len(MEGABYTE):
                num_read += len(await stream.read(65536, timeout=30))
            await writing
            await stream.aclose()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
