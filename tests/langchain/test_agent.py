"""The tools in a real agent, driven by a scripted model that calls tools."""

from collections.abc import Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolCall, ToolMessage

from parallel_integrations.langchain import ParallelExtractTool, ParallelSearchTool
from parallel_integrations.sandbox import Sandbox


class Scripted(GenericFakeChatModel):
    """Says what it is told, whatever it is asked."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> "Scripted":
        return self


def script(*calls: tuple[str, dict[str, Any]]) -> Iterator[AIMessage]:
    for number, (name, args) in enumerate(calls):
        call = ToolCall(name=name, args=args, id=f"call-{number}", type="tool_call")
        yield AIMessage("", tool_calls=[call])
    yield AIMessage("Done.")


def tool_messages(sandbox: Sandbox, *calls: tuple[str, dict[str, Any]]) -> list[ToolMessage]:
    connection: dict[str, Any] = {"api_key": sandbox.api_key, "base_url": sandbox.url}
    agent = create_agent(
        Scripted(messages=script(*calls)),
        tools=[
            ParallelSearchTool(**connection, max_results=2, max_retries=0),
            ParallelExtractTool(**connection, max_retries=0),
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


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 401},
        {"status": 429, "retry_after": 120},
        {"status": 500},
        {"delay": 1.0},
        {"body": "<html>no</html>", "content_type": "text/html"},
        {"cut_after_bytes": 20},
    ],
    ids=str,
)
def test_the_agent_goes_on_after_a_failure(sandbox: Sandbox, fault: dict[str, Any]) -> None:
    sandbox.faults.add(times=1, **fault)
    timeout = {"timeout": 0.2} if "delay" in fault else {}
    agent = create_agent(
        Scripted(messages=script(*[("parallel_search", {"objective": "decorators"})] * 2)),
        tools=[
            ParallelSearchTool(
                api_key=sandbox.api_key, base_url=sandbox.url, max_retries=0, **timeout
            )
        ],
    )
    messages = agent.invoke({"messages": [("human", "go")]})["messages"]
    failed, found = (message for message in messages if isinstance(message, ToolMessage))
    assert failed.status == "error"
    assert "Error: " in failed.content
    assert sandbox.api_key not in failed.content
    assert found.status == "success"
    assert messages[-1].text == "Done."
