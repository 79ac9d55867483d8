"""A call that is cancelled or interrupted at any point costs no other call anything."""

import asyncio
import gc
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from parallel_integrations import ParallelClient, SearchRequest
from parallel_integrations.api import search, stream_chat
from tests.support.interruptions import interrupted_at
from tests.support.raw_server import RawServer, Talk
from tests.support.requests import CHAT

SEARCH = SearchRequest(search_queries=["with statement"], max_results=1)
PAGES = b'{"results": [{"url": "https://example.com/", "excerpts": ["text"]}]}'
HEADERS = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = b'data: {"choices": [{"index": 0, "delta": {"content": "word"}}]}\n\n'
DONE = b"data: [DONE]\n\n"
TURNS = 60
"""More turns of the event loop than a call takes whose server runs in the same loop."""
CACHED = pytest.mark.parametrize("cached", [False, True], ids=["no cache", "cache"])


class ForgetfulCache:
    """Keeps nothing, so that each call is sent."""

    def get(self, key: str) -> None:
        return None

    def set(self, key: str, value: bytes, *, expire: float) -> None:
        pass


def make_client(url: str, *, cached: bool = False) -> ParallelClient:
    cache = ForgetfulCache() if cached else None
    return ParallelClient(api_key="some-key", base_url=url, timeout=5, max_retries=0, cache=cache)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def parts(request: bytes) -> list[bytes]:
    """A response to a request, as it is sent piece by piece."""
    if b"/chat/" in request.partition(b"\r\n")[0]:
        return [HEADERS % b"text/event-stream", chunk(EVENT), chunk(EVENT), chunk(DONE), chunk(b"")]
    return [HEADERS % b"application/json", chunk(PAGES[:20]), chunk(PAGES[20:]), chunk(b"")]


class LoopServer(asyncio.Protocol):
    """Sends one piece of its response with each turn of the event loop."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._send(parts(data))

    def _send(self, pieces: list[bytes]) -> None:
        self.transport.write(pieces[0])
        if len(pieces) > 1:
            asyncio.get_running_loop().call_soon(self._send, pieces[1:])


class ClosingServer(LoopServer):
    """Sends its response at once, and closes the connection without having said so."""

    def _send(self, pieces: list[bytes]) -> None:
        self.transport.write(b"".join(pieces))
        self.transport.close()


@asynccontextmanager
async def loop_server(
    tls: ssl.SSLContext | None = None, kind: type[LoopServer] = LoopServer
) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(kind, "127.0.0.1", 0, ssl=tls)
    address = "https://localhost" if tls else "http://127.0.0.1"
    yield f"{address}:{server.sockets[0].getsockname()[1]}"
    server.close()


async def asearch(client: ParallelClient) -> None:
    assert (await client.arun(search(SEARCH))).results


async def achat(client: ParallelClient) -> None:
    assert [event.text async for event in client.astream(stream_chat(CHAT))] == ["word", "word"]


def plain_search(client: ParallelClient) -> None:
    assert client.run(search(SEARCH)).results


def plain_chat(client: ParallelClient) -> None:
    assert [event.text for event in client.stream(stream_chat(CHAT))] == ["word", "word"]


@CACHED
@pytest.mark.parametrize("call", [asearch, achat], ids=["search", "chat"])
async def test_a_task_cancelled_at_any_turn_of_the_loop(
    call: Callable[[ParallelClient], Any], cached: bool
) -> None:
    async with loop_server() as url, make_client(url, cached=cached) as client:
        await cancel_at_each_turn(client, call)


async def test_a_task_cancelled_at_any_turn_of_the_loop_over_tls(tls: ssl.SSLContext) -> None:
    async with loop_server(tls) as url, make_client(url) as client:
        await cancel_at_each_turn(client, achat)


async def cancel_at_each_turn(client: ParallelClient, call: Callable[..., Any]) -> None:
    cancelled = 0
    for turn in range(TURNS):
        task = asyncio.create_task(call(client))
        for _ in range(turn):
            await asyncio.sleep(0)
        task.cancel()
        start = time.monotonic()
        await call(client)
        assert time.monotonic() - start < 4, f"it waited for what turn {turn} left behind"
        with suppress(asyncio.CancelledError):
            await task
        cancelled += task.cancelled()
    assert 5 < cancelled < TURNS


async def test_a_task_cancelled_as_it_finds_its_connection_closed() -> None:
    async with loop_server(kind=ClosingServer) as url, make_client(url) as client:
        for turn in range(TURNS):
            await asearch(client)
            task = asyncio.create_task(asearch(client))
            for _ in range(turn):
                await asyncio.sleep(0)
            if task.done():
                break
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert 5 < turn < TURNS - 1


@CACHED
async def test_many_tasks_of_which_some_are_cancelled(cached: bool) -> None:
    async with loop_server() as url, make_client(url, cached=cached) as client:
        tasks = []
        for number in range(400):
            tasks.append(asyncio.create_task(asearch(client)))
            if number % 5 == 0:
                asyncio.get_running_loop().call_later(number % 7 / 1000, tasks[-1].cancel)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        await asearch(client)
    others = {type(each) for each in outcomes} - {type(None), asyncio.CancelledError}
    assert not others


def respond(talk: Talk, request: bytes) -> None:
    for piece in parts(request):
        talk.send(piece)


INTERRUPTED_IN = ("parallel_integrations", "httpx", "httpcore", "h11", "concurrent", "threading")


@CACHED
@pytest.mark.parametrize("call", [plain_search, plain_chat], ids=["search", "chat"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_blocking_call_interrupted_at_any_line(
    call: Callable[[ParallelClient], None], cached: bool
) -> None:
    """Step by step in this package and in httpx and httpcore, which Ctrl+C does not spare."""
    # In a thread of its own: one that was interrupted while it handled an error may keep it as the
    # context of later ones.
    with (
        RawServer(respond) as server,
        make_client(server.url, cached=cached) as client,
        ThreadPoolExecutor(1) as thread,
    ):
        assert thread.submit(interrupt_everywhere, client, call).result() > 100


def interrupt_everywhere(client: ParallelClient, call: Callable[[ParallelClient], None]) -> int:
    """Interrupt a call at one line after the other, and make a whole one after each; how often."""
    call(client)
    line = interruptions = 0
    while True:
        line += 1 + line // 100
        interrupted = interrupted_at(line, lambda: call(client), INTERRUPTED_IN)
        start = time.monotonic()
        call(client)
        assert time.monotonic() - start < 4, f"it waited for what line {line} left behind"
        if not interrupted:
            gc.collect()  # what an interruption left open is warned of here, not in later tests
            return interruptions
        interruptions += 1


SIGNALLED = """
import signal, sys
from parallel_integrations import ParallelClient, SearchRequest
from parallel_integrations.api import search

client = ParallelClient(api_key="some-key", base_url=sys.argv[1], timeout=5, max_retries=0)
request = SearchRequest(search_queries=["with statement"], max_results=1)
calls = 0

def handler(*_):
    global calls
    client.run(search(request))
    calls += 1
    signal.setitimer(signal.ITIMER_REAL, 0.002)  # only now: handlers do not pile up

client.run(search(request))  # a handler cannot import what is being imported
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.002)
while calls < 50:
    client.run(search(request))
signal.setitimer(signal.ITIMER_REAL, 0)
print("calls in the handler")
"""

FORKED = """
import os, sys, threading, time
from parallel_integrations.langchain import ParallelSearchRetriever

stop = False
busy = threading.Event()
def make():
    number = 0
    while not stop:
        busy.wait()
        number += 1
        ParallelSearchRetriever(api_key="key-%d" % number, base_url=sys.argv[1])._client

threads = [threading.Thread(target=make) for _ in range(3)]
for thread in threads:
    thread.start()
failed = 0
for _ in range(10):
    busy.set()
    time.sleep(0.01)
    child = os.fork()
    if child == 0:
        found = ParallelSearchRetriever(api_key="some-key", base_url=sys.argv[1]).invoke("with")
        os._exit(0 if found else 1)
    busy.clear()
    for _ in range(2000):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.01)
    else:
        os.kill(child, 9)
        os.waitpid(child, 0)
        status = 1
    failed += bool(status)
stop = True
busy.set()
print(failed, "failed")
"""


def in_a_process(script: str, url: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, url],
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )
    return done.stdout.strip() + done.stderr[-2000:]


def test_a_signal_handler_calls_while_a_call_is_running() -> None:
    with RawServer(respond) as server:
        assert in_a_process(SIGNALLED, server.url) == "calls in the handler"


def test_children_forked_while_threads_make_adapters() -> None:
    with RawServer(respond) as server:
        script = FORKED.replace("._client", ".resolved_client()")
        assert in_a_process(script, server.url) == "0 failed"
