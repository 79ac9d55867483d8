"""One connection: it ends with its call, is bounded in size, and goes where it should."""

import gzip
import socket
import threading
import time
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias

import httpx
import pytest

from parallel_integrations import (
    ChatRequest,
    ConnectionFailedError,
    CreateTaskRunRequest,
    ParallelClient,
    RequestTimeoutError,
    SearchRequest,
    ServerError,
    StreamInterruptedError,
    UnexpectedAnswerError,
)
from parallel_integrations.api import chat, create_task_run, search, stream_chat
from tests.support.network_guard import NetworkBlockedError, NetworkGuard
from tests.support.raw_server import RawServer, Talk
from tests.support.requests import CHAT
from tests.support.scripted_operation import BOTH, listen, run

SEARCH = SearchRequest(search_queries=["with statement"])
CREATE = CreateTaskRunRequest(input="What is a closure?", processor="lite")
RUN = b'{"run_id": "trun_1", "status": "queued", "is_active": true}'
HEADERS = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
Handle: TypeAlias = Callable[[Any, httpx.Request], Any]
TIMEOUT_SECONDS = 0.5
SLACK_SECONDS = 0.4


def client_of(server: RawServer, **settings: object) -> ParallelClient:
    options = {"api_key": "some-key", "base_url": server.url, "max_retries": 0, **settings}
    return ParallelClient(**options)  # type: ignore[arg-type]


def dripping(*beginning: bytes, drop: bytes = b"x") -> Callable[[Talk, bytes], None]:
    """Sends a beginning, and then a little again and again, each time just before the timeout."""

    def respond(talk: Talk, request: bytes) -> None:
        for part in beginning:
            talk.send(part)
        for _ in range(10):
            time.sleep(TIMEOUT_SECONDS * 0.8)
            talk.send(drop)

    return respond


def one_byte_and_nothing_more(talk: Talk, request: bytes) -> None:
    talk.send(HEADERS + b"content-length: 100\r\n\r\n")
    time.sleep(TIMEOUT_SECONDS * 0.8)
    talk.send(b"{")
    time.sleep(TIMEOUT_SECONDS * 4)


DRIPS = {
    "a body": dripping(HEADERS + b"content-length: 100000\r\n\r\n"),
    "one byte, then nothing": one_byte_and_nothing_more,
    "headers": dripping(HEADERS, drop=b"x-more: 1\r\n"),
    "informational responses": dripping(drop=b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "an error's body": dripping(b"HTTP/1.1 500 No\r\ncontent-length: 100000\r\n\r\n"),
}


async def ends_in_time(call: Callable[[], Awaitable[object]]) -> None:
    """A call ends with a timeout, in time unless the machine was busy each of five times."""
    for _ in range(5):
        start = time.monotonic()
        with pytest.raises(RequestTimeoutError):
            await call()
        if (seconds := time.monotonic() - start) < TIMEOUT_SECONDS + SLACK_SECONDS:
            return
    pytest.fail(f"it took {seconds:.2f} s")


@BOTH
@pytest.mark.parametrize("drip", DRIPS)
async def test_a_call_ends_within_its_timeout_however_the_server_drips(
    drip: str, awaiting: bool
) -> None:
    with RawServer(DRIPS[drip]) as server, client_of(server, timeout=TIMEOUT_SECONDS) as client:
        await ends_in_time(lambda: run(client, search(SEARCH), awaiting=awaiting))
        await client.aclose()


@BOTH
async def test_a_stream_begins_within_its_timeout_however_its_headers_drip(awaiting: bool) -> None:
    respond = dripping(
        HEADERS.replace(b"application/json", b"text/event-stream"), drop=b"x-more: 1\r\n"
    )
    with RawServer(respond) as server, client_of(server, timeout=TIMEOUT_SECONDS) as client:
        await ends_in_time(lambda: listen(client, stream_chat(CHAT), awaiting=awaiting))
        await client.aclose()


@BOTH
async def test_a_stream_may_last_longer_than_the_timeout(awaiting: bool) -> None:
    event = b'data: {"choices": [{"index": 0, "delta": {"content": "word"}}]}\n\n'

    def respond(talk: Talk, request: bytes) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        for _ in range(4):
            time.sleep(0.3)
            talk.send(event)
        talk.send(b"data: [DONE]\n\n")
        talk.finish()

    with RawServer(respond) as server, client_of(server, timeout=1) as client:
        assert len(await listen(client, stream_chat(CHAT), awaiting=awaiting)) == 4
        await client.aclose()


class ClosesIdleConnections:
    """A server that closes a connection which was used once, as soon as `close` is set."""

    def __init__(self) -> None:
        self.close = threading.Event()
        self.closed = threading.Event()
        self.created = 0

    def __call__(self, talk: Talk, request: bytes) -> None:
        self.created += 1
        talk.respond(RUN)
        self.close.wait(5)
        talk.finish()
        self.closed.set()


@BOTH
async def test_a_create_goes_over_a_new_connection_where_the_server_closed_the_old_one(
    awaiting: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server closes at the last moment: after httpcore has looked, before anything is sent."""
    respond = ClosesIdleConnections()
    with RawServer(respond) as server, client_of(server) as client:
        await run(client, create_task_run(CREATE), awaiting=awaiting)

        for kind in (httpx.HTTPTransport, httpx.AsyncHTTPTransport):
            name = "handle_request" if kind is httpx.HTTPTransport else "handle_async_request"
            monkeypatch.setattr(kind, name, closing_before(getattr(kind, name), respond))
        found = await run(client, create_task_run(CREATE), awaiting=awaiting)
        assert found.run_id == "trun_1"
        assert (respond.created, server.connections) == (2, 2)
        await client.aclose()


def closing_before(handle: Handle, respond: ClosesIdleConnections) -> Handle:
    """`handle`, during whose request the server closes the connection that is taken for it."""

    def send(transport: Any, request: httpx.Request) -> Any:
        def trace(event: str, info: object) -> None:
            if event.endswith("send_request_headers.started") and not respond.closed.is_set():
                respond.close.set()
                respond.closed.wait(5)
                time.sleep(0.02)  # until the end of the connection has come over loopback

        async def atrace(event: str, info: object) -> None:
            trace(event, info)

        awaiting = isinstance(transport, httpx.AsyncHTTPTransport)
        request.extensions["trace"] = atrace if awaiting else trace
        return handle(transport, request)

    return send


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"])
@BOTH
async def test_loopback_is_never_reached_through_a_proxy(
    awaiting: bool, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def respond(talk: Talk, request: bytes) -> None:
        talk.respond(b'{"results": []}')

    with RawServer(respond) as proxy, RawServer(respond) as server:
        monkeypatch.setenv(variable, proxy.url)
        for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
            with client_of(server, base_url=url) as client:
                await run(client, search(SEARCH), awaiting=awaiting)
                await client.aclose()
        assert (len(server.requests), proxy.requests) == (2, [])


@BOTH
async def test_other_hosts_are_reached_through_the_proxy_that_the_environment_names(
    awaiting: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def respond(talk: Talk, request: bytes) -> None:
        talk.respond(status="503 Busy")

    with RawServer(respond) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.removeprefix("http://"))
        client = ParallelClient(api_key="some-key", base_url="https://api.example", max_retries=0)
        with pytest.raises(ConnectionFailedError):
            await run(client, search(SEARCH), awaiting=awaiting)
        assert proxy.requests[0].startswith(b"CONNECT api.example:443 ")
        await client.aclose()


@pytest.mark.parametrize("excepted", ["example", "api.example", "other,api.example:443", "*"])
@BOTH
async def test_hosts_that_no_proxy_names_are_reached_without_one(
    awaiting: bool, excepted: str, monkeypatch: pytest.MonkeyPatch, network_guard: NetworkGuard
) -> None:
    with RawServer(lambda talk, request: talk.respond(status="503 Busy")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", excepted)
        client = ParallelClient(api_key="some-key", base_url="https://api.example", max_retries=0)
        with pytest.raises(NetworkBlockedError):
            await run(client, search(SEARCH), awaiting=awaiting)
        assert proxy.requests == []
        network_guard.attempts.clear()
        await client.aclose()


UNASKED = {
    "another response": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
    "an informational one": b"HTTP/1.1 100 Continue\r\n\r\n",
    "more than its length": b"\n",
    "half a line": b"HTTP/1.1 2",
}


@BOTH
@pytest.mark.parametrize("unasked", UNASKED)
async def test_what_comes_after_a_response_is_not_taken_for_the_next_one(
    unasked: str, awaiting: bool
) -> None:
    def respond(talk: Talk, request: bytes) -> None:
        body = RUN if b"/tasks/runs " in request else b'{"results": []}'
        headers = HEADERS + b"content-length: %d\r\n\r\n" % len(body)
        talk.send(headers + body + UNASKED[unasked])

    with RawServer(respond) as server, client_of(server) as client:
        for _ in range(2):
            assert await run(client, search(SEARCH), awaiting=awaiting)
            created = await run(client, create_task_run(CREATE), awaiting=awaiting)
            assert created.run_id == "trun_1"
        assert (len(server.requests), server.connections) == (4, 4)
        await client.aclose()


@pytest.mark.parametrize("dead", [1, 6])
def test_addresses_that_lead_nowhere_share_the_time_to_connect(
    dead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Awaiting calls try them beside each other: `test_asyncio_stream.py`."""
    connect, look_up = socket.create_connection, socket.getaddrinfo
    hosts = [f"127.0.0.{number}" for number in range(2, 2 + dead)]

    def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        if host != "api.example":
            return look_up(host, port, *args, **kwargs)
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kind, (each, port)) for each in (*hosts, *["127.0.0.1"][: dead == 1])]

    def create_connection(address: Any, timeout: float, **kwargs: Any) -> socket.socket:
        if address[0] in hosts:
            time.sleep(timeout)
            raise TimeoutError
        return connect(address, timeout, **kwargs)

    def respond(talk: Talk, request: bytes) -> None:
        talk.respond(b'{"results": []}')

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(socket, "create_connection", create_connection)
    monkeypatch.setenv("PARALLEL_PLAIN_HTTP_HOSTS", "api.example")
    with RawServer(respond) as server:
        url = server.url.replace("127.0.0.1", "api.example")
        with client_of(server, base_url=url, timeout=TIMEOUT_SECONDS) as client:
            start = time.monotonic()
            if dead == 1:
                client.run(search(SEARCH))
            else:
                with pytest.raises(ConnectionFailedError, match="ConnectTimeout"):
                    client.run(search(SEARCH))
            assert time.monotonic() - start < TIMEOUT_SECONDS + SLACK_SECONDS


class SlowReader(RawServer):
    """Reads a request little by little, for longer than a call may take."""

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):
            while connection.recv(500_000):
                time.sleep(0.05)


@BOTH
async def test_a_call_ends_within_its_timeout_however_slowly_its_body_is_read(
    awaiting: bool,
) -> None:
    request = ChatRequest(messages=[{"role": "user", "content": "word " * 4_000_000}])
    with (
        SlowReader(lambda talk, request: None) as server,
        client_of(server, timeout=TIMEOUT_SECONDS) as client,
    ):
        with pytest.raises(RequestTimeoutError) as caught:
            await run(client, chat(request), awaiting=awaiting)
        # Had all of it been sent after all, there would have been no time to read.
        assert isinstance(caught.value.__cause__, httpx.WriteTimeout)
        await client.aclose()


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """Bytes that decompress to 200 MB of JSON text."""
    squeezer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    blanks = b" " * 1_000_000
    return b"".join(squeezer.compress(blanks) for _ in range(200)) + squeezer.flush()


def sending(status: str, coding: str, body: bytes) -> Callable[[Talk, bytes], None]:
    def respond(talk: Talk, request: bytes) -> None:
        talk.respond(body, status=status, headers=(f"content-encoding: {coding}",))

    return respond


@BOTH
async def test_what_an_error_decompresses_to_is_bounded(awaiting: bool, bomb: bytes) -> None:
    with (
        RawServer(sending("500 No", "gzip", bomb)) as server,
        client_of(server) as client,
    ):
        with pytest.raises(ServerError) as caught:
            await run(client, search(SEARCH), awaiting=awaiting)
        assert len(str(caught.value)) < 3000
        await client.aclose()


@BOTH
@pytest.mark.parametrize("coding", ["gzip, gzip", "br", "gzip,identity", "zstd", "nonsense"])
async def test_a_content_encoding_that_was_not_requested_for_is_refused(
    awaiting: bool, coding: str
) -> None:
    with RawServer(sending("200 OK", coding, b"whatever")) as server, client_of(server) as client:
        with pytest.raises(UnexpectedAnswerError, match="content-encoding"):
            await run(client, search(SEARCH), awaiting=awaiting)
        await client.aclose()
    with RawServer(sending("500 No", coding, b"whatever")) as server, client_of(server) as client:
        with pytest.raises(ServerError):
            await run(client, search(SEARCH), awaiting=awaiting)
        await client.aclose()


def bare(data: bytes) -> bytes:
    """As some servers compress where `deflate` is requested: without zlib's header."""
    squeezer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeezer.compress(data) + squeezer.flush()


def members(data: bytes) -> bytes:
    """As a server compresses that joins files, with padding."""
    return b"".join(gzip.compress(part) for part in (data[:9], b"", data[9:])) + bytes(100)


@BOTH
@pytest.mark.parametrize(
    ("coding", "compress"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("x-gzip", gzip.compress),
        ("gzip", members),
        ("deflate", zlib.compress),
        ("deflate", bare),
        ("identity", bytes),
    ],
)
async def test_what_was_requested_for_is_decompressed(
    awaiting: bool, coding: str, compress: Callable[[bytes], bytes]
) -> None:
    pages = b'{"results": [{"url": "https://example.com/", "excerpts": ["%s"]}]}' % (b"a" * 100_000)
    respond = sending("200 OK", coding, compress(pages))
    with RawServer(respond) as server, client_of(server) as client:
        found = await run(client, search(SEARCH), awaiting=awaiting)
        assert found.results[0].excerpts == ["a" * 100_000]
        await client.aclose()


@BOTH
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
async def test_a_response_of_more_bytes_than_admitted_is_an_error_that_says_so(
    awaiting: bool, compressed: bool
) -> None:
    pages = b'{"results": [], "warnings": null, "x": "%s"}' % (b"a" * 5000)
    respond = sending(
        "200 OK", *(("gzip", gzip.compress(pages)) if compressed else ("identity", pages))
    )
    with RawServer(respond) as server:
        with client_of(server, max_response_bytes=6000) as client:
            await run(client, search(SEARCH), awaiting=awaiting)
            await client.aclose()
        with client_of(server, max_response_bytes=2000) as client:
            with pytest.raises(UnexpectedAnswerError, match=r"2,000 bytes.*max_response_bytes="):
                await run(client, search(SEARCH), awaiting=awaiting)
            await client.aclose()


@BOTH
async def test_an_event_of_more_bytes_than_admitted_breaks_the_stream_off(awaiting: bool) -> None:
    def respond(talk: Talk, request: bytes) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        for _ in range(3):
            talk.send(b'data: {"choices": [{"index": 0, "delta": {"content": "word"}}]}\n\n')
        for _ in range(20):
            time.sleep(0.01)
            talk.send(b"data: " + b"x" * 300 + b"\n")

    with RawServer(respond) as server, client_of(server, max_response_bytes=2000) as client:
        with pytest.raises(StreamInterruptedError, match="max_response_bytes=") as caught:
            await listen(client, stream_chat(CHAT), awaiting=awaiting)
        assert caught.value.partial == "wordwordword"
        await client.aclose()


@pytest.mark.parametrize("value", [0, -1, 1.5, "1", None, True])
def test_a_bound_that_is_no_number_of_bytes_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="max_response_bytes"):
        ParallelClient(api_key="some-key", max_response_bytes=value)  # type: ignore[arg-type]


async def test_a_given_client_that_was_closed_is_named() -> None:
    with httpx.Client() as http_client:
        pass
    async with httpx.AsyncClient() as http_async_client:
        pass
    client = ParallelClient(
        api_key="some-key",
        base_url="http://127.0.0.1:1",
        max_retries=0,
        http_client=http_client,
        http_async_client=http_async_client,
    )
    with pytest.raises(ConnectionFailedError, match="given as http_client= has been closed"):
        client.run(search(SEARCH))
    with pytest.raises(ConnectionFailedError, match="given as http_async_client= has been closed"):
        await client.arun(search(SEARCH))
