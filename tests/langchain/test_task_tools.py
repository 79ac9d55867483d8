"""Deep research and FindAll as an agent calls them: contents, progress, errors with ids."""

import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from parallel_integrations import SourcePolicy
from parallel_integrations._documents.adapter import Adapter
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.langchain import (
    ParallelExtractTool,
    ParallelFindAllTool,
    ParallelSearchTool,
    ParallelTaskRunTool,
    ParallelToolkit,
)
from parallel_integrations.sandbox import Sandbox
from tests.langchain.support import AsyncListener, Listener, Scripted, called, script
from tests.support.connected import connection

QUESTION = {"input": "How does the with statement handle exceptions?"}
OBJECTIVE = {"objective": "Python statements that bind names"}


class Purpose(BaseModel):
    statement: str
    purpose: str


def task_tool(sandbox: Sandbox, **settings: Any) -> ParallelTaskRunTool:
    return ParallelTaskRunTool(**connection(sandbox), **settings)


def find_tool(sandbox: Sandbox, **settings: Any) -> ParallelFindAllTool:
    return ParallelFindAllTool(**connection(sandbox), **settings)


def either(sandbox: Sandbox, tool: type[BaseTool], **settings: Any) -> tuple[BaseTool, Any, str]:
    """A tool, its input, and the prefix of its runs' ids."""
    made = tool(**connection(sandbox), **settings)
    if tool is ParallelTaskRunTool:
        return made, QUESTION, "trun_"
    return made, OBJECTIVE, "findall_"


BOTH = pytest.mark.parametrize("tool", [ParallelTaskRunTool, ParallelFindAllTool])


@pytest.mark.parametrize(
    ("tool", "name", "properties"),
    [
        (ParallelSearchTool, "parallel_search", {"objective", "search_queries"}),
        (ParallelExtractTool, "parallel_extract", {"urls", "objective"}),
        (ParallelTaskRunTool, "parallel_task", {"input"}),
        (ParallelFindAllTool, "parallel_find_all", {"objective"}),
    ],
)
def test_the_schema_of_a_tool_that_a_model_sees(
    tool: type[BaseTool], name: str, properties: set[str]
) -> None:
    shown = convert_to_openai_tool(tool())
    assert shown["function"]["name"] == name
    assert set(shown["function"]["parameters"]["properties"]) == properties
    assert len(json.dumps(shown)) < 1200


async def test_a_task_tool_gives_a_report_with_its_sources(sandbox: Sandbox) -> None:
    tool = task_tool(sandbox, processor="lite", output_schema="One paragraph.")
    message = called(tool, QUESTION)
    assert message.status == "success"
    cited = message.artifact["output"]["basis"][0]["citations"][0]["url"]
    assert message.artifact["output"]["content"] in message.content
    assert "\n\nSources:\n- " in message.content
    assert cited in message.content
    assert json.loads(json.dumps(message.artifact)) == message.artifact
    assert message.artifact["run"]["status"] == "completed"
    assert sandbox.requests[0].body["processor"] == "lite"
    assert sandbox.requests[0].body["task_spec"]["output_schema"] == "One paragraph."
    assert await tool.ainvoke(QUESTION) == message.content


async def test_code_decides_per_call_what_the_model_does_not_see(sandbox: Sandbox) -> None:
    tool = task_tool(sandbox, processor="base", location="us")
    settings = {
        "processor": "lite-fast",
        "output_schema": Purpose,
        "source_policy": SourcePolicy(exclude_domains=["example.com"]),
        "metadata": {"row": 7},
    }
    message = called(tool, QUESTION, configurable={"parallel_task": settings})
    assert set(message.artifact["output"]["content"]) == {"statement", "purpose"}
    assert json.loads(message.content.partition("\n\nSources:")[0])
    body = sandbox.requests[0].body
    assert body["processor"] == "lite-fast"
    assert body["task_spec"]["output_schema"]["type"] == "json"
    assert body["source_policy"] == {"exclude_domains": ["example.com"]}
    assert body["metadata"] == {"row": 7}
    assert body["advanced_settings"] == {"location": "us"}
    await tool.ainvoke(QUESTION)
    posts = [each.body for each in sandbox.requests if each.method == "POST"]
    assert posts[1]["processor"] == "base"
    assert "task_spec" not in posts[1]


def test_an_object_of_fields_is_taken_too(sandbox: Sandbox) -> None:
    tool = task_tool(sandbox, output_schema={"type": "object", "properties": {"use": {}}})
    assert "use" in tool.invoke({"input": {"statement": "with"}})
    assert sandbox.requests[0].body["input"] == {"statement": "with"}


def test_a_find_all_tool_gives_entities_with_reasons(sandbox: Sandbox) -> None:
    tool = find_tool(sandbox, match_limit=5)
    message = called(tool, OBJECTIVE)
    assert message.status == "success"
    assert message.content.startswith("[1] ")
    assert "\nURL: https://docs.python.org/" in message.content
    assert "\n> Source: https://docs.python.org/" in message.content
    assert json.loads(json.dumps(message.artifact)) == message.artifact
    created = [each.body for each in sandbox.requests if each.path.endswith("/findall/runs")]
    assert (created[0]["generator"], created[0]["match_limit"]) == ("preview", 5)
    settings = {"generator": "base", "match_limit": 7}
    called(tool, OBJECTIVE, configurable={"parallel_find_all": settings})
    created = [each.body for each in sandbox.requests if each.path.endswith("/findall/runs")]
    assert (created[1]["generator"], created[1]["match_limit"]) == ("base", 7)


def test_a_find_all_without_matches_says_so(sandbox: Sandbox) -> None:
    assert find_tool(sandbox).invoke({"objective": "zzzqqq that xyzzy plugh"}) == (
        "Nothing matches. Loosen the conditions."
    )


@BOTH
async def test_progress_reaches_callbacks_and_event_streams(
    sandbox: Sandbox, tool: type[BaseTool]
) -> None:
    made, tool_input, prefix = either(sandbox, tool)
    listener, alistener = Listener(), AsyncListener()
    made.invoke(tool_input, {"callbacks": [listener]})
    await made.ainvoke(tool_input, {"callbacks": [alistener]})
    streamed = [
        event["data"]
        async for event in made.astream_events(tool_input, version="v2")
        if event["event"] == "on_custom_event" and event["name"] == "parallel_progress"
    ]
    reported = [data for name, data in listener.events if name == "parallel_progress"]
    areported = [data for name, data in alistener.events if name == "parallel_progress"]
    for progress in (reported, areported, streamed):
        assert len(progress) > 2
        first = progress[0].get("run") or progress[0]["data"]
        assert str(first.get("run_id") or first.get("findall_id")).startswith(prefix)
        assert all(data["type"] for data in progress)
        assert json.loads(json.dumps(progress)) == progress


@BOTH
@pytest.mark.parametrize("awaiting", [False, True])
async def test_progress_reaches_langgraphs_stream_writer(
    sandbox: Sandbox, tool: type[BaseTool], awaiting: bool
) -> None:
    made, tool_input, _ = either(sandbox, tool)
    agent = create_agent(Scripted(messages=script((made.name, tool_input))), tools=[made])
    state: Any = {"messages": [("human", "go")]}
    if awaiting:
        reported = [data async for data in agent.astream(state, stream_mode="custom")]
    else:
        reported = list(agent.stream(state, stream_mode="custom"))
    kinds = {data["type"] for data in reported}
    assert len(reported) > 2
    assert kinds & {"task_run.state", "findall.status"}
    assert any(".progress" in kind or ".candidate." in kind for kind in kinds)


@BOTH
def test_a_tool_can_be_called_outside_of_any_run(sandbox: Sandbox, tool: type[BaseTool]) -> None:
    made, tool_input, _ = either(sandbox, tool)
    content, artifact = made._run(**tool_input)
    assert content
    assert artifact


def test_artifacts_survive_a_checkpoint(sandbox: Sandbox) -> None:
    toolkit = ParallelToolkit(**connection(sandbox), find_all={"match_limit": 5})
    calls = [
        ("parallel_search", {"objective": "decorators"}),
        ("parallel_extract", {"urls": ["https://docs.python.org/3/reference/compound_stmts.html"]}),
        ("parallel_task", QUESTION),
        ("parallel_find_all", OBJECTIVE),
    ]
    saver = InMemorySaver()
    agent = create_agent(
        Scripted(messages=script(*calls)), tools=toolkit.get_tools(), checkpointer=saver
    )
    config: Any = {"configurable": {"thread_id": "t1"}}
    messages = agent.invoke({"messages": [("human", "go")]}, config)["messages"]
    kept = agent.get_state(config).values["messages"]
    answers = [message for message in messages if isinstance(message, ToolMessage)]
    again = [message for message in kept if isinstance(message, ToolMessage)]
    assert [message.name for message in answers] == [name for name, _ in calls]
    assert [message.status for message in answers] == ["success"] * 4
    assert [message.artifact for message in again] == [message.artifact for message in answers]
    assert [message.content for message in again] == [message.content for message in answers]


async def test_a_failed_run_is_reported_with_its_id(sandbox: Sandbox) -> None:
    tool = task_tool(sandbox)
    failing: Any = {"configurable": {"parallel_task": {"metadata": {"sandbox": "fail"}}}}
    message = called(tool, QUESTION, **failing)
    assert message.status == "error"
    assert message.content.startswith("TaskFailedError: Task run trun_")
    assert message.content.endswith("Ask for it in other words, or for less at once.")
    assert message.artifact is None
    assert "TaskFailedError" in await tool.ainvoke(QUESTION, failing)
    assert sandbox.ledger.count("task_run") == 0


@pytest.mark.parametrize("tool", [ParallelTaskRunTool, ParallelFindAllTool])
def test_a_passed_deadline_names_the_run(tool: type[BaseTool]) -> None:
    with Sandbox(task_seconds=30, findall_seconds=30) as slow:
        made, tool_input, prefix = either(slow, tool, deadline_seconds=0.3)
        message = called(made, tool_input)
    assert message.status == "error"
    assert message.content.startswith("TaskTimeoutError: ")
    assert prefix in message.content
    assert "is not done after 0.3 s" in message.content
    assert "It goes on: wait for it with" in message.content


@BOTH
@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ({"status": 401}, "AuthenticationError"),
        ({"status": 402}, "PaymentRequiredError"),
        ({"status": 422}, "InvalidRequestError"),
        ({"status": 429, "retry_after": 300}, "RateLimitError"),
        ({"status": 500, "echo_key": True}, "ServerError"),
        ({"body": "<html>no</html>", "content_type": "text/html"}, "UnexpectedAnswerError"),
        ({"cut_after_bytes": 20}, "ConnectionFailedError"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_task_errors_become_tool_messages(
    sandbox: Sandbox, tool: type[BaseTool], fault: dict[str, Any], named: str
) -> None:
    sandbox.faults.add(times=None, **fault)
    made, tool_input, _ = either(sandbox, tool, max_retries=0)
    message = called(made, tool_input)
    assert message.status == "error"
    assert message.content.startswith(f"{named}: ")
    assert sandbox.api_key not in message.content


@BOTH
@pytest.mark.parametrize("status", [401, 500])
def test_errors_after_the_creation_name_the_run(
    sandbox: Sandbox, tool: type[BaseTool], status: int
) -> None:
    sandbox.faults.add(method="GET", times=None, status=status)
    made, tool_input, prefix = either(sandbox, tool, max_retries=0)
    message = called(made, tool_input)
    assert message.status == "error"
    assert f": {prefix}" in message.content


@BOTH
def test_broken_progress_costs_no_result(sandbox: Sandbox, tool: type[BaseTool]) -> None:
    sandbox.faults.add(path="*/events", times=None, status=404)
    made, tool_input, _ = either(sandbox, tool)
    assert called(made, tool_input).status == "success"


@pytest.mark.parametrize(
    ("tool", "args", "named"),
    [
        (ParallelTaskRunTool, {}, "input"),
        (ParallelTaskRunTool, {"input": 5}, "input"),
        (ParallelTaskRunTool, {**QUESTION, "procesor": "lite"}, "procesor"),
        (ParallelFindAllTool, {}, "objective"),
        (ParallelFindAllTool, {"objective": ""}, "objective"),
    ],
)
def test_bad_arguments_are_not_sent(
    sandbox: Sandbox, tool: type[BaseTool], args: dict[str, Any], named: str
) -> None:
    message = called(tool(**connection(sandbox)), args)
    assert message.status == "error"
    assert named in message.content
    assert "Nothing was sent" in message.content
    assert sandbox.requests == []


def test_too_many_matches_for_a_preview_cost_nothing(sandbox: Sandbox) -> None:
    with pytest.raises(InvalidArgumentError, match="match_limit=50") as caught:
        find_tool(sandbox, match_limit=50)
    assert sandbox.api_key not in str(caught.value)
    with pytest.raises(ValueError, match=r"call.s config.*match_limit=50"):
        called(
            find_tool(sandbox), OBJECTIVE, configurable={"parallel_find_all": {"match_limit": 50}}
        )
    assert not sandbox.requests


@pytest.mark.parametrize("budget", [500, 1500, 40_000])
def test_tool_outputs_keep_their_budget_and_name_truncations(sandbox: Sandbox, budget: int) -> None:
    settings: dict[str, Any] = {**connection(sandbox), "max_output_chars": budget}
    pages = [f"https://no-such-site.example/none-{n}.html" for n in range(15)]
    pages.append("https://docs.python.org/3/reference/compound_stmts.html")
    fields = {name: {"type": "string"} for name in ("one", "two", "three", "four")}
    schema = {"type": "object", "properties": fields}
    contents = [
        called(ParallelSearchTool(**settings), {"objective": "decorators"}).content,
        called(ParallelSearchTool(**settings, max_results=40), {"objective": "class"}).content,
        called(ParallelExtractTool(**settings, full_content=True), {"urls": pages}).content,
        called(ParallelTaskRunTool(**settings, output_schema=schema), QUESTION).content,
        called(ParallelFindAllTool(**settings), OBJECTIVE).content,
    ]
    for content in contents:
        assert len(content) <= budget
    if budget == 500:
        assert all("…cut, " in content for content in contents)
    assert "Could not be read: " in contents[2]


@pytest.mark.parametrize("budget", [500, 40_000])
def test_search_result_blocks(sandbox: Sandbox, budget: int) -> None:
    tool = ParallelSearchTool(
        **connection(sandbox), content_format="search_result", max_output_chars=budget
    )
    message = called(tool, {"objective": "What is a decorator?"})
    blocks = [block for block in message.content if isinstance(block, dict)]
    said = [block for block in message.content if isinstance(block, str)]
    size = sum(map(len, said))
    for block in blocks:
        assert block["type"] == "search_result"
        assert block["citations"] == {"enabled": True}
        [text] = block["content"]
        assert text["type"] == "text"
        assert text["text"].strip()
        size += len(text["text"]) + len(block["source"]) + len(block["title"])
    assert size <= budget
    results = sum(bool(each["excerpts"]) for each in message.artifact["results"])
    assert sandbox.requests[-1].body["max_chars_total"] == max(4000, budget * 9 // 10)
    if budget == 40_000:
        assert len(blocks) == results > 5
        assert said == []
    else:
        more = results - len(blocks)
        assert said == [f"{more} more result{' was' if more == 1 else 's were'} left out."]
        assert "…cut, " in blocks[0]["content"][0]["text"]


def test_one_search_result_block_alone_is_left_out(
    sandbox: Sandbox,
) -> None:
    # How many characters that takes depends on the pages, which are those of Python's release.
    for budget in range(1000, 8000, 250):
        tool = ParallelSearchTool(
            **connection(sandbox), content_format="search_result", max_output_chars=budget
        )
        if "1 more result was left out." in called(tool, {"objective": "a decorator"}).content:
            return
    pytest.fail("never one")


def sessions(sandbox: Sandbox) -> list[str | None]:
    return [each.body.get("session_id") for each in sandbox.requests if each.method == "POST"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({}, "each thread's"), ({"session_per_thread": False}, None), ({"session_id": "s"}, "s")],
    ids=["default", "none", "fixed"],
)
async def test_one_session_for_search_and_extract_of_a_thread(
    sandbox: Sandbox, settings: dict[str, Any], expected: str | None
) -> None:
    tools = [
        ParallelSearchTool(**connection(sandbox), **settings),
        ParallelExtractTool(**connection(sandbox), **settings),
    ]
    url = "https://docs.python.org/3/reference/compound_stmts.html"
    calls = [("parallel_search", {"objective": "x"}), ("parallel_extract", {"urls": [url]})]
    for number, thread in enumerate(("a", "b")):
        agent = create_agent(
            Scripted(messages=script(*calls)), tools=tools, checkpointer=InMemorySaver()
        )
        config: Any = {"configurable": {"thread_id": thread}}
        state: Any = {"messages": [("human", "go")]}
        await agent.ainvoke(state, config) if number else agent.invoke(state, config)
    first, second, third, fourth = sessions(sandbox)
    if not settings:
        assert first == second is not None
        assert third == fourth is not None
        assert first != third
    else:
        assert {first, second, third, fourth} == {expected}


def test_a_toolkit_shares_client_and_session(sandbox: Sandbox) -> None:
    toolkit = ParallelToolkit(**connection(sandbox), search={"max_results": 2})
    tools = {tool.name: tool for tool in toolkit.get_tools()}
    assert list(tools) == ["parallel_search", "parallel_extract", "parallel_task"]
    clients = {id(tool.resolved_client()) for tool in tools.values() if isinstance(tool, Adapter)}
    assert len(clients) == 1
    tools["parallel_search"].invoke({"objective": "decorators"})
    tools["parallel_extract"].invoke({"urls": ["https://docs.python.org/3/reference/"]})
    first, second = sessions(sandbox)
    assert first == second is not None
    assert sandbox.requests[0].body["advanced_settings"] == {"max_results": 2}
    toolkit.get_tools()[0].invoke({"objective": "decorators"})
    assert sessions(sandbox)[2] not in (None, first)
    small = ParallelToolkit(extract=None, task=None, find_all={})
    assert [tool.name for tool in small.get_tools()] == ["parallel_search", "parallel_find_all"]
    assert sandbox.api_key not in repr(toolkit)
