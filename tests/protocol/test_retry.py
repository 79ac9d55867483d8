"""What is sent again by itself, row by row of the table: nothing that might be paid twice."""

import asyncio
import re
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parallel_integrations import (
    ExtractRequest,
    ParallelClient,
    SearchResponse,
    errors,
    may_repeat,
)
from parallel_integrations._protocol import retry
from parallel_integrations._protocol.flow import Send, call
from parallel_integrations._protocol.retry import RetryPolicy, retry_after_seconds
from parallel_integrations.api import chat, extract, search, stream_chat
from parallel_integrations.sandbox import Sandbox
from tests.support.connected import connection
from tests.support.raw_server import RawServer, Talk
from tests.support.requests import CHAT, SEARCH
from tests.support.scripted_operation import errors_of_all

KEY = "some-key"
DATE_LIKE = re.compile(
    r"\w{3}, \d{1,3} [JFMASOND][a-z]{2} \d{1,6} \d\d:\d\d:\d\d [+-]\d{1,6}", re.ASCII
)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the growing pauses between attempts from making these tests slow; a constant of ours."""
    monkeypatch.setattr(retry, "FIRST_BACKOFF_SECONDS", 0.01)


def step(retry: RetryPolicy, seconds: float = 20.0) -> Send:
    """A call of this kind, as the operations make them."""
    if retry is RetryPolicy.READ:
        return Send("GET", "/v1/tasks/runs/trun_1", retry=retry, timeout_seconds=seconds)
    path = "/v1/search" if retry is RetryPolicy.QUERY else "/v1/tasks/runs"
    return Send("POST", path, SEARCH, retry=retry, timeout_seconds=seconds)


def attempts(play: Callable[[Talk, bytes], None], retry: RetryPolicy, **settings: Any) -> int:
    """How many requests are sent when each is treated like this."""
    seconds = 0.3 if play is _say_nothing else 20.0  # of which a busy machine needs more
    with (
        RawServer(play) as server,
        ParallelClient(api_key=KEY, base_url=server.url, **settings) as client,
    ):
        with pytest.raises(errors.ParallelError) as caught:
            client.run(call(step(retry, seconds), SearchResponse))
        if client.settings.max_retries:  # a caller may repeat what was repeated here
            assert may_repeat(caught.value) is (len(server.requests) > 1)

        async def awaiting() -> int:
            before = len(server.requests)
            with pytest.raises(errors.ParallelError):
                await client.arun(call(step(retry, seconds), SearchResponse))
            return len(server.requests) - before

        blocking = len(server.requests)
        assert asyncio.run(awaiting()) == blocking
        return blocking


def _status(status: int) -> Callable[[Talk, bytes], None]:
    return lambda talk, _: talk.respond(b"{}", status=f"{status} No")


def _drop(talk: Talk, _: bytes) -> None:
    talk.reset()


def _close(talk: Talk, _: bytes) -> None:
    talk.finish()


def _drop_within_the_response(talk: Talk, _: bytes) -> None:
    talk.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")
    time.sleep(0.02)  # for the client to see the beginning before the end
    talk.reset()


def _end_within_the_response(talk: Talk, _: bytes) -> None:
    talk.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")
    talk.finish()


def _say_nothing(talk: Talk, _: bytes) -> None:
    time.sleep(0.6)


TABLE = [
    # what happens            READ ASK CREATE   (requests sent with two repetitions allowed)
    *((_status(status), 1, 1, 1) for status in (400, 401, 402, 404, 409, 422)),
    (_status(408), 3, 1, 1),
    *((_status(status), 3, 3, 1) for status in (500, 502, 504)),
    *((_status(status), 3, 3, 3) for status in (429, 503)),
    (_drop, 3, 3, 1),
    (_close, 3, 3, 1),
    (_drop_within_the_response, 3, 1, 1),
    (_end_within_the_response, 3, 1, 1),
    (_say_nothing, 3, 1, 1),
]
NAMES = [400, 401, 402, 404, 409, 422, 408, 500, 502, 504, 429, 503]
IDS = [
    *map(str, NAMES),
    "drop",
    "close",
    "drop within response",
    "end within response",
    "say nothing",
]


@pytest.mark.parametrize(("play", "read", "ask", "create"), TABLE, ids=IDS)
def test_the_retry_table(
    play: Callable[[Talk, bytes], None], read: int, ask: int, create: int
) -> None:
    sent = [
        attempts(play, retry) for retry in (RetryPolicy.READ, RetryPolicy.QUERY, RetryPolicy.CREATE)
    ]
    assert sent == [read, ask, create]


@pytest.mark.parametrize("retry", RetryPolicy)
@pytest.mark.parametrize("play", [_status(429), _status(503), _drop], ids=["429", "503", "drop"])
def test_no_repetition_when_none_is_wanted(
    play: Callable[[Talk, bytes], None], retry: RetryPolicy
) -> None:
    assert attempts(play, retry, max_retries=0) == 1


def test_a_timeout_is_repeated_when_the_user_takes_the_risk() -> None:
    assert attempts(_say_nothing, RetryPolicy.QUERY, retry_timeouts=True, max_retries=1) == 2
    assert attempts(_say_nothing, RetryPolicy.CREATE, retry_timeouts=True, max_retries=1) == 1


@pytest.mark.parametrize("retry", RetryPolicy)
async def test_a_server_that_comes_up_late_is_reached(retry: RetryPolicy) -> None:
    """Where nothing can have been sent, everything may be sent again."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()
    async with ParallelClient(api_key=KEY, base_url=url) as client:
        with pytest.raises(errors.ConnectionFailedError, match="Nothing was sent") as caught:
            client.run(call(step(retry), SearchResponse))
        assert caught.value.__notes__ == ["Given up after 3 attempts."]
        with pytest.raises(errors.ConnectionFailedError) as caught:
            await client.arun(call(step(retry), SearchResponse))
        assert caught.value.__notes__ == ["Given up after 3 attempts."]


@pytest.mark.parametrize(
    "fault",
    [{"status": 429}, {"status": 503}, {"status": 500}, {"reset": "before"}],
    ids=["429", "503", "500", "reset"],
)
async def test_a_passing_failure_is_not_seen(
    sandbox: Sandbox, client: ParallelClient, fault: dict[str, Any]
) -> None:
    operations: list[Callable[[], Any]] = [
        lambda: search(SEARCH),
        lambda: extract(ExtractRequest(urls=["https://docs.python.org/3/reference/"])),
        lambda: chat(CHAT),
    ]
    for operation in operations:
        sandbox.reset()
        sandbox.faults.add(times=2, **fault)
        client.run(operation())
        assert (len(sandbox.requests), sandbox.ledger.count()) == (3, 1)
        sandbox.reset()
        sandbox.faults.add(times=2, **fault)
        await client.arun(operation())
        assert (len(sandbox.requests), sandbox.ledger.count()) == (3, 1)
    sandbox.reset()
    sandbox.faults.add(times=2, **fault)
    assert "".join(chunk.text for chunk in client.stream(stream_chat(CHAT)))
    assert (len(sandbox.requests), sandbox.ledger.count("chat")) == (3, 1)
    sandbox.reset()
    sandbox.faults.add(times=2, **fault)
    assert [chunk async for chunk in client.astream(stream_chat(CHAT))]
    assert (len(sandbox.requests), sandbox.ledger.count("chat")) == (3, 1)


def test_every_repetition_sends_the_same_bytes(sandbox: Sandbox, client: ParallelClient) -> None:
    sandbox.faults.add(times=2, status=503)
    client.run(search(SEARCH))
    assert len({request.content for request in sandbox.requests}) == 1


def test_the_server_decides_how_long_to_wait(sandbox: Sandbox, client: ParallelClient) -> None:
    sandbox.faults.add(status=429, retry_after=1.2)
    start = time.monotonic()
    client.run(search(SEARCH))
    assert time.monotonic() - start > 1.1, "by itself it would have waited for half a second"
    assert len(sandbox.requests) == 2


async def test_a_wait_beyond_the_cap_is_the_caller_s(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    sandbox.faults.add(status=429, retry_after=120, times=3)
    caught = await errors_of_all(client, errors.RateLimitError)
    assert [each.retry_after for each in caught] == [120, 120, 120]
    assert len(sandbox.requests) == 3


def test_a_date_to_wait_for_is_understood(sandbox: Sandbox, client: ParallelClient) -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    sandbox.faults.add(status=503, retry_after=until)
    with pytest.raises(errors.ServerError) as caught:
        client.run(search(SEARCH))
    assert caught.value.retry_after is not None
    assert 3590 < caught.value.retry_after <= 3600


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2", 2),
        ("0", 0),
        ("1.5", 1.5),
        (" 3 ", 3),
        ("Sat, 02 May 2026 10:00:07 GMT", 7),
        ("Saturday, 02-May-26 10:00:07 GMT", 7),
        ("Sat, 02 May 2026 09:00:00 GMT", 0),
        ("Sat, 02 May 2026 10:00:07", 7),
        ("-1", None),
        ("inf", None),
        ("nan", None),
        ("soon", None),
        ("", None),
        ("Sat, 99 May 2026 10:00:07 GMT", None),
    ],
)
def test_how_long_to_wait_is_read(value: str, seconds: float | None) -> None:
    now = datetime(2026, 5, 2, 10, tzinfo=UTC).timestamp()
    response = httpx.Response(429, headers={"retry-after": value})
    assert retry_after_seconds(response, now) == seconds
    assert retry_after_seconds(httpx.Response(429), now) is None


@given(st.text(st.characters(codec="latin-1")) | st.from_regex(DATE_LIKE, fullmatch=True))
def test_no_wait_is_read_as_an_error(value: str) -> None:
    response = httpx.Response(429, headers=[(b"retry-after", value.encode("latin-1"))])
    seconds = retry_after_seconds(response, 1_777_716_000.0)
    assert seconds is None or seconds >= 0


def test_nonsense_to_wait_for_is_ignored(sandbox: Sandbox, client: ParallelClient) -> None:
    sandbox.faults.add(status=503, retry_after="when it is done", times=2)
    client.run(search(SEARCH))
    assert len(sandbox.requests) == 3


@pytest.fixture
def hasty(sandbox: Sandbox) -> Iterator[ParallelClient]:
    """A client that waits for 0.3 seconds."""
    with ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url, timeout=0.3) as client:
        yield client


async def test_a_slow_response_is_paid_once_and_fails_in_time(
    sandbox: Sandbox, hasty: ParallelClient
) -> None:
    sandbox.faults.add(delay=0.8, times=3)
    for count, ask in enumerate((hasty.run, hasty.arun), 1):
        with pytest.raises(errors.RequestTimeoutError, match="timeout="):
            await _outcome(ask(search(SEARCH)))
        assert len(sandbox.requests) == count
    with pytest.raises(errors.RequestTimeoutError):
        list(hasty.stream(stream_chat(CHAT)))
    assert len(sandbox.requests) == 3


async def test_a_response_that_trickles_is_bounded_by_the_timeout(
    sandbox: Sandbox, hasty: ParallelClient
) -> None:
    """Each piece comes in time, the whole does not."""
    sandbox.faults.add(path="/v1/search", chunk_delay=0.12, times=2)
    for ask in (hasty.run, hasty.arun):
        with pytest.raises(errors.RequestTimeoutError):
            await _outcome(ask(search(SEARCH)))
    assert len(sandbox.requests) == 2


def test_a_stream_may_take_longer_than_the_timeout_as_long_as_it_is_not_silent(
    sandbox: Sandbox,
) -> None:
    sandbox.faults.add(chunk_delay=0.3)
    start = time.monotonic()
    with ParallelClient(**connection(sandbox), timeout=1) as client:
        assert list(client.stream(stream_chat(CHAT)))
    assert time.monotonic() - start > 1


def test_repeating_is_said_in_the_log(
    sandbox: Sandbox, client: ParallelClient, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.faults.add(status=503)
    with caplog.at_level("INFO", logger="parallel_integrations"):
        client.run(search(SEARCH))
    assert [record.message for record in caplog.records if "again" in record.message] == [
        "POST /v1/search again in 0.0 s"
    ]


def test_giving_up_says_after_how_many_attempts(sandbox: Sandbox, client: ParallelClient) -> None:
    sandbox.faults.add(status=503, times=None)
    with pytest.raises(errors.StatusError) as caught:
        client.run(search(SEARCH))
    assert caught.value.__notes__ == ["Given up after 3 attempts."]


async def _outcome(given: Any) -> Any:
    return await given if asyncio.iscoroutine(given) else given
