"""The tools in a real agent, driven by a scripted model that calls tools."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage, ToolCall, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

from parallel_integrations.langchain import ParallelExtractTool, ParallelSearchTool
from parallel_integrations.sandbox import Sandbox
from tests.langchain.support import Scripted, script
from tests.support.connected import connection


def tool_messages(sandbox: Sandbox, *calls: tuple[str, dict[str, Any]]) -> list[ToolMessage]:
    at = connection(sandbox)
    agent = create_agent(
        Scripted(messages=script(*calls)),
        tools=[
            ParallelSearchTool(**at, max_results=2, max_retries=0),
            ParallelExtractTool(**at, max_retries=0),
        ],
    )
    messages = agent.invoke({"messages": [("human", "What is a decorator?")]})["messages"]
    assert messages[-1].text == "Done."
    return [message for message in messages if isinstance(message, ToolMessage)]


def test_search_then_extract(sandbox: Sandbox) -> None:
    [first] = tool_messages(sandbox, ("parallel_search", {"objective": "What is a decorator?"}))
    url = first.artifact["results"][0]["url"]
    found, read = tool_messages(
        sandbox,
        ("parallel_search", {"objective": "What is a decorator?"}),
        ("parallel_extract", {"urls": [url], "objective": "decorators"}),
    )
    assert found.status == read.status == "success"
    assert url in found.content
    assert url in read.content


@tool
def confirm(question: str) -> str:
    """Let a person decide."""
    return str(interrupt(question))


@pytest.mark.parametrize("approved_first", [False, True])
def test_a_search_is_paid_once_though_a_run_is_interrupted(
    sandbox: Sandbox, approved_first: bool
) -> None:
    search = ("parallel_search", {"objective": "What is a decorator?"})
    calls = [
        ToolCall(name=name, args=args, id=name)
        for name, args in (search, ("confirm", {"question": "Go on?"}))
    ]
    said = iter([AIMessage("", tool_calls=calls), AIMessage("Done.")])
    approval = HumanInTheLoopMiddleware(interrupt_on={"parallel_search": True})
    agent: Any = create_agent(
        Scripted(messages=said),
        tools=[ParallelSearchTool(**connection(sandbox)), confirm],
        middleware=[approval] if approved_first else [],
        checkpointer=InMemorySaver(),
    )
    thread = {"configurable": {"thread_id": "1"}}
    agent.invoke({"messages": [("human", "What is a decorator?")]}, thread)
    assert len(sandbox.requests) == (0 if approved_first else 1)
    if approved_first:
        agent.invoke(Command(resume={"decisions": [{"type": "approve"}]}), thread)
    messages = agent.invoke(Command(resume="yes"), thread)["messages"]
    assert [each.text for each in messages[-2:]] == ["yes", "Done."]
    assert len(sandbox.requests) == 1


FAULTS = pytest.mark.parametrize(
    ("fault", "remedy"),
    [
        ({"status": 401}, "Check PARALLEL_API_KEY"),
        ({"status": 429, "retry_after": 120}, "or send fewer requests at once"),
        ({"status": 500}, "Try again later"),
        ({"delay": 1.0}, "Try again, or ask for less at once."),
        ({"body": "<html>no</html>", "content_type": "text/html"}, "Try again; if it fails again"),
        ({"cut_after_bytes": 20}, "Try again; if it fails again"),
    ],
    ids=["401", "429", "500", "timeout", "HTML", "cut"],
)
PAGE = "https://docs.python.org/3/reference/compound_stmts.html"


@FAULTS
@pytest.mark.parametrize("code_path", ["invoke", "ainvoke"])
async def test_the_agent_goes_on_after_a_failure(
    sandbox: Sandbox, fault: dict[str, Any], remedy: str, code_path: str
) -> None:
    """Search fails, then works; extract fails, then works; then the agent answers."""
    at = connection(sandbox) | {"max_retries": 0, "timeout": 0.8 if "delay" in fault else None}
    sandbox.faults.add(path="/v1/search", times=1, **fault)
    sandbox.faults.add(path="/v1/extract", times=1, **fault)
    calls = [
        *[("parallel_search", {"objective": "decorators"})] * 2,
        *[("parallel_extract", {"urls": [PAGE], "objective": "decorators"})] * 2,
    ]
    agent = create_agent(
        Scripted(messages=script(*calls)),
        tools=[ParallelSearchTool(**at), ParallelExtractTool(**at)],
    )
    tool_input: Any = {"messages": [("human", "go")]}
    state = await agent.ainvoke(tool_input) if code_path == "ainvoke" else agent.invoke(tool_input)
    messages = [one for one in state["messages"] if isinstance(one, ToolMessage)]
    assert [message.status for message in messages] == ["error", "success"] * 2
    for failed in messages[::2]:
        assert "Error: " in failed.content
        assert sandbox.api_key not in failed.content
        assert remedy in failed.content
    assert state["messages"][-1].text == "Done."
