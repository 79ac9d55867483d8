"""The tools, as an agent and as code use them."""

import json
from typing import Any

import pytest
from langchain_core.messages import ToolCall, ToolMessage
from langchain_core.tools import BaseTool, ToolException
from langchain_core.utils.function_calling import convert_to_openai_tool

from parallel_integrations import SourcePolicy
from parallel_integrations.langchain import ParallelExtractTool, ParallelSearchTool
from parallel_integrations.sandbox import Sandbox

SEARCH = {"objective": "What is a decorator?", "search_queries": ["python decorator syntax"]}
MISSING = "https://no-such-site.example/page.html"


def search_tool(sandbox: Sandbox, **settings: Any) -> ParallelSearchTool:
    return ParallelSearchTool(api_key=sandbox.api_key, base_url=sandbox.url, **settings)


def extract_tool(sandbox: Sandbox, **settings: Any) -> ParallelExtractTool:
    return ParallelExtractTool(api_key=sandbox.api_key, base_url=sandbox.url, **settings)


def called(tool: BaseTool, args: dict[str, Any]) -> ToolMessage:
    message = tool.invoke(ToolCall(name=tool.name, args=args, id="call-1", type="tool_call"))
    assert isinstance(message, ToolMessage)
    return message


def test_tool_schemas_are_small() -> None:
    shown = convert_to_openai_tool(ParallelSearchTool())["function"]
    assert shown["name"] == "parallel_search"
    assert set(shown["parameters"]["properties"]) == {"objective", "search_queries"}
    assert shown["parameters"]["required"] == ["objective", "search_queries"]
    assert len(json.dumps(shown)) < 1200

    shown = convert_to_openai_tool(ParallelExtractTool())["function"]
    assert shown["name"] == "parallel_extract"
    assert set(shown["parameters"]["properties"]) == {"urls", "objective"}
    assert shown["parameters"]["required"] == ["urls"]
    assert len(json.dumps(shown)) < 1200


def test_content_for_the_model_artifact_for_code(sandbox: Sandbox) -> None:
    message = called(search_tool(sandbox, max_results=2), SEARCH)
    assert message.status == "success"
    first = message.artifact["results"][0]
    lines = message.content.splitlines()
    assert lines[0] == f"[1] {first['title']}"
    assert lines[1] == f"URL: {first['url']}"
    assert "[2] " in message.content
    assert json.loads(json.dumps(message.artifact)) == message.artifact
    assert message.artifact["search_id"]


async def test_an_awaited_tool_call_gives_the_same(sandbox: Sandbox) -> None:
    tool = search_tool(sandbox, max_results=2)
    assert await tool.ainvoke(SEARCH) == tool.invoke(SEARCH)


def test_a_bare_string_is_the_objective(sandbox: Sandbox) -> None:
    assert "[1] " in search_tool(sandbox).invoke("What is a decorator?")
    assert sandbox.requests[0].body["objective"] == "What is a decorator?"
    assert sandbox.requests[0].body["search_queries"]


def test_a_single_query_without_brackets_is_taken(sandbox: Sandbox) -> None:
    search_tool(sandbox).invoke({"search_queries": "python decorator syntax"})
    assert sandbox.requests[0].body["search_queries"] == ["python decorator syntax"]


async def test_code_varies_a_setting_in_the_config_of_a_call(sandbox: Sandbox) -> None:
    tool = search_tool(sandbox, max_results=5, mode="basic")
    policies = ({"exclude_domains": ["example.com"]}, SourcePolicy(exclude_domains=["example.com"]))
    settings = {"max_results": 2, "source_policy": policies[0]}
    tool.invoke(SEARCH, {"configurable": {"parallel_search": settings}})
    config: Any = {"configurable": {"parallel_search": {"source_policy": policies[1]}}}
    await tool.ainvoke(SEARCH, config)
    policy = {"exclude_domains": ["example.com"]}
    first, second = (request.body for request in sandbox.requests)
    assert first["advanced_settings"] == {"max_results": 2, "source_policy": policy}
    assert second["advanced_settings"] == {"max_results": 5, "source_policy": policy}
    assert first["mode"] == second["mode"] == "basic"


@pytest.mark.parametrize(
    ("args", "named"),
    [
        ({}, "objective"),
        ({"objective": ""}, "objective"),
        ({"search_queries": ["x" * 201]}, "200"),
        ({"search_queries": ["a"] * 6}, "5"),
        ({"objective": "x", "max_results": 99}, "max_results"),
        ({"objective": "x", "max_reslts": 9}, "max_reslts"),
    ],
)
def test_bad_arguments_are_reported_to_the_model_and_not_sent(
    sandbox: Sandbox, args: dict[str, Any], named: str
) -> None:
    message = called(search_tool(sandbox), args)
    assert message.status == "error"
    assert named in message.content
    assert "Nothing was sent" in message.content
    assert sandbox.requests == []


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ({"status": 401, "echo_key": True}, "AuthenticationError"),
        ({"status": 402}, "PaymentRequiredError"),
        ({"status": 429}, "RateLimitError"),
        ({"status": 500}, "ServerError"),
        ({"body": "<html>oops</html>", "content_type": "text/html"}, "UnexpectedAnswerError"),
        ({"reset": "body"}, "ConnectionFailedError"),
    ],
)
async def test_failures_become_error_tool_messages(
    sandbox: Sandbox, fault: dict[str, Any], named: str
) -> None:
    sandbox.faults.add(times=None, **fault)
    tool = search_tool(sandbox, max_retries=0)
    message = called(tool, SEARCH)
    assert message.status == "error"
    assert message.content.startswith(named)
    assert sandbox.api_key not in message.content
    awaited = await tool.ainvoke(
        ToolCall(name=tool.name, args=SEARCH, id="call-1", type="tool_call")
    )
    assert awaited.status == "error"


def test_errors_are_raised_without_handle_tool_error(sandbox: Sandbox) -> None:
    sandbox.faults.add(status=401)
    with pytest.raises(ToolException, match="AuthenticationError"):
        search_tool(sandbox, handle_tool_error=False).invoke(SEARCH)


def test_a_search_without_results_says_so(sandbox: Sandbox) -> None:
    answer = search_tool(sandbox).invoke({"search_queries": ["zzzqqq xyzzy plugh"]})
    assert "No pages were found" in answer


def test_extract_names_every_page_that_failed(sandbox: Sandbox) -> None:
    url = search_tool(sandbox)
    found = called(url, SEARCH).artifact["results"][0]["url"]
    message = called(extract_tool(sandbox), {"urls": [found, MISSING], "objective": "decorators"})
    assert message.status == "success"
    assert f"URL: {found}" in message.content
    assert f"Could not be read: {MISSING}: fetch_error" in message.content
    assert message.artifact["errors"][0]["url"] == MISSING


def test_extract_of_nothing_readable_is_an_error(sandbox: Sandbox) -> None:
    message = called(extract_tool(sandbox), {"urls": [MISSING]})
    assert message.status == "error"
    assert MISSING in message.content


def test_extract_whole_pages(sandbox: Sandbox) -> None:
    found = called(search_tool(sandbox), SEARCH).artifact["results"][0]["url"]
    excerpts = extract_tool(sandbox).invoke({"urls": [found], "objective": "decorators"})
    whole = extract_tool(sandbox, full_content=True).invoke({"urls": found})
    assert len(whole) > len(excerpts)


@pytest.mark.parametrize(
    "urls", [[], ["ftp://example.com"], ["example.com"], ["https://example.com/"] * 21]
)
def test_bad_urls_are_refused(sandbox: Sandbox, urls: list[str]) -> None:
    message = called(extract_tool(sandbox), {"urls": urls})
    assert message.status == "error"
    assert "urls" in message.content
    assert sandbox.requests == []
