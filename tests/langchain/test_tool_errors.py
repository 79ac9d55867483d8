"""What a model may touch, how a refusal looks, and which failures may be repeated."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ToolRetryMiddleware
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool, ToolException
from langgraph.graph import END, START, StateGraph
from langgraph.types import RetryPolicy
from pydantic import BaseModel

from parallel_integrations import ArgumentTypeError, ServerError, TaskFailedError, may_repeat
from parallel_integrations.langchain import (
    ParallelEntitySearchTool,
    ParallelExtractTool,
    ParallelFindAllTool,
    ParallelGetResearchTool,
    ParallelMemoryTool,
    ParallelSearchTool,
    ParallelStartResearchTool,
    ParallelTaskRunTool,
)
from parallel_integrations.sandbox import Sandbox
from tests.langchain.support import Scripted, called, script
from tests.support.connected import connection
from tests.support.requests import QUESTION

NOTHING = {"run": {"run_id": ""}, "output": {"type": "json", "content": None, "basis": []}}
PAGE = "https://docs.python.org/3/reference/compound_stmts.html"
INPUTS: dict[type[BaseTool], dict[str, Any]] = {
    ParallelSearchTool: {"objective": QUESTION},
    ParallelExtractTool: {"urls": [PAGE]},
    ParallelTaskRunTool: {"input": QUESTION},
    ParallelFindAllTool: {"objective": "Python statements that bind names"},
    ParallelStartResearchTool: {"input": QUESTION},
    ParallelGetResearchTool: {"run_id": "trun_1"},
    ParallelEntitySearchTool: {"objective": "makers", "entity_type": "companies"},
    ParallelMemoryTool: {"query": "closures"},
}
EXTRA: list[tuple[type[BaseTool], dict[str, Any]]] = [
    (ParallelSearchTool, {"max_results": 40}),
    (ParallelSearchTool, {"mode": "advanced"}),
    (ParallelSearchTool, {"source_policy": {"include_domains": ["example.com"]}}),
    (ParallelSearchTool, {"session_id": "s"}),
    (ParallelExtractTool, {"full_content": True}),
    (ParallelTaskRunTool, {"processor": "ultra8x"}),
    (ParallelTaskRunTool, {"mcp_servers": [{"name": "x", "url": "https://example.com/mcp"}]}),
    (ParallelTaskRunTool, {"webhook": {"url": "https://example.com/"}}),
    (ParallelFindAllTool, {"generator": "pro"}),
    (ParallelFindAllTool, {"match_limit": 1000}),
    (ParallelStartResearchTool, {"processor": "ultra8x"}),
    (ParallelGetResearchTool, {"output_schema": "x"}),
    (ParallelEntitySearchTool, {"match_limit": 1000}),
    (ParallelMemoryTool, {"memory_scope_key": "another's"}),
    (ParallelSearchTool, {"run_manager": "x", "callbacks": ["x"]}),
    (ParallelSearchTool, {"api_key": "mine", "base_url": "https://example.com"}),
    (ParallelSearchTool, {"configurable": {"parallel_search": {"max_results": 40}}}),
]


@pytest.mark.parametrize(("tool", "extra"), EXTRA)
async def test_a_model_changes_no_setting(
    sandbox: Sandbox, tool: type[BaseTool], extra: dict[str, Any]
) -> None:
    args = {**INPUTS[tool], **extra}
    made = tool(**connection(sandbox))
    call = {"type": "tool_call", "id": "1", "name": made.name, "args": args}
    for message in (made.invoke(call), await made.ainvoke(call)):
        assert message.status == "error"
        assert f"there is no argument {next(iter(extra))!r}" in message.content
        assert f"The arguments there are: {', '.join(made.args)}" in message.content
    plain = [made.invoke(args), await made.ainvoke(args), made.run(args), await made.arun(args)]
    assert plain == [message.content] * 4
    strict = tool(**connection(sandbox), handle_tool_error=False)
    for tool_input in (call, args):
        with pytest.raises(ToolException, match="there is no argument") as caught:
            strict.invoke(tool_input)
        assert isinstance(caught.value.__cause__, ArgumentTypeError)
        with pytest.raises(ToolException, match="there is no argument"):
            await strict.ainvoke(tool_input)
    assert sandbox.requests == []


def test_a_developer_s_own_words_for_bad_arguments(sandbox: Sandbox) -> None:
    tool = ParallelSearchTool(**connection(sandbox), handle_tool_error="no")
    assert called(tool, {"max_results": 3}).content == "no"
    tool = ParallelSearchTool(**connection(sandbox), handle_validation_error="bad")
    assert called(tool, {"max_results": 3}).content == "bad"


def test_an_agent_runs_with_settings_from_its_config(sandbox: Sandbox) -> None:
    agent = create_agent(
        Scripted(messages=script(("parallel_search", {"objective": QUESTION}))),
        tools=[ParallelSearchTool(**connection(sandbox))],
    )
    settings = {"parallel_search": {"max_results": 2, "mode": "basic", "location": None}}
    agent.invoke({"messages": [("human", "go")]}, {"configurable": settings})  # type: ignore[arg-type]
    assert sandbox.requests[0].body["advanced_settings"] == {"max_results": 2}
    assert sandbox.requests[0].body["mode"] == "basic"


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"max_reslts": 2}, TypeError, "max_results"),
        ({"objective": "another"}, TypeError, "objective"),
        ({"api_key": "x"}, TypeError, "api_key"),
        ({"max_results": 99}, ValueError, "max_results"),
        ("max_results=2", TypeError, "must be a mapping"),
    ],
)
async def test_settings_in_the_config_that_cannot_be_right_are_code_s_fault(
    sandbox: Sandbox, settings: Any, error: type[Exception], said: str
) -> None:
    tool = ParallelSearchTool(**connection(sandbox))
    config: Any = {"configurable": {"parallel_search": settings}}
    with pytest.raises(error, match=said):
        tool.invoke({"objective": QUESTION}, config)
    with pytest.raises(error, match=said):
        await tool.ainvoke({"objective": QUESTION}, config)
    assert sandbox.requests == []


FAULTS: list[tuple[type[BaseTool], dict[str, Any], bool]] = [
    (ParallelSearchTool, {"status": 429, "retry_after": 100}, True),
    (ParallelSearchTool, {"status": 500}, True),
    (ParallelSearchTool, {"reset": "before"}, True),
    (ParallelSearchTool, {"reset": "body"}, False),
    (ParallelSearchTool, {"cut_after_bytes": 20}, False),
    (ParallelSearchTool, {"status": 401}, False),
    (ParallelSearchTool, {"status": 422}, False),
    (ParallelSearchTool, {"delay": 1.0}, False),
    (ParallelSearchTool, {"body": "<html>", "content_type": "text/html"}, False),
    (ParallelExtractTool, {"status": 502}, True),
    (ParallelTaskRunTool, {"status": 503}, True),
    (ParallelTaskRunTool, {"status": 500}, False),
    (ParallelTaskRunTool, {"reset": "before"}, False),
    (ParallelTaskRunTool, {"method": "GET", "status": 500, "times": None}, False),
    (ParallelStartResearchTool, {"status": 429}, True),
    (ParallelStartResearchTool, {"status": 502}, False),
    (ParallelGetResearchTool, {"status": 503}, True),
    (ParallelGetResearchTool, {"reset": "body"}, True),
    (ParallelEntitySearchTool, {"status": 500}, True),
    (ParallelEntitySearchTool, {"reset": "body"}, False),
    (ParallelMemoryTool, {"reset": "body"}, True),
    (ParallelFindAllTool, {"path": "*/ingest", "status": 500}, True),
    (ParallelFindAllTool, {"path": "*/runs", "status": 500}, False),
    (ParallelFindAllTool, {"path": "*/runs", "status": 503}, True),
]


@pytest.mark.parametrize(("tool", "fault", "repeatable"), FAULTS)
async def test_what_may_be_repeated_is_what_the_table_allows(
    sandbox: Sandbox, tool: type[BaseTool], fault: dict[str, Any], repeatable: bool
) -> None:
    sandbox.faults.add(**{"times": 2, **fault})
    timeout = 0.4 if "delay" in fault else None
    made = tool(**connection(sandbox), max_retries=0, handle_tool_error=False, timeout=timeout)
    for code_path in (partial(asyncio.to_thread, made.invoke), made.ainvoke):
        with pytest.raises(ToolException) as caught:
            await code_path(INPUTS[tool])
        assert may_repeat(caught.value) is repeatable
        assert may_repeat(caught.value.__cause__) is repeatable  # type: ignore[arg-type]


def test_other_errors_are_never_repeated(sandbox: Sandbox) -> None:
    loop = ValueError("its own cause")
    loop.__cause__ = loop
    for error in (loop, KeyError("x"), TimeoutError(), ToolException("x"), TaskFailedError("x")):
        assert not may_repeat(error)
    strict = ParallelSearchTool(**connection(sandbox), handle_tool_error=False)
    with pytest.raises(ToolException) as caught:
        strict.invoke({"max_results": 3})
    assert not may_repeat(caught.value)


def test_langchain_s_middleware_repeats_what_it_may(sandbox: Sandbox) -> None:
    def run(tool: BaseTool) -> list[ToolMessage]:
        retry = ToolRetryMiddleware(retry_on=may_repeat, initial_delay=0, jitter=False)
        model = Scripted(messages=script((tool.name, INPUTS[type(tool)])))
        agent = create_agent(model, tools=[tool], middleware=[retry])
        messages = agent.invoke({"messages": [("human", "go")]})["messages"]
        return [message for message in messages if isinstance(message, ToolMessage)]

    settings = {**connection(sandbox), "max_retries": 0, "handle_tool_error": False}
    sandbox.faults.add(times=2, status=500)
    assert [message.status for message in run(ParallelSearchTool(**settings))] == ["success"]
    assert len(sandbox.requests) == 3
    sandbox.reset()
    sandbox.faults.add(status=500)
    with pytest.raises(ToolException, match="ServerError") as caught:
        run(ParallelTaskRunTool(**settings))
    assert isinstance(caught.value.__cause__, ServerError)
    assert len(sandbox.requests) == 1


class State(BaseModel):
    question: str
    found: str = ""


@pytest.mark.parametrize(("tool", "sent"), [(ParallelSearchTool, 3), (ParallelTaskRunTool, 1)])
def test_a_node_of_a_graph_repeats_what_it_may(
    sandbox: Sandbox, tool: Callable[..., BaseTool], sent: int
) -> None:
    made = tool(**connection(sandbox), max_retries=0, handle_tool_error=False)
    policy = RetryPolicy(retry_on=may_repeat, initial_interval=0, jitter=False)
    graph = StateGraph(State)
    graph.add_node(
        "look", lambda state: {"found": made.invoke(state.question)}, retry_policy=policy
    )
    graph.add_edge(START, "look")
    graph.add_edge("look", END)
    sandbox.faults.add(times=None, status=500)
    with pytest.raises(ToolException):
        graph.compile().invoke({"question": QUESTION})  # type: ignore[call-overload]
    assert len(sandbox.requests) == sent


@pytest.mark.parametrize("awaiting", [False, True])
async def test_no_remedy_makes_a_model_pay_for_a_run_again(
    sandbox: Sandbox, awaiting: bool
) -> None:
    sandbox.faults.add(path="/v1/tasks/runs/*/result", body=NOTHING)
    tool = ParallelTaskRunTool(processor="lite", **connection(sandbox))
    call = {"name": tool.name, "args": INPUTS[ParallelTaskRunTool], "id": "1", "type": "tool_call"}
    message = (await tool.ainvoke(call)) if awaiting else tool.invoke(call)
    assert message.status == "error"
    run_id = sandbox.requests[-1].path.split("/")[4]
    assert f"GET /v1/tasks/runs/{run_id}/result" in message.content
    assert f"(run_id: {run_id})" in message.content
    assert message.content.endswith("do not repeat the call, go on without it.")
    assert "Try again" not in message.content


@pytest.mark.parametrize("given", [None, 7, ["closures"]])
@pytest.mark.parametrize("tool", INPUTS)
def test_what_is_no_object_is_refused_as_such(
    sandbox: Sandbox, tool: type[BaseTool], given: Any
) -> None:
    refused = tool(**connection(sandbox)).invoke(given)
    assert refused.startswith(
        "Nothing was sent. Correct the arguments: this tool takes an object of fields"
    )
    assert not sandbox.requests
