"""Every wait ends at its deadline with the id to resume, whatever the server says."""

import json
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from parallel_integrations import (
    ConnectionFailedError,
    CreateFindallRunRequest,
    CreateTaskRunRequest,
    ParallelClient,
    ParallelError,
    ServerError,
    TaskTimeoutError,
)
from parallel_integrations._protocol.flow import Send
from parallel_integrations.api import (
    findall_events,
    resume_task,
    run_findall,
    run_task,
    run_task_group,
    stream_task,
    task_group_events,
    task_run_events,
    wait_findall_run,
    wait_task_group,
    wait_task_run,
)
from parallel_integrations.sandbox import Sandbox
from tests.support.raw_server import RawServer, Talk
from tests.support.scripted_operation import BOTH, After, ScriptPlayer, listen, run

TASK = CreateTaskRunRequest(input="What is a closure?", processor="lite")
FINDALL = CreateFindallRunRequest(
    objective="statements",
    entity_type="statements",
    match_conditions=[{"name": "any", "description": "It is a statement."}],
    generator="base",
)
DEADLINE = 300.0
RUN_ID, GROUP_ID, FINDALL_ID = {"run_id": "trun_1"}, {"taskgroup_id": "tg_1"}, {"findall_id": "f1"}
WAITS = [
    pytest.param(lambda s: wait_task_run("trun_1", deadline_seconds=s), RUN_ID, id="wait_task_run"),
    pytest.param(lambda s: run_task(TASK, deadline_seconds=s), RUN_ID, id="run_task"),
    pytest.param(lambda s: stream_task(TASK, deadline_seconds=s), RUN_ID, id="stream_task"),
    pytest.param(lambda s: resume_task("trun_1", deadline_seconds=s), RUN_ID, id="resume_task"),
    pytest.param(
        lambda s: task_run_events("trun_1", deadline_seconds=s), RUN_ID, id="task_run_events"
    ),
    pytest.param(
        lambda s: run_task_group(["with"], deadline_seconds=s), GROUP_ID, id="run_task_group"
    ),
    pytest.param(
        lambda s: wait_task_group("tg_1", 1, deadline_seconds=s), GROUP_ID, id="wait_task_group"
    ),
    pytest.param(lambda s: run_findall(FINDALL, deadline_seconds=s), FINDALL_ID, id="run_findall"),
    pytest.param(
        lambda s: wait_findall_run("f1", deadline_seconds=s), FINDALL_ID, id="wait_findall_run"
    ),
]


def refusal(status: int, retry_after: str | None = None) -> httpx.Response:
    headers = {} if retry_after is None else {"retry-after": retry_after}
    return httpx.Response(status, json={"error": {"message": "no"}}, headers=headers)


ENDLESS: dict[str, Callable[[], Any]] = {
    **{str(status): lambda status=status: refusal(status) for status in (408, 429, 502, 503, 504)},
    "503, Retry-After: 3000": lambda: refusal(503, "3000"),
    "429, Retry-After: 1e300": lambda: refusal(429, "1e300"),
    "429, Retry-After: a date": lambda: refusal(429, "Fri, 01 Jan 2199 00:00:00 GMT"),
    "slow 504": lambda: After(20, refusal(504)),
    "no connection": lambda: httpx.ConnectError("no"),
    "reset": lambda: After(7, httpx.ReadError("gone")),
    "nothing": lambda: After(1e9, None),
    "drips": lambda: After(1e9, httpx.ReadTimeout("drips")),
}


def reported(send: Send) -> Any:
    """Creates succeed and a run's events say that it is completed; None for what is waited for."""
    path = send.path
    if path.endswith("/events"):
        run = {"run_id": "trun_1", "status": "completed"}
        state = json.dumps({"type": "task_run.state", "run": run})
        return [f"data: {state}\n\n".encode()] * 2
    if send.method != "POST":
        return None
    if path.endswith("/groups"):
        return {"taskgroup_id": "tg_1", "status": {"num_task_runs": 0}}
    if path.startswith("/v1/tasks/groups"):
        return {"run_ids": ["trun_1"], "status": {"num_task_runs": 1}}
    if "findall" in path:
        return {"findall_id": "f1", "status": {"status": "queued", "is_active": True}}
    return {"run_id": "trun_1", "status": "queued"}


# ------------------------------------------------------------------------------ scripted


@pytest.mark.parametrize("response", ENDLESS.values(), ids=ENDLESS.keys())
@pytest.mark.parametrize(("wait", "ids"), WAITS)
@pytest.mark.parametrize("max_retries", [0, 2])
def test_whatever_the_server_says_for_ever(
    wait: Any, ids: dict[str, str], response: Callable[[], Any], max_retries: int
) -> None:
    player = ScriptPlayer(lambda send: reported(send) or response(), max_retries=max_retries)
    with pytest.raises(ParallelError) as caught:
        player.play(wait(DEADLINE))
    assert {name: getattr(caught.value, name) for name in ids} == ids
    assert all(send.delay_seconds <= 60 for send in player.sends)
    unreached = response in (ENDLESS["no connection"], ENDLESS["reset"])
    if unreached and len(player.sends) == max_retries + 1:
        assert isinstance(caught.value, ConnectionFailedError), "nothing was ever reached"
    else:
        assert isinstance(caught.value, TaskTimeoutError)
        assert DEADLINE <= player.clock <= DEADLINE + 1
        assert "300 s" in str(caught.value)


@pytest.mark.parametrize("deadline", [0.001, 1, 45.5, 2_592_000])
@pytest.mark.parametrize(("wait", "ids"), WAITS)
def test_every_deadline_that_is_admitted(wait: Any, ids: dict[str, str], deadline: float) -> None:
    player = ScriptPlayer(lambda send: reported(send) or After(deadline / 9, refusal(503, "3000")))
    with pytest.raises(TaskTimeoutError) as caught:
        player.play(wait(deadline))
    assert {name: getattr(caught.value, name) for name in ids} == ids
    assert deadline <= player.clock <= deadline + 1


def test_what_the_server_said_last_is_reported() -> None:
    player = ScriptPlayer([refusal(502)])
    with pytest.raises(TaskTimeoutError, match="The last error was: 502 from") as caught:
        player.play(wait_findall_run("f1", deadline_seconds=30))
    assert isinstance(caught.value.__cause__, ParallelError)


@pytest.mark.parametrize(
    "wait",
    [
        lambda s: run_task(TASK, deadline_seconds=s),
        lambda s: stream_task(TASK, deadline_seconds=s),
        lambda s: run_task_group(["with"], deadline_seconds=s),
        lambda s: run_findall(FINDALL, deadline_seconds=s),
    ],
)
def test_a_create_is_not_repeated_past_the_deadline(wait: Any) -> None:
    """Nothing has begun: the error is the server's own, with the time that it named."""
    player = ScriptPlayer([refusal(503, "50")], max_retries=9)
    with pytest.raises(ServerError) as caught:
        player.play(wait(80))
    assert caught.value.retry_after == 50
    assert [send.delay_seconds for send in player.sends] == [0, 50, 30]


def test_a_create_that_takes_longer_is_waited_for() -> None:
    """Given up, it might be paid for and nobody would know its id."""
    player = ScriptPlayer(
        lambda send: After(500, reported(send)) if send.method == "POST" else RESULT
    )
    assert player.play(run_task(TASK, deadline_seconds=300)).output.content == "An answer."


RESULT = {
    "run": {"run_id": "trun_1", "status": "completed"},
    "output": {"type": "text", "content": "An answer.", "basis": []},
}


def test_a_listing_that_never_ends_ends_with_the_wait() -> None:
    """Each connection lists one run more, and breaks."""
    done = {"taskgroup_id": "tg_1", "status": {"num_task_runs": 400, "is_active": False}}

    def respond(send: Send) -> Any:
        if not send.path.endswith("/runs"):
            return done
        number = len(player.sends)
        run = {"run_id": "r", "status": "completed", "metadata": {"parallel_index": number}}
        event = json.dumps({"type": "task_run.state", "event_id": f"e{number}", "run": run})
        return [After(9, f"data: {event}\n\n".encode()), httpx.ReadError("gone")]

    player = ScriptPlayer(respond)
    with pytest.raises(TaskTimeoutError) as caught:
        player.play(wait_task_group("tg_1", 400, deadline_seconds=DEADLINE))
    assert caught.value.taskgroup_id == "tg_1"
    assert player.clock <= DEADLINE + 10, "a piece takes nine seconds on this server"


# ------------------------------------------------------------------------------ on real servers


@BOTH
@pytest.mark.parametrize(
    "fault", [{"status": 504}, {"status": 429, "retry_after": 3000}, {"reset": "before"}]
)
async def test_a_completed_run_without_its_result(
    sandbox: Sandbox, client: ParallelClient, fault: dict[str, Any], awaiting: bool
) -> None:
    sandbox.faults.add(path="/v1/tasks/runs/*/result", times=None, **fault)
    request = TASK.model_copy(update={"enable_events": True})
    with pytest.raises(TaskTimeoutError) as caught:
        await run(client, run_task(request, deadline_seconds=0.3), awaiting=awaiting)
    with pytest.raises(TaskTimeoutError) as followed:
        await listen(client, stream_task(request, deadline_seconds=0.3), awaiting=awaiting)
    sandbox.faults.clear()
    for error in (caught.value, followed.value):
        assert error.run_id
        resumed = await run(client, wait_task_run(error.run_id), awaiting=awaiting)
        assert resumed.output.content


SECONDS = 0.3
WITHOUT_RESPONSE = {
    "wait_task_run": lambda: wait_task_run("id_1", deadline_seconds=SECONDS),
    "wait_task_group": lambda: wait_task_group("id_1", 1, deadline_seconds=SECONDS),
    "wait_findall_run": lambda: wait_findall_run("id_1", deadline_seconds=SECONDS),
}


@BOTH
@pytest.mark.parametrize("wait", WITHOUT_RESPONSE.values(), ids=WITHOUT_RESPONSE.keys())
async def test_a_server_that_says_nothing(wait: Any, awaiting: bool) -> None:
    """However long the client would wait for any other response."""
    over = threading.Event()
    with RawServer(lambda talk, request: over.wait() and None) as server:
        async with ParallelClient(api_key="some-key", base_url=server.url, timeout=300) as client:
            with pytest.raises(TaskTimeoutError) as caught:
                await run(client, wait(), awaiting=awaiting)
        over.set()
    assert "id_1" in (caught.value.run_id, caught.value.taskgroup_id, caught.value.findall_id)
    assert caught.value.__cause__ is not None


STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
STATE = b'data: {"type": "task_run.state", "run": {"run_id": "id_1", "status": "running"}}\n\n'


@BOTH
@pytest.mark.parametrize(
    "follow",
    [
        lambda: task_run_events("id_1", deadline_seconds=SECONDS),
        lambda: task_group_events("id_1", timeout=SECONDS),
        lambda: findall_events("id_1", timeout=SECONDS),
    ],
)
async def test_a_stream_that_falls_silent(follow: Any, awaiting: bool) -> None:
    over = threading.Event()

    def play(talk: Talk, request: bytes) -> None:
        talk.send(STREAM + b"%x\r\n%b\r\n" % (len(STATE), STATE))
        over.wait()

    with RawServer(play) as server:
        async with ParallelClient(api_key="some-key", base_url=server.url, timeout=300) as client:
            found = await listen(client, follow(), awaiting=awaiting)
        over.set()
    assert len(found) == len(server.requests) == 1
