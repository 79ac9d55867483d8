"""Streams: whole, cut in every way, left early."""

import asyncio
import gc
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from parallel_integrations import (
    ParallelClient,
    StreamInterruptedError,
    UnexpectedAnswerError,
)
from parallel_integrations.api import chat, stream_chat
from parallel_integrations.sandbox import Sandbox
from tests.support.connected import made
from tests.support.raw_server import RawServer, Talk
from tests.support.requests import CHAT
from tests.support.scripted_operation import BOTH


@pytest.fixture(scope="module")
def session_sandbox() -> Iterator[Sandbox]:
    """One for this module: connections are counted, and adapters keep theirs for a while."""
    with Sandbox() as running:
        yield running


HEADERS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
WORDS = ["Größe", " ist", " 大", " and", " small."]


def chunk(text: str) -> bytes:
    """One event of a streamed response."""
    body = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n".encode()


async def collect(client: ParallelClient, *, awaiting: bool) -> list[str]:
    """The texts of a streamed response."""
    if awaiting:
        return [each.text async for each in client.astream(stream_chat(CHAT))]
    return [each.text for each in client.stream(stream_chat(CHAT))]


@BOTH
@pytest.mark.parametrize("model", ["speed", "lite"])
async def test_a_streamed_response_adds_up_to_the_whole_one(
    client: ParallelClient, model: str, awaiting: bool
) -> None:
    request = CHAT.model_copy(update={"model": model})
    whole = client.run(chat(request))
    if awaiting:
        chunks = [each async for each in client.astream(stream_chat(request))]
    else:
        chunks = list(client.stream(stream_chat(request)))
    assert len(chunks) > 3
    assert "".join(each.text for each in chunks) == whole.text
    assert [basis for each in chunks for basis in each.basis] == whole.basis
    assert bool(whole.basis) is (model == "lite")
    assert any(each.finish_reason == "stop" for each in chunks)


@BOTH
async def test_chunks_arrive_as_they_are_sent(awaiting: bool) -> None:
    """The server says no more until the client has what it has said."""
    came = threading.Semaphore(0)
    waited = []

    def play(talk: Talk, request: bytes) -> None:
        headers = "content-type: text/event-stream\r\ntransfer-encoding: chunked"
        talk.send(f"HTTP/1.1 200 OK\r\n{headers}\r\n\r\n".encode())
        for number in range(5):
            delta = {"index": 0, "delta": {"content": f"{number} "}}
            event = f"data: {json.dumps({'choices': [delta]})}\n\n".encode()
            talk.send(b"%x\r\n%b\r\n" % (len(event), event))
            waited.append(came.acquire(timeout=20))
        talk.send(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")

    texts = []
    with RawServer(play) as server:
        async with ParallelClient(api_key="some-key", base_url=server.url) as client:
            if awaiting:
                async for chunk in client.astream(stream_chat(CHAT)):
                    texts.append(chunk.text)
                    came.release()
            else:
                for chunk in client.stream(stream_chat(CHAT)):
                    texts.append(chunk.text)
                    came.release()
    assert "".join(texts) == "0 1 2 3 4 "
    assert waited == [True] * 5


@BOTH
@pytest.mark.parametrize(
    "fault",
    [
        {"cut_after_events": 2, "cut": "fin"},
        {"cut_after_events": 2, "cut": "reset"},
        {"cut_after_events": 2, "error_event": True},
        {"cut_after_events": 2, "error_event": True, "cut": "reset"},
        {"cut_after_bytes": 700, "cut": "fin"},
        {"cut_after_bytes": 700, "cut": "reset"},
        {"reset": "body"},
    ],
    ids=lambda fault: "-".join(map(str, fault.values())),
)
async def test_a_cut_stream_says_so_and_keeps_what_came(
    sandbox: Sandbox, client: ParallelClient, awaiting: bool, fault: dict[str, Any]
) -> None:
    whole = client.run(chat(CHAT)).text
    sandbox.reset()
    sandbox.faults.add(**fault)
    seen: list[str] = []
    stream = client.astream(stream_chat(CHAT)) if awaiting else client.stream(stream_chat(CHAT))
    with pytest.raises(StreamInterruptedError) as caught:
        await _drain(stream, seen)
    assert seen
    assert caught.value.partial == "".join(seen)
    assert whole.startswith(caught.value.partial)
    assert caught.value.partial != whole
    assert len(sandbox.requests) == 1, "what has begun was paid for"


async def _drain(stream: Any, seen: list[str]) -> None:
    if hasattr(stream, "__aiter__"):
        async for each in stream:
            seen.append(each.text)  # noqa: PERF401 - what came before an error counts
    else:
        for each in stream:
            seen.append(each.text)  # noqa: PERF401


def test_an_error_event_is_reported_with_its_words(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    sandbox.faults.add(cut_after_events=2, error_event=True)
    with pytest.raises(StreamInterruptedError, match="Internal server error"):
        list(client.stream(stream_chat(CHAT)))


@BOTH
@pytest.mark.parametrize("tail", [b"", b"data: [DONE]\n\n", b"data: [DONE]", b": bye\n\n"])
async def test_a_stream_that_ends_in_order_is_complete(awaiting: bool, tail: bytes) -> None:
    """Whether the API sends [DONE] or a finish_reason is not documented."""
    stream = b"".join(map(chunk, WORDS)) + tail

    def play(talk: Talk, _: bytes) -> None:
        talk.send(HEADERS + stream)
        talk.finish()

    with RawServer(play) as server:
        async with ParallelClient(api_key="some-key", base_url=server.url) as client:
            assert await collect(client, awaiting=awaiting) == WORDS


async def test_a_stream_may_be_cut_at_any_byte() -> None:
    stream = b"".join(map(chunk, WORDS)) + b"data: [DONE]\n\n"
    cuts = [1, 2, stream.index("ö".encode()) + 1, stream.index("大".encode()) + 2, len(stream) - 1]

    def play(talk: Talk, request: bytes) -> None:
        cut = cuts[len(server.requests) - 1]
        talk.send(HEADERS + stream[:cut])
        time.sleep(0.01)  # for the two halves to arrive as two
        talk.send(stream[cut:])
        talk.finish()

    with RawServer(play) as server:
        async with ParallelClient(api_key="some-key", base_url=server.url) as client:
            for _ in cuts:
                assert await collect(client, awaiting=False) == WORDS


async def test_a_body_of_known_length_that_ends_early_is_cut() -> None:
    stream = b"".join(map(chunk, WORDS))
    headers = HEADERS.replace(b"connection: close", b"content-length: %d" % len(stream))

    def play(talk: Talk, _: bytes) -> None:
        talk.send(headers + stream[: -len(chunk(WORDS[-1]))])
        talk.finish()

    with RawServer(play) as server:
        async with ParallelClient(api_key="some-key", base_url=server.url) as client:
            for awaiting in (False, True):
                with pytest.raises(StreamInterruptedError) as caught:
                    await collect(client, awaiting=awaiting)
                assert caught.value.partial == "".join(WORDS[:-1])


@pytest.mark.parametrize("cut", range(0, len(chunk("Größe")) - 2, 3))
def test_a_chunk_cut_in_two_is_not_taken_for_a_whole_one(cut: int) -> None:
    """A proxy may end a stream in order where the server broke it off."""

    def play(talk: Talk, _: bytes) -> None:
        talk.send(HEADERS + chunk("first") + chunk("Größe")[:cut])
        talk.finish()

    with (
        RawServer(play) as server,
        ParallelClient(api_key="some-key", base_url=server.url) as client,
    ):
        stream = client.stream(stream_chat(CHAT))
        assert next(stream).text == "first"
        if cut <= len("data: "):  # nothing of the second had become an event
            assert not list(stream)
        else:
            with pytest.raises(StreamInterruptedError) as caught:
                next(stream)
            assert caught.value.partial == "first"


@BOTH
@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"data: {\n\n", StreamInterruptedError),
        (b"data: null\n\n", StreamInterruptedError),
        (b"data: [1]\n\n", StreamInterruptedError),
        (b'data: {"choices": 7}\n\n', StreamInterruptedError),
        (b'data: {"choices": [{"delta": {"content": " \\n"}}]}\n\n', StreamInterruptedError),
        (b'data: {"error": "plain words"}\n\n', StreamInterruptedError),
        (b'data: {"error": {"message": "no"}}\n\n', StreamInterruptedError),
        (b": nothing but a comment\n\n", StreamInterruptedError),
        (b"", StreamInterruptedError),
    ],
)
async def test_a_stream_of_nonsense_is_an_error(
    awaiting: bool, body: bytes, error: type[Exception]
) -> None:
    def play(talk: Talk, _: bytes) -> None:
        talk.send(HEADERS + body)
        talk.finish()

    with RawServer(play) as server:
        async with ParallelClient(api_key="some-key", base_url=server.url) as client:
            with pytest.raises(error):
                await collect(client, awaiting=awaiting)


@BOTH
async def test_a_page_instead_of_a_stream_is_unexpected(
    sandbox: Sandbox, client: ParallelClient, awaiting: bool
) -> None:
    sandbox.faults.add(status=200, body="<html>" + "x" * 5000, content_type="text/html")
    with pytest.raises(UnexpectedAnswerError, match="event stream") as caught:
        await collect(client, awaiting=awaiting)
    assert caught.value.body.startswith("<html>")
    assert len(caught.value.body) == 200
    assert caught.value.content_type == "text/html"


async def gone(sandbox: Sandbox) -> bool:
    """Whether the sandbox soon sees no open connection."""
    for _ in range(1000):
        if sandbox.open_connections == 0:
            return True
        await asyncio.sleep(0.01)
    return False


def _leave_by_close(client: ParallelClient) -> None:
    stream = client.stream(stream_chat(CHAT))
    next(stream)
    stream.close()


def _leave_by_break(client: ParallelClient) -> None:
    for _ in client.stream(stream_chat(CHAT)):
        break


def _leave_by_error(client: ParallelClient) -> None:
    def read() -> None:
        for _ in client.stream(stream_chat(CHAT)):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        read()


@pytest.mark.parametrize("leave", [_leave_by_close, _leave_by_break, _leave_by_error])
async def test_leaving_a_stream_early_closes_its_connection(
    own: Sandbox, leave: Callable[[ParallelClient], None]
) -> None:
    own.faults.add(chunk_delay=10, times=None)  # who waited for the rest would hang
    with made(ParallelClient, own) as client:
        leave(client)
        assert await gone(own)


async def test_leaving_an_awaited_stream_early_closes_its_connection(own: Sandbox) -> None:
    own.faults.add(chunk_delay=0.2, times=None)
    client = made(ParallelClient, own)
    stream = client.astream(stream_chat(CHAT))
    await anext(stream)
    await stream.aclose()
    assert await gone(own)

    async for _ in client.astream(stream_chat(CHAT)):
        break
    gc.collect()
    assert await gone(own)

    async def read() -> None:
        async for _ in client.astream(stream_chat(CHAT)):
            pass

    task = asyncio.create_task(read())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await gone(own)


def test_a_stream_that_nobody_begins_sends_nothing(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    stream = client.stream(stream_chat(CHAT))
    stream.close()
    del stream
    assert not sandbox.requests
