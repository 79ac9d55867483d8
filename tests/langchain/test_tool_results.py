"""Tools in place of other search tools: code reads their results under the names it knows."""

import asyncio
import json

import pytest

from parallel_integrations.langchain import ParallelExtractTool, ParallelSearchTool
from parallel_integrations.sandbox import Sandbox
from tests.support.connected import connection

KEYS = ["title", "url", "content", "raw_content", "score", "published_at"]
QUESTION = {"query": "How does the with statement handle exceptions?"}
CALL = {"name": "t", "id": "1", "type": "tool_call"}


async def test_a_tool_gives_what_code_written_for_other_tools_reads(sandbox: Sandbox) -> None:
    tool = ParallelSearchTool(**connection(sandbox), max_results=3, content_format="results")
    found = await tool.ainvoke(QUESTION)
    assert [list(result) for result in found["results"]] == [KEYS] * 3
    assert all(result["title"] and result["content"] for result in found["results"])
    assert await asyncio.to_thread(tool.invoke, QUESTION) == found
    message = await tool.ainvoke({**CALL, "args": QUESTION})
    assert json.loads(message.content) == found  # an agent's model reads it as JSON


def test_the_dict_keeps_within_the_budget(sandbox: Sandbox) -> None:
    tool = ParallelSearchTool(
        **connection(sandbox), content_format="results", max_output_chars=2000
    )
    found = tool.invoke(QUESTION)
    assert len(found["results"]) == 10
    assert sum(len(result["content"]) for result in found["results"]) <= 2000


def test_the_artifact_alone_has_the_shape(sandbox: Sandbox) -> None:
    tool = ParallelSearchTool(**connection(sandbox), max_results=2, artifact_format="results")
    message = tool.invoke({**CALL, "args": QUESTION})
    assert message.content.startswith("[1] ")
    assert [list(result) for result in message.artifact["results"]] == [KEYS] * 2


@pytest.mark.parametrize("full_content", [True, False])
def test_an_extract_tool_gives_whole_pages_as_raw_content(
    sandbox: Sandbox, full_content: bool
) -> None:
    tool = ParallelExtractTool(
        **connection(sandbox), full_content=full_content, artifact_format="results"
    )
    url = "https://docs.python.org/3/reference/compound_stmts.html"
    message = tool.invoke({**CALL, "args": {"urls": [url], "objective": "the with statement"}})
    [result] = message.artifact["results"]
    assert list(result) == KEYS
    assert result["content"]
    assert bool(result["raw_content"]) is full_content
