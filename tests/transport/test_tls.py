"""TLS: calls over it are like any other, whatever becomes of the connection."""

import asyncio
import json
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from parallel_integrations import (
    ChatRequest,
    ConnectionFailedError,
    ParallelClient,
    RequestTimeoutError,
    SearchRequest,
    ServerError,
)
from parallel_integrations.api import chat, retrieve_task_run, search, stream_chat
from tests.support.raw_server import RawServer, Talk
from tests.support.requests import CHAT
from tests.support.scripted_operation import BOTH, listen, run

SEARCH = SearchRequest(search_queries=["with statement"])
PAGES = b'{"results": [{"url": "https://example.com/", "excerpts": ["text"]}]}'
BEGINNING = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
UNTIL_CLOSED = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n" + PAGES
EVENT = b'data: {"choices": [{"index": 0, "delta": {"content": "word"}}]}\n\n'
LARGE = "A word and another. " * 200_000
"""Some MB: more than sockets and libraries hold in between."""


def client_of(url: str, timeout: float = 30, max_retries: int = 0) -> ParallelClient:
    return ParallelClient(
        api_key="some-key", base_url=url, timeout=timeout, max_retries=max_retries
    )


@BOTH
async def test_searches_errors_and_streams_share_a_connection(
    awaiting: bool, tls: ssl.SSLContext
) -> None:
    def respond(talk: Talk, request: bytes) -> None:
        if b"/chat/" in request.partition(b"\r\n")[0]:
            talk.begin_stream()
            for _ in range(3):
                talk.send_chunk(EVENT)
            talk.send_chunk(b"data: [DONE]\n\n")
            talk.end_stream()
        elif len(server.requests) == 2:
            talk.respond(b'{"message": "No"}', status="500 No")
        else:
            talk.respond(PAGES)

    with RawServer(respond, tls) as server, client_of(server.url) as client:
        assert (await run(client, search(SEARCH), awaiting=awaiting)).results
        with pytest.raises(ServerError):
            await run(client, search(SEARCH), awaiting=awaiting)
        events = await listen(client, stream_chat(CHAT), awaiting=awaiting)
        assert [event.text for event in events] == ["word"] * 3
        assert (await run(client, search(SEARCH), awaiting=awaiting)).results
        assert (server.connections, len(server.requests)) == (1, 4)
        await client.aclose()


@BOTH
async def test_a_request_is_one_record(awaiting: bool, tls: ssl.SSLContext) -> None:
    """Headers and body of their own would cost both sides a turn, and the network a packet."""
    pieces: list[list[bytes]] = []

    def respond(talk: Talk, request: bytes) -> None:
        pieces.append(talk.pieces.copy())
        talk.pieces.clear()
        talk.respond(b'{"run_id": "trun_1"}' if request.startswith(b"GET") else PAGES)

    with RawServer(respond, tls) as server, client_of(server.url) as client:
        for _ in range(2):
            await run(client, search(SEARCH), awaiting=awaiting)
        await run(client, retrieve_task_run("trun_1"), awaiting=awaiting)
        await client.aclose()
        assert pieces == [[request] for request in server.requests]


@BOTH
async def test_large_bodies_arrive_whole(awaiting: bool, tls: ssl.SSLContext) -> None:
    def respond(talk: Talk, request: bytes) -> None:
        body = json.loads(request.partition(b"\r\n\r\n")[2])
        message = {"role": "assistant", "content": body["messages"][0]["content"]}
        talk.respond(json.dumps({"choices": [{"index": 0, "message": message}]}).encode())

    with RawServer(respond, tls) as server, client_of(server.url) as client:
        request = ChatRequest(messages=[{"role": "user", "content": LARGE}])
        for _ in range(2):
            found = await run(client, chat(request), awaiting=awaiting)
            assert found.text == LARGE
        assert server.connections == 1
        await client.aclose()


@BOTH
@pytest.mark.parametrize("said", [True, False], ids=["close_notify", "no close_notify"])
async def test_an_idle_connection_that_the_server_closed_is_replaced(
    awaiting: bool, said: bool, tls: ssl.SSLContext
) -> None:
    def respond(talk: Talk, request: bytes) -> None:
        talk.respond(PAGES)
        if said:
            talk.end_tls()
        talk.finish()

    with RawServer(respond, tls) as server, client_of(server.url) as client:
        for number in (1, 2, 3):
            assert (await run(client, search(SEARCH), awaiting=awaiting)).results
            server.settle(0)
            assert (server.connections, len(server.requests)) == (number, number)
        await client.aclose()


@BOTH
@pytest.mark.parametrize("when", ["with the response", "later"])
async def test_an_idle_connection_on_which_the_server_ended_tls_is_replaced(
    awaiting: bool, when: str, tls: ssl.SSLContext
) -> None:
    whole, ended = threading.Event(), threading.Event()

    def respond(talk: Talk, request: bytes) -> None:
        talk.respond(PAGES)
        if when == "later":
            whole.wait(5)
        talk.end_tls()
        ended.set()
        talk.wait_until_closed()

    with RawServer(respond, tls) as server, client_of(server.url) as client:
        for number in (1, 2):
            assert (await run(client, search(SEARCH), awaiting=awaiting)).results
            whole.set()
            ended.wait(5)
            assert (server.connections, len(server.requests)) == (number, number)
            whole.clear()
            ended.clear()
        await client.aclose()


@BOTH
@pytest.mark.parametrize("said", [True, False], ids=["close_notify", "no close_notify"])
async def test_a_body_of_no_given_length_ends_with_the_connection(
    awaiting: bool, said: bool, tls: ssl.SSLContext
) -> None:
    def respond(talk: Talk, request: bytes) -> None:
        talk.send(UNTIL_CLOSED)
        if said:
            talk.end_tls()
            talk.wait_until_closed()  # TLS is over, the connection is not
        else:
            talk.finish()

    with RawServer(respond, tls) as server, client_of(server.url) as client:
        assert (await run(client, search(SEARCH), awaiting=awaiting)).results
        await client.aclose()


@BOTH
@pytest.mark.parametrize("end", ["close_notify", "no close_notify", "reset"])
async def test_a_body_cut_short_is_an_error(awaiting: bool, end: str, tls: ssl.SSLContext) -> None:
    def respond(talk: Talk, request: bytes) -> None:
        talk.send(BEGINNING % 1000 + PAGES)
        if end == "close_notify":
            talk.end_tls()
            talk.wait_until_closed()
        elif end == "reset":
            talk.reset()
        else:
            talk.finish()

    with RawServer(respond, tls) as server, client_of(server.url) as client:
        with pytest.raises(ConnectionFailedError):
            await run(client, search(SEARCH), awaiting=awaiting)
        assert await asyncio.to_thread(server.settle, 0) == 0
        await client.aclose()


async def test_a_call_cancelled_within_a_body_gives_its_connection_up(
    tls: ssl.SSLContext,
) -> None:
    half = threading.Event()

    def respond(talk: Talk, request: bytes) -> None:
        if len(server.requests) > 1:
            talk.respond(PAGES)
        else:
            talk.send(BEGINNING % 1000 + PAGES)
            half.set()
            talk.wait_until_closed()

    with RawServer(respond, tls) as server, client_of(server.url) as client:
        task = asyncio.create_task(client.arun(search(SEARCH)))
        await asyncio.to_thread(half.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.settle, 0) == 0
        assert (await client.arun(search(SEARCH))).results
        assert server.connections == 2
        await client.aclose()


@BOTH
@pytest.mark.parametrize("when", ["handshake", "request", "response", "body"])
async def test_a_call_that_is_too_late_gives_its_connection_up(
    awaiting: bool, when: str, tls: ssl.SSLContext
) -> None:
    def respond(talk: Talk, request: bytes) -> None:
        if when == "body":
            talk.send(BEGINNING % 1000 + PAGES)
        talk.wait_until_closed()

    class Deaf(RawServer):
        """Accepts connections and reads nothing, or no more than the handshake."""

        def _serve(self, connection: ssl.SSLSocket) -> None:  # type: ignore[override]
            if when == "request":
                connection.do_handshake()
            over.wait(20)
            connection.close()

    over = threading.Event()
    content = LARGE * 4 if when == "request" else "What is a closure?"
    request = ChatRequest(messages=[{"role": "user", "content": content}])
    kind = Deaf if when in ("handshake", "request") else RawServer
    with kind(respond, tls) as server, client_of(server.url, timeout=0.5) as client:
        # A handshake's end, too, is too late on a machine that is busy enough.
        with pytest.raises((RequestTimeoutError, ConnectionFailedError)) as caught:
            await run(client, chat(request), awaiting=awaiting)
        assert isinstance(caught.value.__cause__, httpx.TimeoutException)
        over.set()
        assert await asyncio.to_thread(server.settle, 0) == 0
        await client.aclose()


@pytest.mark.parametrize("scheme", ["http", "https", "socks5", "socks5h"])
@BOTH
async def test_a_proxy_passes_tls_on(
    awaiting: bool,
    scheme: str,
    tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To a proxy by TLS as well, which makes it TLS within TLS."""
    async with _proxy(tls, scheme) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        with client_of("https://api.example") as client:
            for _ in range(2):
                found = await (
                    client.arun(search(SEARCH))
                    if awaiting
                    else asyncio.to_thread(client.run, search(SEARCH))
                )
                assert found.results
            await client.aclose()


@asynccontextmanager
async def _proxy(tls: ssl.SSLContext, scheme: str) -> AsyncIterator[str]:
    """A proxy that is the server, too, to which it connects its clients, each once."""
    connected = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connected
        connected += 1
        if scheme.startswith("socks"):
            assert await reader.readexactly(3) == b"\x05\x01\x00"  # one method: no password
            writer.write(b"\x05\x00")
            name = b"\x05\x01\x00\x03\x0bapi.example" + (443).to_bytes(2)
            assert await reader.readexactly(len(name)) == name
            writer.write(b"\x05\x00\x00\x01" + bytes(6))
        else:
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"CONNECT api.example:443 ")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await writer.start_tls(tls)
        try:
            while True:
                headers = await reader.readuntil(b"\r\n\r\n")
                length = headers.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length))
                writer.write(BEGINNING % len(PAGES) + PAGES)
        except asyncio.IncompleteReadError:
            writer.close()

    encryption = tls if scheme == "https" else None
    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=encryption)
    yield f"{scheme}://localhost:{server.sockets[0].getsockname()[1]}"
    server.close()
    assert connected == 1


@BOTH
async def test_what_a_proxy_says_is_no_beginning_of_a_response(
    awaiting: bool, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def respond(talk: Talk, request: bytes) -> None:
        if request.startswith(b"CONNECT "):
            talk.send(b"HTTP/1.1 200 OK\r\n\r\n")
            talk.start_tls(tls)
        elif len(proxy.requests) == 2:
            talk.reset()
        else:
            talk.respond(PAGES)

    with RawServer(respond) as proxy, client_of("https://api.example", max_retries=1) as client:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        assert (await run(client, search(SEARCH), awaiting=awaiting)).results
        assert (len(proxy.requests), proxy.connections) == (4, 2)
        await client.aclose()


@pytest.mark.parametrize("said", [b"", b"\x05", b"\x05\xff", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
@BOTH
async def test_what_is_no_socks_proxy(
    awaiting: bool, said: bytes, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(3)
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    with client_of("https://api.example") as client:
        with pytest.raises(ConnectionFailedError, match=r"ProxyError.*Nothing was sent"):
            await (
                client.arun(search(SEARCH))
                if awaiting
                else asyncio.to_thread(client.run, search(SEARCH))
            )
        await client.aclose()
    server.close()


@BOTH
async def test_a_proxy_that_hangs_up_where_tls_would_begin(
    awaiting: bool, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def respond(talk: Talk, request: bytes) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\n\r\n")
        talk.finish()

    with RawServer(respond) as proxy, client_of("https://api.example") as client:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(ConnectionFailedError):
            await run(client, search(SEARCH), awaiting=awaiting)
        assert await asyncio.to_thread(proxy.settle, 0) == 0
        await client.aclose()
