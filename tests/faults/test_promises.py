"""What official clients were measured to do to those who pay, and what is done here instead."""

import asyncio
import json
import tracemalloc
from collections.abc import Callable
from typing import Any, Final

import pytest

from parallel_integrations import (
    ChatRequest,
    CreateTaskRunRequest,
    ParallelClient,
    SearchRequest,
    TaskSettings,
    api,
    errors,
)
from parallel_integrations.sandbox import Sandbox
from tests.faults import fault_payloads
from tests.faults.calls import BARE, CREATE_RUN, FOUND_STATUS, RESULT, SEARCH, Step
from tests.faults.faulty_api import (
    KEY,
    Clock,
    FaultyApi,
    FaultyRequest,
    Injection,
    Payload,
    fast_clock,
    send,
)
from tests.faults.responses import CHAT_TEXT, healthy
from tests.faults.truncations import ENDINGS, cut
from tests.support.operations import FINDALL_ID, RUN_ID
from tests.support.raw_server import RawServer, Talk
from tests.support.scripted_operation import BOTH

TASK: Final = CreateTaskRunRequest(input="What is a slot?", processor="lite")
QUESTION: Final = [{"role": "user", "content": "What is a closure?"}]
PIECE: Final = b"x" * 1_000_000
PIECES: Final = 50


def caught(
    operation: Callable[[], Any],
    step: Step,
    payload: Payload,
    *,
    times: int | None = None,
    server: FaultyApi,
    awaiting: bool = False,
    timeout: float = 10,
) -> Any:
    """What comes of an operation on a client as users have it, with two repetitions."""
    server.begin(Injection(step.matches, payload, times))
    client = ParallelClient(api_key=KEY, base_url=server.url, timeout=timeout)

    async def awaited() -> Any:
        async with client:
            if step.sort.value.endswith("stream"):
                return [each async for each in client.astream(operation())]
            return await client.arun(operation())

    with client:
        try:
            if awaiting:
                return asyncio.run(awaited())
            if step.sort.value.endswith("stream"):
                return list(client.stream(operation()))
            return client.run(operation())
        except errors.ParallelError as error:
            return error


def unheard(operation: Callable[[], Any], step: Step, **how: Any) -> Any:
    """What comes of an operation of which one request never gets a response."""
    return caught(operation, step, fault_payloads.send_nothing, timeout=0.4, **how)


@pytest.fixture
def server() -> Any:
    """A healthy API."""
    with FaultyApi() as server:
        yield server


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Fast pauses, written down."""
    with fast_clock(monkeypatch) as clock:
        yield clock


@BOTH
def test_a_create_that_timed_out_is_sent_once(
    server: FaultyApi, clock: Clock, awaiting: bool
) -> None:
    """Not three times: there is no idempotency key, so each would be a bill."""
    error = unheard(lambda: api.run_task(TASK), CREATE_RUN, server=server, awaiting=awaiting)
    assert isinstance(error, errors.RequestTimeoutError)
    assert "may still have been executed" in str(error)
    assert server.received == ["POST /v1/tasks/runs"]
    assert clock.pauses == []


@BOTH
def test_slow_polls_lose_no_paid_task(server: FaultyApi, clock: Clock, awaiting: bool) -> None:
    """Three responses that say "not yet" are no failures, and the fourth is the result."""
    result = caught(
        lambda: api.run_task(TASK),
        RESULT,
        fault_payloads.status(408),
        times=3,
        server=server,
        awaiting=awaiting,
    )
    assert result.run.run_id == RUN_ID
    assert server.received.count("POST /v1/tasks/runs") == 1


@BOTH
def test_a_deadline_keeps_the_id_of_the_paid_task(server: FaultyApi, awaiting: bool) -> None:
    error = unheard(
        lambda: api.run_task(TASK, deadline_seconds=0.2), RESULT, server=server, awaiting=awaiting
    )
    assert isinstance(error, errors.TaskTimeoutError)
    assert error.run_id == RUN_ID
    assert RUN_ID in str(error)
    assert server.received.count("POST /v1/tasks/runs") == 1


@BOTH
def test_polls_without_a_response_leave_the_id_of_the_paid_run(
    server: FaultyApi, clock: Clock, awaiting: bool
) -> None:
    error = unheard(
        lambda: api.wait_findall_run(FINDALL_ID, deadline_seconds=1.2),
        FOUND_STATUS,
        server=server,
        awaiting=awaiting,
    )
    assert isinstance(error, errors.TaskTimeoutError)
    assert error.findall_id == FINDALL_ID
    assert len(server.received) > 1


def test_a_failed_run_costs_none_of_the_others(
    client: ParallelClient, sandbox: Sandbox, clock: Clock
) -> None:
    settings = TaskSettings(processor="lite", output_schema="What it does.")
    inputs: list[Any] = ["with", "nonlocal", {"statement": "global", "sandbox": "fail"}]
    one, other, failed = client.run(api.run_task_group(inputs, settings))
    assert one.output is not None
    assert other.output is not None
    assert (one.error, other.error) == (None, None)
    assert failed.output is None
    assert failed.error
    assert sandbox.ledger.count("create_task_run") <= 3


@BOTH
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_neither_key_nor_body_go_where_a_redirect_leads(
    server: FaultyApi, clock: Clock, awaiting: bool, code: int
) -> None:
    with FaultyApi() as elsewhere:

        def lead(request: FaultyRequest) -> None:
            fault_payloads.redirect(code)(
                FaultyRequest(
                    request.talk, request.response, request.whole, KEY, elsewhere.url, request.place
                )
            )

        error = caught(
            lambda: api.run_task(TASK), CREATE_RUN, lead, server=server, awaiting=awaiting
        )
        assert type(error) is errors.StatusError
        assert "redirect" in str(error)
        assert KEY not in str(error)
        assert elsewhere.connections == 0
    assert len(server.received) == 1


@BOTH
@pytest.mark.parametrize(
    ("requested", "pauses", "sent"), [("2", [2.0, 2.0], 3), ("60", [60.0, 60.0], 3), ("120", [], 1)]
)
def test_the_server_says_how_long_to_wait(
    server: FaultyApi, clock: Clock, awaiting: bool, requested: str, pauses: list[float], sent: int
) -> None:
    """Where that is longer than a minute, it is the caller's to decide."""
    error = caught(
        lambda: api.search(SearchRequest(objective="What is a slot?")),
        SEARCH,
        fault_payloads.status(429, retry_after=requested),
        server=server,
        awaiting=awaiting,
    )
    assert isinstance(error, errors.RateLimitError)
    assert error.retry_after == float(requested)
    assert clock.pauses == pauses
    assert len(server.received) == sent


@BOTH
@pytest.mark.parametrize("ending", ["end", "reset", "half an event"])
def test_a_cut_stream_is_no_response(server: FaultyApi, awaiting: bool, ending: str) -> None:
    (call,) = (call for call in BARE if call.name == "stream_chat")
    error = caught(
        lambda: api.stream_chat(ChatRequest(messages=QUESTION)),
        call.steps[0],
        cut(2, ENDINGS[ending]),
        server=server,
        awaiting=awaiting,
    )
    assert isinstance(error, errors.StreamInterruptedError)
    assert error.partial == "".join(CHAT_TEXT[:2])
    assert len(server.received) == 1


@BOTH
def test_a_result_is_fetched_although_its_progress_cannot_be_followed(
    server: FaultyApi, clock: Clock, awaiting: bool
) -> None:
    """And not before the server allows another request, though a minute later at most."""
    (call,) = (call for call in BARE if call.name == "stream_task")
    *_, result = caught(
        lambda: api.stream_task(TASK, deadline_seconds=3600),
        call.steps[1],
        fault_payloads.status(429, retry_after="120"),
        server=server,
        awaiting=awaiting,
    )
    assert result.run.run_id == RUN_ID
    assert clock.pauses == [60.0]


def _huge(status: str, begin: bytes, end: bytes) -> Callable[[Talk, bytes], None]:
    def payload(talk: Talk, _: bytes) -> None:
        length = len(begin) + PIECES * len(PIECE) + len(end)
        headers = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n"
        talk.send(f"{headers}content-length: {length}\r\n\r\n".encode() + begin)
        for _number in range(PIECES):
            talk.send(PIECE)
        talk.send(end)

    return payload


@BOTH
@pytest.mark.parametrize(
    ("status", "begin", "end"),
    [
        ("200 OK", b'{"results": [{"url": "https://a.example", "excerpts": ["', b'"]}]}'),
        ("500 Page", b"<html>", b"</html>"),
        ("500 Message", b'{"error": {"message": "', b'"}}'),
        ("500 Detail", b'{"error": {"message": "no", "detail": "', b'"}}'),
    ],
)
def test_fifty_megabytes_are_held_a_few_times_at_most(
    awaiting: bool, status: str, begin: bytes, end: bytes
) -> None:
    with RawServer(_huge(status, begin, end)) as server:
        client = ParallelClient(api_key=KEY, base_url=server.url, max_retries=0)
        request = SearchRequest(objective="What is a slot?")
        tracemalloc.start()
        try:
            with client:
                came = _came(client, request, awaiting=awaiting)
            held, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 4 * PIECES * len(PIECE)
    if status == "200 OK":
        assert len(came.results[0].excerpts[0]) == PIECES * len(PIECE)
    else:
        assert isinstance(came, errors.ServerError)
        assert len(str(came)) < 2000
        assert len(json.dumps(came.detail)) < 2000
        assert held < 3 * len(PIECE), "the error holds the page"


def _came(client: ParallelClient, request: SearchRequest, *, awaiting: bool) -> Any:
    try:
        if awaiting:
            return asyncio.run(client.arun(api.search(request)))
        return client.run(api.search(request))
    except errors.ParallelError as error:
        return error


def test_the_scripted_server_is_healthy(server: FaultyApi, clock: Clock) -> None:
    """What the other tests call right results are results."""

    def payload(request: FaultyRequest) -> None:
        send(request.talk, request.response)

    found = caught(
        lambda: api.search(SearchRequest(objective="What is a slot?")),
        SEARCH,
        payload,
        server=server,
    )
    assert found.results
    assert healthy("GET /v1/monitors", b"").body
