"""Tasks: created once, waited for from their id alone, followed to their end."""

import asyncio
import json
import logging
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from parallel_integrations import (
    ConnectionFailedError,
    CreateFindallRunRequest,
    CreateTaskRunRequest,
    McpServer,
    NotFoundError,
    ParallelClient,
    ParallelError,
    RequestTimeoutError,
    ServerError,
    SourcePolicy,
    StreamInterruptedError,
    TaskFailedError,
    TaskSettings,
    TaskTimeoutError,
    UnexpectedAnswerError,
    Webhook,
)
from parallel_integrations._documents.find_all import FindAllRequest, stream_find_all
from parallel_integrations._protocol import events
from parallel_integrations.api import (
    create_task_run,
    retrieve_task_run,
    retrieve_task_run_input,
    run_findall,
    run_task,
    run_task_group,
    stream_task,
    task_run_events,
    wait_task_run,
)
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.models import (
    EnrichFindallRequest,
    FindallResult,
    TaskGroupResult,
    TaskOutput,
    TaskRun,
    TaskRunProgressMessageEvent,
    TaskRunProgressStatsEvent,
    TaskRunResult,
    TaskRunStateEvent,
)
from parallel_integrations.sandbox import Sandbox
from tests.support.connected import Connected, connected
from tests.support.raw_server import RawServer, Talk
from tests.support.scripted_operation import (
    BOTH,
    After,
    ScriptPlayer,
    check_repetitions,
    listen,
    not_found,
    run,
)

REQUEST = CreateTaskRunRequest(input="What does the nonlocal statement do?", processor="lite")
GROUP = TaskSettings(processor="lite")
RESULT = "GET /v1/tasks/runs/trun_1/result"
STATUS = "GET /v1/tasks/runs/trun_1"


class Statement(BaseModel):
    """The output that is requested."""

    name: str
    explanation: str | None = None


def wire_run(status: str = "completed", **more: Any) -> dict[str, Any]:
    """A run as the wire has it."""
    return {"run_id": "trun_1", "status": status, "is_active": status == "running", **more}


def done(content: Any = "An answer.", kind: str = "text") -> dict[str, Any]:
    """A result as the wire has it."""
    return {"run": wire_run(), "output": {"type": kind, "content": content, "basis": []}}


def refusal(status: int, **headers: str) -> httpx.Response:
    """An error response."""
    body = {"type": "error", "error": {"ref_id": "ref_1", "message": "no"}}
    return httpx.Response(status, json=body, headers=headers)


# ------------------------------------------------------------------------------ on the sandbox


@BOTH
async def test_a_task_is_created_and_waited_for(
    sandbox: Sandbox, client: ParallelClient, awaiting: bool
) -> None:
    result = await run(client, run_task(REQUEST), awaiting=awaiting)
    assert result.run.status == "completed"
    assert result.run.interaction_id
    assert result.output.content
    assert result.output.basis[0].citations[0].url.startswith("https://docs.python.org/")
    assert sandbox.ledger.count("create_task_run") == sandbox.ledger.count("task_run") == 1
    again = await run(client, wait_task_run(result.run.run_id), awaiting=awaiting)
    assert again.output == result.output
    assert sandbox.ledger.count("task_run") == 1, "waiting costs nothing"


@BOTH
async def test_a_run_is_looked_up(sandbox: Sandbox, client: ParallelClient, awaiting: bool) -> None:
    request = REQUEST.model_copy(update={"metadata": {"row": 7, "sure": True}})
    created = await run(client, create_task_run(request), awaiting=awaiting)
    assert (created.status, created.is_over) == ("queued", False)
    await run(client, wait_task_run(created.run_id), awaiting=awaiting)
    found = await run(client, retrieve_task_run(created.run_id), awaiting=awaiting)
    assert (found.run_id, found.is_over) == (created.run_id, True)
    assert found.metadata == {"row": 7, "sure": True}
    stored = await run(client, retrieve_task_run_input(created.run_id), awaiting=awaiting)
    assert (stored.input, stored.processor) == (REQUEST.input, "lite")


@BOTH
async def test_a_failed_run_says_why_and_is_not_billed(
    sandbox: Sandbox, client: ParallelClient, awaiting: bool
) -> None:
    request = REQUEST.model_copy(update={"metadata": {"sandbox": "fail"}})
    with pytest.raises(TaskFailedError, match=r"the request demanded it.*ref_id") as caught:
        await run(client, run_task(request), awaiting=awaiting)
    assert caught.value.run_id
    assert caught.value.run_id in str(caught.value)
    assert sandbox.ledger.count("task_run") == 0


@BOTH
async def test_an_unknown_run_is_not_found(client: ParallelClient, awaiting: bool) -> None:
    operations = (wait_task_run, retrieve_task_run, retrieve_task_run_input)
    calls = [each("trun_none") for each in operations]
    errors = await not_found(client, calls, task_run_events("trun_none"), awaiting=awaiting)
    assert [error.run_id for error in errors] == ["trun_none"] * 4


@pytest.fixture
def slow() -> Iterator[Connected]:
    """A sandbox whose runs take half a second, and its client."""
    with connected(task_seconds=0.5) as both:
        yield both


@BOTH
async def test_the_run_can_be_resumed_after_a_deadline(slow: Connected, awaiting: bool) -> None:
    sandbox, client = slow
    sandbox.faults.add(path="/v1/tasks/runs/*/result", status=408, times=None)
    with pytest.raises(TaskTimeoutError, match="wait_task_run") as caught:
        await run(client, run_task(REQUEST, deadline_seconds=0.05), awaiting=awaiting)
    run_id = caught.value.run_id
    assert run_id
    assert run_id in str(caught.value)
    sandbox.faults.clear()
    result = await run(client, wait_task_run(run_id), awaiting=awaiting)
    assert result.run.run_id == run_id
    assert sandbox.ledger.count("create_task_run") == 1


@BOTH
async def test_a_class_is_sent_as_schema_and_filled(
    client: ParallelClient, sandbox: Sandbox, awaiting: bool
) -> None:
    request = REQUEST.model_copy(update={"output_schema": Statement})
    result = await run(client, run_task(request), awaiting=awaiting)
    sent = next(each for each in sandbox.requests if each.method == "POST").body["task_spec"]
    assert sent["output_schema"]["json_schema"]["required"] == ["name", "explanation"]
    assert result.output.type == "json"
    if result.validation_error is None:
        assert isinstance(result.parsed, Statement)
        assert result.parsed.model_dump() == result.output.content
    else:
        assert result.parsed is None


@BOTH
async def test_a_run_is_followed_to_its_end(slow: Connected, awaiting: bool) -> None:
    _, client = slow
    request = REQUEST.model_copy(update={"enable_events": True})
    created = await run(client, create_task_run(request), awaiting=awaiting)
    seen = await listen(client, task_run_events(created.run_id), awaiting=awaiting)
    assert isinstance(seen[0], TaskRunStateEvent)
    assert {type(event) for event in seen} == {
        TaskRunStateEvent,
        TaskRunProgressMessageEvent,
        TaskRunProgressStatsEvent,
    }
    assert [event.type for event in seen if event.type.endswith(".plan")]
    result = await run(client, wait_task_run(created.run_id), awaiting=awaiting)
    assert seen[-1].output == result.output
    replayed = await listen(client, task_run_events(created.run_id), awaiting=awaiting)
    messages = [event for event in seen if isinstance(event, TaskRunProgressMessageEvent)]
    assert [e for e in replayed if isinstance(e, TaskRunProgressMessageEvent)] == messages
    assert replayed[-1].output == result.output
    assert sum(isinstance(event, TaskRunStateEvent) for event in replayed) == 1


@BOTH
@pytest.mark.parametrize("cut", ["fin", "reset"])
async def test_a_cut_stream_is_opened_again_without_repeating_itself(
    slow: Connected,
    monkeypatch: pytest.MonkeyPatch,
    awaiting: bool,
    cut: str,
) -> None:
    sandbox, client = slow
    monkeypatch.setattr(events, "RECONNECT_SECONDS", 0.01)
    request = REQUEST.model_copy(update={"enable_events": True})
    created = await run(client, create_task_run(request), awaiting=awaiting)
    sandbox.faults.add(path="*/events", cut_after_events=3, cut=cut)
    sandbox.faults.add(path="*/events", cut_after_bytes=900, cut=cut)
    seen = await listen(client, task_run_events(created.run_id), awaiting=awaiting)
    whole = await listen(client, task_run_events(created.run_id), awaiting=awaiting)
    emitted = [event for event in seen if isinstance(event, TaskRunProgressMessageEvent)]
    assert emitted == [e for e in whole if isinstance(e, TaskRunProgressMessageEvent)]
    assert seen[-1].run.status == "completed"
    assert seen[-1].output == whole[-1].output


def test_the_last_of_a_failed_run_says_why(
    slow: Connected,
) -> None:
    _, client = slow
    request = REQUEST.model_copy(update={"metadata": {"sandbox": "fail"}, "enable_events": True})
    run_id = client.run(create_task_run(request)).run_id
    last = list(client.stream(task_run_events(run_id)))[-1]
    assert isinstance(last, TaskRunStateEvent)
    assert (last.run.status, last.output) == ("failed", None)
    assert last.run.error is not None
    assert "the request demanded it" in last.run.error.message


# ------------------------------------------------------------------------------ waiting, scripted


@pytest.mark.parametrize(
    "not_yet",
    [
        refusal(408),
        refusal(502),
        refusal(503),
        refusal(504),
        httpx.ReadTimeout("late"),
        After(25, refusal(408)),
        After(40, httpx.ReadTimeout("late")),
    ],
    ids=["408", "502", "503", "504", "timeout", "slow 408", "slow timeout"],
)
@pytest.mark.parametrize("max_retries", [0, 2])
def test_not_yet_is_requested_again_and_again(not_yet: Any, max_retries: int) -> None:
    player = ScriptPlayer([*[not_yet] * 9, done()], max_retries=max_retries)
    assert player.play(wait_task_run("trun_1")).output.content == "An answer."
    assert player.calls == [RESULT] * 10


def test_a_run_that_ends_in_the_meantime_is_not_waited_for_any_longer() -> None:
    waits = [After(25, refusal(408)), After(25, refusal(408)), After(3, done())]
    player = ScriptPlayer(waits)
    player.play(wait_task_run("trun_1"))
    assert player.clock == 53
    assert [send.params for send in player.sends] == [(("timeout", "25"),)] * 3


@pytest.mark.parametrize("status", [408, 502, 504])
def test_a_response_at_once_is_not_requested_again_without_a_pause(status: int) -> None:
    """Without a pause, an hour's wait would be a hundred thousand requests."""
    player = ScriptPlayer([refusal(status)], max_retries=0)
    with pytest.raises(TaskTimeoutError):
        player.play(wait_task_run("trun_1", deadline_seconds=600))
    assert len(player.sends) < 70
    assert 600 <= player.clock <= 600.5


@pytest.mark.parametrize(
    ("retry_after", "pause"), [("20", 20), ("60", 60), ("90", 60), ("3000", 60)]
)
def test_the_server_s_own_pause_is_kept_up_to_a_minute(retry_after: str, pause: float) -> None:
    for status in (408, 429, 503):
        player = ScriptPlayer([refusal(status, **{"retry-after": retry_after}), done()])
        player.play(wait_task_run("trun_1"))
        assert player.clock == pause


@pytest.mark.parametrize("deadline", [0.5, 3, 26, 60])
@pytest.mark.parametrize("fate", ["408", "idle_timeout_seconds"])
def test_a_deadline_is_kept_whatever_the_server_does(deadline: float, fate: str) -> None:
    def respond(send: Any) -> Any:
        if fate == "408":
            return After(send.wait_seconds, refusal(408))
        return After(send.wait_seconds + send.timeout_seconds, httpx.ReadTimeout("late"))

    player = ScriptPlayer(respond)
    with pytest.raises(TaskTimeoutError, match=f"{deadline:g} s") as caught:
        player.play(wait_task_run("trun_1", deadline_seconds=deadline))
    assert caught.value.run_id == "trun_1"
    assert deadline <= player.clock <= deadline + 1


def test_however_late_it_is_the_result_is_requested_for_once() -> None:
    late = {"deadline_seconds": 5.0, "elapsed_seconds": 50.0}
    assert ScriptPlayer([done()]).play(wait_task_run("trun_1", **late)).run
    player = ScriptPlayer(lambda send: After(send.wait_seconds, refusal(408)), clock=50)
    with pytest.raises(TaskTimeoutError):
        player.play(wait_task_run("trun_1", **late))
    assert player.calls == [RESULT]


def test_the_deadline_counts_from_the_create() -> None:
    def respond(send: Any) -> Any:
        if send.method == "POST":
            return After(50, wire_run("queued"))
        return After(send.wait_seconds, refusal(408))

    player = ScriptPlayer(respond)
    with pytest.raises(TaskTimeoutError) as caught:
        player.play(run_task(REQUEST, deadline_seconds=60))
    assert caught.value.run_id == "trun_1"
    assert 60 <= player.clock <= 61


def test_not_found_is_explained_by_the_run_itself() -> None:
    failed = wire_run("failed", error={"message": "too vague", "ref_id": "ref_9", "detail": None})
    player = ScriptPlayer([refusal(404), failed])
    with pytest.raises(TaskFailedError, match=r"failed: too vague.*ref_9") as caught:
        player.play(wait_task_run("trun_1"))
    assert player.calls == [RESULT, STATUS]
    assert caught.value.run_id == "trun_1"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"message": "Failed", "details": "Too vague"}, "Failed: Too vague"),
        ({"message": "Failed", "detail": None, "details": {"step": 2}}, 'Failed: {"step":2}'),
        ({"message": "", "detail": ["Too vague"]}, r'\["Too vague"\]'),
    ],
)
def test_the_details_of_a_failure_are_reported(error: Any, reason: str) -> None:
    player = ScriptPlayer([refusal(404), wire_run("failed", error=error)])
    with pytest.raises(TaskFailedError, match=f"failed: {reason}"):
        player.play(wait_task_run("trun_1"))
    run = TaskRun.model_validate({"run_id": "trun_1", "error": error})
    assert run.error is not None
    assert run.error.detail
    assert not run.error.model_extra
    result = TaskGroupResult(run=run.model_copy(update={"status": "failed"}))
    assert re.fullmatch(reason, result.error or "")


@pytest.mark.parametrize("error", [None, {}, {"message": None}, {"message": ""}])
def test_a_failure_without_words_is_reported_all_the_same(error: Any) -> None:
    player = ScriptPlayer([refusal(404), wire_run("cancelled", error=error)])
    with pytest.raises(TaskFailedError, match="cancelled: no reason given"):
        player.play(wait_task_run("trun_1"))


def test_not_found_twice_is_not_found() -> None:
    with pytest.raises(NotFoundError) as caught:
        ScriptPlayer([refusal(404)]).play(wait_task_run("trun_1"))
    assert caught.value.run_id == "trun_1"


def test_not_found_of_a_run_that_goes_on_is_requested_again_with_pauses() -> None:
    responses = [refusal(404), wire_run("running")] * 5
    player = ScriptPlayer([*responses, done()])
    assert player.play(wait_task_run("trun_1")).output
    assert all(send.delay_seconds for send in player.sends[2::2])


def test_a_completed_run_without_a_result_is_not_found() -> None:
    player = ScriptPlayer([refusal(404), wire_run("completed")] * 3)
    with pytest.raises(NotFoundError):
        player.play(wait_task_run("trun_1"))
    assert player.calls == [RESULT, STATUS] * 3


def test_a_run_that_ends_between_two_looks_is_looked_at_again() -> None:
    """The result is not there, then the run is completed: it has been paid."""
    player = ScriptPlayer([refusal(404), wire_run("completed"), done()])
    assert player.play(wait_task_run("trun_1")).output
    assert player.sends[2].delay_seconds


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (refusal(500), ServerError),
        (httpx.ReadError("gone"), ConnectionFailedError),
        (httpx.RemoteProtocolError("gone"), ConnectionFailedError),
        (httpx.ConnectError("gone"), ConnectionFailedError),
    ],
)
def test_failures_while_waiting_are_repeated_as_often_as_wanted(
    failure: Any, error: type[ParallelError]
) -> None:
    player = ScriptPlayer([failure, failure, done()])
    assert player.play(wait_task_run("trun_1")).output
    for max_retries in (0, 2):
        player = ScriptPlayer([failure], max_retries=max_retries)
        with pytest.raises(error) as caught:
            player.play(wait_task_run("trun_1"))
        assert len(player.sends) == 1 + max_retries
        assert caught.value.run_id == "trun_1"


@pytest.mark.parametrize(
    "failure", [httpx.ConnectError("no"), httpx.ReadError("gone"), refusal(429)]
)
def test_what_passes_is_waited_out_once_the_server_was_reached(failure: Any) -> None:
    player = ScriptPlayer([wire_run("queued"), *[failure] * 20, done()], max_retries=0)
    assert player.play(run_task(REQUEST)).output
    player = ScriptPlayer([refusal(408), *[failure] * 20, done()], max_retries=0)
    assert player.play(wait_task_run("trun_1")).output


def test_failures_that_are_counted_are_those_in_a_row() -> None:
    player = ScriptPlayer([*[refusal(500), refusal(500), refusal(408)] * 5, done()])
    assert player.play(wait_task_run("trun_1")).output


@pytest.mark.parametrize("status", [400, 401, 402, 403, 409, 422])
def test_a_refusal_ends_the_waiting_at_once(status: int) -> None:
    player = ScriptPlayer([refusal(status)])
    with pytest.raises(ParallelError) as caught:
        player.play(wait_task_run("trun_1"))
    assert (len(player.sends), caught.value.run_id) == (1, "trun_1")
    assert "run_id: trun_1" in caught.value.__notes__


def test_every_error_after_the_create_carries_the_id() -> None:
    for after in (refusal(401), refusal(500), refusal(429), httpx.Response(200, text="?")):
        script = [wire_run("queued"), after]
        with pytest.raises(ParallelError) as caught:
            ScriptPlayer(script).play(run_task(REQUEST))
        assert caught.value.run_id == "trun_1"


def test_a_malformed_response_to_the_create_does_not_cost_the_id() -> None:
    run = ScriptPlayer([wire_run("queued", warnings=5)]).play(create_task_run(REQUEST))
    assert run.run_id == "trun_1"
    assert run.warnings[0].message == "warnings was left out: it is a number"
    for nonsense in ({"status": "queued"}, {"run_id": 5}, [1]):
        with pytest.raises(UnexpectedAnswerError) as caught:
            ScriptPlayer([httpx.Response(202, json=nonsense)]).play(create_task_run(REQUEST))
        assert caught.value.run_id is None


@pytest.mark.parametrize("run", [None, "lost", {}, {"run_id": None}, {"run_id": 5}, {"run_id": []}])
def test_a_result_that_lost_its_run_is_that_of_the_run_requested(run: Any) -> None:
    fields = {**run, "interaction_id": "i_1"} if isinstance(run, dict) else run
    body = {"run": fields, "output": {"type": "text", "content": "A report.", "basis": []}}
    bodies = [body] if run is not None else [body, {"output": body["output"]}]
    for each in bodies:
        player = ScriptPlayer([httpx.Response(200, json=each)])
        result = player.play(wait_task_run("trun_1"))
        assert (result.run.run_id, result.output.content) == ("trun_1", "A report.")
        assert result.run.interaction_id == ("i_1" if isinstance(run, dict) else None)


NOTHING = [("text", None), ("text", ""), ("text", " \n"), ("json", None), ("json", "null")]


@pytest.mark.parametrize(("kind", "content"), NOTHING)
def test_a_result_with_nothing_in_it_is_an_error_with_the_id(kind: str, content: Any) -> None:
    output = {"type": kind, "content": content}
    body = {"run": {"run_id": "trun_1"}, "output": output}
    for script, steps in (
        ([httpx.Response(200, json=body)], wait_task_run("trun_1")),
        ([[state("running"), state("completed", output)], body], task_run_events("trun_1")),
    ):
        player = ScriptPlayer(script)
        with pytest.raises(UnexpectedAnswerError) as caught:
            player.play(steps)
        assert caught.value.run_id == "trun_1"
        assert str(caught.value) == (
            "The output of task run trun_1 holds nothing; GET /v1/tasks/runs/trun_1/result, with "
            "the key as x-api-key, gives its raw result, free of charge"
        )
        assert all(send.method == "GET" for send in player.sends), "nothing is paid again"


def test_the_id_of_what_is_paid_for_is_in_the_log(
    client: ParallelClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="parallel_integrations"):
        run_id = client.run(create_task_run(REQUEST)).run_id
    assert f"created task run {run_id}" in caplog.messages


FINDALL = CreateFindallRunRequest(
    objective="Find statements",
    entity_type="statements",
    match_conditions=[{"name": "simple", "description": "Is simple."}],
    generator="base",
    match_limit=5,
)
ENRICHMENT = EnrichFindallRequest(output_schema={"type": "object", "properties": {}})
GROUP_WAIT = r"Task group (\S+) .*: wait_task_group\('\1', 1\)"
FINDALL_WAIT = r"FindAll run (\S+) .*: wait_findall_run\('\1'\)"
WAITS = [
    (lambda: run_task(REQUEST), "GET", r"Task run (\S+) .*: wait_task_run\('\1'\)"),
    (lambda: run_task_group(["with"], GROUP), "GET", GROUP_WAIT),
    (lambda: run_findall(FINDALL), "GET", FINDALL_WAIT),
]
ADDITIONS = [
    (
        lambda: run_task_group(["with"], GROUP),
        "POST .*/runs",
        r"Task group (\S+) .*: task_group_runs\('\1'\)",
    ),
    (lambda: run_findall(FINDALL, enrich=ENRICHMENT), "POST .*/enrich", FINDALL_WAIT),
]
"""What was paid for, the request that is broken off, and what the log says then."""


@pytest.mark.parametrize(("begin", "broken_off", "logged"), WAITS)
async def test_the_id_is_in_the_log_when_a_wait_is_cancelled(
    begin: Any, broken_off: str, logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Sandbox(task_seconds=1000) as sandbox:
        async with ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            waiting = asyncio.create_task(client.arun(begin()))
            for _ in range(1000):
                if any(request.method == broken_off for request in sandbox.requests):
                    break
                await asyncio.sleep(0.01)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
    (message,) = caplog.messages
    assert re.fullmatch(logged, message)


@pytest.mark.parametrize(("begin", "broken_off", "logged"), [*WAITS, *ADDITIONS])
def test_the_id_is_in_the_log_when_a_wait_is_interrupted(
    begin: Any,
    broken_off: str,
    logged: str,
    sandbox: Sandbox,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def interrupt(request: httpx.Request) -> None:
        if re.fullmatch(f"{broken_off}.*", f"{request.method} {request.url.path}"):
            raise KeyboardInterrupt

    with (
        httpx.Client(event_hooks={"request": [interrupt]}) as http_client,
        ParallelClient(
            api_key=sandbox.api_key, base_url=sandbox.url, http_client=http_client
        ) as client,
        pytest.raises(KeyboardInterrupt),
    ):
        client.run(begin())
    (message,) = caplog.messages
    assert re.fullmatch(logged, message)


STREAMS = [
    (lambda: stream_task(REQUEST), r"Task run (\S+) .*: wait_task_run\('\1'\)"),
    (
        lambda: stream_find_all(FindAllRequest(objective="Find statements", match_limit=5), 60),
        FINDALL_WAIT,
    ),
]


@pytest.mark.parametrize("num_events", [1, 2])
@pytest.mark.parametrize(("begin", "logged"), STREAMS)
def test_the_id_is_in_the_log_when_a_stream_has_no_reader(
    begin: Any,
    logged: str,
    num_events: int,
    client: ParallelClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    events = client.stream(begin())
    for _ in range(num_events):
        next(events)
    events.close()
    (message,) = caplog.messages
    assert re.fullmatch(logged, message)
    caplog.clear()
    events = client.stream(begin())
    assert any(isinstance(each, TaskRunResult | FindallResult) for each in events)
    events.close()
    assert not caplog.messages, "the result has come"


async def test_the_timeout_covers_the_wait_that_was_requested_for() -> None:
    """A client with a short timeout still lets the server hold the response back."""

    def play(talk: Talk, request: bytes) -> None:
        time.sleep(0.5)
        talk.respond(json.dumps(done()).encode())

    with RawServer(play) as server:
        async with ParallelClient(
            api_key="some-key", base_url=server.url, timeout=0.1, max_retries=0
        ) as client:
            with pytest.raises(RequestTimeoutError):
                client.run(retrieve_task_run("trun_1"))
            assert client.run(wait_task_run("trun_1")).output.content == "An answer."
            assert (await client.arun(wait_task_run("trun_1"))).output.content == "An answer."


# ------------------------------------------------------------------------------ events, scripted


def state(status: str, output: Any = None) -> bytes:
    return frame({"type": "task_run.state", "run": wire_run(status), "output": output})


def message(text: str, timestamp: str | None = None) -> bytes:
    kind = "task_run.progress_msg.search"
    return frame({"type": kind, "message": text, "timestamp": timestamp})


def frame(data: Any) -> bytes:
    return f"event: {data.get('type')}\ndata: {json.dumps(data)}\n\n".encode()


def messages(player: ScriptPlayer) -> list[str]:
    return [event.message for event in player.events if hasattr(event, "message")]


OUTPUT = {"type": "text", "content": "An answer.", "basis": []}
LAST = state("completed", OUTPUT)


def test_equal_messages_are_two_and_replayed_ones_are_not() -> None:
    first = [state("running"), message("looking"), message("looking")]
    second = [*first, message("looking"), message("found"), LAST]
    player = ScriptPlayer([first, second])
    player.play(task_run_events("trun_1"))
    assert messages(player) == ["looking", "looking", "looking", "found"]
    assert [event.run.status for event in player.events if hasattr(event, "run")] == [
        "running",
        "completed",
    ]


def test_what_a_finished_run_did_is_replayed_before_its_end() -> None:
    """The first event says that it is over; what it did comes after that."""
    player = ScriptPlayer([[state("completed"), message("looking"), message("found"), LAST]])
    player.play(task_run_events("trun_1"))
    assert messages(player) == ["looking", "found"]
    assert player.events[-1].output.content == "An answer."
    assert len(player.sends) == 1


def test_an_end_without_its_output_is_completed_from_the_result() -> None:
    player = ScriptPlayer([[state("running"), state("completed")], done()])
    player.play(task_run_events("trun_1"))
    assert player.calls[-1] == RESULT
    assert player.events[-1].output == TaskOutput(**done()["output"])


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_an_end_in_failure_is_reported_once(status: str) -> None:
    for chunks in ([state(status)], [state(status), message("looked"), state(status)]):
        player = ScriptPlayer([chunks])
        player.play(task_run_events("trun_1"))
        assert [e.run.status for e in player.events if hasattr(e, "run")] == [status]
        assert len(player.sends) == 1


def test_a_long_pause_is_no_failure_while_the_run_is_worked_on() -> None:
    nothing = [state("running"), httpx.ReadTimeout("idle_timeout_seconds")]
    script = [nothing, *[nothing, wire_run("running")] * 8, [state("running"), LAST]]
    player = ScriptPlayer(script)
    player.play(task_run_events("trun_1"))
    assert player.events[-1].run.status == "completed"


def test_a_stream_that_keeps_breaking_is_given_up() -> None:
    for broken in ([state("running"), httpx.ReadError("gone")], [state("running")]):
        player = ScriptPlayer(
            lambda send, broken=broken: broken if send.stream else wire_run("running")
        )
        with pytest.raises(StreamInterruptedError, match="without anything new") as caught:
            player.play(task_run_events("trun_1"))
        assert caught.value.run_id == "trun_1"
        assert sum(send.stream for send in player.sends) == 4, "one with news, three without"


def test_following_ends_at_its_deadline() -> None:
    def respond(send: Any) -> Any:
        return [state("running"), After(60, message(str(len(player.sends))))]

    player = ScriptPlayer(respond)
    player.play(task_run_events("trun_1", deadline_seconds=100))
    assert len(player.sends) == 2


@pytest.mark.parametrize(
    "error",
    [
        {"type": "error", "error": {"ref_id": "ref_1", "message": "broken inside"}},
        {"error": {"message": "broken inside"}},
        {"error": "broken inside"},
    ],
)
def test_a_reported_error_is_raised_with_its_words(error: Any) -> None:
    player = ScriptPlayer([[state("running"), f"data: {json.dumps(error)}\n\n".encode()]])
    with pytest.raises(StreamInterruptedError, match="broken inside") as caught:
        player.play(task_run_events("trun_1"))
    assert caught.value.run_id == "trun_1"


def test_following_asks_for_events_by_name() -> None:
    player = ScriptPlayer([[state("running"), LAST]])
    player.play(task_run_events("trun_1"))
    assert player.sends[0].betas == ("events-sse-2025-07-24",)
    assert player.sends[0].path == "/v1/tasks/runs/trun_1/events"


# ------------------------------------------------------------------------------ what is sent


def test_a_full_request_is_rendered() -> None:
    request = CreateTaskRunRequest(
        input={"company": "Acme", "since": datetime(2026, 5, 2, tzinfo=UTC)},
        processor="core",
        output_schema="The year.",
        input_schema={"type": "object", "properties": {"company": {"type": "string"}}},
        source_policy=SourcePolicy(include_domains=["python.org"]),
        mcp_servers=[McpServer(name="docs", url="https://a.example/mcp")],
        location="de",
        data_sources={"free": ["news"]},
        enable_events=True,
        webhook=Webhook(url="https://a.example/hook", event_types=["task_run.status"]),
        memory_scope_key="team_1",
        metadata={"row": 1, "sure": False, "share": 0.5, "name": "x"},
        previous_interaction_id="trun_0",
    )
    body = json.loads(json.dumps(request.body("v1")))
    assert body == {
        "input": {"company": "Acme", "since": "2026-05-02T00:00:00Z"},
        "processor": "core",
        "task_spec": {
            "output_schema": "The year.",
            "input_schema": {
                "type": "json",
                "json_schema": {"type": "object", "properties": {"company": {"type": "string"}}},
            },
        },
        "source_policy": {"include_domains": ["python.org"]},
        "mcp_servers": [{"type": "url", "name": "docs", "url": "https://a.example/mcp"}],
        "advanced_settings": {"location": "de", "data_sources": {"free": ["news"]}},
        "enable_events": True,
        "webhook": {"url": "https://a.example/hook", "event_types": ["task_run.status"]},
        "memory_scope_key": "team_1",
        "metadata": {"row": 1, "sure": False, "share": 0.5, "name": "x"},
        "previous_interaction_id": "trun_0",
    }
    assert set(request.betas("v1")) == {
        "mcp-server-2025-07-17",
        "webhook-2025-08-12",
        "events-sse-2025-07-24",
    }


def test_what_is_left_out_is_not_sent() -> None:
    assert CreateTaskRunRequest(input="q").body("v1") == {"input": "q", "processor": "base"}
    assert CreateTaskRunRequest(input="q").betas("v1") == ("field-basis-2025-11-25",)
    only_in = CreateTaskRunRequest(input="q", input_schema="A question.")
    assert only_in.body("v1")["task_spec"] == {
        "output_schema": {"type": "auto"},
        "input_schema": "A question.",
    }


@BOTH
async def test_betas_are_merged_with_the_user_s(sandbox: Sandbox, awaiting: bool) -> None:
    async with ParallelClient(
        api_key=sandbox.api_key, base_url=sandbox.url, headers={"parallel-beta": "mine-2026-01-01"}
    ) as client:
        request = REQUEST.model_copy(update={"enable_events": True})
        await run(client, create_task_run(request), awaiting=awaiting)
    sent = sandbox.requests[0].headers["parallel-beta"].split(",")
    assert {"events-sse-2025-07-24", "mine-2026-01-01"} < set(sent)


def test_an_instance_of_a_class_may_be_the_input() -> None:
    request = CreateTaskRunRequest(input=Statement(name="with"))
    assert request.body("v1")["input"] == {"name": "with", "explanation": None}


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"metadata": {"k" * 17: "v"}}, "16"),
        ({"metadata": {"": "v"}}, "1"),
        ({"metadata": {"k": "v" * 513}}, "512"),
        ({"metadata": {"k": None}}, "metadata"),
        ({"mcp_servers": [{"name": str(n), "url": "https://a.example"} for n in range(11)]}, "10"),
        ({"location": "deu"}, "location"),
        ({"memory_scope_key": "no blanks"}, "memory_scope_key"),
        ({"memory_scope_key": "x" * 129}, "memory_scope_key"),
        ({"processor": ""}, "processor"),
        ({"previous_interaction_id": ""}, "previous_interaction_id"),
        ({"input": 5}, "input"),
        ({"input": {"what": object()}}, "input"),
        ({"output_schema": 5}, "output_schema"),
        ({"no_such_field": 1}, "no_such_field"),
    ],
)
def test_what_cannot_be_right_is_refused_at_once(values: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidArgumentError, match=named):
        CreateTaskRunRequest(**{"input": "q", **values})


def test_limits_themselves_are_allowed() -> None:
    servers = [McpServer(name=str(n), url="https://a.example") for n in range(10)]
    assert CreateTaskRunRequest(
        input="q", metadata={"k" * 16: "v" * 512}, mcp_servers=servers, memory_scope_key="x" * 128
    )


@pytest.mark.parametrize("run_id", ["", ".", " .. ", None, 5, "größe", "a\r\nb", "a b"])
def test_what_is_no_id_is_refused_before_anything_is_sent(
    sandbox: Sandbox, client: ParallelClient, run_id: Any
) -> None:
    for operation in (retrieve_task_run, retrieve_task_run_input, wait_task_run):
        with pytest.raises(ValueError, match="is not an id"):
            client.run(operation(run_id))
    with pytest.raises(ValueError, match="is not an id"):
        list(client.stream(task_run_events(run_id)))
    assert not sandbox.requests


@pytest.mark.parametrize(
    ("run_id", "path"),
    [
        ("a/b", "/v1/tasks/runs/a%2Fb"),
        ("../groups", "/v1/tasks/runs/..%2Fgroups"),
        ("a?b#c", "/v1/tasks/runs/a%3Fb%23c"),
        ("a%2Fb", "/v1/tasks/runs/a%252Fb"),
        (" trun_1 ", "/v1/tasks/runs/trun_1"),
    ],
)
def test_an_id_stays_one_segment(run_id: str, path: str) -> None:
    assert next(retrieve_task_run(run_id)).path == path


def test_an_id_arrives_as_it_was_quoted() -> None:
    def play(talk: Talk, _: bytes) -> None:
        talk.respond(json.dumps(wire_run()).encode())

    with (
        RawServer(play) as server,
        ParallelClient(api_key="some-key", base_url=server.url) as client,
    ):
        client.run(retrieve_task_run("../a/b"))
        assert server.requests[0].startswith(b"GET /v1/tasks/runs/..%2Fa%2Fb HTTP/1.1\r\n")


def test_settings_make_requests() -> None:
    settings = TaskSettings(processor="pro", output_schema=Statement, location="de")
    request = CreateTaskRunRequest.from_settings(settings, input="q", metadata={"n": 1})
    assert (request.processor, request.output_schema, request.location) == ("pro", Statement, "de")


# ------------------------------------------------------------------------------ responses


@pytest.mark.parametrize(
    ("kind", "content", "read"),
    [
        ("text", "Words.", "Words."),
        ("text", '{"a": 1}', '{"a": 1}'),
        ("json", {"a": 1}, {"a": 1}),
        ("json", '{"a": 1}', {"a": 1}),
        ("json", "[1, null]", [1, None]),
        ("json", "no json", "no json"),
        ("not_invented_yet", {"a": 1}, {"a": 1}),
    ],
)
def test_output_is_read_in_each_of_its_forms(kind: str, content: Any, read: Any) -> None:
    result = ScriptPlayer([done(content, kind)]).play(wait_task_run("trun_1"))
    assert (result.output.type, result.output.content) == (kind, read)


def test_everything_around_an_output_is_kept() -> None:
    body = done({"a": "x", "b": ["y"]}, "json")
    body["run"] |= {
        "interaction_id": "int_1",
        "warnings": [{"type": "spec_validation_warning", "message": "w", "detail": {"n": 1}}],
        "not_invented_yet": 1,
    }
    body["output"] |= {
        "basis": [
            {"field": "a", "reasoning": "r", "citations": [{"url": "https://a.example"}]},
            {"field": "b.0", "reasoning": "r", "citations": None, "confidence": "HIGH"},
        ],
        "mcp_tool_calls": [
            {
                "tool_call_id": "c1",
                "server_name": "docs",
                "tool_name": "lookup",
                "arguments": "{}",
                "content": "found",
                "error": "",
            }
        ],
        "output_schema": {"type": "object"},
        "beta_fields": {"x": 1},
    }
    result = ScriptPlayer([body]).play(wait_task_run("trun_1"))
    assert result.run.interaction_id == "int_1"
    assert result.run.warnings[0].detail == {"n": 1}
    assert result.run.model_extra == {"not_invented_yet": 1}
    assert [basis.field for basis in result.output.basis] == ["a", "b.0"]
    assert result.output.basis[1].confidence == "high"
    assert result.output.mcp_tool_calls[0].content == "found"
    assert result.output.output_schema == {"type": "object"}
    assert result.output.model_extra == {"beta_fields": {"x": 1}}


def test_a_validation_error_keeps_the_output_and_says_what_did_not_fit() -> None:
    result = ScriptPlayer([done({"nom": "with"}, "json")]).play(
        wait_task_run("trun_1", output_schema=Statement)
    )
    assert result.parsed is None
    assert result.validation_error == "name: Field required"
    assert result.output.content == {"nom": "with"}
    fitting = ScriptPlayer([done({"name": "with", "explanation": None}, "json")]).play(
        wait_task_run("trun_1", output_schema=Statement)
    )
    assert (fitting.parsed, fitting.validation_error) == (Statement(name="with"), None)


def test_times_between_polls_grow() -> None:
    player = ScriptPlayer([*[refusal(408)] * 8, done()])
    player.play(wait_task_run("trun_1"))
    delays = [send.delay_seconds for send in player.sends]
    assert delays[0] == 0
    assert all(one <= other for one, other in pairwise(delays))
    assert delays[-1] == 10


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        (lambda: create_task_run(REQUEST), "create"),
        (lambda: run_task(REQUEST), "create"),
        (lambda: retrieve_task_run("trun_1"), "read"),
        (lambda: retrieve_task_run_input("trun_1"), "read"),
        (lambda: task_run_events("trun_1"), "read"),
    ],
    ids=["create", "run", "retrieve", "input", "events"],
)
def test_what_is_repeated(operation: Any, kind: str) -> None:
    check_repetitions(operation, kind)


@BOTH
@pytest.mark.parametrize("failure", [{"reset": "headers"}, {"delay": 30}, {"status": 500}])
async def test_a_create_is_sent_once_whatever_becomes_of_it(
    sandbox: Sandbox, awaiting: bool, failure: dict[str, Any]
) -> None:
    sandbox.faults.add(path="/v1/tasks/runs", method="POST", times=None, **failure)
    timeout = 0.5 if "delay" in failure else 60
    settings = {"api_key": sandbox.api_key, "base_url": sandbox.url, "timeout": timeout}
    async with ParallelClient(**settings) as client:
        with pytest.raises(ParallelError):
            await run(client, run_task(REQUEST), awaiting=awaiting)
    assert len(sandbox.requests) == 1
