"""Many calls at once: each over a connection of its own, none over too many."""

import asyncio
import socket
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from math import inf
from typing import Any

import httpx
import pytest

from parallel_integrations import (
    ConnectionFailedError,
    ParallelClient,
    SearchRequest,
)
from parallel_integrations._transport import connection as connection_module
from parallel_integrations._transport import connection_pool as pool_module
from parallel_integrations._transport.asyncio_stream import AsyncioStream
from parallel_integrations._transport.connection import AwaitingConnection, BlockingConnection
from parallel_integrations._transport.connection_pool import (
    AwaitingConnectionPool,
    BlockingConnectionPool,
)
from parallel_integrations.api import search, stream_chat
from parallel_integrations.sandbox import Sandbox
from tests.support.raw_server import RawServer, Talk
from tests.support.requests import CHAT

SEARCH = SearchRequest(search_queries=["with statement"], max_results=1)
NO_PAGES = b'{"results": []}'
HEADERS = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
EVENT = b'data: {"choices": [{"index": 0, "delta": {"content": "word"}}]}\n\n'
DONE = b"data: [DONE]\n\n"


def framed(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


def responding(talk: Talk, request: bytes) -> None:
    talk.respond(NO_PAGES)


async def open_within(server: RawServer, most: int) -> bool:
    """Whether no more than `most` connections are open soon."""
    for _ in range(2000):
        if server.open_connections <= most:
            return True
        await asyncio.sleep(0.01)
    return False


async def test_a_thousand_searches_at_once_as_the_first_use() -> None:
    class Server(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            headers = (
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n"
            )
            self.transport.write(headers + NO_PAGES)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server, "127.0.0.1", 0, backlog=1024)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with ParallelClient(api_key="some-key", base_url=url, max_retries=0) as client:
        responses = await asyncio.gather(*(client.arun(search(SEARCH)) for _ in range(1000)))
    server.close()
    assert len(responses) == 1000


SCRIPT = """
import asyncio, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (80, 80))
from parallel_integrations import ParallelClient, SearchRequest
from parallel_integrations.api import search

async def main(url):
    async with ParallelClient(api_key="some-key", base_url=url, max_retries=0) as client:
        request = SearchRequest(search_queries=["with statement"])
        print(len(await asyncio.gather(*(client.arun(search(request)) for _ in range(300)))))

asyncio.run(main("URL"))
"""


def test_more_calls_than_the_process_may_open_files_wait_for_each_other() -> None:
    with RawServer(responding) as server:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT.replace("URL", server.url)],
            capture_output=True,
            text=True,
            check=False,
            timeout=170,
        )
    assert (done.stdout.strip(), done.stderr) == ("300", "")
    assert server.connections <= 40


async def test_who_waits_takes_the_first_connection_that_is_free() -> None:
    with RawServer(responding) as server:
        pool = awaiting_pool(max_connections=2)
        await asyncio.gather(*(read(pool, server.url) for _ in range(20)))
        await pool.aclose()
        assert server.connections == 2
        assert len(server.requests) == 20


async def test_waiting_for_a_connection_ends_with_the_pool_timeout() -> None:
    with RawServer(lambda talk, request: time.sleep(0.3)) as server:
        pool = awaiting_pool(max_connections=1)
        first = asyncio.create_task(read(pool, server.url))
        await asyncio.sleep(0.05)
        with pytest.raises(httpx.PoolTimeout):
            await read(pool, server.url, wait=0.05)
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first
        await pool.aclose()


async def test_who_gives_up_waiting_takes_no_connection_along() -> None:
    with RawServer(responding) as server:
        pool = awaiting_pool(max_connections=1)
        tasks = [asyncio.create_task(read(pool, server.url)) for _ in range(10)]
        await asyncio.sleep(0)
        for task in tasks[1:6]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await read(pool, server.url)
        await pool.aclose()
        assert sum(task.cancelled() for task in tasks) == 5
        assert server.connections == 1


async def test_a_turn_given_to_who_is_cancelled_at_that_moment_is_given_back() -> None:
    with RawServer(responding) as server:
        pool = awaiting_pool(max_connections=1)
        response = await pool.open(request(server.url))
        await response.aread()
        waiting = asyncio.create_task(read(pool, server.url))
        await asyncio.sleep(0)
        await response.aclose()
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        await asyncio.wait_for(read(pool, server.url), 5)
        await pool.aclose()


async def test_only_so_many_connect_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "CONNECTING_AT_ONCE", 5)
    connecting, most = 0, 0

    connect = connection_module.open_stream

    async def slowly(*args: Any, **kwargs: Any) -> AsyncioStream:
        nonlocal connecting, most
        connecting += 1
        most = max(most, connecting)
        await asyncio.sleep(0.01)
        connecting -= 1
        return await connect(*args, **kwargs)

    monkeypatch.setattr(connection_module, "open_stream", slowly)
    with RawServer(responding) as server:
        pool = awaiting_pool()
        await asyncio.gather(*(read(pool, server.url) for _ in range(20)))
        assert most == 5
        await pool.aclose()


async def test_a_failure_to_connect_lets_the_next_one_try() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    pool = awaiting_pool(max_connections=1)
    url = f"http://127.0.0.1:{port}"
    failures = await asyncio.gather(*(read(pool, url) for _ in range(5)), return_exceptions=True)
    assert [type(failure) for failure in failures] == [httpx.ConnectError] * 5
    await pool.aclose()


async def test_connections_that_rest_too_long_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "KEEP_ALIVE_SECONDS", 0.1)
    with RawServer(responding) as server:
        url = server.url
        pool = awaiting_pool()
        await asyncio.gather(*(read(pool, url) for _ in range(10)))
        assert server.connections > 1
        assert await open_within(server, 0), "without any further call"
        await pool.aclose()


def test_blocking_connections_that_rest_too_long_are_closed_by_the_next_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    together = threading.Barrier(4)

    def at_once(talk: Talk, request: bytes) -> None:
        with suppress(threading.BrokenBarrierError):
            together.wait(5)
        talk.respond(NO_PAGES)

    monkeypatch.setattr(pool_module, "KEEP_ALIVE_SECONDS", 0.1)
    with RawServer(at_once) as server:
        pool = BlockingConnectionPool(partial(BlockingConnection, CONTEXT))

        def ask(_: int = 0) -> None:
            response = pool.open(request(server.url))
            response.read()
            response.close()

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(ask, range(4)))
        assert server.connections == 4
        together.abort()
        time.sleep(0.15)
        ask()
        assert asyncio.run(open_within(server, 1))
        pool.close()


async def test_a_connection_in_use_at_closing_is_closed_afterwards() -> None:
    with RawServer(responding) as server:
        pool = awaiting_pool()
        response = await pool.open(request(server.url))
        await pool.aclose()
        assert await response.aread() == NO_PAGES
        await response.aclose()
        assert await open_within(server, 0)


@pytest.mark.parametrize("awaiting", [False, True], ids=["blocking", "awaiting"])
async def test_streams_in_a_row_share_a_connection(
    sandbox: Sandbox, client: ParallelClient, awaiting: bool
) -> None:
    before = sandbox.connections
    for _ in range(5):
        if awaiting:
            assert [chunk async for chunk in client.astream(stream_chat(CHAT))]
        else:
            assert list(client.stream(stream_chat(CHAT)))
    assert sandbox.connections - before == 1


async def consume(client: ParallelClient, *, awaiting: bool) -> str:
    if awaiting:
        return "".join([chunk.text async for chunk in client.astream(stream_chat(CHAT))])
    return await asyncio.to_thread(
        lambda: "".join(chunk.text for chunk in client.stream(stream_chat(CHAT)))
    )


@pytest.mark.parametrize("awaiting", [False, True], ids=["blocking", "awaiting"])
async def test_a_server_that_goes_on_after_the_last_event_is_left(awaiting: bool) -> None:
    """The connection would be free at the end of the body; nobody waits long for that."""
    over = threading.Event()

    def respond(talk: Talk, request: bytes) -> None:
        talk.send(HEADERS + framed(EVENT, DONE))
        over.wait(50)

    with (
        RawServer(respond) as server,
        ParallelClient(api_key="some-key", base_url=server.url, max_retries=0) as client,
    ):
        assert await consume(client, awaiting=awaiting) == "word"
        over.set()
        assert await open_within(server, 0)
        await client.aclose()


@pytest.mark.parametrize("awaiting", [False, True], ids=["blocking", "awaiting"])
async def test_a_stream_whose_connection_breaks_after_the_last_event_is_whole(
    awaiting: bool,
) -> None:
    def respond(talk: Talk, request: bytes) -> None:
        talk.send(HEADERS + framed(EVENT, DONE))
        talk.reset()

    with (
        RawServer(respond) as server,
        ParallelClient(api_key="some-key", base_url=server.url, max_retries=0) as client,
    ):
        for _ in range(2):
            assert await consume(client, awaiting=awaiting) == "word"
        await client.aclose()


@pytest.mark.parametrize("awaiting", [False, True], ids=["blocking", "awaiting"])
async def test_what_breaks_below_http_has_httpx_names_and_becomes_ours(awaiting: bool) -> None:
    def respond(talk: Talk, request: bytes) -> None:
        talk.send(b"this is no HTTP\r\n\r\n")

    with (
        RawServer(respond) as server,
        ParallelClient(api_key="some-key", base_url=server.url, max_retries=0) as client,
    ):
        ask = client.arun if awaiting else partial(asyncio.to_thread, client.run)
        with pytest.raises(ConnectionFailedError, match="RemoteProtocolError") as caught:
            await ask(search(SEARCH))
        assert isinstance(caught.value.__cause__, httpx.RemoteProtocolError)
        await client.aclose()


async def test_what_tools_put_around_httpx_s_transports_is_passed(
    sandbox: Sandbox, client: ParallelClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tracing and test doubles replace these methods for the whole process."""
    seen: list[str] = []
    handle, ahandle = (
        httpx.HTTPTransport.handle_request,
        httpx.AsyncHTTPTransport.handle_async_request,
    )

    def watched(self: Any, request: httpx.Request) -> httpx.Response:
        seen.append("blocking")
        return handle(self, request)

    async def awatched(self: Any, request: httpx.Request) -> httpx.Response:
        seen.append("awaiting")
        return await ahandle(self, request)

    client.run(search(SEARCH))
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", watched)
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", awatched)
    client.run(search(SEARCH))
    await client.arun(search(SEARCH))
    assert seen == ["blocking", "awaiting"]


CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def awaiting_pool(max_connections: float = inf) -> AwaitingConnectionPool:
    return AwaitingConnectionPool(partial(AwaitingConnection, CONTEXT), max_connections)


def request(url: str, wait: float = 5.0) -> httpx.Request:
    seconds = {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": wait}
    body = {"search_queries": ["with"]}
    extensions = {"timeout": seconds}
    return httpx.Request("POST", f"{url}/v1/search", json=body, extensions=extensions)


async def read(pool: AwaitingConnectionPool, url: str, wait: float = 5.0) -> bytes:
    response = await pool.open(request(url, wait))
    try:
        return await response.aread()
    finally:
        await response.aclose()
