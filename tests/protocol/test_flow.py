"""Operations in motion, without any network: what they send, and what they make of an outcome."""

from collections.abc import Callable, Generator
from typing import Any

import httpx
import pytest

from parallel_integrations import (
    ChatRequest,
    ConnectionFailedError,
    ExtractRequest,
    RateLimitError,
    RequestTimeoutError,
    SearchRequest,
    SearchResponse,
    StreamInterruptedError,
    UnexpectedAnswerError,
)
from parallel_integrations._protocol.flow import END, MORE, Emit, Send
from parallel_integrations._protocol.retry import RetryPolicy
from parallel_integrations.api import chat, extract, search, stream_chat

ONE_PAGE = {"results": [{"url": "https://a.example", "excerpts": ["b"]}]}
QUESTION = [{"role": "user", "content": "Why?"}]


def finish(flow: Generator[Any, Any, Any], outcome: httpx.Response) -> Any:
    """The flow's result when this is the response to what it sent."""
    with pytest.raises(StopIteration) as stop:
        flow.send(outcome)
    return stop.value.value


def test_an_operation_says_what_to_send_and_reads_the_response() -> None:
    request = SearchRequest(objective="Why?")
    flow = search(request)
    send = next(flow)
    assert send == Send(
        "POST",
        "/v1/search",
        request,
        retry=RetryPolicy.QUERY,
        timeout_seconds=90.0,
        delay_seconds=0.0,
    )
    result = finish(flow, httpx.Response(200, json=ONE_PAGE))
    assert isinstance(result, SearchResponse)
    assert result.results[0].url == "https://a.example"


@pytest.mark.parametrize(
    ("operation", "path", "timeout_seconds", "stream"),
    [
        (search(SearchRequest(objective="q")), "/v1/search", 90.0, False),
        (extract(ExtractRequest(urls=["https://a.example"])), "/v1/extract", 120.0, False),
        (chat(ChatRequest(messages=QUESTION)), "/chat/completions", 60.0, False),
        (chat(ChatRequest(messages=QUESTION, model="core")), "/chat/completions", 600.0, False),
        (stream_chat(ChatRequest(messages=QUESTION)), "/chat/completions", 60.0, True),
        (stream_chat(ChatRequest(messages=QUESTION, model="lite")), "/chat/completions", 600, True),
    ],
)
def test_each_operation_has_its_path_and_timeout(
    operation: Generator[Any, Any, Any], path: str, timeout_seconds: float, stream: bool
) -> None:
    send = next(operation)
    assert (send.method, send.path, send.timeout_seconds) == ("POST", path, timeout_seconds)
    assert send.stream is stream
    assert send.retry is RetryPolicy.QUERY


def test_a_failure_to_connect_is_repeated_after_a_growing_pause() -> None:
    flow = search(SearchRequest(objective="q"))
    first = next(flow)
    second = flow.throw(httpx.ConnectError("refused"))
    third = flow.throw(httpx.ConnectError("refused"))
    assert 0.375 <= second.delay_seconds <= 0.5
    assert 0.75 <= third.delay_seconds <= 1.0
    assert (second.path, second.request) == (first.path, first.request)
    with pytest.raises(ConnectionFailedError, match="refused") as caught:
        flow.throw(httpx.ConnectError("refused"))
    assert isinstance(caught.value.__cause__, httpx.ConnectError)
    assert caught.value.__notes__ == ["Given up after 3 attempts."]


def test_a_repeated_step_may_succeed() -> None:
    flow = search(SearchRequest(objective="q"))
    next(flow)
    assert flow.send(httpx.Response(503)).delay_seconds > 0
    assert finish(flow, httpx.Response(200, json=ONE_PAGE)).results


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (httpx.ReadTimeout("slow"), RequestTimeoutError),
        (httpx.WriteTimeout("slow"), RequestTimeoutError),
        (httpx.DecodingError("not gzip"), UnexpectedAnswerError),
        (httpx.LocalProtocolError("bad"), ConnectionFailedError),
        (httpx.UnsupportedProtocol("ftp"), ConnectionFailedError),
    ],
)
def test_what_may_have_been_executed_is_not_requested_twice(
    failure: httpx.HTTPError, error: type[Exception]
) -> None:
    flow = search(SearchRequest(objective="q"))
    next(flow)
    with pytest.raises(error):
        flow.throw(failure)


def test_the_server_says_how_long_to_wait() -> None:
    flow = search(SearchRequest(objective="q"))
    next(flow)
    again = flow.send(httpx.Response(429, headers={"retry-after": "7"}))
    assert again.delay_seconds == 7
    with pytest.raises(RateLimitError) as caught:
        flow.send(httpx.Response(429, headers={"retry-after": "61"}))
    assert caught.value.retry_after == 61


def test_any_success_is_success() -> None:
    flow = search(SearchRequest(objective="q"))
    next(flow)
    assert finish(flow, httpx.Response(202, json=ONE_PAGE)).results


def test_a_stream_asks_for_bytes_and_hands_out_chunks() -> None:
    stream = stream_chat(ChatRequest(messages=QUESTION))
    next(stream)
    opened = httpx.Response(200, headers={"content-type": "text/event-stream"})
    assert stream.send(opened) is MORE
    step = stream.send(b'data: {"choices":[{"delta":{"content":"Hel"}}]}\n\n')
    assert isinstance(step, Emit)
    assert step.event.text == "Hel"
    assert stream.send(None) is MORE
    assert stream.send(b"data: [DONE]\n\n") is END
    with pytest.raises(StopIteration):
        stream.send(b"")


def test_a_broken_stream_keeps_what_had_arrived() -> None:
    stream = stream_chat(ChatRequest(messages=QUESTION))
    next(stream)
    stream.send(httpx.Response(200, headers={"content-type": "text/event-stream"}))
    stream.send(b'data: {"choices":[{"delta":{"content":"Hel"}}]}\n\n')
    stream.send(None)
    with pytest.raises(StreamInterruptedError) as caught:
        stream.throw(httpx.ReadError("gone"))
    assert caught.value.partial == "Hel"


@pytest.mark.parametrize(
    "operation",
    [
        lambda: search(SearchRequest(objective="q")),
        lambda: stream_chat(ChatRequest(messages=QUESTION)),
    ],
)
def test_an_operation_can_be_dropped_at_any_time(
    operation: Callable[[], Generator[Any, Any, Any]],
) -> None:
    operation().close()
    started = operation()
    next(started)
    started.close()
