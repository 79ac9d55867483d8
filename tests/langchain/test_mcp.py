"""The tools as tools of an MCP server."""

import json
from typing import Any

import pytest
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_mcp_adapters.tools import to_fastmcp
from mcp.server.fastmcp import FastMCP
from mcp.shared.memory import create_connected_server_and_client_session

from parallel_integrations.langchain import ParallelToolkit
from parallel_integrations.sandbox import Sandbox
from tests.support.connected import connection
from tests.support.requests import QUESTION


def tools(sandbox: Sandbox) -> list[BaseTool]:
    background = ParallelToolkit(**connection(sandbox), research="background", find_all={})
    task = ParallelToolkit(**connection(sandbox), search=None, extract=None)
    return [*background.get_tools(), *task.get_tools()]


async def called(server: FastMCP, name: str, arguments: dict[str, Any]) -> tuple[bool, str]:
    """Whether a call over MCP failed, and what it said."""
    async with create_connected_server_and_client_session(server) as session:
        result = await session.call_tool(name, arguments)
    return result.isError, "".join(getattr(block, "text", "") for block in result.content)


async def test_every_tool_converts_with_its_schema(sandbox: Sandbox) -> None:
    given = tools(sandbox)
    server = FastMCP("web", tools=[to_fastmcp(tool) for tool in given])
    async with create_connected_server_and_client_session(server) as session:
        listed = {tool.name: tool for tool in (await session.list_tools()).tools}
    assert list(listed) == [tool.name for tool in given]
    for tool in given:
        shown = convert_to_openai_tool(tool)["function"]
        schema = listed[tool.name].inputSchema
        assert listed[tool.name].description == shown["description"]
        assert set(schema["properties"]) == set(shown["parameters"]["properties"])
        assert schema["required"] == shown["parameters"]["required"]
        assert all(field["type"] for field in schema["properties"].values())


async def test_a_search_over_mcp(sandbox: Sandbox) -> None:
    server = FastMCP("web", tools=[to_fastmcp(tool) for tool in tools(sandbox)])
    queries = ["with statement", "exceptions in with", "__exit__"]
    arguments = {"objective": QUESTION, "search_queries": json.dumps(queries)}
    failed, text = await called(server, "parallel_search", arguments)
    assert not failed
    assert text.startswith("[1] ")
    assert sandbox.requests[0].body["search_queries"] == queries
    failed, text = await called(server, "parallel_extract", {"urls": ["example.com"]})
    assert "is not a web address" in text
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("name", ["parallel_task", "parallel_start_research"])
async def test_settings_do_not_come_over_mcp(sandbox: Sandbox, name: str) -> None:
    server = FastMCP("web", tools=[to_fastmcp(tool) for tool in tools(sandbox)])
    await called(server, name, {"input": QUESTION, "processor": "ultra8x"})
    created = [each.body for each in sandbox.requests if each.method == "POST"]
    assert all(body["processor"] == "base" for body in created)
