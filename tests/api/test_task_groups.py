"""Task groups: every input its result, in order, whatever becomes of the others."""

import json
import random
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from parallel_integrations import (
    AddTaskGroupRunsRequest,
    CreateTaskGroupRequest,
    CreateTaskRunRequest,
    McpServer,
    NotFoundError,
    ParallelClient,
    ParallelError,
    ServerError,
    TaskSettings,
    TaskTimeoutError,
    UnexpectedAnswerError,
)
from parallel_integrations._protocol import events
from parallel_integrations._protocol.flow import Send
from parallel_integrations.api import (
    add_task_group_runs,
    create_task_group,
    retrieve_task_group,
    retrieve_task_group_run,
    run_task_group,
    task_group_events,
    task_group_runs,
    wait_task_group,
)
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.models import SchemaWarning, TaskGroupStatusEvent, TaskRunStateEvent
from parallel_integrations.sandbox import Sandbox
from tests.faults.selection import SOAK
from tests.support.connected import Connected, connected, connection
from tests.support.scripted_operation import (
    BOTH,
    After,
    ScriptPlayer,
    check_repetitions,
    listen,
    run,
)

LITE = TaskSettings(processor="lite")
INPUTS = 10_000 if SOAK else 3_000


class Statement(BaseModel):
    """The output that is requested."""

    name: str
    note: str | None = None


@pytest.fixture
def instant() -> Iterator[Connected]:
    """A sandbox whose runs are done at once, and its client."""
    with connected(task_seconds=0) as both:
        yield both


# ------------------------------------------------------------------------------ on the sandbox


@BOTH
async def test_results_come_in_the_order_of_the_inputs(instant: Connected, awaiting: bool) -> None:
    sandbox, client = instant
    inputs: list[Any] = [
        "with",
        {"sandbox": "fail"},
        {"statement": "nonlocal"},
        Statement(name="x"),
    ]
    group = run_task_group(inputs, LITE, metadata={"batch": 1})
    results = await run(client, group, awaiting=awaiting)
    assert len(results) == 4
    assert [result.error is None for result in results] == [True, False, True, True]
    assert "the request demanded it" in results[1].error
    assert results[1].run.status == "failed"
    for number, result in enumerate(results):
        stored = sandbox.requests[1].body["inputs"][number]
        assert stored["metadata"] == result.run.metadata == {"parallel_index": number}
    assert sandbox.requests[0].body == {"metadata": {"batch": 1}}
    assert sandbox.ledger.count("task_run") == 3
    again = wait_task_group(results[0].run.taskgroup_id, 4)
    assert await run(client, again, awaiting=awaiting) == results


@BOTH
async def test_a_group_by_hand(instant: Connected, awaiting: bool) -> None:
    sandbox, client = instant
    group = await run(client, create_task_group(), awaiting=awaiting)
    assert (group.status.num_task_runs, group.status.is_active) == (0, False)
    request = AddTaskGroupRunsRequest(
        inputs=[
            CreateTaskRunRequest(input="with", processor="lite", metadata={"n": 0}),
            CreateTaskRunRequest(
                input="nonlocal",
                processor="lite",
                output_schema={"type": "object", "properties": {"a": {"type": "string"}}},
            ),
        ],
        output_schema="What it does.",
    )
    added = await run(
        client,
        add_task_group_runs(group.taskgroup_id, request, refresh_status=False),
        awaiting=awaiting,
    )
    assert len(added.run_ids) == 2
    assert dict(sandbox.requests[-1].query) == {"refresh_status": "false"}
    sent = sandbox.requests[-1].body
    assert sent["default_task_spec"] == {"output_schema": "What it does."}
    assert "task_spec" not in sent["inputs"][0]
    assert sent["inputs"][1]["task_spec"]["output_schema"]["type"] == "json"

    found = await run(client, retrieve_task_group(group.taskgroup_id), awaiting=awaiting)
    assert found.status.task_run_status_counts == {"completed": 2}
    one = await run(
        client,
        retrieve_task_group_run(group.taskgroup_id, added.run_ids[0]),
        awaiting=awaiting,
    )
    assert (one.taskgroup_id, one.metadata) == (group.taskgroup_id, {"n": 0})

    bare = await listen(client, task_group_runs(group.taskgroup_id), awaiting=awaiting)
    assert [(event.output, event.input) for event in bare] == [(None, None)] * 2
    full = await listen(
        client,
        task_group_runs(group.taskgroup_id, include_input=True, include_output=True),
        awaiting=awaiting,
    )
    assert [event.output.type for event in full] == ["text", "json"]
    assert [event.input.input for event in full] == ["with", "nonlocal"]
    rest = task_group_runs(group.taskgroup_id, last_event_id=bare[0].event_id)
    assert await listen(client, rest, awaiting=awaiting) == bare[1:]
    failed = task_group_runs(group.taskgroup_id, status="failed")
    assert await listen(client, failed, awaiting=awaiting) == []


@BOTH
async def test_a_group_is_followed_until_it_is_done(
    sandbox: Sandbox, client: ParallelClient, awaiting: bool
) -> None:
    group = await run(client, create_task_group(), awaiting=awaiting)
    inputs = [CreateTaskRunRequest(input=word, processor="lite") for word in ("with", "del")]
    request = AddTaskGroupRunsRequest(inputs=inputs)
    await run(client, add_task_group_runs(group.taskgroup_id, request), awaiting=awaiting)
    seen = await listen(client, task_group_events(group.taskgroup_id), awaiting=awaiting)
    assert isinstance(seen[-1], TaskGroupStatusEvent)
    assert not seen[-1].status.is_active
    assert sum(isinstance(event, TaskRunStateEvent) for event in seen) == 2
    for at in range(len(seen)):
        rest = task_group_events(group.taskgroup_id, last_event_id=seen[at].event_id)
        assert await listen(client, rest, awaiting=awaiting) == seen[at + 1 :]


@BOTH
async def test_a_class_is_filled_for_every_input(instant: Connected, awaiting: bool) -> None:
    _, client = instant
    settings = TaskSettings(processor="lite", output_schema=Statement)
    results = await run(client, run_task_group(["with", "del"], settings), awaiting=awaiting)
    for result in results:
        assert result.output.type == "json"
        assert (result.parsed is None) is (result.validation_error is not None)


@pytest.mark.parametrize(
    "loss",
    [
        {"reset": "headers"},
        {"reset": "body"},
        {"delay": 2},
        {"status": 200, "body": "<html>", "content_type": "text/html"},
        {"cut_after_bytes": 10},
    ],
    ids=["reset", "reset in body", "timeout", "unreadable", "cut"],
)
def test_a_lost_response_of_an_add_is_looked_up_not_sent_again(loss: dict[str, Any]) -> None:
    with (
        Sandbox(task_seconds=0) as sandbox,
        ParallelClient(**connection(sandbox), timeout=1 if "delay" in loss else 60) as client,
    ):
        sandbox.faults.add(path="/v1/tasks/groups/*/runs", method="POST", **loss)
        results = client.run(run_task_group(["with", "del"], LITE))
        assert [result.error for result in results] == [None, None]
        assert sandbox.ledger.count("add_task_group_runs") == 1
        assert sandbox.ledger.count("task_run") == 2


@pytest.mark.parametrize("cut", ["fin", "reset"])
def test_a_listing_cut_short_is_gone_on_with(
    instant: Connected, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    sandbox, client = instant
    monkeypatch.setattr(events, "RECONNECT_SECONDS", 0.01)
    sandbox.faults.add(path="*/runs", method="GET", cut_after_events=2, cut=cut)
    results = client.run(run_task_group(["with", "del", "global", "pass"], LITE))
    assert [result.error for result in results] == [None] * 4


@pytest.mark.timeout(300 if SOAK else 180)
def test_thousands_of_inputs_come_back_in_order_and_in_little_memory() -> None:
    """The sandbox is here, the client alone in a process whose memory is measured."""
    client = textwrap.dedent(
        """
        import json, resource, sys
        from parallel_integrations import ParallelClient, TaskSettings
        from parallel_integrations.api import run_task_group

        def peak():
            if sys.platform != "linux":
                return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            # There, that begins with the peak of the process that started this one.
            [line] = [each for each in open("/proc/self/status") if each.startswith("VmHWM")]
            return int(line.split()[1]) * 1024

        with ParallelClient(api_key=sys.argv[2], base_url=sys.argv[1]) as client:
            settings = TaskSettings(processor="lite", output_schema="What it does.")
            client.run(run_task_group(["warm", "up"], settings))
            before = peak()
            inputs = [{"number": n} for n in range(int(sys.argv[3]))]
            results = client.run(run_task_group(inputs, settings))
            print(json.dumps({
                "grown": peak() - before,
                "numbers": [result.run.metadata["parallel_index"] for result in results],
                "outputs": sum(result.error is None for result in results),
                "ids": len({result.run.run_id for result in results}),
            }))
        """
    )
    with Sandbox(task_seconds=0.1) as sandbox:
        done = subprocess.run(
            [sys.executable, "-c", client, sandbox.url, sandbox.api_key, str(INPUTS)],
            capture_output=True,
            text=True,
            timeout=290 if SOAK else 170,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        measured = json.loads(done.stdout)
        assert measured["numbers"] == list(range(INPUTS))
        assert (measured["outputs"], measured["ids"]) == (INPUTS, INPUTS)
        assert measured["grown"] < INPUTS * 15 * 1024
        assert sandbox.ledger.count("create_task_group") == 2
        assert sandbox.ledger.count("add_task_group_runs") <= INPUTS / 1000 + 1
        assert sandbox.ledger.count("task_run") == INPUTS + 2


# ------------------------------------------------------------------------------ scripted


def group(num: int, *, active: bool = False) -> dict[str, Any]:
    return {"taskgroup_id": "tg_1", "status": {"num_task_runs": num, "is_active": active}}


def listing(*numbers: Any) -> list[bytes]:
    return [
        b"data: "
        + json.dumps(
            {
                "type": "task_run.state",
                "event_id": f"e{number}",
                "run": {
                    "run_id": f"trun_{number}",
                    "status": "completed",
                    "metadata": {"parallel_index": number},
                },
                "output": {"type": "text", "content": f"answer {number}"},
            }
        ).encode()
        + b"\n\n"
        for number in numbers
    ]


ADDED = {"run_ids": ["a"], "status": {"num_task_runs": 1}}


def test_the_order_of_the_api_does_not_matter() -> None:
    numbers = list(range(50))
    random.Random(7).shuffle(numbers)
    player = ScriptPlayer([group(50), listing(*map(str, numbers[:20]), *numbers[20:])])
    results = player.play(wait_task_group("tg_1", 50))
    assert [result.output.content for result in results] == [f"answer {n}" for n in range(50)]


def test_a_listing_that_ends_too_early_in_order_is_gone_on_with() -> None:
    player = ScriptPlayer([group(4), listing(0, 1), listing(2), listing(3)])
    results = player.play(wait_task_group("tg_1", 4))
    assert [result.error for result in results] == [None] * 4
    assert [dict(send.params).get("last_event_id") for send in player.sends[1:]] == [
        None,
        "e1",
        "e2",
    ]


def test_an_input_without_a_run_says_so() -> None:
    player = ScriptPlayer([group(2), listing(1), []])
    results = player.play(wait_task_group("tg_1", 2))
    assert results[0].error == "the group holds no run for this input"
    assert results[1].error is None


@pytest.mark.parametrize("label", [None, "x", "-1", "2", True, 1.5, [0], "1" * 600])
def test_other_runs_of_a_group_are_left_alone(label: Any) -> None:
    player = ScriptPlayer([group(2), listing(0, label), []])
    results = player.play(wait_task_group("tg_1", 2))
    assert [result.error is None for result in results] == [True, False]


def test_a_run_that_is_neither_done_nor_active_is_reported_as_it_is() -> None:
    event = {
        "type": "task_run.state",
        "run": {
            "run_id": "r",
            "status": "action_required",
            "metadata": {"parallel_index": 0},
        },
    }
    player = ScriptPlayer([group(1), [f"data: {json.dumps(event)}\n\n".encode()]])
    error = player.play(wait_task_group("tg_1", 1))[0].error
    assert error.startswith("the run is action_required")
    assert "wait_task_run('r')" in error


def listed_run(number: int, status: str, **more: Any) -> bytes:
    run = {"run_id": f"trun_{number}", "status": status, "metadata": {"parallel_index": number}}
    event = {"type": "task_run.state", "event_id": f"again_{number}", "run": run, **more}
    return f"data: {json.dumps(event)}\n\n".encode()


@pytest.mark.parametrize(
    "again",
    [
        listed_run(0, "completed"),
        listed_run(0, "completed", output=5),
        listed_run(0, "running"),
        listed_run(0, "failed"),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_run_that_is_listed_twice_keeps_its_output(again: bytes, is_first: bool) -> None:
    entries = [again, *listing(0, 1)] if is_first else [*listing(0, 1), again]
    player = ScriptPlayer([group(2), entries])
    results = player.play(wait_task_group("tg_1", 2))
    assert [result.output.content[-1] for result in results] == ["0", "1"]
    assert len(player.sends) == 2


@pytest.mark.parametrize("listed", [{}, {"output": None}, {"output": 5}])
def test_an_output_that_the_listing_lacks_is_fetched_alone(listed: dict[str, Any]) -> None:
    held = {"run": {"run_id": "trun_0"}, "output": {"type": "text", "content": "x"}}
    results = [held, httpx.Response(404, json={})]

    def respond(send: Send) -> Any:
        if send.stream:
            return [listed_run(0, "completed", **listed), listed_run(1, "completed", **listed)]
        return results.pop(0) if send.path.endswith("/result") else group(2)

    player = ScriptPlayer(respond)
    first, second = player.play(wait_task_group("tg_1", 2))
    assert (first.output.content, first.error) == ("x", None)
    assert "wait_task_run('trun_1')" in second.error
    assert not results


def test_a_run_without_an_id_costs_none_of_the_others() -> None:
    nameless = listed_run(0, "completed").replace(b'"trun_0"', b'""')
    player = ScriptPlayer([group(2), [nameless, *listing(1)]])
    first, second = player.play(wait_task_group("tg_1", 2))
    assert first.error
    assert second.error is None


def test_inputs_go_a_thousand_a_call() -> None:
    sizes = []

    def respond(send: Any) -> Any:
        if send.method == "POST" and send.path.endswith("/runs"):
            sizes.append(len(send.request.body("v1")["inputs"]))
            assert send.params == (("refresh_status", "false"),)
            return ADDED
        return listing(*range(2001)) if send.stream else group(2001)

    results = ScriptPlayer(respond).play(run_task_group([str(n) for n in range(2001)], LITE))
    assert (sizes, len(results)) == ([1000, 1000, 1], 2001)


def test_polls_grow_further_apart_and_end_at_the_deadline() -> None:
    player = ScriptPlayer([group(2, active=True)])
    with pytest.raises(TaskTimeoutError, match=r"wait_task_group\('tg_1', 2\)") as caught:
        player.play(wait_task_group("tg_1", 2, deadline_seconds=60))
    assert caught.value.taskgroup_id == "tg_1"
    assert [send.delay_seconds for send in player.sends][:6] == [0, 1, 2, 4, 8, 10]
    assert player.clock == 60


def test_a_deadline_names_no_counts_that_there_are_not() -> None:
    with pytest.raises(TaskTimeoutError, match=r"after 1 s\. It goes on"):
        ScriptPlayer([group(0)]).play(wait_task_group("tg_1", 2, deadline_seconds=1))


def test_a_group_that_does_not_hold_everything_yet_is_not_done() -> None:
    player = ScriptPlayer([group(1), group(2), listing(0, 1)])
    assert all(result.output for result in player.play(wait_task_group("tg_1", 2)))


@pytest.mark.parametrize(
    "failure",
    [httpx.ReadTimeout("x"), httpx.ReadError("x"), httpx.Response(500), httpx.Response(502)],
)
def test_an_add_that_did_not_arrive_is_an_error_with_the_id(failure: Any) -> None:
    adds = []

    def respond(send: Any) -> Any:
        if send.path.endswith("/runs"):
            adds.append(send)
            return failure
        return group(0)

    player = ScriptPlayer(respond)
    with pytest.raises(ParallelError) as caught:
        player.play(run_task_group(["a"], LITE))
    assert (len(adds), caught.value.taskgroup_id) == (1, "tg_1")
    assert not isinstance(caught.value, NotFoundError)


def test_an_add_that_arrives_late_is_found() -> None:
    def respond(send: Any) -> Any:
        if send.path.endswith("/runs"):
            return listing(0) if send.stream else After(120, httpx.ReadTimeout("x"))
        return group(int(len(player.sends) > 4))

    player = ScriptPlayer(respond)
    assert player.play(run_task_group(["a"], LITE))[0].error is None


@pytest.mark.parametrize(
    "after",
    [httpx.Response(401), httpx.Response(402), httpx.Response(422), httpx.Response(429)],
    ids=["401", "402", "422", "429"],
)
def test_every_error_after_the_create_carries_the_id(after: httpx.Response) -> None:
    with pytest.raises(ParallelError) as caught:
        ScriptPlayer([group(0), after]).play(run_task_group(["a"], LITE))
    assert caught.value.taskgroup_id == "tg_1"
    for script in ([group(0), ADDED, after], [group(0), ADDED, group(1), after]):
        with pytest.raises(ParallelError) as caught:
            ScriptPlayer(script).play(run_task_group(["a"], LITE))
        assert caught.value.taskgroup_id == "tg_1"


def test_an_unreadable_response_to_the_create_does_not_cost_the_id() -> None:
    with pytest.raises(UnexpectedAnswerError) as caught:
        ScriptPlayer([{"taskgroup_id": "tg_9", "status": 5}]).play(create_task_group())
    assert caught.value.taskgroup_id == "tg_9"


def test_no_inputs_send_nothing() -> None:
    player = ScriptPlayer([])
    assert player.play(run_task_group([])) == []
    assert not player.sends


@pytest.mark.parametrize("inputs", ["What is a slot?", b"x", {"a": 1}, Statement(name="x")])
def test_a_single_input_is_not_taken_apart(inputs: Any) -> None:
    """Every character of a text would become a task that is paid for."""
    player = ScriptPlayer([])
    with pytest.raises(ValueError, match="must be a list"):
        player.play(run_task_group(inputs))
    assert not player.sends


def test_an_input_that_cannot_be_sent_is_refused_before_anything_is() -> None:
    player = ScriptPlayer([])
    inputs: list[Any] = [*["fine"] * 1500, {"what": object()}]
    with pytest.raises(InvalidArgumentError, match="input"):
        player.play(run_task_group(inputs))
    with pytest.raises(InvalidArgumentError, match="metadata"):
        player.play(run_task_group(["fine"], metadata={"k" * 17: "v"}))
    assert not player.sends


class Loop(BaseModel):
    """Contains itself."""

    inner: "Loop | None" = None


def test_a_schema_that_cannot_be_sent_is_refused_before_anything_is() -> None:
    for make in (TaskSettings, AddTaskGroupRunsRequest, CreateTaskRunRequest):
        with pytest.raises(InvalidArgumentError, match="contains itself"):
            make(output_schema=Loop)


def test_a_schema_warns_when_it_is_given_and_never_midway() -> None:
    class Dated(BaseModel):
        """Has a keyword that the API does not know."""

        when: str = "x"

        model_config = {"json_schema_extra": {"minProperties": 1}}

    with pytest.warns(SchemaWarning, match="minProperties"):
        settings = TaskSettings(output_schema=Dated)

    player = ScriptPlayer(
        lambda send: (
            ADDED
            if send.method == "POST" and send.request.body("v1").get("inputs")
            else listing(0)
            if send.stream
            else group(1)
        )
    )
    assert player.play(run_task_group(["a"], settings))[0].run


@pytest.mark.parametrize("count", [0, 1001])
def test_a_call_takes_from_one_to_a_thousand(count: int) -> None:
    with pytest.raises(InvalidArgumentError, match="inputs"):
        AddTaskGroupRunsRequest(inputs=[CreateTaskRunRequest(input="q")] * count)


def test_betas_are_those_of_the_tasks_together() -> None:
    server = McpServer(name="docs", url="https://a.example")
    inputs = [
        CreateTaskRunRequest(input="a", enable_events=True),
        CreateTaskRunRequest(input="b", mcp_servers=[server]),
    ]
    assert set(AddTaskGroupRunsRequest(inputs=inputs).betas("v1")) == {
        "field-basis-2025-11-25",
        "events-sse-2025-07-24",
        "mcp-server-2025-07-17",
    }


@pytest.mark.parametrize("taskgroup_id", ["", ".", ".."])
def test_what_is_no_id_is_refused_before_anything_is_sent(taskgroup_id: str) -> None:
    request = AddTaskGroupRunsRequest(inputs=[CreateTaskRunRequest(input="q")])
    for operation in (
        lambda: retrieve_task_group(taskgroup_id),
        lambda: add_task_group_runs(taskgroup_id, request),
        lambda: retrieve_task_group_run(taskgroup_id, "trun_1"),
        lambda: retrieve_task_group_run("tg_1", taskgroup_id),
        lambda: task_group_runs(taskgroup_id),
        lambda: task_group_events(taskgroup_id),
        lambda: wait_task_group(taskgroup_id, 1),
    ):
        player = ScriptPlayer([])
        with pytest.raises(ValueError, match="is not an id"):
            player.play(operation())
        assert not player.sends
    assert next(retrieve_task_group("a/b")).path == "/v1/tasks/groups/a%2Fb"


ONE = AddTaskGroupRunsRequest(inputs=[CreateTaskRunRequest(input="q")])


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        (lambda: create_task_group(CreateTaskGroupRequest(metadata={"a": 1})), "create"),
        (lambda: add_task_group_runs("tg_1", ONE), "create"),
        (lambda: run_task_group(["a"]), "create"),
        (lambda: retrieve_task_group("tg_1"), "read"),
        (lambda: retrieve_task_group_run("tg_1", "trun_1"), "read"),
        (lambda: task_group_runs("tg_1"), "read"),
        (lambda: task_group_events("tg_1"), "read"),
    ],
)
def test_what_is_repeated(operation: Any, kind: str) -> None:
    check_repetitions(operation, kind)


@BOTH
async def test_a_group_that_is_unknown_is_not_found(client: ParallelClient, awaiting: bool) -> None:
    for operation in (retrieve_task_group("tg_none"), wait_task_group("tg_none", 1)):
        with pytest.raises(NotFoundError) as caught:
            await run(client, operation, awaiting=awaiting)
        assert caught.value.taskgroup_id == "tg_none"
    for stream in (task_group_runs("tg_none"), task_group_events("tg_none")):
        with pytest.raises(NotFoundError) as caught:
            await listen(client, stream, awaiting=awaiting)
        assert caught.value.taskgroup_id == "tg_none"


def test_an_error_of_the_server_while_waiting_carries_the_id(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    sandbox.faults.add(path="/v1/tasks/groups/*", method="GET", status=401)
    with pytest.raises(ParallelError) as caught:
        client.run(run_task_group(["with"], LITE))
    assert caught.value.taskgroup_id
    assert not isinstance(caught.value, ServerError)


@pytest.mark.parametrize("damaged", [5, {"type": "json", "content": None}, {"content": "\t"}])
def test_an_output_that_cannot_be_read_costs_none_of_the_others(damaged: Any) -> None:
    """It has been paid: the result names the run that holds it."""

    def listed(number: int, output: Any) -> bytes:
        run = {"run_id": f"trun_{number}", "status": "completed"}
        data = {
            "type": "task_run.state",
            "event_id": f"e{number}",
            "run": {**run, "metadata": {"parallel_index": number}},
            "output": output,
        }
        return f"data: {json.dumps(data)}\n\n".encode()

    text = {"type": "text", "content": "x"}
    status = {"num_task_runs": 3, "is_active": False}

    def respond(send: Send) -> Any:
        if send.stream:
            return [listed(0, text), listed(1, damaged), listed(2, text)]
        return {"taskgroup_id": "tg_1", "status": status}

    player = ScriptPlayer(respond)
    results = player.play(wait_task_group("tg_1", 3))
    assert [result.output is None for result in results] == [False, True, False]
    assert results[1].run.run_id == "trun_1"
    assert "wait_task_run('trun_1')" in results[1].error
