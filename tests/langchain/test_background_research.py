"""Research that does not hold an agent's turn: started, and collected by its id later."""

import asyncio
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import ToolMessage
from langgraph.checkpoint.memory import InMemorySaver

from parallel_integrations._documents import research
from parallel_integrations._documents.tool_texts import research_text
from parallel_integrations.langchain import (
    ParallelDeepResearch,
    ParallelGetResearchTool,
    ParallelStartResearchTool,
    ParallelToolkit,
)
from parallel_integrations.models import TaskRun
from parallel_integrations.sandbox import Sandbox
from tests.langchain.support import Scripted, called, script
from tests.support.connected import connection
from tests.support.requests import QUESTION


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox whose tasks outlast the test."""
    monkeypatch.setattr(research, "LOOK_SECONDS", 0.3)
    with Sandbox(task_seconds=60) as sandbox:
        yield sandbox


def code_paths(tool: Any) -> list[Callable[[Any], Any]]:
    """Blocking and awaiting."""
    return [partial(asyncio.to_thread, tool.invoke), tool.ainvoke]


async def test_a_start_gives_the_run_s_id_at_once(slow: Sandbox) -> None:
    tool = ParallelStartResearchTool(**connection(slow), processor="pro", output_schema="A page.")
    message = called(tool, {"input": QUESTION})
    assert message.status == "success"
    run_id = message.artifact["run_id"]
    assert f"call parallel_get_research with run_id={run_id}" in message.content
    assert (await tool.ainvoke(QUESTION)).startswith("Started research trun_")
    first = slow.requests[0]
    assert (first.method, first.path) == ("POST", "/v1/tasks/runs")
    assert first.body["enable_events"] is True
    assert first.body["processor"] == "pro"
    assert first.body["task_spec"] == {"output_schema": "A page."}
    assert len(slow.requests) == 2  # one for each start: nothing is waited for


def events(run_id: str) -> dict[str, Any]:
    """What the run has done so far, as a fault of the sandbox."""
    frames: list[dict[str, Any]] = [
        {"type": "task_run.state", "run": {"run_id": run_id, "status": "running"}},
        {"type": "task_run.progress_stats", "source_stats": {"num_sources_read": 7}},
        {"type": "task_run.progress_msg.search", "message": "Looking for the with statement"},
        {"type": "task_run.progress_msg.result", "message": "Found\n[1] Your bank\nURL: x"},
    ]
    body = "".join(f"data: {json.dumps(frame)}\n\n" for frame in frames)
    return {"path": "*/events", "body": body, "content_type": "text/event-stream", "times": None}


async def test_a_look_at_a_run_that_goes_on_gives_its_progress(slow: Sandbox) -> None:
    start = ParallelStartResearchTool(**connection(slow))
    run_id = called(start, {"input": QUESTION}).artifact["run_id"]
    slow.faults.add(**events(run_id))
    message = called(ParallelGetResearchTool(**connection(slow)), {"run_id": run_id})
    assert message.status == "success"
    assert message.content.splitlines() == [
        f"Research {run_id} is running. Look again later.",
        "Sources read so far: 7",
        "> Looking for the with statement",
        "> Found [1] Your bank URL: x",
    ]
    assert message.artifact["run"]["run_id"] == run_id
    assert len(message.artifact["messages"]) == 2
    assert "output" not in message.artifact
    assert slow.ledger.count("task_run") == 0


def test_the_latest_progress_is_shown_where_there_is_too_much() -> None:
    run = TaskRun(run_id="trun_1", status="running")
    messages = [f"step {number} {'x' * 50}" for number in range(50)]
    text = research_text(research.ResearchProgress(run=run, messages=messages), 500)
    assert len(text) <= 500
    assert "> step 49 " in text
    assert "> step 0 " not in text


async def test_a_look_without_events_still_gives_the_status(slow: Sandbox) -> None:
    start = ParallelStartResearchTool(**connection(slow), enable_events=False)
    run_id = called(start, {"input": QUESTION}).artifact["run_id"]
    assert slow.requests[0].body["enable_events"] is False
    slow.faults.add(path="*/events", times=None, status=404)
    for look in code_paths(ParallelGetResearchTool(**connection(slow))):
        assert await look(run_id) == f"Research {run_id} is queued. Look again later."


async def test_the_report_is_collected_once_the_run_is_over(sandbox: Sandbox) -> None:
    start = ParallelStartResearchTool(**connection(sandbox), processor="lite")
    run_id = called(start, {"input": QUESTION}).artifact["run_id"]
    report = ParallelDeepResearch(**connection(sandbox)).invoke({"run_id": run_id})
    tool = ParallelGetResearchTool(**connection(sandbox))
    for look in code_paths(tool):
        text = await look({"run_id": run_id})
        assert str(report["citations"][0]["url"]) in text
        assert "\n\nSources:\n- " in text
    message = called(tool, {"id": run_id})
    assert message.artifact["output"]["content"] == report["content"]
    assert sandbox.ledger.count("task_run") == 1


async def test_a_run_that_ends_during_the_look_gives_its_report() -> None:
    with Sandbox(task_seconds=0.4) as sandbox:
        start = ParallelStartResearchTool(**connection(sandbox), processor="lite")
        run_id = called(start, {"input": QUESTION}).artifact["run_id"]
        message = called(ParallelGetResearchTool(**connection(sandbox)), {"run_id": run_id})
    assert "\n\nSources:\n- " in message.content


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"run_id": "trun_none"}, "NotFoundError"),
        ({"run_id": "../x y"}, "is not an id"),
        ({"run_id": ""}, "needs run_id=, which is missing"),
    ],
)
async def test_an_id_of_no_run_is_a_tool_error(
    sandbox: Sandbox, args: dict[str, Any], said: str
) -> None:
    message = called(ParallelGetResearchTool(**connection(sandbox)), args)
    assert message.status == "error"
    assert said in message.content


def test_a_run_that_failed_is_a_tool_error_with_the_reason(sandbox: Sandbox) -> None:
    start = ParallelStartResearchTool(**connection(sandbox))
    failing: Any = {"parallel_start_research": {"metadata": {"sandbox": "fail"}}}
    run_id = called(start, {"input": QUESTION}, configurable=failing).artifact["run_id"]
    message = called(ParallelGetResearchTool(**connection(sandbox)), {"run_id": run_id})
    assert message.status == "error"
    assert message.content.startswith(f"TaskFailedError: Task run {run_id} failed: ")


def test_research_goes_on_across_a_checkpoint(sandbox: Sandbox) -> None:
    """One agent starts it; another, of another process as it were, collects it in a later turn."""
    saver = InMemorySaver()  # keeps what it keeps as bytes, as every checkpointer
    config: Any = {"configurable": {"thread_id": "t"}}

    def turn(*calls: tuple[str, dict[str, Any]]) -> list[ToolMessage]:
        toolkit = ParallelToolkit(
            **connection(sandbox), research="background", task={"processor": "lite"}
        )
        agent = create_agent(
            Scripted(messages=script(*calls)), tools=toolkit.get_tools(), checkpointer=saver
        )
        messages = agent.invoke({"messages": [("human", "go")]}, config)["messages"]
        return [message for message in messages if isinstance(message, ToolMessage)]

    [started] = turn(("parallel_start_research", {"input": QUESTION}))
    kept = saver.get_tuple(config)
    assert kept is not None
    [message] = [
        each for each in kept.checkpoint["channel_values"]["messages"] if each.type == "tool"
    ]
    assert message.artifact == started.artifact
    ParallelDeepResearch(**connection(sandbox)).invoke({"run_id": message.artifact["run_id"]})
    _, collected = turn(("parallel_get_research", {"run_id": message.artifact["run_id"]}))
    assert collected.artifact["run"]["status"] == "completed"
    assert "\n\nSources:\n- " in collected.content
    assert sandbox.ledger.count("task_run") == 1


def test_the_tools_of_a_toolkit_with_background_research(sandbox: Sandbox) -> None:
    settings: dict[str, Any] = {**connection(sandbox), "research": "background"}
    names = [tool.name for tool in ParallelToolkit(**settings).get_tools()]
    assert names == [
        "parallel_search",
        "parallel_extract",
        "parallel_start_research",
        "parallel_get_research",
    ]
    without = ParallelToolkit(**settings, task=None, search=None)
    assert [tool.name for tool in without.get_tools()] == ["parallel_extract"]
