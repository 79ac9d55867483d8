"""LangChain's classes without an account: unchanged but for their client."""

import pytest

from parallel_integrations import MissingKeyError, ParallelClient, langchain
from parallel_integrations.sandbox import Sandbox
from tests.support.requests import QUESTION

QUERIES = ["with statement", "context manager", "exception handling"]


async def test_the_retriever(free: ParallelClient, client: ParallelClient) -> None:
    found = langchain.ParallelSearchRetriever(client=free, k=3).invoke(QUESTION)
    assert await langchain.ParallelSearchRetriever(client=free, k=3).ainvoke(QUESTION) == found
    direct = langchain.ParallelSearchRetriever(client=client, k=3).invoke(QUESTION)
    assert [each.metadata for each in found] == [each.metadata for each in direct]
    assert [each.id for each in found] == [each.id for each in direct]
    assert all(each.page_content for each in found)


async def test_the_tools(free: ParallelClient) -> None:
    tool = langchain.ParallelSearchTool(client=free)
    given = {"objective": QUESTION, "search_queries": QUERIES}
    text = tool.invoke(given)
    assert "https://docs.python.org" in text
    assert await tool.ainvoke(given) == text
    url = langchain.ParallelSearchRetriever(client=free, k=1).invoke(QUESTION)[0].metadata["url"]
    assert url in langchain.ParallelExtractTool(client=free).invoke({"urls": [url]})
    tools = {each.name: each for each in langchain.ParallelToolkit(client=free).get_tools()}
    assert "https://docs.python.org" in tools["parallel_search"].invoke(given)


def test_the_loader(free: ParallelClient, sandbox: Sandbox) -> None:
    page = sandbox.corpus.pages[0]
    (loaded,) = langchain.ParallelExtractLoader(urls=[page.url], client=free).load()
    assert loaded.metadata["url"] == page.url
    assert page.text in loaded.page_content


def test_what_needs_a_key_says_so(free: ParallelClient) -> None:
    with pytest.raises(MissingKeyError, match="PARALLEL_API_KEY"):
        langchain.ChatParallel(client=free).invoke("x")
    tool = langchain.ParallelTaskRunTool(client=free, handle_tool_error=False)
    with pytest.raises(Exception, match="PARALLEL_API_KEY"):
        tool.invoke({"input": "x"})
