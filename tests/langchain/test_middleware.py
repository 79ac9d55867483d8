"""The budget of an agent, on a scripted model that calls tools."""

import logging
import sys
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.tools import BaseTool, tool
from langgraph.prebuilt.tool_node import ToolCallRequest

from parallel_integrations import ParallelClient
from parallel_integrations import langchain as subpackage
from parallel_integrations.langchain import ParallelBudgetMiddleware, ParallelSearchTool
from parallel_integrations.sandbox import Sandbox
from tests.langchain.support import Scripted, script

SEARCHES = [
    ("parallel_search", {"objective": f"What is a decorator, part {number}?"})
    for number in range(4)
]


@tool
def note(text: str) -> str:
    """Keep a note."""
    return f"kept {text}"


async def messages_of(
    client: ParallelClient, *, awaiting: bool, calls: list[Any] = SEARCHES, **budget: Any
) -> list[BaseMessage]:
    agent: Any = create_agent(
        Scripted(messages=script(*calls)),
        tools=[ParallelSearchTool(client=client, mode="basic"), note],
        middleware=[ParallelBudgetMiddleware(client, **budget)],
    )
    question = {"messages": [("human", "What is a decorator?")]}
    result = await agent.ainvoke(question) if awaiting else agent.invoke(question)
    messages: list[BaseMessage] = result["messages"]
    return messages


@pytest.mark.parametrize("awaiting", [False, True], ids=["blocking", "awaiting"])
async def test_the_run_ends_where_the_budget_does(
    sandbox: Sandbox, client: ParallelClient, awaiting: bool
) -> None:
    messages = await messages_of(client, awaiting=awaiting, max_usd=0.010)
    assert messages[-1].text.startswith("The budget is used up: 0.0100 of 0.0100 USD")
    assert sandbox.ledger.count("search") == 2
    assert client.usage.usd == 0.010


@pytest.mark.parametrize("awaiting", [False, True], ids=["blocking", "awaiting"])
async def test_a_budget_that_suffices_changes_nothing(
    sandbox: Sandbox, client: ParallelClient, awaiting: bool
) -> None:
    messages = await messages_of(client, awaiting=awaiting, max_usd=1)
    assert messages[-1].text == "Done."
    assert sandbox.ledger.count("search") == 4


@pytest.mark.parametrize("awaiting", [False, True], ids=["blocking", "awaiting"])
async def test_without_a_budget_nothing_is_sent(
    sandbox: Sandbox, client: ParallelClient, awaiting: bool
) -> None:
    middleware = ParallelBudgetMiddleware(client, max_usd=0)
    agent: Any = create_agent(Scripted(messages=script(*SEARCHES)), middleware=[middleware])
    question = {"messages": [("human", "x")]}
    result = await agent.ainvoke(question) if awaiting else agent.invoke(question)
    assert "budget is used up" in result["messages"][-1].text
    assert not sandbox.requests


async def test_only_what_costs_is_refused(client: ParallelClient) -> None:
    budget = ParallelBudgetMiddleware(client, max_usd=0.005)
    search = ParallelSearchTool(client=client, mode="basic")

    def requested(of: BaseTool) -> ToolCallRequest:
        call: Any = {"id": "call_1", "name": of.name, "args": {}}
        return ToolCallRequest(tool_call=call, tool=of, state={}, runtime=None)  # type: ignore[arg-type]

    assert budget.wrap_tool_call(requested(search), lambda _: "called") == "called"
    client.usage.add({"search": 1})
    refused = budget.wrap_tool_call(requested(search), lambda _: "called")
    assert isinstance(refused, ToolMessage)
    assert (refused.status, refused.tool_call_id) == ("error", "call_1")
    assert budget.wrap_tool_call(requested(note), lambda _: "called") == "called"


async def test_a_warning_is_written_once(
    client: ParallelClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "parallel_integrations"):
        messages = await messages_of(client, awaiting=False, max_usd=0.005, on_limit="warn")
    assert messages[-1].text == "Done."
    [record] = [each for each in caplog.records if "budget" in each.message]
    assert record.levelno == logging.WARNING


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"max_usd": -1}, "max_usd=-1"),
        ({"max_usd": float("nan")}, "max_usd=nan"),
        ({"max_usd": True}, "max_usd=True"),
        ({"max_usd": "1"}, "max_usd='1'"),
        ({"max_usd": 1, "on_limit": "explode"}, "on_limit='explode'"),
        ({"max_usd": 1, "client": "me"}, "client must be"),
    ],
)
def test_arguments_that_cannot_be_right(
    client: ParallelClient, arguments: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        ParallelBudgetMiddleware(**{"client": client, **arguments})


def test_without_langchain_it_says_what_is_missing(
    client: ParallelClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(subpackage, "ParallelBudgetMiddleware")
    monkeypatch.delattr(subpackage, "middleware")
    monkeypatch.delitem(sys.modules, "parallel_integrations.langchain.middleware")
    for name in [each for each in list(sys.modules) if each.partition(".")[0] == "langchain"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "langchain", None)
    with pytest.raises(ImportError, match=r"ParallelBudgetMiddleware(.|\n)*pip install langchain"):
        subpackage.ParallelBudgetMiddleware(client, 1)
