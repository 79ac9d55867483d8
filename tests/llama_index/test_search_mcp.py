"""LlamaIndex's classes without an account: unchanged but for their client."""

import pytest

from parallel_integrations import MissingKeyError, ParallelClient, llama_index
from parallel_integrations.sandbox import Sandbox
from tests.support.requests import QUESTION

QUERIES = ["with statement", "context manager", "exception handling"]


async def test_the_retriever_and_the_reader(free: ParallelClient, client: ParallelClient) -> None:
    nodes = llama_index.ParallelRetriever(client=free, max_results=3).retrieve(QUESTION)
    direct = llama_index.ParallelRetriever(client=client, max_results=3).retrieve(QUESTION)
    assert [node.metadata for node in nodes] == [node.metadata for node in direct]
    awaited = await llama_index.ParallelRetriever(client=free, max_results=3).aretrieve(QUESTION)
    assert [node.text for node in awaited] == [node.text for node in nodes]
    read = llama_index.ParallelReader(client=free, max_results=3).load_data(QUESTION)
    assert [each.id_ for each in read] == [node.node_id for node in nodes]


def test_pages(free: ParallelClient, sandbox: Sandbox) -> None:
    page = sandbox.corpus.pages[0]
    (loaded,) = llama_index.ParallelExtractReader(client=free).load_data([page.url])
    assert loaded.metadata["url"] == page.url
    assert page.text in loaded.text


def test_the_tool_spec(free: ParallelClient, sandbox: Sandbox) -> None:
    spec = llama_index.ParallelToolSpec(client=free)
    tools = {each.metadata.name: each for each in spec.to_tool_list()}
    found = tools["parallel_search"].call(objective=QUESTION, search_queries=QUERIES)
    assert "https://docs.python.org" in found.content
    url = sandbox.corpus.pages[0].url
    assert url in tools["parallel_extract"].call(urls=[url]).content


def test_what_needs_a_key_says_so(free: ParallelClient) -> None:
    with pytest.raises(MissingKeyError, match="PARALLEL_API_KEY"):
        llama_index.ParallelLLM(client=free).complete("x")
