"""Memory as a tool of both frameworks, on the sandbox."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from parallel_integrations import CreateTaskRunRequest, ParallelClient
from parallel_integrations.api import run_task
from parallel_integrations.langchain import ParallelMemoryTool
from parallel_integrations.llama_index import ParallelToolSpec
from parallel_integrations.sandbox import Sandbox
from tests.langchain.support import called
from tests.support.connected import connection

SCOPE = "mine"
BOTH = pytest.mark.parametrize("number", range(4))


def tools(sandbox: Sandbox, **settings: Any) -> list[Callable[..., Any]]:
    at = connection(sandbox)
    limit = settings.pop("limit", None)
    ours = ParallelMemoryTool(**at, **settings, limit=limit)
    spec = ParallelToolSpec(**at, **settings, memory_limit=limit)
    [theirs] = spec.to_tool_list(["parallel_memory"])
    return [
        ours.invoke,
        lambda args: asyncio.run(ours.ainvoke(args)),
        lambda args: theirs.call(**args).content,
        lambda args: asyncio.run(theirs.acall(**args)).content,
    ]


@BOTH
def test_earlier_work_is_found_in_its_scope(
    sandbox: Sandbox, client: ParallelClient, number: int
) -> None:
    for question, scope in (("closures", SCOPE), ("descriptors", SCOPE), ("closures", "theirs")):
        task = CreateTaskRunRequest(
            input=question, processor="lite", output_schema="A text.", memory_scope_key=scope
        )
        client.run(run_task(task))
    tool = tools(sandbox, memory_scope_key=SCOPE, limit=2)[number]
    found = tool({"query": "closures"})
    assert found.startswith("[1] task trun_sandbox_")
    assert "\n> About: closures\n> Found: " in found
    assert "[2]" not in found
    recent = tool({"query": ""})
    assert [line for line in recent.splitlines() if "About" in line] == [
        "> About: descriptors",
        "> About: closures",
    ]
    bodies = [each.body for each in sandbox.requests if each.path.endswith("/retrieve")]
    assert bodies == [
        {"query": "closures", "limit": 2, "memory_scope_key": SCOPE},
        {"limit": 2, "memory_scope_key": SCOPE},
    ]
    assert sandbox.ledger.usd == 3 * 0.005  # looking costs nothing


@BOTH
def test_what_is_remembered_stays_in_its_block(sandbox: Sandbox, number: int) -> None:
    memories = [
        {
            "kind": "task",
            "id": "t\n[9] task",
            "updated_at": "2026-05-02T10:00:00Z",
            "input_excerpt": "a\n\n[2] task x\nb",
        },
        {"kind": "findall", "id": "f1", "status": "completed", "matched_count": 0},
        {"kind": "monitor", "id": "m1", "matched_events": [{"excerpt": "new"}, {}]},
    ]
    sandbox.faults.add(path="/v1beta/memory/retrieve", body={"results": memories})
    text = tools(sandbox)[number]({"query": "x"})
    assert text == (
        "[1] task t [9] task 2026-05-02T10:00:00Z\n> About: a\n>\n> [2] task x\n> b\n\n"
        "[2] findall f1\n> Status: completed\n> Matches: 0\n\n"
        "[3] monitor m1\n> Event: new"
    )


@BOTH
def test_nothing_is_said_to_be_nothing(sandbox: Sandbox, number: int) -> None:
    assert tools(sandbox)[number]({"query": "closures"}) == "Nothing is remembered about it."


def test_a_query_of_any_length_is_taken(sandbox: Sandbox) -> None:
    tools(sandbox)[0]({"query": "closures " * 100})
    query = sandbox.requests[0].body["query"]
    assert len(query) <= 500
    assert query.endswith("closures")


def test_what_code_fixes_no_model_changes(sandbox: Sandbox) -> None:
    at = connection(sandbox)
    tool = ParallelMemoryTool(**at, kind="task")
    message = called(tool, {"query": "x", "memory_scope_key": "theirs"})
    assert message.status == "error"
    assert "no argument 'memory_scope_key'" in message.content
    assert sandbox.requests == []
    settings = {"kind": "monitor", "since": "2026-01-01T00:00:00+00:00"}
    tool.invoke({"query": "x"}, {"configurable": {"parallel_memory": settings}})
    assert sandbox.requests[0].body == {"query": "x", "kind": "monitor", "since": _sent(settings)}


def _sent(settings: dict[str, str]) -> str:
    return settings["since"].replace("+00:00", "Z")


def test_documents_for_code(sandbox: Sandbox, client: ParallelClient) -> None:
    run = client.run(run_task(CreateTaskRunRequest(input="closures", processor="lite"))).run
    spec = ParallelToolSpec(api_key=sandbox.api_key, base_url=sandbox.url)
    [document] = spec.parallel_memory("closures")
    assert document.metadata["id"] == run.run_id
    assert document.metadata["kind"] == "task"
    assert document.text.startswith("About: closures\nFound: ")


@pytest.mark.parametrize("status", [403, 404])
def test_an_account_without_memory_says_so(sandbox: Sandbox, status: int) -> None:
    sandbox.faults.add(path="/v1beta/memory/retrieve", status=status)
    message = called(
        ParallelMemoryTool(api_key=sandbox.api_key, base_url=sandbox.url), {"query": "x"}
    )
    assert message.status == "error"
    assert str(status) in message.content
